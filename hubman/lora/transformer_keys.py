"""The names that files give the modules of diffusion transformers: the original model's or diffusers', in many prefixes.

kohya's files have ``lora_unet_`` and the original path with underscores, ComfyUI's and most others' ``diffusion_model.``
and the original path, diffusers' and PEFT's ``transformer.`` and diffusers' path.
"""

from __future__ import annotations

from collections.abc import Iterator

_DOTTED = (
    "",
    "diffusion_model.",
    "model.diffusion_model.",
    "transformer.",
    "base_model.model.",
    "transformer.base_model.model.",
    "base_model.model.transformer.",
)
_FLAT = ("lora_unet_", "lora_transformer_", "lycoris_", "lycoris_unet_")


def transformer_aliases(*paths: str) -> Iterator[str]:
    """Every name of a module that is at ``paths``: where diffusers has it, where its original model has it."""
    for path in dict.fromkeys(paths):
        yield from (prefix + path for prefix in _DOTTED)
        yield from (prefix + path.replace(".", "_") for prefix in _FLAT)
