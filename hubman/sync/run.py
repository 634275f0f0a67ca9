"""One sync: look, read what others wrote, send what was done here, fetch what this machine wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from hubman.progress import Progress, Report, silent
from hubman.sync import download, identity, layout, policy, pull, push, queue, remotes, upload
from hubman.sync.lock import sync_lock
from hubman.sync.merge import Merged
from hubman.sync.remote import Remote, find
from hubman.sync.storage import Storage, open_storage
from registry import clock, timestamps
from registry.database import Registry
from registry.errors import CancelledError

_DEEP_EVERY = timedelta(hours=24)


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one sync did. ``warnings`` are lines for a person about what could not be done, and why."""

    remote: str
    sent_changes: int = 0
    received_changes: int = 0
    uploaded: int = 0
    uploaded_bytes: int = 0
    downloaded: int = 0
    downloaded_bytes: int = 0
    lost_races: int = 0
    """Edits of one field on two machines at once: the later one shows, the other is in ``lost_edits``."""
    strange_changes: int = 0
    """Kept without being understood: from a newer hubman, or malformed."""
    new_device: bool = False
    """This database was restored or copied and goes on under a new device id."""
    warnings: tuple[str, ...] = ()


def sync(
    registry: Registry,
    remote_name: str = "",
    *,
    report: Report = silent,
    should_stop: Callable[[], bool] | None = None,
    deep: bool = False,
    models_folder: Path | None = None,
    storage: Storage | None = None,
) -> SyncResult:
    """Bring this machine and a remote (the only one, if not named) to the same state.

    ``deep`` lists every log and asks again for every blob that was not there; it happens by itself once a day.
    Weights go to ``models_folder``, or the registry's own. Killed or stopped anywhere, the next sync goes on.

    Raises :class:`HubError`: :class:`hubman.sync.lock.BusyError` when another sync runs,
    :class:`hubman.sync.storage.StorageError` when the remote fails, :class:`CancelledError` when ``should_stop``
    said so.
    """

    def stop() -> None:
        if should_stop is not None and should_stop():
            raise CancelledError("the sync was stopped", "the next one goes on from there")

    remote = find(registry, remote_name)
    with sync_lock(registry):
        place = storage or open_storage(remote.kind, remote.location, remote.options)
        one = _Sync(registry, remote, place, deep=deep or _is_due(remote.deep_at), report=report, stop=stop)
        return one.run(models_folder or registry.models_folder)


class _Sync:
    """One run, with what all of its steps need."""

    def __init__(
        self,
        registry: Registry,
        remote: Remote,
        storage: Storage,
        *,
        deep: bool,
        report: Report,
        stop: Callable[[], None],
    ) -> None:
        self._registry, self._remote, self._storage = registry, remote, storage
        self._deep, self._report, self._stop = deep, report, stop
        self._warnings: list[str] = []

    def run(self, folder: Path) -> SyncResult:
        self._report(Progress(stage="look"))
        remotes.check_is_same(self._storage, self._remote)
        policy.introduce(self._registry)
        seen, is_new = self._look()
        merged = self._pull(seen)
        sent, up = self._push(seen)
        down = download.download(
            self._registry, self._remote, self._storage, folder,
            everything=self._deep, report=self._report, stop=self._stop,
        )  # fmt: skip
        self._warnings += down.problems
        if down.blobs:
            # That the files are here now is news to the others.
            sent += self._push(seen)[0]
        self._finish()
        self._report(Progress(stage="done"))
        return SyncResult(
            remote=self._remote.name,
            sent_changes=sent,
            received_changes=merged.changes,
            uploaded=up.blobs,
            uploaded_bytes=up.bytes,
            downloaded=down.blobs,
            downloaded_bytes=down.bytes,
            lost_races=merged.lost_races,
            strange_changes=merged.strange,
            new_device=is_new,
            warnings=tuple(self._warnings),
        )

    def _look(self) -> tuple[pull.Look, bool]:
        """The heads, read again as a new device if this database was restored or copied."""
        device = clock.device_id(self._registry.db)
        seen = pull.look(self._registry, self._remote, self._storage, device, deep=self._deep)
        is_new = seen.own is not None and identity.settle(self._registry, self._remote, seen.own)
        if is_new:
            self._warnings.append("this registry was restored or copied, and goes on as a new device")
            device = clock.device_id(self._registry.db)
            seen = pull.look(self._registry, self._remote, self._storage, device, deep=self._deep)
        self._warnings += seen.problems
        return seen, is_new

    def _pull(self, seen: pull.Look) -> Merged:
        merged, problems = pull.pull(
            self._registry, self._remote, self._storage, seen.news,
            deep=self._deep, report=self._report, stop=self._stop,
        )  # fmt: skip
        self._warnings += problems
        with self._registry.transaction() as db:
            device = clock.device_id(db)
            if policy.of_device(db, device).weights == "pinned":
                queue.want_pinned(self._registry, self._remote.repo, device)
        return merged

    def _push(self, seen: pull.Look) -> tuple[int, upload.Uploaded]:
        refused = push.freeze_outbox(self._registry, self._remote)
        if refused:
            self._warnings.append(f"{refused} changes are too large to sync and stay on this machine")
        self._report(Progress(stage="frozen"))
        up = upload.upload(
            self._registry, self._remote, self._storage,
            everything=self._deep, report=self._report, stop=self._stop,
        )  # fmt: skip
        self._warnings += up.problems
        sent = push.send(
            self._registry, self._remote, self._storage, seen.own, report=self._report, stop=self._stop
        )
        return sent, up

    def _finish(self) -> None:
        now = timestamps.now()
        with self._registry.transaction() as db:
            db.execute("UPDATE remotes SET synced_at = ? WHERE repo = ?", (now, self._remote.repo))
            if self._deep:
                db.execute("UPDATE remotes SET deep_at = ? WHERE repo = ?", (now, self._remote.repo))


def _is_due(deep_at: str | None) -> bool:
    return deep_at is not None and datetime.now(UTC) - timestamps.parse(deep_at) > _DEEP_EVERY
