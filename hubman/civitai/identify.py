"""Which version on Civitai a file is: by its SHA-256, and by the hash of its tensors where its header was edited."""

from __future__ import annotations

from hubman.civitai.asking import Asking
from hubman.civitai.errors import MissingError
from hubman.civitai.reading import HASHES_AT_ONCE
from hubman.civitai.records import RemoteVersion
from hubman.progress import Progress
from registry import upstream_hashes


def by_sha256(run: Asking) -> None:
    """Ask for the hashes that are due. What was found stays found: what lies under a hash can't change.

    Not found is only what a readable answer leaves out. What it names without saying whose it is, is asked for again.
    """
    due = [one.sha256 for one in run.known() if run.again or one.is_due(run.now)]
    for start in range(0, len(due), HASHES_AT_ONCE):
        batch = due[start : start + HASHES_AT_ONCE]
        run.report(Progress(stage="look up", done=start, total=len(due), unit="files"))
        run.allowance.use()
        wanted = set(batch)
        matches = run.client.by_hash_ids(batch)
        named = {match.hash.lower() for match in matches}
        hits = [
            (one.hash.lower(), one.model_version_id, one.model_id)
            for one in matches
            if one.hash.lower() in wanted and one.model_id and one.model_version_id
        ]
        with run.registry.transaction() as db:
            upstream_hashes.found(db, hits, run.now, by_tensors=False)
            # What can't be read may be about any of them: then none counts as not found.
            upstream_hashes.missed(db, wanted - named if named <= wanted else (), run.now)


def by_tensors(run: Asking) -> int:
    """Ask for what was not found by SHA-256, a request each, while there are any left; returns how many files wait."""
    waiting = 0
    for one in run.known():
        # Never answered about: what the site said of its SHA-256 could not be read.
        if not one.other_hash or not one.asked_at:
            continue
        if not run.allowance.left:
            waiting += 1
            continue
        run.report(Progress(stage="look up by tensors", message=one.sha256[:12]))
        run.allowance.use()
        version = _holder(run, one.other_hash, one.sha256)
        with run.registry.transaction() as db:
            if version is None:
                upstream_hashes.missed_by_tensors(db, one.sha256)
            else:
                upstream_hashes.found(db, [(one.sha256, version.id, version.model_id)], run.now, by_tensors=True)
    return waiting


_AUTOV2 = 10


def _holder(run: Asking, other: str, sha256: str) -> RemoteVersion | None:
    """The version with a file of this hash. The first digits of a SHA-256 may also be those of another file's."""
    try:
        version = run.client.by_hash(other)
    except MissingError:
        return None
    for file in version.files if version.id and version.model_id else ():
        is_another = len(other) == _AUTOV2 and file.sha256 not in {"", sha256}
        if not is_another and any(str(value).lower().startswith(other) for value in file.hashes.values()):
            return version
    return None
