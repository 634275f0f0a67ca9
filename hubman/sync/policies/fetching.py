"""Bring one version's weights here now, whatever this machine's policy says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from hubman.progress import Report, never, silent
from hubman.sync import queue
from hubman.sync.lock import BusyError
from hubman.sync.opening import opened
from hubman.sync.policies import keeping, policy
from hubman.sync.policies.letting_go import let_go
from hubman.sync.queue import Wanted
from hubman.sync.remote import all_remotes, find
from hubman.sync.remotes import check_is_same
from hubman.sync.session import Session
from hubman.sync.transfer import destination
from hubman.sync.transfer.download import Downloaded, download
from registry import ids, library
from registry.database import Registry
from registry.errors import CancelledError, HubError, NotFoundError
from registry.here import is_here


class FetchResult(msgspec.Struct, frozen=True, kw_only=True):
    """``files`` came from the remote, ``bytes`` long; 0 where all was here already, under whatever name."""

    version_id: str
    name: str
    files: int = 0
    bytes: int = 0
    paths: tuple[str, ...] = ()
    """Where the version's files lie now."""


def fetch(
    registry: Registry,
    version_id: str,
    *,
    remote: str = "",
    report: Report = silent,
    should_stop: Callable[[], bool] = never,
) -> FetchResult:
    """Fetch what of a version is not here from ``remote``, or from whichever has it, and tell the others with the next sync.

    Stopped or killed, the next call goes on. What was let go of here by hand may come by itself again.

    Raises :class:`NotFoundError` for no such version, :class:`HubError` where nothing has it or it can't be had:
    :class:`hubman.sync.lock.BusyError` while a sync runs, :class:`registry.errors.CancelledError` when stopped.
    """
    version = library.version(registry, version_id)
    model = library.show(registry, version.model_id)
    if model.deleted_at is not None:
        raise HubError(f"{model.name} is in the trash", "hubman restore takes it out")
    hashed = [file.sha256 for file in version.files if file.sha256 and not ids.is_provisional(file.sha256)]
    missing = _missing(registry, hashed)
    files = size = 0
    problem: HubError | None = None
    for one in _remotes(registry, remote, model.name) if missing else ():
        try:
            with opened(registry, one, report=report, should_stop=should_stop, by_hand=True) as session:
                check_is_same(session.storage, session.remote)
                got = _from(session, missing)
        except (BusyError, CancelledError):
            raise
        except HubError as error:
            problem = error
            continue
        files, size = files + got.blobs, size + got.bytes
        missing = _missing(registry, missing)
        if not missing:
            break
        problem = HubError(next(iter(got.problems), f"{model.name} is not on {one}"))
    if missing and problem is not None:
        raise problem
    return FetchResult(version_id=version.id, name=model.name, files=files, bytes=size, paths=_paths(registry, hashed))


def _remotes(registry: Registry, name: str, model: str) -> list[str]:
    if name:
        return [find(registry, name).name]
    found = [one.name for one in all_remotes(registry)]
    if not found:
        raise NotFoundError(f"{model} is not here and there is no remote", "hubman remote add NAME FOLDER")
    return found


def _missing(registry: Registry, hashed: Sequence[str]) -> list[str]:
    return [sha256 for sha256 in hashed if not is_here(registry.db, sha256)]


def _from(session: Session, missing: Sequence[str]) -> Downloaded:
    wanted = [Wanted(sha256, "weights") for sha256 in missing]
    with session.registry.transaction() as db:
        queue.ask(db, session.repo, wanted)
    kept = policy.of_device(session.db, session.device)
    try:
        got = download(session, destination.chosen(session.registry), missing)
        if kept.limit is not None:
            going = keeping.plan(session.registry, kept).going
            let_go(session, [sha256 for sha256 in going if sha256 not in missing])
        return got
    finally:
        # What did not come is not to come by itself at some later time, unless the policy asks for it too.
        with session.registry.transaction() as db:
            for blob in wanted:
                if not policy.wants(session.registry, session.device, kept, blob):
                    queue.done(db, session.repo, "down", blob.sha256)


def _paths(registry: Registry, hashed: Sequence[str]) -> tuple[str, ...]:
    sql = "SELECT path FROM places WHERE sha256 = ? AND state = 'present' ORDER BY path"
    return tuple(row[0] for sha256 in hashed for row in registry.db.execute(sql, (sha256,)))
