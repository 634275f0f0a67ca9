"""The modules of well-known base models, from their shipped configurations alone: no weights are needed to name them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import nn

from hubman.lora.keys import Site
from hubman.train.architectures.layouts import LAYOUTS
from registry.errors import HubError

_LAYOUTS = {"sd1": "sd15", "sd2": "sd2", "sdxl": "sdxl"}
ARCHITECTURES = frozenset(_LAYOUTS)


@cache
def sites_of_architecture(architecture: str) -> tuple[Site, ...]:
    """Every place of the UNet and the text encoders. Raises ``HubError`` for an architecture that is not known here."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    if architecture not in _LAYOUTS:
        raise HubError(f"the modules of {architecture or 'an unknown base'} are not known", "name a base with --base")
    layout = LAYOUTS / _LAYOUTS[architecture]
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(str(layout / "unet")))
        roots: dict[str, nn.Module] = {"unet": unet}
        for component in ("text_encoder", "text_encoder_2"):
            if (layout / component).is_dir():
                kind = CLIPTextModel if component == "text_encoder" else CLIPTextModelWithProjection
                roots[component] = kind(CLIPTextConfig.from_pretrained(str(layout / component)))
    return tuple(site for component, root in roots.items() for site in sites(component, root))


def sites(component: str, root: nn.Module) -> Iterator[Site]:
    """The Linear, Conv2d and norm modules of a component."""
    for path, module in root.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.GroupNorm | nn.LayerNorm):
            yield Site(component, path, tuple(module.weight.shape))
