"""The pictures of versions, and their whole answers, which tell what each picture was drawn with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from hubman.civitai import pictures
from hubman.civitai.asking import Asking
from hubman.civitai.errors import MissingError, UnavailableError
from hubman.civitai.records import version_from
from hubman.civitai.wanted import Wanted
from hubman.civitai.whole import Raw
from hubman.progress import Progress
from registry import archive, upstream_hashes
from registry.upstream_hashes import Known

_log = logging.getLogger(__name__)
_FILES_AT_ONCE = 100
_IN_A_ROW = 3


def illustrate(run: Asking, wanted: Wanted) -> tuple[int, int]:
    """Archive the whole answers of versions and fetch their pictures: (pictures that came, files that wait).

    A hundred files a request, while there are any left. Raises :class:`hubman.civitai.errors.CivitaiError`, but a version
    whose pictures can't be had now only waits, unless it is so of all or of several in a row: then their host is down.
    """
    due = [one for one in run.known() if _is_due(one, wanted)]
    came = done = failed = 0
    for batch in _batches(due):
        if not run.allowance.left:
            break
        for one, raw in _whole(run, batch):
            run.report(Progress(stage="pictures", done=done, total=len(due), unit="versions"))
            try:
                came += _one(run, one, raw, wanted)
            except UnavailableError as error:
                failed += 1
                if failed == _IN_A_ROW or len(due) == failed:
                    raise
                _log.warning("the pictures of version %s wait: %s", one.version, error)
                continue
            done, failed = done + 1, 0
    return came, len(due) - done


def _is_due(one: Known, wanted: Wanted) -> bool:
    if not (one.is_written and one.pictures):
        return False
    if one.pictured is None:
        return True
    return wanted.count > one.pictured and (wanted.is_archive or not one.previews or one.pictured > 0)


def _batches(due: Sequence[Known]) -> Iterator[Sequence[Known]]:
    """Files whose SHA-256 the site knows a hundred at once, the others one by one."""
    direct = [one for one in due if not one.by_tensors]
    for start in range(0, len(direct), _FILES_AT_ONCE):
        yield direct[start : start + _FILES_AT_ONCE]
    for one in due:
        if one.by_tensors:
            yield [one]


def _whole(run: Asking, batch: Sequence[Known]) -> list[tuple[Known, Raw]]:
    """Each file with the whole answer of its version, empty where the site has none."""
    run.allowance.use()
    if batch[0].by_tensors:
        try:
            return [(batch[0], run.client.version_raw(batch[0].version))]
        except MissingError:
            return [(batch[0], {})]
    told: dict[str, Raw] = {}
    for raw in run.client.versions_by_hash_raw([one.sha256 for one in batch]):
        # The answers come in any order, and some are missing: their files tell which is whose.
        told.update({file.sha256: raw for file in version_from(raw).files if file.sha256})
    return [(one, told.get(one.sha256, {})) for one in batch]


def _one(run: Asking, one: Known, raw: Raw, wanted: Wanted) -> int:
    version = version_from(raw)
    came = 0
    if version.id:
        with run.registry.transaction() as db:
            archive.keep_version(db, version.id, version.model_id or one.model, raw, run.now)
        if _may_come(one, wanted):
            came = pictures.fetch(run.registry, run.client, one.version_id, version.images, wanted)
    with run.registry.transaction() as db:
        upstream_hashes.pictured(db, one.sha256, wanted.count if _may_come(one, wanted) else 0)
    return came


def _may_come(one: Known, wanted: Wanted) -> bool:
    """A version that shows pictures already keeps them as they are, unless they are to be archived."""
    return wanted.is_archive or not one.previews or bool(one.pictured)
