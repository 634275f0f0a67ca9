"""ComfyUI's graphs: ``prompt`` is what was run, ``workflow`` the drawing of it. Only what led to a picture counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hubman.images import tags
from hubman.images.comfyui_nodes import MODEL_SUFFIXES, Inputs, uses_of
from hubman.images.found import Found, items, mapping, text, used
from registry.usage import Used

_MAX_NODES = 5000
_DEPTH = 50
_PICTURES = ("images", "image", "video", "frames")
_TEXTS = (
    "text",
    "text_g",
    "text_l",
    "t5xxl",
    "populated_text",
    "prompt",
    "positive",
    "string",
    "value",
    "wildcard_text",
)
_CONDITIONS = ("positive", "conditioning", "conditioning_1", "conditioning_to", "guider", "cond1")
_BYPASSED = frozenset({2, 4})
"""Modes of a node that is muted or passed by."""


def read_prompt(graph: object) -> Found | None:
    """The API form: node id to ``{"class_type", "inputs"}``, inputs that come from nodes being ``[id, output]``."""
    nodes = nodes_of(graph)
    if not nodes:
        return None
    inputs = Inputs(nodes)
    live = live_nodes(nodes)
    uses = tuple(use for node in live for use in uses_of(inputs, node))
    return Found(tool="comfyui", prompt=_prompt(inputs, live), uses=uses)


def nodes_of(graph: object) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Id to (kind, inputs) of the nodes of a graph in the API form."""
    return dict(_nodes(graph))


def _nodes(graph: object) -> Iterator[tuple[str, tuple[str, Mapping[str, Any]]]]:
    for number, (key, node) in enumerate(mapping(graph).items()):
        if number >= _MAX_NODES:
            return
        told = mapping(node)
        if isinstance(told.get("class_type"), str):
            yield key, (told["class_type"], mapping(told.get("inputs")))


def live_nodes(nodes: Mapping[str, tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The nodes that some node which keeps or shows a picture comes from; all if there is no such node."""
    pending = [key for key, (kind, inputs) in nodes.items() if _keeps_picture(kind, inputs)] or list(nodes)
    seen: dict[str, None] = {}
    while pending:
        key = pending.pop()
        if key in seen or key not in nodes:
            continue
        seen[key] = None
        pending += [source for value in nodes[key][1].values() if (source := Inputs.source(value)) is not None]
    return [key for key in nodes if key in seen]


def _keeps_picture(kind: str, inputs: Mapping[str, Any]) -> bool:
    is_output = any(word in kind.lower() for word in ("save", "preview", "output", "combine"))
    return is_output and any(Inputs.source(inputs.get(name)) is not None for name in _PICTURES)


def _prompt(inputs: Inputs, live: list[str]) -> str:
    """The text behind a sampler's positive input, else the longest that is encoded."""
    for name in _CONDITIONS:
        for key in live:
            source = Inputs.source(inputs.of(key).get(name))
            found = text_behind(inputs, source) if source is not None else ""
            if found:
                return found
    encoded = [text_behind(inputs, key) for key in live if "encode" in inputs.kind(key).lower()]
    return max(encoded, key=len, default="")


def text_behind(inputs: Inputs, key: str) -> str:
    """The first text on the way that leads to the node ``key``; empty if there is none."""
    pending, seen = [key], set[str]()
    while pending and len(seen) < _DEPTH:
        key = pending.pop()
        if key in seen:
            continue
        seen.add(key)
        values = inputs.of(key)
        for name in _TEXTS:
            if found := text(values.get(name)).strip():
                return found
        sources = [Inputs.source(values.get(name)) for name in (*_CONDITIONS, *_TEXTS)]
        pending += [source for source in reversed(sources) if source is not None]
    return ""


# the drawing ------------------------------------------------------------------------------------------------------


def read_workflow(told: object) -> Found | None:
    """The form that the editor saves: widgets are values without names, so less can be read from it than from a prompt."""
    nodes = _drawn_nodes(mapping(told))
    uses = tuple(use for node in nodes for use in _widget_uses(node))
    return Found(tool="comfyui", uses=uses) if uses else None


def _drawn_nodes(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = _list(told.get("nodes"))
    for graph in items(mapping(told.get("definitions")).get("subgraphs")):
        found += _list(mapping(graph).get("nodes"))
    return [node for node in map(mapping, found[:_MAX_NODES]) if node.get("mode") not in _BYPASSED]


def _list(value: object) -> list[Any]:
    return value[:_MAX_NODES] if isinstance(value, list) else []


def _widget_uses(node: Mapping[str, Any]) -> Iterator[Used]:
    kind = text(node.get("type")).lower()
    widgets = node.get("widgets_values")
    values = list(widgets.values()) if isinstance(widgets, dict) else items(widgets)
    if "lora" in kind:
        yield from _widget_loras(values)
    elif "checkpoint" in kind or "unet" in kind:
        yield from (use for value in values if _is_file(value) for use in used("checkpoint", value))
    elif "textencode" in kind:
        yield from (use for value in values for use in tags.embeddings(text(value)))


def _widget_loras(values: list[Any]) -> Iterator[Used]:
    for at, value in enumerate(values):
        told = mapping(value)
        name = told.get("lora") or told.get("name")
        if name and told.get("on", told.get("active", True)):
            yield from used("lora", name, strength=told.get("strength"))
        elif _is_file(value):
            following = values[at + 1] if at + 1 < len(values) else None
            yield from used("lora", value, strength=following)
        elif isinstance(value, list):
            yield from _widget_loras([one for one in value[:100] if isinstance(one, dict)])
        elif isinstance(value, str):
            yield from tags.loras(value, model_first=True)


def _is_file(value: object) -> bool:
    return isinstance(value, str) and value.lower().endswith(MODEL_SUFFIXES)
