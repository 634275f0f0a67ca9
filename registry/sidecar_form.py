"""What a dialect that hubman writes has to tell of itself, and what of a document that is there may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry import sidecar_values as values
from registry.records import FileRow, ModelDetail, VersionRow
from registry.sidecar_values import Document

Own = tuple[str, Any, bool]
"""A key, its value, and whether the value may take the place of another one (a person decided it)."""


@dataclass(frozen=True)
class Known:
    """What is known of one model file, to be written beside it. ``decided`` are the fields that a person decided."""

    model: ModelDetail
    version: VersionRow
    file: FileRow
    path: Path
    size: int
    modified: float
    preview: Path | None
    decided: frozenset[str]


@dataclass(frozen=True)
class Form:
    """One dialect. ``refusal`` says why a document that is there must be left alone, or nothing; ``lacking`` why no
    new one can be made; ``own`` gives the keys that are hubman's, ``fresh`` all keys of a new file.
    """

    indent: int
    refusal: Callable[[Document], str]
    own: Callable[[Known, Document], Iterator[Own]]
    fresh: Callable[[Known], dict[str, Any]]
    lacking: Callable[[Known], str] = lambda _known: ""


def changed_keys(form: Form, known: Known, doc: Document) -> dict[str, Any]:
    """What of a document that is there would change: empty places are filled, and a person's decisions carried out."""
    found: dict[str, Any] = {}
    for key, value, is_decided in form.own(known, doc):
        before = doc.get(key)
        if not is_empty(value) and before != value and (is_empty(before) or is_decided):
            found[key] = value
    return found


def is_empty(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return value is None or value in ("", 0, "Unknown", "unknown", "{}", [], {})


def kept_words(before: object, ours: Sequence[str]) -> list[Any]:
    """A list of words that says ``ours``: what is there stays as it is written, what a person took away goes."""
    wanted = {word.casefold() for word in ours}
    kept = [
        entry
        for entry in values.items(before)
        if not isinstance(entry, str) or all(word.casefold() in wanted for word in values.words([entry]))
    ]
    there = {word.casefold() for entry in kept for word in values.words([entry])}
    return kept + [word for word in ours if word.casefold() not in there]


def kind_of(known: Known) -> str:
    if known.model.kind == "lora":
        return {"locon": "LoCon", "dora": "DoRA"}.get((known.version.network_type or "").lower(), "LORA")
    usual = {"checkpoint": "Checkpoint", "embedding": "TextualInversion", "vae": "VAE", "controlnet": "Controlnet"}
    return usual.get(known.model.kind, "Other")


def hashes_of(file: FileRow, names: Iterable[str]) -> dict[str, str]:
    told = {
        "AutoV1": file.autov1, "AutoV2": file.autov2, "AutoV3": (file.autov3 or "")[:12], "SHA256": file.sha256,
        "CRC32": file.crc32, "BLAKE3": file.blake3,
    }  # fmt: skip
    return {name: value.upper() for name in names if (value := told[name])}
