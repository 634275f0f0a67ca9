"""From the texts of a picture to the settings it was drawn with: which reader for which text."""

from __future__ import annotations

from collections.abc import Mapping

from hubman.generate.infotext_reading import read as read_infotext
from hubman.images import a1111, a1111_settings, comfyui_settings, comfyui_workflow, invoke_settings, reading
from hubman.images.found import decoded, mapping
from hubman.images.told import Told, ToldLora

_MAX_LENGTH = 256 << 10


def tell(texts: Mapping[str, str]) -> Told | None:
    """What the texts of :mod:`registry.picture_text` tell of the drawing; None if they tell nothing.

    Infotext beats a graph, since nodes that write both know what was used. Any texts give an answer.
    """
    for keyword in ("parameters", "UserComment", "Comment"):
        if found := _infotext(texts.get(keyword, "")):
            return found
    record = mapping(decoded(texts.get("invokeai_metadata", "")))
    if record:
        return invoke_settings.told_of(record)
    prompt, workflow = reading.graphs(texts)
    graph = decoded(prompt) if prompt else comfyui_workflow.graph_of(decoded(workflow)) if workflow else None
    return (comfyui_settings.told_of(graph) if graph else None) or _names_only(texts)


def _infotext(text: str) -> Told | None:
    # A prompt may begin with a brace; JSON of another program is a whole object.
    if text.lstrip().startswith("{") and mapping(decoded(text)):
        return None
    info = read_infotext(text[:_MAX_LENGTH])
    if not info.fields and not info.json_fields:
        return None
    return a1111_settings.told_of(info, a1111.tool_of(info))


def _names_only(texts: Mapping[str, str]) -> Told | None:
    """What programs whose settings are not read name: their prompt and LoRAs."""
    found = reading.read(texts)
    if found is None:
        return None
    loras = tuple(
        ToldLora(name=use.name, hash=use.hash, strength=1.0 if use.strength is None else use.strength)
        for use in found.uses
        if use.kind == "lora"
    )
    model = next((use for use in found.uses if use.kind == "checkpoint"), None)
    remark = f"the settings of {found.tool} are not read, only its prompt and models"
    return Told(
        tool=found.tool, prompt=found.prompt, loras=loras, model=model.name if model else "",
        model_hash=model.hash if model else "", remarks=(remark,),
    )  # fmt: skip
