"""``<lora:name:0.8>`` tags and ``embedding:name`` in texts of pictures; linear in the text's length, whatever is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hubman.images.found import number, used
from registry.usage import Used

# No "<" inside a tag: a text of nothing but beginnings is then not scanned from each of them to its end.
_TAG = re.compile(r"<(?:lora|lyco):([^:<>]{1,300})((?::[^:<>]{0,200}){0,12})>")
_EMBEDDING = re.compile(r"embedding:([^\s,:()\[\]<>]{1,200})", re.IGNORECASE)


def loras(text: str, *, model_first: bool = False) -> Iterator[Used]:
    """The LoRAs that a prompt names, with the strength of the diffusion model.

    Of two numbers that is the second, as in A1111, or the first if ``model_first``, as in nodes of ComfyUI.
    """
    for match in _TAG.finditer(text):
        positional: list[float] = []
        named: dict[str, float] = {}
        for arg in match[2].split(":")[1:]:
            key, equals, value = arg.partition("=")
            strength = number(value if equals else key)
            if strength is not None and equals:
                named[key.strip().lower()] = strength
            elif strength is not None:
                positional.append(strength)
        # A third number is another extension's.
        first = positional[0] if positional else named.get("te", 1.0)
        second = positional[1] if len(positional) > 1 else first
        unet, te = (first, second) if model_first else (named.get("unet", second), first)
        # Off for the diffusion model is not off where the text encoder has it.
        yield from used("lora", match[1], strength=unet or te)


def embeddings(text: str) -> Iterator[Used]:
    for match in _EMBEDDING.finditer(text):
        yield from used("embedding", match[1])
