"""One sync: look, read what others wrote, send what was done here, fetch what this machine wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from hubman.progress import Report, silent
from hubman.sync import identity, outgoing, pull, remotes
from hubman.sync.care import devices, moving
from hubman.sync.care.check import Finding, check
from hubman.sync.merge import Merged
from hubman.sync.opening import opened
from hubman.sync.policies import keeping, letting_go, policy
from hubman.sync.policies.letting_go import LetGo
from hubman.sync.records import freeze, snapshots, trim
from hubman.sync.secrecy import recipients
from hubman.sync.session import Session
from hubman.sync.storages.folder import FolderStorage
from hubman.sync.storages.storage import Storage
from hubman.sync.transfer import destination, download
from hubman.sync.transfer.download import Downloaded
from registry import timestamps
from registry.database import Registry
from registry.errors import HubError

__all__ = ["Finding", "SyncResult", "check", "sync"]


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one sync did. ``warnings`` are lines for a person about what could not be done, and why."""

    remote: str
    sent_changes: int = 0
    received_changes: int = 0
    uploaded: int = 0
    uploaded_bytes: int = 0
    downloaded: int = 0
    downloaded_bytes: int = 0
    let_go: int = 0
    """Files whose place here was needed for others; they are on the remote."""
    let_go_bytes: int = 0
    lost_races: int = 0
    """Edits of one field on two machines at once: the later one shows, the other is in ``lost_edits``."""
    strange_changes: int = 0
    """Kept without being understood: from a newer hubman, or malformed."""
    held: str = ""
    """Why files wait that could move: transfers are paused, or it is not their time."""
    new_device: bool = False
    """This database was restored or copied and goes on under a new device id."""
    warnings: tuple[str, ...] = ()


def sync(
    registry: Registry,
    remote_name: str = "",
    *,
    report: Report = silent,
    should_stop: Callable[[], bool] = lambda: False,
    deep: bool = False,
    models_folder: Path | None = None,
    storage: Storage | None = None,
    limit_rate: int = 0,
) -> SyncResult:
    """Bring this machine and a remote (the only one, if not named) to the same state.

    ``deep`` lists every log and asks again for every blob that was not there; it happens by itself once a day.
    Weights go to ``models_folder``, or where the settings say. ``limit_rate`` is in bytes a second each way, and stands
    above this machine's policy. Killed or stopped anywhere, the next sync goes on.

    Raises :class:`HubError`: :class:`hubman.sync.lock.BusyError` when another sync runs,
    :class:`hubman.sync.storages.storage.StorageError` when the remote fails, :class:`CancelledError` when ``should_stop``
    said so.
    """
    with opened(
        registry,
        remote_name,
        deep=deep,
        report=report,
        should_stop=should_stop,
        storage=storage,
        limit_rate=limit_rate,
    ) as session:
        return _run(session, models_folder)


def _run(session: Session, models_folder: Path | None) -> SyncResult:
    session.tell("look")
    warnings: list[str] = []
    seen, is_new_device = _look(session, warnings)
    merged = _pull(session, seen, warnings)
    # After the others were heard: one of them may have said what this machine keeps.
    policy.introduce(session.registry)
    gone = _make_room(session, warnings)
    sent = outgoing.send(session, is_announced=seen.own_is_known, warnings=warnings)
    changes, up = sent.changes, sent.uploaded
    down = _fetch(session, models_folder, warnings)
    if sent.is_allowed and freeze.is_waiting(session.db, session.repo):
        # That the files are here now is news to the others.
        changes += outgoing.send(session, is_announced=True, warnings=warnings).changes
    if sent.is_allowed and session.deep and session.remote.enc != "none":
        recipients.withdraw_all(session.storage, devices.retired(session.db))
    if sent.is_allowed:
        snapshots.tend(session)
        if session.deep:
            trim.trim(session)
    _finish(session)
    session.tell("done")
    return SyncResult(
        remote=session.remote.name,
        sent_changes=changes,
        received_changes=merged.changes,
        uploaded=up.blobs,
        uploaded_bytes=up.bytes,
        downloaded=down.blobs,
        downloaded_bytes=down.bytes,
        let_go=gone.files,
        let_go_bytes=gone.bytes,
        lost_races=merged.lost_races,
        strange_changes=merged.strange,
        held=up.held or down.held,
        new_device=is_new_device,
        warnings=tuple(warnings),
    )


def _fetch(session: Session, models_folder: Path | None, warnings: list[str]) -> Downloaded:
    """While the folder for weights is away, or its setting wrong, files wait; what people said has gone both ways."""
    try:
        place = destination.chosen(session.registry, models_folder)
    except HubError as error:
        warnings.append(f"no files are fetched: {error}")
        return Downloaded()
    down = download.download(session, place)
    warnings += down.problems
    return down


def _look(session: Session, warnings: list[str]) -> tuple[pull.Look, bool]:
    """The heads, read again as a new device if this database was restored or copied."""
    seen = pull.look(session)
    if session.deep or not seen.own_is_known or session.remote.kind == "folder":
        # Our own head proves that this is our remote; without it, the remote has to say so. So it has to in a folder:
        # of a disk that went away under the last sync, the head may have been written where it was mounted.
        remotes.check_is_same(session.storage, session.remote)
    is_new = False
    if session.remote.is_read_only:
        pass
    elif seen.own_is_known:
        identity.confirm(session)
    elif seen.own is not None:
        is_new = identity.settle(session, seen.own)
    if session.deep and not is_new and not session.remote.is_read_only:
        is_new = identity.settle_log(session)
    if is_new:
        warnings.append("this registry was restored or copied, and goes on as a new device")
        seen = pull.look(session)
    warnings += seen.problems
    return seen, is_new


def _pull(session: Session, seen: pull.Look, warnings: list[str]) -> Merged:
    merged, problems = pull.pull(session, seen.news)
    warnings += problems
    if moved := moving.moved_to(session):
        warnings.append(moved)
    if devices.come_back(session.registry):
        warnings.append("this machine had been forgotten on another one, and is back")
    return merged


def _make_room(session: Session, warnings: list[str]) -> LetGo:
    """Find out what this machine's policy asks for, and let go of what there is no room for."""
    asked = keeping.obey(session)
    gone = letting_go.let_go(session, asked.going)
    warnings += gone.problems
    if asked.no_room:
        warnings.append(f"{len(asked.no_room)} files stay elsewhere: the limit of this machine's policy is reached")
    return gone


def _finish(session: Session) -> None:
    now = timestamps.now()
    with session.registry.transaction() as db:
        db.execute("UPDATE remotes SET synced_at = ? WHERE repo = ?", (now, session.repo))
        if session.deep:
            db.execute("UPDATE remotes SET deep_at = ? WHERE repo = ?", (now, session.repo))
    if not session.deep:
        return
    remotes.probe_again(session.registry, session.remote, session.storage)
    if isinstance(session.storage, FolderStorage):
        session.storage.remove_leftovers()
