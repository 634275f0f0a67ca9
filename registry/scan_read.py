"""Everything that is learnt from a file's bytes. Touches no database, so several threads read at once."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from registry import blobs, pictures, sidecars
from registry.database import Registry
from registry.errors import DamagedFileError, HubError
from registry.hashing import FileHashes, hash_file
from registry.headers import Header, read_alpha, read_header
from registry.identify import Identity, identify
from registry.places import Seen, seen_from
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
    """What a file turned out to be. ``hashes`` is None if it could not be read; ``problem`` says so or names damage;
    ``broken`` are the sidecars that can't be understood.
    """

    seen: Seen
    hashes: FileHashes | None = None
    header: Header | None = None
    identity: Identity | None = None
    problem: str | None = None
    preview: ReadPreview | None = None
    sidecar: Sidecar | None = None
    broken: tuple[Problem, ...] = ()

    @property
    def format(self) -> str:
        suffix = os.path.splitext(self.seen.path)[1].lower()  # noqa: PTH122 - paths stay texts here
        if suffix in SAFETENSORS:
            return "safetensors"
        return "pickle" if suffix in PICKLES else suffix.lstrip(".")


class ChangingFileError(HubError):
    """A file that somebody is still writing."""


def read(registry: Registry, seen: Seen) -> Reading:
    """Hash and identify one file and keep its picture; of ``registry`` only the folder of blobs is used.

    Raises :class:`ChangingFileError` if the file changes meanwhile; every other trouble is part of the answer.
    """
    path = Path(seen.path)
    try:
        hashes = hash_file(path)
        reading = _identified(path, Reading(seen, hashes))
        now = seen_from(seen.path, path.stat())
    except OSError as error:
        return Reading(seen, problem=f"can't be read ({error.strerror})")
    if (now.key, hashes.size) != (seen.key, seen.size):
        raise ChangingFileError(f"{seen.path} is being written", "scan again when it is done")
    sidecar, broken = sidecars.read([Path(beside) for beside in seen.sidecars], hashes.sha256, path)
    return replace(
        reading,
        preview=read_preview(registry, seen, reading.header),
        sidecar=sidecar,
        broken=tuple(Problem(str(beside), reason) for beside, reason in broken),
    )


def _identified(path: Path, bare: Reading) -> Reading:
    if bare.format != "safetensors":
        return bare
    try:
        header = read_header(path)
    except DamagedFileError as error:
        return Reading(bare.seen, bare.hashes, problem=error.message)
    return Reading(bare.seen, bare.hashes, header, identify(header, read_alpha(path, header)))


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
