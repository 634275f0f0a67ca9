"""Civitai's category tags, of which a model has exactly one, and its other tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hubman.civitai import lenient
from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError
from hubman.civitai.reading import items_of
from hubman.civitai.records import Tag

FALLBACK = (
    "character", "style", "celebrity", "concept", "clothing", "base model", "poses", "background", "tool", "buildings",
    "vehicle", "objects", "animal", "action", "assets",
)  # fmt: skip
"""The categories as of this version of hubman, for when the site can't be asked."""

_ASKED = 6
"""Words that the site is asked about at most."""


def known(client: Civitai | None) -> tuple[str, ...]:
    """The site's category tags at this moment, lower-case; the bundled ones where it doesn't tell."""
    if client is None:
        return FALLBACK
    try:
        return tuple(tag.name.strip().lower() for tag in client.categories() if tag.name.strip()) or FALLBACK
    except CivitaiError:
        return FALLBACK


def split(tags: Iterable[str], names: Sequence[str] = FALLBACK) -> tuple[str, tuple[str, ...]]:
    """(the category among the tags, the other tags); where there are several, none, and all stay among the others."""
    cleaned = tuple(dict.fromkeys(tag.strip().lower() for tag in tags if tag.strip()))
    found = [tag for tag in cleaned if tag in names]
    chosen = found[0] if len(found) == 1 else ""
    return chosen, tuple(tag for tag in cleaned if tag != chosen)


def suggested(client: Civitai, words: Iterable[str], taken: Iterable[str] = ()) -> tuple[str, ...]:
    """Tags that models on Civitai have and that contain one of the words, the most used first; asks once a word.

    None where the site doesn't tell: what is only offered stops nothing.
    """
    wanted = list(dict.fromkeys(word.strip().lower() for word in words if len(word.strip()) > 2))[:_ASKED]
    found: dict[str, None] = {}
    for word in wanted:
        query = {"query": word, "entityType": ["Model"], "unlisted": False, "sort": "Most Models", "limit": 20}
        try:
            tags = lenient.decode_list(Tag, items_of(client.query("tag.getAll", query)), "tag")
        except CivitaiError:
            break
        names = (tag.name.strip().lower() for tag in tags)
        found |= dict.fromkeys(name for name in names if re.search(rf"\b{re.escape(word)}\b", name))
    return tuple(name for name in found if name not in {*FALLBACK, *taken})
