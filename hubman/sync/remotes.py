"""Add, list and forget remotes."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from hubman.sync import queue
from hubman.sync.lock import sync_lock
from hubman.sync.policies.policy import introduce
from hubman.sync.records import freeze, layout
from hubman.sync.remote import Remote, all_remotes, find
from hubman.sync.secrecy import joining, keys
from hubman.sync.secrecy.joining import NO_SECRECY, Secrecy
from hubman.sync.secrecy.repo_key import RepoKey
from hubman.sync.storages import capabilities
from hubman.sync.storages.cloud_address import NAMES, check_address
from hubman.sync.storages.probe import probe
from hubman.sync.storages.storage import RefusedError, Storage, StorageError, open_storage
from registry import timestamps, whereabouts
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
    secrecy: Secrecy = NO_SECRECY,
) -> Remote:
    """Use a folder, or a bucket by its URL, as a remote; an empty one becomes a new remote, another is joined.

    ``options`` of a bucket are those of :data:`hubman.sync.storages.cloud_address.NAMES`. The first sync sends everything
    known here, unless the remote, which must then be there already, is ``read_only``: nothing is ever written there.
    ``secrecy`` says whether a new remote gets a key, and where that of an old one comes from.
    Raises :class:`UsageError` for a name or place that can't be one, :class:`HubError` when it can't be reached,
    holds other things, or has another key.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name} can't be a remote's name", "use lower-case letters, digits, dots and dashes")
    known = all_remotes(registry)
    if any(remote.name == name for remote in known):
        raise UsageError(f"there is a remote {name} already", "choose another name, or remove that one first")
    kind, place = place_of(registry, location, options or {}, read_only=read_only)
    settings = {**(options or {}), **({"read_only": "yes"} if read_only else {})}
    with sync_lock(registry):
        opened = storage or open_storage(kind, place, settings)
        if read_only:
            hub, new_key, is_new = read_hub(opened, place), None, False
        else:
            hub, new_key, is_new = _read_or_create(registry, opened, place, secrecy.enc)
        for remote in known:
            if remote.repo == hub.repo:
                raise UsageError(f"{place} is the remote {remote.name} already", f"hubman sync {remote.name}")
        codec = joining.codec_of_hub(registry, hub, secrecy)
        known_of_place = "{}" if read_only else _probed(opened)
        introduce(registry)
        with registry.much_at_once(), registry.transaction() as db:
            _insert(db, name, kind, place, settings, known_of_place, hub)
            if read_only:
                freeze.pass_over(db, hub.repo)
            else:
                freeze.everything(db, hub.repo, codec)
                queue.add(db, hub.repo, "up", queue.known_blobs(db))
        if new_key is not None:
            secrecy.made(new_key)
    return msgspec.structs.replace(find(registry, name), is_new=is_new)


def _insert(
    db: sqlite3.Connection,
    name: str,
    kind: str,
    place: str,
    settings: Mapping[str, str],
    known_of_place: str,
    hub: layout.Hub,
) -> None:
    row = (name, kind, place, hub.repo, hub.part, _json(settings), known_of_place, timestamps.now(), hub.enc, hub.check)
    db.execute(
        "INSERT INTO remotes (name, kind, location, repo, part, options, capabilities, added_at, enc, key_check) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )


def probe_again(registry: Registry, remote: Remote, storage: Storage) -> None:
    """Try out what the place can do, once a week; an outage leaves it for the next time."""
    if remote.is_read_only or not capabilities.is_old(remote.capabilities):
        return
    with contextlib.suppress(StorageError):
        found = probe(storage)
        with registry.transaction() as db:
            db.execute("UPDATE remotes SET capabilities = ? WHERE repo = ?", (_json(found), remote.repo))


def remove(registry: Registry, name: str) -> None:
    """Forget a remote; what lies there stays. Raises :class:`NotFoundError`."""
    remote = find(registry, name)
    with sync_lock(registry), registry.transaction() as db:
        db.execute("DELETE FROM remotes WHERE name = ?", (remote.name,))
        db.execute("DELETE FROM blob_queue WHERE remote = ?", (remote.repo,))
        freeze.drop_delivered(db)
        whereabouts.refresh_all(db)


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
    if (hub.enc, hub.check) != (remote.enc, remote.key_check):
        raise HubError(
            f"{remote.location} says now that it is kept otherwise than when it was added",
            "restore its hub.json from a copy; nothing was sent",
        )
    return hub


def need_writable(storage: Storage, remote: Remote) -> layout.Hub:
    """As :func:`check_is_same`, for what writes or deletes without sending anything. Raises :class:`HubError` too where
    a newer hubman has upgraded the remote.
    """
    hub = check_is_same(storage, remote)
    if not hub.is_writable:
        raise HubError("the remote was upgraded by a newer hubman", "update hubman on this machine")
    return hub


def place_of(
    registry: Registry, location: str, options: Mapping[str, str], *, read_only: bool = False
) -> tuple[str, str]:
    """(kind, address as it is kept) of what the person typed."""
    text = location.strip()
    if not text:
        raise UsageError("a remote needs a folder or a URL", "hubman remote add NAME /path/to/folder")
    if "://" in text and urlsplit(text).scheme != "file":
        check_address(text, options)
        return "cloud", text
    if strange := sorted(NAMES & set(options)):
        raise UsageError(f"a folder has no --{strange[0]}", "that belongs to a bucket")
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


def _probed(storage: Storage) -> str:
    """What the place can do, as it is stored. Raises :class:`RefusedError` where this machine may only read."""
    try:
        return _json(probe(storage))
    except RefusedError as error:
        raise RefusedError(error.message, "get the right to write there, or add it with --read-only") from error
    except StorageError:
        # Nothing depends on it, and the next deep sync tries again.
        return "{}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def read_hub(storage: Storage, place: str) -> layout.Hub:
    """The remote that is there. Raises :class:`HubError` where there is none."""
    fetched = storage.get(layout.HUB, layout.HUB_CAP)
    if fetched is None:
        raise HubError(f"{place} holds no remote to read", "is it the right place? whoever keeps it adds it first")
    return layout.decode_hub(fetched.data)


def _read_or_create(
    registry: Registry, storage: Storage, place: str, enc: str
) -> tuple[layout.Hub, RepoKey | None, bool]:
    """The remote in ``place``, its key if it has one and was made just now, and whether it was."""
    fetched = storage.get(layout.HUB, layout.HUB_CAP)
    if fetched is None:
        need_empty(storage, place)
        hub, key = joining.new_hub(enc)
        if key is not None:
            # A key that nobody kept would lock a remote for ever; one without a remote harms nobody.
            keys.keep_key(registry, hub.repo, key)
        if storage.create(layout.HUB, layout.encode(hub)):
            prepare(storage)
            return hub, key, True
        if key is not None:
            keys.forget(registry, hub.repo)
        fetched = storage.get(layout.HUB, layout.HUB_CAP)
    if fetched is None:
        raise StorageError(f"{place} says that hub.json is there and does not give it", "try again")
    return layout.decode_hub(fetched.data), None, False


def need_empty(storage: Storage, place: str, besides: Collection[str] = ()) -> None:
    """Only a place without anything of ours or of others' is new: a hub.json may merely not have arrived yet."""
    for first in _first_names(storage):
        if not first.startswith(".") and first.lower() not in _JUNK and first not in besides:
            raise HubError(
                f"{place} holds other things ({first})", "choose an empty folder; or wait until hub.json is there"
            )


def _first_names(storage: Storage) -> Iterator[str]:
    """What lies at the top, whatever its name: a storage itself passes over names that no key has."""
    from hubman.sync.storages.folder import FolderStorage

    if isinstance(storage, FolderStorage):
        yield from sorted(path.name for path in storage.root.iterdir())
    else:
        yield from (entry.key.split("/", 1)[0] for entry in storage.entries(""))


def prepare(storage: Storage) -> None:
    """What a new remote's place needs besides its objects."""
    from hubman.sync.storages.folder import FolderStorage

    if isinstance(storage, FolderStorage):
        storage.keep_temporary_files_here()
