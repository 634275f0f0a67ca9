"""Everything that is learnt from a file's bytes. Touches no database, so several threads read at once."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from registry import blobs, pictures, sidecars
from registry.database import Registry
from registry.errors import DamagedFileError, HubError
from registry.gguf import identify_gguf
from registry.hashing import FileHashes, hash_file
from registry.headers import Header, read_alpha, read_header
from registry.identify import Identity, identify
from registry.places import Seen, seen_from
from registry.regular import open_regular
from registry.scan_walk import PICKLES, SAFETENSORS, Problem
from registry.sidecar_record import Sidecar

MAX_VALUE = 32 << 10
MAX_METADATA = 128 << 10
"""Characters of metadata kept in the registry (a change must fit into a line of sync); the file itself has the rest."""

EMBEDDED_PICTURES = ("ssmd_cover_images", "modelspec.thumbnail", "modelspec.preview_image")


@dataclass(frozen=True)
class ReadPreview:
    """A picture that stands for a file; its bytes are in the blob store already."""

    sha256: str
    name: str
    width: int
    height: int
    source: str


@dataclass(frozen=True)
class Reading:
    """What a file turned out to be. ``hashes`` is None if it was not or could not be read; ``problem`` says so or names
    damage; ``broken`` are the sidecars that can't be understood.
    """

    seen: Seen
    hashes: FileHashes | None = None
    header: Header | None = None
    identity: Identity | None = None
    problem: str | None = None
    preview: ReadPreview | None = None
    sidecar: Sidecar | None = None
    broken: tuple[Problem, ...] = ()
    is_unreadable: bool = False
    tensor_count: int = 0
    has_picture_inside: bool = False

    @property
    def format(self) -> str:
        suffix = os.path.splitext(self.seen.path)[1].lower()  # noqa: PTH122 - paths stay texts here
        if suffix in SAFETENSORS:
            return "safetensors"
        return "pickle" if suffix in PICKLES else suffix.lstrip(".")


class ChangingFileError(HubError):
    """A file that somebody is still writing."""


def read(registry: Registry, seen: Seen, wait: Callable[[], None] | None = None) -> Reading:
    """Hash and identify one file and keep its picture; of ``registry`` only the folder of blobs is used.

    ``wait`` is called before each piece of the file, and may take its time. Raises :class:`ChangingFileError` if the
    file changes meanwhile; every other trouble is part of the answer.
    """
    path = Path(seen.path)
    try:
        hashes = hash_file(path, wait)
        reading = _identified(path, Reading(seen, hashes))
        now = seen_from(seen.path, path.stat())
    except OSError as error:
        return Reading(seen, problem=f"can't be read ({error.strerror})")
    if (now.key, hashes.size) != (seen.key, seen.size):
        raise ChangingFileError(f"{seen.path} is being written", "scan again when it is done")
    return _with_what_lies_beside(registry, reading, hashes.sha256)


def _identified(path: Path, bare: Reading) -> Reading:
    if bare.format not in {"safetensors", "gguf"}:
        return bare
    try:
        if bare.format == "gguf":
            return replace(bare, identity=identify_gguf(path))
        header = read_header(path)
    except DamagedFileError as error:
        return Reading(bare.seen, bare.hashes, problem=error.message)
    # One more reading for a number that no list shows can wait until the file is hashed.
    alpha = read_alpha(path, header) if bare.hashes else None
    return Reading(
        bare.seen,
        bare.hashes,
        header,
        identify(header, alpha),
        tensor_count=len(header.tensors),
        has_picture_inside=any(header.metadata.get(key) for key in EMBEDDED_PICTURES),
    )


def first_look(seen: Seen) -> Reading:
    """What the header of a file says, without ``hashes`` and without the header itself, which nobody needs any more."""
    try:
        reading = _identified(Path(seen.path), Reading(seen))
        if reading.format != "safetensors":
            open_regular(Path(seen.path)).close()
    except OSError as error:
        return Reading(seen, problem=f"can't be read ({error.strerror})", is_unreadable=True)
    return replace(reading, header=None)


def has_more_to_tell(look: Reading) -> bool:
    """Whether anything lies beside or in the file that a first look passes over: sidecars and pictures."""
    return bool(look.seen.preview or look.seen.sidecars or look.has_picture_inside)


def read_beside(registry: Registry, seen: Seen) -> Reading:
    """What sidecars and pictures tell of a file that is not hashed yet; of ``registry`` only the folder of blobs is used."""
    header = None
    if seen.preview is None and Reading(seen).format == "safetensors":
        with contextlib.suppress(OSError, DamagedFileError):
            header = read_header(Path(seen.path))
    return _with_what_lies_beside(registry, Reading(seen, header=header), None)


def _with_what_lies_beside(registry: Registry, reading: Reading, sha256: str | None) -> Reading:
    sidecar, broken = sidecars.read([Path(beside) for beside in reading.seen.sidecars], sha256, Path(reading.seen.path))
    return replace(
        reading,
        preview=read_preview(registry, reading.seen, reading.header),
        sidecar=sidecar,
        broken=tuple(Problem(str(beside), reason) for beside, reason in broken),
    )


def read_preview(registry: Registry, seen: Seen, header: Header | None) -> ReadPreview | None:
    """Keep the picture beside a file, else the one inside it; a damaged one counts as none."""
    try:
        if seen.preview is not None:
            return _from_file(registry, Path(seen.preview))
        return _from_header(registry, header.metadata) if header else None
    except HubError:
        return None


def _from_file(registry: Registry, path: Path) -> ReadPreview:
    width, height = (0, 0) if pictures.is_video(path) else pictures.measure(path)
    return ReadPreview(blobs.store(registry, path, durable=False), path.name, width, height, "sidecar")


def _from_header(registry: Registry, metadata: Mapping[str, str]) -> ReadPreview | None:
    for name, text in _embedded(metadata):
        try:
            content = base64.b64decode(text, validate=True)
            sha256 = blobs.store_bytes(registry, content, durable=False)
            width, height = pictures.measure(blobs.path_of(registry, sha256))
        except (binascii.Error, ValueError, DamagedFileError):
            continue
        return ReadPreview(sha256, name, width, height, "header")
    return None


def _embedded(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(name, base64) of the pictures in a header: the thumbnails of ModelSpec, then the covers of an old extension."""
    for key in ("modelspec.thumbnail", "modelspec.preview_image"):
        kind, comma, text = metadata.get(key, "").partition(";base64,")
        if comma and kind.startswith("data:image/"):
            yield f"thumbnail.{kind.removeprefix('data:image/')}", text
    try:
        covers = msgspec.json.decode(metadata.get("ssmd_cover_images", "[]"))
    except (msgspec.DecodeError, RecursionError):
        return
    for cover in covers if isinstance(covers, list) else []:
        if isinstance(cover, str):
            yield "cover", cover.rpartition(";base64,")[2]


def kept_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata that the registry keeps: without pictures and without what is too long to be carried around."""
    kept = {key: value for key, value in metadata.items() if key not in EMBEDDED_PICTURES and len(value) <= MAX_VALUE}
    total = sum(len(key) + len(value) for key, value in kept.items())
    for key in sorted(kept, key=lambda name: len(kept[name]), reverse=True):
        if total <= MAX_METADATA:
            break
        total -= len(key) + len(kept.pop(key))
    return kept
