"""Making the pictures that a version lacks: a job that draws them, started only when a person asks for it."""

from __future__ import annotations

from typing import Any

from hubman.civitai.form import VersionPart
from hubman.jobs import store
from hubman.jobs.records import Job
from registry import library
from registry.database import Registry


def request(registry: Registry, part: VersionPart, *, count: int = 0, base: str = "") -> dict[str, Any]:
    """The request of a ``showcase`` job. Raises :class:`NotFoundError` where nothing tells what to draw, or with what."""
    from hubman.generate import showcase

    file = library.file_by_hash(registry, part.file.library_sha256)
    metadata = file.metadata if file is not None else {}
    wanted: dict[str, Any] = {
        "version_id": part.version_id,
        "prompts": showcase.prompts(part.dataset, metadata, part.trained_words, count or showcase.COUNT),
        "base": base or showcase.base_for(part.file.architecture, part.base_path),
    }
    return wanted if part.strength is None else {**wanted, "strength": part.strength}


def start(registry: Registry, part: VersionPart, *, count: int = 0, base: str = "") -> Job:
    """Start drawing; the pictures are the version's previews when the job is done. Raises what :func:`request` raises."""
    wanted = request(registry, part, count=count, base=base)
    return store.start(registry, "showcase", f"pictures of {part.prompt_name or part.name}", wanted)
