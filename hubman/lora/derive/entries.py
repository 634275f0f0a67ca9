"""The header of a file that is made of others: what readers sort it by, its parents' base and words, and its recipe.

There is no clock in it, so that the same request makes the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hubman.lora.derive.layers import OpenParent
from hubman.lora.derive.produce import Tally
from hubman.lora.headers import base_entries
from hubman.lora.keys import Site
from hubman.lora.kinds import kind_of, needs_weight
from hubman.lora.names import Names
from registry.identify_triggers import triggers

_OF_BASE = (
    "ss_base_model_version", "ss_v2", "ss_sd_model_name", "ss_sd_model_hash", "ss_new_sd_model_hash", "ss_vae_name",
    "ss_vae_hash", "ss_new_vae_hash", "ss_clip_skip", "ss_resolution", "ss_zero_terminal_snr",
    "modelspec.architecture", "modelspec.implementation", "modelspec.prediction_type", "modelspec.resolution",
    "modelspec.encoder_layer", "modelspec.license",
)  # fmt: skip
"""What the parents say of their base and licence, taken over where those that say it agree."""
_TAGS = "ss_tag_frequency"
_MOST_TAGS = 512
"""Tags that are taken over of a parent's folder, the most frequent ones: A1111 shows as many words as there are."""


def entries(
    headers: Sequence[Mapping[str, str]],
    names: Names,
    sites: Iterable[Site],
    tally: Tally,
    *,
    recipe: Mapping[str, Mapping[str, Any]],
    title: str,
    parents: Sequence[str] = (),
    trigger_words: Sequence[str] = (),
) -> dict[str, str]:
    """All entries but the hashes, which follow from the data.

    ``headers`` are those of the parents, ``parents`` their names, ``recipe`` our own entry by its name.
    """
    rank = tally.ranks.most_common(1)[0][0] if tally.ranks else 0
    words = tuple(trigger_words) or tuple(dict.fromkeys(word for header in headers for word in triggers(header)))
    made = {
        **base_entries(sites),
        **names.header,
        **_agreed(headers),
        "ss_output_name": title,
        "ss_network_module": "networks.lora" if tally.is_plain else "lycoris.kohya",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(float(rank)),
        "ss_network_args": "{}" if tally.is_plain else '{"algo": "lora"}',
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.title": title,
        **{name: _json(value) for name, value in recipe.items()},
    }
    if parents:
        made["modelspec.merged_from"] = ", ".join(one.replace(",", " ") for one in parents)
    if words:
        made["modelspec.trigger_phrase"] = ", ".join(words)
    if tags := _tags(headers, words):
        made[_TAGS] = _json(tags)
    return made


def parent_words(parent: OpenParent) -> str:
    """What kinds of modules a parent has and how exactly a LoRA says what they do."""
    kinds: dict[str, int] = {}
    for module in parent.opened.resolved.modules.values():
        kind = "DoRA" if {"dora_scale", "dora_vector"} & module.parts.keys() else kind_of(module.parts)
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{count} {kind} ({_exactness(kind)})" for kind, count in sorted(kinds.items()))


def _exactness(kind: str) -> str:
    if kind == "DoRA" or needs_weight(kind):
        return "made of the base's weights, as near as the rank allows"
    return {
        "LoRA": "exact", "norm": "exact", "LoHa": "exact at its rank squared, as near as the rank allows below",
        "LoKr": "exact at the rank of its product, as near as the rank allows below",
    }.get(kind, "as near as the rank allows")  # fmt: skip


def _agreed(headers: Sequence[Mapping[str, str]]) -> dict[str, str]:
    found = {}
    for name in _OF_BASE:
        said = {header[name] for header in headers if name in header}
        if len(said) == 1:
            found[name] = said.pop()
    return found


def _tags(headers: Sequence[Mapping[str, str]], words: Sequence[str]) -> dict[str, dict[str, int]]:
    """The parents' folders of tags, those of the same name added up, and the trigger words at the top of the first."""
    folders: dict[str, dict[str, int]] = {}
    for header in headers:
        for folder, counts in _object(header.get(_TAGS, "")).items():
            if isinstance(counts, dict):
                mine = folders.setdefault(folder, {})
                for tag, count in counts.items():
                    if isinstance(count, int):
                        mine[tag] = mine.get(tag, 0) + count
    folders = {
        folder: dict(sorted(counts.items(), key=lambda one: -one[1])[:_MOST_TAGS]) for folder, counts in folders.items()
    }
    if not words:
        return folders
    top = max((count for counts in folders.values() for count in counts.values()), default=1)
    return {"trigger": dict.fromkeys(words, top), **folders}


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
