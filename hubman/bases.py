"""Base models by name: the embedded one, and whatever checkpoint or diffusers folder a person points at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hubman import tinybase
from registry.errors import HubError, NotFoundError

EMBEDDED = "tiny"


def find(ref: str) -> Path:
    """The folder or file of a base model: ``tiny`` for the embedded one, otherwise a path.

    Raises :class:`NotFoundError` when there is nothing to load at that path.
    """
    if ref in {"", EMBEDDED, tinybase.NAME}:
        return tinybase.MODEL
    path = Path(ref).expanduser().absolute()
    if (path / "model_index.json").is_file() or (path.is_file() and path.suffix in {".safetensors", ".sft"}):
        return path
    if path.exists():
        raise NotFoundError(
            f"{ref} is no base model", "give a diffusers folder (with model_index.json) or a .safetensors checkpoint"
        )
    raise NotFoundError(f"no base model at {ref}", f"give a path, or {EMBEDDED} for the embedded one")


def family(base: Path) -> str:
    """The presets' family for a base, from its folder or header alone; see ``architectures.detect``.

    Raises what ``detect`` raises for a base that can't be read or is of no family that can be trained.
    """
    from hubman.train.architectures.detect import detect

    return detect(base).family


def drawing(base: Path) -> dict[str, Any]:
    """``cfg`` and ``sampler`` that suit a base where nobody chose; what isn't among them has no value of its own."""
    from hubman.train.architectures.detect import FLOW, detect
    from hubman.train.families import FAMILIES

    if base == tinybase.MODEL:
        return {"cfg": tinybase.GUIDANCE, "sampler": "DDIM"}
    try:
        found = detect(base)
    except HubError:  # what draws says it better
        return {}
    guidance = FAMILIES[found.family].values.get("watch.sample_guidance")
    suited = {"cfg": guidance, "sampler": "Euler" if found.kind in FLOW else None}
    return {name: value for name, value in suited.items() if value is not None}


def display_name(base: Path) -> str:
    """A base's plain name for metadata: never a path."""
    return tinybase.NAME if base == tinybase.MODEL else base.stem if base.is_file() else base.name
