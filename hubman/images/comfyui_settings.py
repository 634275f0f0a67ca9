"""A graph of ComfyUI as settings of a picture: what its first sampler was given, and the LoRAs on the way there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hubman.generate.prompt_dialects import to_a1111
from hubman.images import tags
from hubman.images.comfyui import live_nodes, nodes_of, text_behind
from hubman.images.comfyui_nodes import Inputs, loras_of, tagged_texts
from hubman.images.found import number, text
from hubman.images.told import Told, ToldLora, side, whole
from registry.usage_index import without_ending

_SAMPLERS = {
    "euler": "Euler", "euler_ancestral": "Euler a", "heun": "Heun", "lms": "LMS", "dpm_2": "DPM2", "dpm_2_ancestral": "DPM2 a",
    "dpm_fast": "DPM fast", "dpm_adaptive": "DPM adaptive", "dpmpp_2s_ancestral": "DPM++ 2S a", "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M", "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_3m_sde": "DPM++ 3M SDE", "ddim": "DDIM", "uni_pc": "UniPC", "lcm": "LCM",
}  # fmt: skip
_SCHEDULES = {
    "normal": "Normal", "karras": "Karras", "exponential": "Exponential", "sgm_uniform": "SGM Uniform", "simple": "Simple",
    "ddim_uniform": "DDIM", "beta": "Beta", "kl_optimal": "KL Optimal",
}  # fmt: skip
_MOST = 500
"""Nodes that are walked through from one sampler."""


def told_of(graph: object) -> Told | None:
    """The settings of a graph in the API form; None if no sampler leads to a picture."""
    nodes = nodes_of(graph)
    inputs = Inputs(nodes)
    samplers = [key for key in live_nodes(nodes) if _is_sampler(inputs, key)]
    if not samplers:
        return None
    ways = {key: list(_upstream(inputs, key)) for key in samplers}
    first = min(samplers, key=lambda key: sum(other in ways[key] for other in samplers))
    way = ways[first]
    values = _values(inputs, way)
    loras = tuple(_loras(inputs, way))
    latent = next(
        (inputs.of(key) for key in way if "latent" in inputs.kind(key).lower() and "width" in inputs.of(key)), {}
    )
    return Told(
        tool="comfyui",
        prompt=to_a1111(_words(inputs, way, ("positive", "conditioning")), "comfyui"),
        negative=to_a1111(_words(inputs, way, ("negative",)), "comfyui"),
        loras=loras,
        model=without_ending(text(_first_value(values, "ckpt_name", "unet_name"))).rpartition("/")[2],
        seed=whole(values, "noise_seed", "seed"),
        steps=whole(values, "steps"),
        cfg=number(values.get("cfg")),
        sampler=_SAMPLERS.get(text(values.get("sampler_name")).removesuffix("_gpu"), text(values.get("sampler_name"))),
        schedule=_SCHEDULES.get(text(values.get("scheduler")), ""),
        width=side(inputs.value(latent.get("width"))),
        height=side(inputs.value(latent.get("height"))),
        clip_skip=_clip_skip(values),
        emphasis="Interpolate",
        remarks=tuple(_remarks(inputs, way, samplers, values)),
    )


def _is_sampler(inputs: Inputs, key: str) -> bool:
    return "sampler" in inputs.kind(key).lower() and Inputs.source(inputs.of(key).get("latent_image")) is not None


def _upstream(inputs: Inputs, key: str) -> Iterator[str]:
    """The node and all it comes from, the nearest first."""
    pending, seen = [key], {key}
    while pending and len(seen) < _MOST:
        key = pending.pop(0)
        yield key
        for value in inputs.of(key).values():
            source = Inputs.source(value)
            if source is not None and source not in seen and inputs.kind(source):
                seen.add(source)
                pending.append(source)


def _values(inputs: Inputs, way: list[str]) -> Mapping[str, Any]:
    """Plain inputs by name, those of the nearest node."""
    found: dict[str, Any] = {}
    for key in way:
        for name, value in inputs.of(key).items():
            plain = inputs.value(value)
            if isinstance(plain, int | float | str):
                found.setdefault(name, plain)
    return found


def _first_value(values: Mapping[str, Any], *names: str) -> object:
    return next((values[name] for name in names if name in values), "")


def _words(inputs: Inputs, way: list[str], names: tuple[str, ...]) -> str:
    for key in way:
        for name in names:
            source = Inputs.source(inputs.of(key).get(name))
            if source is not None and (found := text_behind(inputs, source)):
                return found
    return ""


def _loras(inputs: Inputs, way: list[str]) -> Iterator[ToldLora]:
    """Each file once, as it comes first on the way from the checkpoint."""
    seen: set[str] = set()
    for key in reversed(way):
        kind = inputs.kind(key).lower()
        told = [(one.name, number(one.model), number(one.clip)) for one in loras_of(inputs, key)]
        told += [(use.name, use.strength, None) for value in tagged_texts(inputs, key) for use in tags.loras(value)]
        for name, model, clip in told:
            strength = 1.0 if model is None else model
            te = 0.0 if "modelonly" in kind and clip is None else clip
            if name and name.lower() != "none" and name not in seen and (strength or te):
                seen.add(name)
                plain = without_ending(name).rpartition("/")[2]
                yield ToldLora(name=plain, strength=strength, te_strength=None if te == strength else te)


def _clip_skip(values: Mapping[str, Any]) -> int:
    layer = values.get("stop_at_clip_layer")
    return -layer if isinstance(layer, int) and not isinstance(layer, bool) and -24 <= layer < 0 else 1


def _remarks(inputs: Inputs, way: list[str], samplers: list[str], values: Mapping[str, Any]) -> Iterator[str]:
    if len(samplers) > 1:
        yield f"it was drawn in {len(samplers)} passes: the first is carried over"
    kinds = [inputs.kind(key).lower() for key in way]
    if any("vaeencode" in kind for kind in kinds):
        yield "it was drawn from another picture, which it does not carry"
    if any("controlnet" in kind for kind in kinds):
        yield "its ControlNet is not carried over"
    scheduler = text(values.get("scheduler"))
    if scheduler and scheduler not in _SCHEDULES:
        yield f"its schedule {scheduler} is not known"
