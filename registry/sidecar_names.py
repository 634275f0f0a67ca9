"""Which files beside a model belong to it: matched by its exact stem and a known ending, never by "starts with"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

_PREVIEW_ENDINGS = (
    *(f".preview.{kind}" for kind in ("png", "jpg", "jpeg", "webp", "avif", "gif")),
    *(f".{kind}" for kind in ("webp", "png", "jpg", "jpeg", "avif", "gif")),
    ".thumb.jpg", ".thumb.png", ".example.0.jpeg", "_0.jpg", "_0.png",
    ".preview.mp4", ".preview.webm", ".mp4", ".webm",
)  # fmt: skip
"""In the order in which they are looked for; the first found is the preview."""

_PREVIEW_KINDS = tuple({PurePath(f"stem{ending}").suffix for ending in _PREVIEW_ENDINGS})


def stem_of(model: str) -> str:
    """A file's name without its last extension."""
    return model.rpartition(".")[0]


def may_be_preview(name: str) -> bool:
    return name.lower().endswith(_PREVIEW_KINDS)


def preview_of(model: str, pictures: Mapping[str, str]) -> str | None:
    """The picture that shows the model file ``model``, or None.

    ``pictures`` maps the names of the folder's pictures in lower case to their real names: a folder from another
    system may disagree about case.
    """
    if not pictures:
        return None
    stem = stem_of(model).lower()
    return next((pictures[stem + ending] for ending in _PREVIEW_ENDINGS if stem + ending in pictures), None)
