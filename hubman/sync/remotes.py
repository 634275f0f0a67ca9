"""Add, list and forget remotes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from hubman.sync import freeze, layout, queue
from hubman.sync.lock import sync_lock
from hubman.sync.policy import introduce
from hubman.sync.remote import Remote, all_remotes, find
from hubman.sync.storage import Storage, StorageError, open_storage
from registry import ids, timestamps
from registry.database import Registry
from registry.errors import HubError, UsageError

__all__ = ["Remote", "add", "all_remotes", "check_is_same", "find", "remove"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_JUNK = frozenset({"desktop.ini", "thumbs.db", "$recycle.bin", "system volume information", "lost+found"})


def add(
    registry: Registry,
    name: str,
    location: str,
    *,
    options: Mapping[str, str] | None = None,
    storage: Storage | None = None,
    read_only: bool = False,
) -> Remote:
    """Use a folder, or a bucket by its URL, as a remote; an empty one becomes a new remote, another is joined.

    ``options`` may hold ``endpoint`` and ``region`` of a bucket. The first sync sends everything known here, unless
    the remote, which must then be there already, is ``read_only``: nothing is ever written there.
    Raises :class:`UsageError` for a name or place that can't be one, :class:`HubError` when it can't be reached or
    holds other things.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name} can't be a remote's name", "use lower-case letters, digits, dots and dashes")
    known = all_remotes(registry)
    if any(remote.name == name for remote in known):
        raise UsageError(f"there is a remote {name} already", "choose another name, or remove that one first")
    kind, place = _place(registry, location, read_only=read_only)
    settings = {**(options or {}), **({"read_only": "yes"} if read_only else {})}
    with sync_lock(registry):
        opened = storage or open_storage(kind, place, settings)
        hub = _read(opened, place) if read_only else _read_or_create(opened, place)
        for remote in known:
            if remote.repo == hub.repo:
                raise UsageError(f"{place} is the remote {remote.name} already", f"hubman sync {remote.name}")
        introduce(registry)
        with registry.transaction() as db:
            db.execute(
                "INSERT INTO remotes (name, kind, location, repo, part, options, added_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, kind, place, hub.repo, hub.part, msgspec.json.encode(settings).decode(), timestamps.now()),
            )
            if read_only:
                freeze.pass_over(db, hub.repo)
            else:
                freeze.everything(db, hub.repo)
                queue.add(db, hub.repo, "up", queue.known_blobs(db))
    return find(registry, name)


def remove(registry: Registry, name: str) -> None:
    """Forget a remote; what lies there stays. Raises :class:`NotFoundError`."""
    remote = find(registry, name)
    with sync_lock(registry), registry.transaction() as db:
        db.execute("DELETE FROM remotes WHERE name = ?", (remote.name,))
        db.execute("DELETE FROM blob_queue WHERE remote = ?", (remote.repo,))
        freeze.drop_delivered(db)


def check_is_same(storage: Storage, remote: Remote) -> layout.Hub:
    """Make sure that the place still is the remote that was added.

    Raises :class:`HubError` when it is another or an empty one, such as the folder under a disk that is not mounted.
    """
    fetched = storage.get(layout.HUB, layout.HUB_CAP)
    if fetched is None:
        raise HubError(
            f"{remote.location} holds no remote now",
            "is the disk mounted? if it was emptied, remove the remote and add it",
        )
    hub = layout.decode_hub(fetched.data)
    if hub.repo != remote.repo:
        raise HubError(f"{remote.location} holds another remote than {remote.name}", "add it under its own name")
    return hub


def _place(registry: Registry, location: str, *, read_only: bool = False) -> tuple[str, str]:
    """(kind, address as it is kept) of what the person typed."""
    text = location.strip()
    if not text:
        raise UsageError("a remote needs a folder or a URL", "hubman remote add NAME /path/to/folder")
    if "://" in text and urlsplit(text).scheme != "file":
        from hubman.sync.cloud import check_url

        check_url(text)
        return "cloud", text
    folder = Path(text.removeprefix("file://")).expanduser().absolute()
    if folder == registry.home or registry.home in folder.parents or folder in registry.home.parents:
        raise UsageError(f"{folder} and {registry.home} lie inside each other", "choose a folder of its own")
    if read_only:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not there", "plug in or mount the disk")
        return "folder", str(folder)
    if not folder.parent.is_dir():
        raise UsageError(f"{folder.parent} is not there", "plug in or mount the disk, or make the folder first")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise HubError(f"{folder} can't be made ({error.strerror})", "choose a folder that you can write") from error
    return "folder", str(folder)


def _read(storage: Storage, place: str) -> layout.Hub:
    fetched = storage.get(layout.HUB, layout.HUB_CAP)
    if fetched is None:
        raise HubError(f"{place} holds no remote to read", "is it the right place? whoever keeps it adds it first")
    return layout.decode_hub(fetched.data)


def _read_or_create(storage: Storage, place: str) -> layout.Hub:
    fetched = storage.get(layout.HUB, layout.HUB_CAP)
    if fetched is None:
        _need_empty(storage, place)
        hub = layout.Hub(format=layout.FORMAT, repo=ids.new_id())
        if storage.create(layout.HUB, layout.encode(hub)):
            _prepare(storage)
            return hub
        fetched = storage.get(layout.HUB, layout.HUB_CAP)
    if fetched is None:
        raise StorageError(f"{place} says that hub.json is there and does not give it", "try again")
    return layout.decode_hub(fetched.data)


def _need_empty(storage: Storage, place: str) -> None:
    """Only a place without anything of ours or of others' is new: a hub.json may merely not have arrived yet."""
    for first in _first_names(storage):
        if not first.startswith(".") and first.lower() not in _JUNK:
            raise HubError(
                f"{place} holds other things ({first})", "choose an empty folder; or wait until hub.json is there"
            )


def _first_names(storage: Storage) -> Iterator[str]:
    """What lies at the top, whatever its name: a storage itself passes over names that no key has."""
    from hubman.sync.folder import FolderStorage

    if isinstance(storage, FolderStorage):
        yield from sorted(path.name for path in storage.root.iterdir())
    else:
        yield from (entry.key.split("/", 1)[0] for entry in storage.entries(""))


def _prepare(storage: Storage) -> None:
    from hubman.sync.folder import FolderStorage

    if isinstance(storage, FolderStorage):
        storage.keep_temporary_files_here()
