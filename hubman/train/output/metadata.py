"""The header of a trained file: what A1111, Forge, Civitai and people read of how it was made.

All values are strings in the way of sd-scripts: numbers by ``str``, booleans ``True`` and ``False``, nothing ``None``.
No path and no name of a person is among them; in private mode also no caption, tag, prompt, name of a folder, clock or
name of the base.
"""

from __future__ import annotations

import json
from typing import Any

from hubman.train.output.metadata_training import Origin, data, network, tag_frequency, training, unused
from hubman.train.output.thumbnail import thumbnail
from hubman.train.recipe import PATHS, Recipe
from hubman.train.recipe_fields import value
from hubman.train.versions import versions

__all__ = ["Origin", "metadata", "tag_frequency"]

_READERS_NEED = (
    "ss_v2",
    "ss_base_model_version",
    "ss_network_module",
    "ss_network_dim",
    "ss_network_alpha",
    "ss_network_args",
    "ss_output_name",
    "ss_resolution",
    "ss_clip_skip",
)
"""What private files keep of the ``ss_`` entries: readers sort, show and scale by it."""
_TEXTS = (
    "captions.prefix",
    "captions.suffix",
    "prior.caption",
    "watch.sample_prompts",
)
"""Fields of the recipe with words of captions and prompts."""


def metadata(origin: Origin) -> dict[str, str]:
    """Every ``ss_*``, ``modelspec.*`` and ``hubman.*`` entry but the hashes."""
    private = origin.recipe.file.privacy == "private"
    entries: dict[str, object] = {
        **_identity(origin),
        **network(origin.recipe, origin.identity.network_module),
        **training(origin),
        **data(origin),
        **unused(),
    }
    if private:
        entries = {name: entries[name] for name in _READERS_NEED}
    entries |= _modelspec(origin, private=private) | _own(origin, private=private)
    return {name: value if isinstance(value, str) else str(value) for name, value in entries.items()}


def _identity(origin: Origin) -> dict[str, object]:
    recipe, identity = origin.recipe, origin.identity
    entries: dict[str, object] = {
        # The same for every file of a run, as in sd-scripts, and without a clock that two machines share.
        "ss_session_id": int(origin.started_at * 1000) % 2**32,
        "ss_output_name": recipe.output,
        "ss_training_started_at": origin.started_at,
        "ss_training_finished_at": origin.finished_at,
        "ss_training_comment": None,
        "ss_base_model_version": identity.base_model_version,
        "ss_v2": identity.v2,
        "ss_sd_model_name": identity.name,
        "ss_clip_skip": recipe.captions.clip_skip,
        "ss_max_token_length": recipe.captions.max_tokens if recipe.captions.max_tokens > 75 else None,
    }
    if origin.base_hashes:
        entries["ss_sd_model_hash"], entries["ss_new_sd_model_hash"] = origin.base_hashes
    return entries


def _modelspec(origin: Origin, *, private: bool) -> dict[str, object]:
    recipe, identity = origin.recipe, origin.identity
    entries: dict[str, object] = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": identity.modelspec,
        "modelspec.implementation": identity.implementation,
        "modelspec.implementation_version": "hubman",
        "modelspec.title": recipe.output,
        "modelspec.resolution": f"{recipe.resolution}x{recipe.resolution}",
    }
    if not private:
        entries["modelspec.date"] = origin.date
    if identity.prediction in ("epsilon", "v"):
        entries["modelspec.prediction_type"] = identity.prediction
    if recipe.trigger:
        entries["modelspec.trigger_phrase"] = recipe.trigger
    if recipe.captions.clip_skip > 1:
        entries["modelspec.encoder_layer"] = recipe.captions.clip_skip
    picture = thumbnail(origin.preview) if origin.preview else ""
    if picture:
        entries["modelspec.thumbnail"] = picture
    return entries


def _own(origin: Origin, *, private: bool) -> dict[str, object]:
    recipe = origin.recipe
    entries: dict[str, object] = {
        "hubman.recipe": json.dumps(_without_texts(recipe) if private else recipe.public()),
        "hubman.recommended_strength": recipe.file.strength,
        "hubman.versions": json.dumps(versions()),
    }
    left_out = [field for field in (*PATHS[2:], *(_TEXTS if private else ())) if value(recipe, field)]
    if left_out:
        entries["hubman.left_out"] = json.dumps(left_out)
    if not private:
        entries["hubman.dataset_fingerprint"] = origin.dataset_fingerprint
        entries["hubman.sample_prompt"] = origin.sample_prompt
    return entries


def _without_texts(recipe: Recipe) -> dict[str, Any]:
    values = recipe.public()
    for field in _TEXTS:
        section, _, name = field.partition(".")
        values[section].pop(name)
    return values
