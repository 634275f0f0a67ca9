"""Which files beside a model belong to it: matched by its exact stem and a known ending, never by "starts with"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

_PREVIEW_ENDINGS = (
    *(f".preview.{kind}" for kind in ("png", "jpg", "jpeg", "webp", "avif", "gif")),
    *(f".{kind}" for kind in ("webp", "png", "jpg", "jpeg", "avif", "gif")),
    ".thumb.jpg", ".thumb.png", ".example.0.jpeg", "_0.jpg", "_0.png",
    ".preview.mp4", ".preview.webm", ".mp4", ".webm",
)  # fmt: skip
"""In the order in which they are looked for; the first found is the preview."""

_PREVIEW_KINDS = tuple({PurePath(f"stem{ending}").suffix for ending in _PREVIEW_ENDINGS})
_PREVIEW_TAILS = tuple({stem for ending in _PREVIEW_ENDINGS if (stem := ending.rpartition(".")[0])})


def stem_of(model: str) -> str:
    """A file's name without its last extension."""
    return model.rpartition(".")[0]


def may_be_preview(name: str) -> bool:
    return name.lower().endswith(_PREVIEW_KINDS)


def stems_shown_by(picture: str) -> Iterator[str]:
    """The stems, in lower case, of the models that :func:`preview_of` may say a picture of this name shows."""
    stem = stem_of(picture.lower())
    yield stem
    for tail in _PREVIEW_TAILS:
        if stem.endswith(tail):
            yield stem.removesuffix(tail)


def preview_of(model: str, pictures: Mapping[str, str]) -> str | None:
    """The picture that shows the model file ``model``, or None.

    ``pictures`` maps the names of the folder's pictures in lower case to their real names: a folder from another
    system may disagree about case.
    """
    if not pictures:
        return None
    stem = stem_of(model).lower()
    return next((pictures[stem + ending] for ending in _PREVIEW_ENDINGS if stem + ending in pictures), None)


_MODELS = r"safetensors|sft|ckpt|pt|pth|bin|gguf|zip"
_PICTURES = r"png|jpe?g|webp|avif|gif|jxl|mp4|webm"
_BESIDE_STEM = re.compile(
    rf"\.civitai\.info|(\.(metadata|cm-info|api_info|swarm))?\.json|\.sha256|(\.description)?\.txt|\.md|\.html|\.ya?ml"
    rf"|\.vae\.(pt|safetensors)|(\.preview|\.thumb|\.example\.\d+|_\d+)?\.({_PICTURES})",
    re.IGNORECASE,
)
_BESIDE_FILE = (".rgthree-info.json",)
_MODEL = re.compile(rf"(?P<stem>.+)\.({_MODELS})", re.IGNORECASE)
_BOUND_VAE = re.compile(r".+\.vae\.(pt|safetensors)", re.IGNORECASE)


def companions_of(model: str, names: Iterable[str]) -> list[str]:
    """Which of a folder's ``names`` go where the file ``model`` goes: every sidecar and preview of exactly its stem.

    A file that fits two models belongs to the one with the longer stem; what two models of one stem share stays.
    """
    all_names = sorted(set(names))
    stem = stem_of(model)
    others = {_stem_of_model(name) for name in all_names if name != model} - {None}
    found = [model + ending for ending in _BESIDE_FILE if model + ending in all_names]
    if stem in others:
        return found
    longer = [other for other in others if other is not None and len(other) > len(stem)]
    return found + [
        name
        for name in all_names
        if _fits(name, stem) and name != model and not any(_fits(name, other) for other in longer)
    ]


def _fits(name: str, stem: str) -> bool:
    return name.startswith(stem) and _BESIDE_STEM.fullmatch(name, len(stem)) is not None


def _stem_of_model(name: str) -> str | None:
    found = _MODEL.fullmatch(name)
    return found["stem"] if found and not _BOUND_VAE.fullmatch(name) else None
