"""The drawing of a graph that the editor saves, as the graph that would be run: for nodes of ComfyUI itself.

Widgets have no names in a drawing, only an order, which is that of the node's definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubman.images.found import mapping, text

_WIDGETS: Mapping[str, tuple[str, ...]] = {
    "KSampler": ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step"),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "RandomNoise": ("noise_seed",),
    "CFGGuider": ("cfg",),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "SaveImage": ("filename_prefix",),
}  # fmt: skip
"""What of a kind of node stands at which place; an empty name is a widget that only the editor has."""
_MOST = 5000
_DEPTH = 50
_MUTED, _PASSED_BY = 2, 4
_End = tuple[str, int]
"""(id of a node, number of its output)"""


def graph_of(told: object) -> dict[str, Any]:
    """The API form of a drawing; nodes of other kinds keep only where they come from.

    Muted nodes fall out, those that are passed by and reroutes give what comes in.
    """
    drawing = mapping(told)
    listed = drawing.get("nodes")
    nodes = {str(node.get("id")): node for node in map(mapping, listed[:_MOST] if isinstance(listed, list) else [])}
    ends = _links(drawing.get("links"))
    real = {number: _behind(nodes, ends, end) for number, end in ends.items()}
    return {
        key: {"class_type": text(node.get("type")), "inputs": _inputs(node, real)}
        for key, node in nodes.items()
        if node.get("mode") != _MUTED and not _passes(node) and text(node.get("type"))
    }


def _passes(node: Mapping[str, Any]) -> bool:
    return node.get("mode") == _PASSED_BY or node.get("type") == "Reroute"


def _entries(node: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    told = node.get(name)
    return list(map(mapping, told[:200])) if isinstance(told, list) else []


def _behind(nodes: Mapping[str, Mapping[str, Any]], ends: Mapping[int, _End], end: _End) -> _End:
    """Where a link really comes from: through nodes that are passed by along inputs of the output's type."""
    for _ in range(_DEPTH):
        node = nodes.get(end[0], {})
        outputs = _entries(node, "outputs")
        if not _passes(node) or not end[1] < len(outputs):
            return end
        kind = outputs[end[1]].get("type")
        links = [
            link
            for entry in _entries(node, "inputs")
            if entry.get("type") in {kind, "*"} and isinstance(link := entry.get("link"), int) and link in ends
        ]
        if not links:
            return end
        end = ends[links[0]]
    return end


def _links(told: object) -> dict[int, _End]:
    """Number of a link to where it comes from; links are ``[number, from, its output, to, its input, type]``."""
    found: dict[int, _End] = {}
    for link in told[: 4 * _MOST] if isinstance(told, list) else []:
        if isinstance(link, list) and len(link) >= 3 and isinstance(link[0], int) and isinstance(link[2], int):
            found[link[0]] = (str(link[1]), max(0, link[2]))
    return found


def _inputs(node: Mapping[str, Any], ends: Mapping[int, _End]) -> dict[str, Any]:
    widgets = node.get("widgets_values")
    names = _WIDGETS.get(text(node.get("type")), ())
    found: dict[str, Any] = dict(widgets) if isinstance(widgets, dict) else {}
    if isinstance(widgets, list):
        found = {name: value for name, value in zip(names, widgets, strict=False) if name}
    for entry in _entries(node, "inputs"):
        link = entry.get("link")
        if isinstance(link, int) and link in ends:
            found[text(entry.get("name"))] = list(ends[link])
    return found
