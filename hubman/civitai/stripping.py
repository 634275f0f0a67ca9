"""Copies of the files to publish whose header tells less, known to the library as the same model."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman.civitai import checks_file, reveal
from hubman.civitai.form import PublishForm, VersionPart
from registry import library, twins
from registry.database import Registry
from registry.errors import NotFoundError
from registry.headers import read_header


def folder(registry: Registry, part: VersionPart) -> Path:
    """Where what is made for a version's publication lies."""
    return registry.home / "publishing" / part.version_id


def with_copies(registry: Registry, form: PublishForm) -> PublishForm:
    """The form with stripped copies in the place of files whose header tells too much, if it says ``strip``.

    The same file makes the same copy. Raises :class:`DamagedFileError` for a file that is no safetensors file.
    """
    if not form.strip:
        return form
    return msgspec.structs.replace(form, parts=tuple(_with_copy(registry, part) for part in form.parts))


def _with_copy(registry: Registry, part: VersionPart) -> VersionPart:
    if part.file.is_stripped:
        return part
    source = Path(part.file.path)
    metadata = read_header(source).metadata
    public = checks_file.prompts(part)
    less = reveal.stripped(metadata, autov3=part.file.autov3, public=public)
    if less == metadata:
        return part
    target = folder(registry, part) / part.file.name
    hashes = reveal.kept_copy(source, target, less) or reveal.write_copy(source, target, less)
    original = library.file_by_hash(registry, part.file.sha256)
    if original is None:
        raise NotFoundError(f"{part.file.name} is not in the library any more", "run hubman scan first")
    twins.known_as(registry, original, hashes, name=part.file.name, metadata=less)
    file = msgspec.structs.replace(
        part.file,
        path=str(target),
        sha256=hashes.sha256,
        size=hashes.size,
        is_stripped=True,
        original_sha256=part.file.sha256,
    )
    return msgspec.structs.replace(part, file=file)
