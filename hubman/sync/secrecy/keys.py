"""Where this machine keeps the keys of remotes: the system's keyring, or files that only their owner reads.

Secrets are found by what they open (a remote's own id), so a remote that is renamed or moved keeps its key. A key is
never in the database, a log, or what a program is told.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from hubman import keys as keyring_keys
from hubman import secrecy
from hubman.secrecy import Key
from hubman.sync.remote import Remote
from hubman.sync.secrecy.repo_key import RepoKey, from_words
from registry import blobs
from registry.database import Registry
from registry.errors import HubError

VARIABLE = "HUBMAN_REMOTE_KEY"
"""Holds a key's words, for machines that keep nothing."""

_FOLDER = "keys"


def key_of(registry: Registry, remote: Remote) -> RepoKey:
    """The key of a remote that has one. Raises :class:`HubError` where this machine has none, or another's."""
    given = from_environment()
    if given is not None and given.check(remote.repo) == remote.key_check:
        return given
    kept = load_key(registry, remote.repo)
    if kept is not None and kept.check(remote.repo) == remote.key_check:
        return kept
    if kept or given:
        raise HubError(f"the key on this machine is not that of {remote.name}", f"hubman remote key join {remote.name}")
    raise HubError(
        f"the key of {remote.name} is not on this machine", f"hubman remote key join {remote.name}, or set ${VARIABLE}"
    )


def from_environment() -> RepoKey | None:
    """What :data:`VARIABLE` holds. Raises :class:`registry.errors.UsageError` if that is no key."""
    words = os.environ.get(VARIABLE, "")
    return from_words(words) if words.strip() else None


def keep_key(registry: Registry, repo: str, key: RepoKey) -> str:
    """Keep a remote's key; returns where: ``keyring``, or the path of a file."""
    return keep(registry, repo, key.words())


def load_key(registry: Registry, repo: str) -> RepoKey | None:
    """The key that is kept for a remote, right or not. Raises :class:`HubError` for one that is damaged."""
    words = load(registry, repo)
    return from_words(words) if words else None


def keep(registry: Registry, name: str, secret: Key) -> str:
    """Keep ``secret`` in the keyring, or where that keeps nothing in a file of mode 0600; returns where."""
    try:
        keyring_keys.keep(_account(name), secret, "")
    except HubError:
        path = _path(registry, name)
        _write(path, secret)
        return str(path)
    return "keyring"


def load(registry: Registry, name: str) -> Key:
    """What was kept as ``name``, else empty. Raises :class:`HubError` for a file that others can read or that fails."""
    path = _path(registry, name)
    try:
        mode = path.stat().st_mode
        if os.name == "posix" and mode & 0o077:
            raise HubError(f"others may read {path}", f"chmod 600 {path}, and think about who has read it")
        found = Key(path.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        found = Key(keyring_keys.kept(_account(name)))
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{path} can't be read", "give the key again: hubman remote key join") from error
    secrecy.remember(found)
    return found


def forget(registry: Registry, name: str) -> None:
    """Remove what was kept as ``name``, wherever it is."""
    _path(registry, name).unlink(missing_ok=True)
    if keyring_keys.kept(_account(name)):
        keyring_keys.forget(_account(name))


def _account(name: str) -> str:
    return f"remote {name}"


def _path(registry: Registry, name: str) -> Path:
    return registry.home / _FOLDER / name


def _write(path: Path, secret: Key) -> None:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(4)}.tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - from a handle
            file.write(secret + "\n")
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
        blobs.sync_folder(path.parent)
    except OSError as error:
        raise HubError(f"{path} can't be written ({error.strerror})", "make room, or free the folder") from error
