"""Words that probably call a LoRA, from what its trainer wrote down."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

MAX_CANDIDATES = 8
_OFTEN = 0.9
"""A tag in this share of a folder's captions is part of what was taught."""
_PLACEHOLDERS = {"img", "image", "images", "train", "training", "dataset", "data", "input", "src", "none"}
"""Folder names that trainers' guides suggest and that say nothing."""


def triggers(metadata: Mapping[str, str]) -> dict[str, str]:
    """Word to reason: the stated phrase, the class tokens, the tags that lead nearly every caption: the likeliest first.

    Each word once; empty if the metadata says nothing that can be read.
    """
    found: dict[str, tuple[str, str]] = {}
    for word, reason in _candidates(metadata):
        text = " ".join(word.split()).strip(" ,;")
        if text and len(text) <= 200 and text.isprintable():
            found.setdefault(text.casefold(), (text, reason))
    return dict(list(found.values())[:MAX_CANDIDATES])


def _candidates(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for word in re.split(r"[;,]", metadata.get("modelspec.trigger_phrase", "")):
        yield word, "modelspec.trigger_phrase says so"
    frequency = _object(metadata.get("ss_tag_frequency"))
    yield from _class_tokens(metadata, frequency)
    for counts in frequency.values():
        for tag in _leading_tag(counts):
            yield tag, "the first tag of nearly all captions in ss_tag_frequency"


def _class_tokens(metadata: Mapping[str, str], frequency: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Class tokens and folder names such as ``10_zxq style``, where the captions bear them out or there are none."""
    subsets = [subset for subset in _subsets(metadata) if not subset.get("is_reg")]
    words = [
        (subset["class_tokens"], "class tokens in ss_datasets")
        for subset in subsets
        if isinstance(subset.get("class_tokens"), str)
    ]
    folders = (re.fullmatch(r"\d+_(.+)", folder) for folder in _object(metadata.get("ss_dataset_dirs")))
    words += [(folder[1], "the name of a folder in ss_dataset_dirs") for folder in folders if folder]
    tags = _tags(frequency) if words else set()
    for word, reason in words:
        known = word.casefold()
        if known not in _PLACEHOLDERS and (not tags or known in tags):
            yield word, reason


def _subsets(metadata: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for dataset in _list(metadata.get("ss_datasets")):
        found = dataset.get("subsets") if isinstance(dataset, dict) else None
        if isinstance(found, list):
            yield from (subset for subset in found if isinstance(subset, dict))


def _tags(frequency: dict[str, Any]) -> set[str]:
    return {str(tag).strip().casefold() for counts in frequency.values() if isinstance(counts, dict) for tag in counts}


def _leading_tag(counts: object) -> Iterator[str]:
    """The first tag of the first caption, if nearly every caption has it: people put the trigger first."""
    if not isinstance(counts, dict) or not counts:
        return
    numbers = [value for value in counts.values() if isinstance(value, int | float)]
    first, count = next(iter(counts.items()))
    if len(numbers) == len(counts) and count > 1 and count >= _OFTEN * max(numbers):
        yield str(first)


def _object(text: str | None) -> dict[str, Any]:
    value = _decode(text)
    return value if isinstance(value, dict) else {}


def _list(text: str | None) -> list[Any]:
    value = _decode(text)
    return value if isinstance(value, list) else []


def _decode(text: str | None) -> object:
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError):
        return None
