"""Which files beside a model belong to it: matched by its exact stem and a known ending, never by "starts with"."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
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


_IDS = re.compile(r".*-mid_(\d{1,15})-vid_(\d{1,15})", re.DOTALL)
_WHOLE_MODEL = re.compile(r"\d{1,15}-[\w .-]+\.json")
_CIVITDL = "model_dict"
MOST_WHOLE_MODELS = 4
"""Whole models in one folder that may speak of any file there; where more lie together each file would read them all."""


def ids_of(name: str) -> tuple[int, int] | None:
    """Civitai's numbers of model and version, which civitdl writes into its files' names."""
    found = _IDS.fullmatch(stem_of(name)) if "-vid_" in name else None
    return (int(found[1]), int(found[2])) if found else None


def named_by_ids(model: str, names: Iterable[str]) -> dict[str, str]:
    """Dialect to the name of what civitdl wrote beside the file ``model``, among a folder's ``names``."""
    ids = ids_of(model)
    if ids is None:
        return {}
    wanted = {"civitdl": f"{_CIVITDL}-mid_{ids[0]}-vid_{ids[1]}.json", "civitdl.csv": f"{stem_of(model)}.csv"}
    present = names if isinstance(names, set | frozenset) else set(names)
    return {dialect: name for dialect, name in wanted.items() if name in present}


@lru_cache(maxsize=2)
def whole_models(names: frozenset[str]) -> tuple[str, ...]:
    """The names of a folder that go-civitai-downloader gives to its records, if they are few enough.

    Asked of one folder for each of its models, and looked for once.
    """
    found = sorted(name for name in names if _WHOLE_MODEL.fullmatch(name))
    return tuple(found) if len(found) <= MOST_WHOLE_MODELS else ()


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


class Beside:
    """The names of one folder, prepared to be asked for what belongs to each of its models."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(set(names))
        self._stems = Counter(stem for name in self._names if (stem := _stem_of_model(name)) is not None)
        self._sorted_stems = sorted(self._stems)
        self._ids = Counter(ids_of(name) for name in self._names if _stem_of_model(name) is not None)

    def of(self, model: str) -> list[str]:
        """As :func:`companions_of`."""
        stem = stem_of(model)
        found = [model + ending for ending in _BESIDE_FILE if _has(self._names, model + ending)]
        if (ids := ids_of(model)) is not None and self._ids[ids] <= 1:
            found += named_by_ids(model, self._names).values()
        own = 1 if _has(self._names, model) and _stem_of_model(model) == stem else 0
        if self._stems[stem] > own:
            return found
        longer = [other for other in _starting(self._sorted_stems, stem) if other != stem]
        return found + [
            name
            for name in _starting(self._names, stem)
            if name != model and _fits(name, stem) and not any(_fits(name, other) for other in longer)
        ]


def has_longer_owner(name: str, stem: str, names: frozenset[str] | set[str]) -> bool:
    """Whether a model with a longer stem than ``stem`` is among ``names``, to which the sidecar ``name`` belongs.

    ``a.metadata.json`` is the plain ``.json`` of ``a.metadata.safetensors`` where that exists.
    """
    longer = stem_of(name)
    return len(longer) > len(stem) and any(f"{longer}.{ending}" in names for ending in _MODELS.split("|"))


def companions_of(model: str, names: Iterable[str]) -> list[str]:
    """Which of a folder's ``names`` go where the file ``model`` goes: every sidecar and preview of exactly its stem.

    A file that fits two models belongs to the one with the longer stem; what two models of one stem share stays.
    """
    return Beside(names).of(model)


def _has(names: Sequence[str], name: str) -> bool:
    at = bisect_left(names, name)
    return at < len(names) and names[at] == name


def _starting(names: Sequence[str], start: str) -> Iterator[str]:
    """Those of the sorted names that begin so."""
    for at in range(bisect_left(names, start), len(names)):
        if not names[at].startswith(start):
            return
        yield names[at]


def _fits(name: str, stem: str) -> bool:
    return name.startswith(stem) and _BESIDE_STEM.fullmatch(name, len(stem)) is not None


def _stem_of_model(name: str) -> str | None:
    found = _MODEL.fullmatch(name)
    return found["stem"] if found and not _BOUND_VAE.fullmatch(name) else None
