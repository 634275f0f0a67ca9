"""The nodes of ComfyUI that load models, of the program itself and of common packs, by the names of their inputs.

Most packs name a LoRA ``lora_name`` or number several (``lora_name_1``, ``lora_1_name``, ``lora_01``), so names are
recognised by pattern, not by a list of nodes, which would be out of date within a month.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hubman.images import tags
from hubman.images.found import items, mapping, text, used
from registry.usage import Kind, Used

MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
_LORA = re.compile(r"lora(?:_name)?_?(\d{0,3})(?:_name)?")
_STRENGTHS = (
    "strength_model{}", "model_strength{}", "model_str{}", "model_weight{}", "lora{}_model_strength", "lora_model_strength{}",
    "lora_wt{}", "lora{}_strength", "lora_strength{}", "lora_weight{}", "strength{}", "weight{}",
)  # fmt: skip
_SIMPLE = ("lora_wt{}", "lora{}_strength")
"""What counts where a stacker has one strength for both; the finer ones are then stale."""
_CLIP_STRENGTHS = ("strength_clip{}", "clip_strength{}", "clip_str{}", "clip_weight{}", "lora{}_clip_strength")
_SWITCHES = ("switch{}", "enabled{}", "lora{}_enabled", "enable{}", "on{}", "toggle{}")
_COUNTS = ("lora_count", "num_loras")
_OTHERS: dict[str, Kind] = {
    "ckpt_name": "checkpoint", "base_ckpt_name": "checkpoint", "refiner_ckpt_name": "checkpoint", "unet_name": "checkpoint",
    "vae_name": "vae", "control_net_name": "controlnet", "controlnet_name": "controlnet",
}  # fmt: skip
_TAGGED = ("lora", "wildcard", "lazytextencode", "promptcontrol")
"""Parts of the names of nodes that read tags from a text; in all others a tag does nothing."""
_DEPTH = 8

Nodes = Mapping[str, tuple[str, Mapping[str, Any]]]


class Inputs:
    """The inputs of a graph's nodes, where they stand or where another node gives them."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def kind(self, key: str) -> str:
        return self._nodes[key][0] if key in self._nodes else ""

    def of(self, key: str) -> Mapping[str, Any]:
        return self._nodes[key][1] if key in self._nodes else {}

    @staticmethod
    def source(value: object) -> str | None:
        """The id of the node that gives ``value``, None if it stands there itself."""
        if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int) and not isinstance(value[1], bool):
            return str(value[0]) if isinstance(value[0], str | int) else None
        return None

    def value(self, value: object) -> Any:
        """``value``, or what a node of one plain value gives for it (a primitive, a selector of files)."""
        for _ in range(_DEPTH):
            key = self.source(value)
            if key is None:
                return value
            given = [one for one in self.of(key).values() if not isinstance(one, dict)]
            files = [one for one in given if isinstance(one, str) and one.lower().endswith(MODEL_SUFFIXES)]
            plain = files or [
                one for one in given if isinstance(one, int | float | str) or self.source(one) is not None
            ]
            if len(plain) != 1:
                return None
            value = plain[0]
        return None


class LoraLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA that a node loads: its strengths for the diffusion model and the text encoder, as they stand there."""

    name: str
    model: object
    clip: object = None

    @property
    def strength(self) -> object:
        """Off for the diffusion model is not off where the text encoder has it."""
        return self.model or self.clip or self.model


def uses_of(inputs: Inputs, key: str) -> Iterator[Used]:
    """What the node ``key`` loads."""
    kind, told = inputs.kind(key).lower(), inputs.of(key)
    if not _is_on(told, ""):
        return
    for lora in loras_of(inputs, key):
        yield from used("lora", lora.name, strength=lora.strength)
    for name, value in told.items():
        if name in _OTHERS:
            yield from used(_OTHERS[name], _file_name(inputs.value(value)))
    for value in tagged_texts(inputs, key):
        yield from tags.loras(value, model_first="lora" in kind)
    for name, value in told.items():
        if isinstance(value, str) and ("text" in name or "prompt" in name):
            yield from tags.embeddings(value)


def loras_of(inputs: Inputs, key: str) -> Iterator[LoraLoad]:
    """The LoRAs that the inputs of the node ``key`` name, without those that a text of it names in tags."""
    told = inputs.of(key)
    if not _is_on(told, ""):
        return
    most = next((told[name] for name in _COUNTS if isinstance(told.get(name), int)), None)
    for name, value in told.items():
        match = _LORA.fullmatch(name)
        if match and not (most is not None and match[1] and int(match[1]) > most):
            yield from _lora(inputs, told, match[1], value)
    for one in map(mapping, _listed(told)):
        if one.get("active", True):
            clip = one.get("clipStrength", one.get("strength_clip"))
            yield LoraLoad(name=text(one.get("name")), model=one.get("strength"), clip=clip)


def _listed(told: Mapping[str, Any]) -> list[Any]:
    listed = told.get("loras")
    return items(listed if isinstance(listed, list) else mapping(listed).get("__value__"))


def tagged_texts(inputs: Inputs, key: str) -> list[str]:
    """The texts of a node that reads LoRA tags, unless a list says the same."""
    told = inputs.of(key)
    if not _is_on(told, "") or _listed(told) or not any(part in inputs.kind(key).lower() for part in _TAGGED):
        return []
    return [value for value in told.values() if isinstance(value, str)]


def _lora(inputs: Inputs, told: Mapping[str, Any], number: str, value: object) -> Iterator[LoraLoad]:
    if isinstance(value, dict) and "lora" in value:
        # Power Lora Loader (rgthree): {"on": true, "lora": "x.safetensors", "strength": 0.8, "strengthTwo": null}
        if value.get("on", True):
            yield LoraLoad(name=text(value.get("lora")), model=value.get("strength"), clip=value.get("strengthTwo"))
        return
    name = _file_name(inputs.value(value))
    if not name or not _is_on(told, number):
        return
    tail = f"_{number}" if number else ""
    names = _SIMPLE + _STRENGTHS if told.get("input_mode", told.get("mode")) == "simple" else _STRENGTHS
    clip = _first(inputs, told, _CLIP_STRENGTHS, tail)
    yield LoraLoad(name=name, model=_first(inputs, told, names, tail), clip=clip)


def _first(inputs: Inputs, told: Mapping[str, Any], patterns: tuple[str, ...], tail: str) -> Any:
    return next((inputs.value(told[key]) for pattern in patterns if (key := pattern.format(tail)) in told), None)


def _is_on(told: Mapping[str, Any], number: str) -> bool:
    tail = f"_{number}" if number else ""
    states = [told[key] for pattern in _SWITCHES if (key := pattern.format(tail)) in told]
    return not any(state is False or (isinstance(state, str) and state.lower() in {"off", "false"}) for state in states)


def _file_name(value: object) -> str:
    """A choice is a name, or a record with it as its ``content``."""
    return text(value if isinstance(value, str) else mapping(value).get("content"))
