"""From the texts of a picture to what it was drawn with: which reader for which text, and all findings as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from hubman.images import a1111, comfyui, dialects
from hubman.images.found import Found, decoded, mapping, merged, text
from registry import usage

_RECIPE = "Recipe metadata:"


def read(texts: Mapping[str, str]) -> Found | None:
    """What the texts of :mod:`registry.picture_text` say; None if they name no model. Any texts give an answer."""
    findings = list(_findings(texts))
    if not findings:
        return None
    uses = merged(use for one in findings for use in one.uses)
    if not uses:
        return None
    prompt = next((one.prompt for one in findings if one.prompt), "")
    return Found(tool=findings[0].tool, prompt=text(prompt)[: usage.MAX_PROMPT], uses=uses)


def content_of(texts: Mapping[str, str], fingerprint: str) -> str:
    """What tells the picture from others: the request of those that hubman drew, else the ``fingerprint``."""
    key = mapping(decoded(texts.get("hubman", ""))).get("key")
    if isinstance(key, str) and len(key) == 64 and set(key) <= set("0123456789abcdef"):
        return usage.drawn_here(key)
    return fingerprint


def _findings(texts: Mapping[str, str]) -> Iterator[Found]:
    if "hubman" in texts:
        # It says all that the other texts of such a picture say, and more exactly.
        found = dialects.own(mapping(decoded(texts["hubman"])))
        if found:
            yield found
            return
    # A graph knows the strengths that were used; what else names the same models adds hashes.
    yield from _graph(texts)
    for keyword in ("invokeai_metadata", "parameters", "UserComment", "Comment"):
        yield from _one(texts.get(keyword, ""))


def _graph(texts: Mapping[str, str]) -> Iterator[Found]:
    prompt, workflow = graphs(texts)
    found = comfyui.read_prompt(decoded(prompt)) if prompt else None
    if found is None and workflow:
        found = comfyui.read_workflow(decoded(workflow))
    if found:
        yield found


def graphs(texts: Mapping[str, str]) -> tuple[str, str]:
    """(what ComfyUI ran, the drawing of it), as JSON; empty where there is none."""
    prompt, workflow = texts.get("prompt", ""), texts.get("workflow", "")
    for tag in ("Model", "Make", "ImageDescription"):
        # ComfyUI has no keywords in WebP: it writes them into the texts of EXIF.
        kind, colon, body = texts.get(tag, "").partition(":")
        if colon and kind.lower() == "prompt":
            prompt = prompt or body
        elif colon and kind.lower() == "workflow":
            workflow = workflow or body
    return prompt, workflow


# InvokeAI's record has no mark of its own, so it is the last.
_JSON: tuple[Callable[[Mapping[str, object]], Found | None], ...] = (dialects.swarm, dialects.fooocus, dialects.invoke)


def _one(told: str) -> Iterator[Found]:
    """The findings of one text that may be infotext, JSON of several programs, or either with a recipe behind it."""
    head, marker, tail = told.partition(_RECIPE)
    if marker:
        recipe = dialects.recipe(mapping(decoded(tail.strip())))
        if recipe:
            yield recipe
    head = head.strip()
    # A prompt may begin with a brace: infotext is whatever is no JSON object.
    told_json = mapping(decoded(head)) if head.startswith("{") else {}
    if not told_json:
        found = a1111.read(head) if head else None
        if found:
            yield found
        return
    if isinstance(told_json.get("prompt"), dict):
        graph = comfyui.read_prompt(told_json["prompt"])
        if graph:
            yield graph
        return
    for reader in _JSON:
        found = reader(told_json)
        if found:
            yield found
            return
