"""Addresses under which a machine without hubman fetches a model's file from a bucket, with nothing but curl.

A file lies there as it is: one object, or parts in order that joined are the file. So the sum of all that came is the
file's SHA-256, which is checked by whoever fetches.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from hubman.sync.remote import Remote, find
from hubman.sync.secrecy.codec import PLAIN, BlobObject, blob_objects
from hubman.sync.storages.readonly import open_remote
from hubman.sync.storages.storage import Storage
from registry import timestamps
from registry.database import Registry
from registry.errors import HubError, NotFoundError
from registry.ids import HASHED
from registry.safe_name import safe_name


class Part(msgspec.Struct, frozen=True):
    """One object: an address that is good until ``Link.until``, and its length in bytes."""

    url: str
    size: int


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a model: its parts in order, joined they have ``size`` bytes and this SHA-256."""

    name: str
    """Cleaned: it can be the name of a file on any machine."""
    sha256: str
    size: int
    until: str
    parts: tuple[Part, ...]


def links(
    registry: Registry, remote_name: str, version_id: str, seconds: int, *, storage: Storage | None = None
) -> list[Link]:
    """Addresses of a version's files, good for ``seconds`` (at most 7 days); whoever has them can read the files.

    Raises :class:`HubError` for a folder (it says where the files lie), for an encrypted remote, for a bucket that
    signs no addresses, and for files that are not there whole.
    """
    remote = find(registry, remote_name)
    place = open_remote(remote, storage)
    files = registry.db.execute(
        f"SELECT sha256, size, name FROM files WHERE version_id = ? AND {HASHED} ORDER BY name",  # noqa: S608 - ours
        (version_id,),
    ).fetchall()
    if not files:
        raise NotFoundError("this model has no file yet that could be on a remote", "hubman scan")
    _need_plain(remote)
    until = timestamps.of(datetime.now(UTC) + timedelta(seconds=seconds))
    made = []
    for row in files:
        objects = blob_objects(PLAIN, row["sha256"], row["size"], remote.part)
        _need_whole(place, remote, objects, row["name"])
        made.append(
            Link(
                name=safe_name(row["name"]),
                sha256=row["sha256"],
                size=row["size"],
                until=until,
                parts=_signed(place, remote, objects, seconds),
            )
        )
    return made


def script(link: Link) -> str:
    """Lines for a shell that fetch the parts, join them and check the sum; they stop where one fails."""
    name = shlex.quote(link.name)
    if len(link.parts) == 1:
        steps = [_fetch(name, link.parts[0])]
    else:
        pieces = [shlex.quote(f"{link.name}.{number:05d}") for number in range(len(link.parts))]
        steps = [_fetch(piece, part) for piece, part in zip(pieces, link.parts, strict=True)]
        steps += [f"cat {' '.join(pieces)} > {name}", f"rm {' '.join(pieces)}"]
    steps.append(f"echo {shlex.quote(f'{link.sha256}  {link.name}')} | sha256sum -c -")
    return " &&\n".join(steps)


def _fetch(name: str, part: Part) -> str:
    return f"curl -f --retry 5 -o {name} {shlex.quote(part.url)}"


def _need_plain(remote: Remote) -> None:
    if remote.enc == "age":
        raise HubError(
            f"{remote.name} is encrypted, and what an address gives would be of no use without hubman",
            "sync that machine with hubman and the remote's key",
        )


def _need_whole(place: Storage, remote: Remote, objects: list[BlobObject], name: str) -> None:
    if any(place.size(one.key) != one.stored for one in objects):
        raise HubError(f"{name} is not on {remote.name}, or not whole", f"hubman sync {remote.name}, where the file is")


def _signed(place: Storage, remote: Remote, objects: list[BlobObject], seconds: int) -> tuple[Part, ...]:
    if remote.kind == "folder":
        where = " ".join(shlex.quote(str(Path(remote.location) / one.key)) for one in objects)
        raise HubError(f"{remote.name} is a folder and has no addresses", f"the file is there: cat {where}")
    parts = []
    for one in objects:
        url = place.url(one.key, seconds)
        if url is None:
            raise HubError(f"{remote.name} signs no addresses with the key that it has here", "use an access key of S3")
        parts.append(Part(url, one.stored))
    return tuple(parts)
