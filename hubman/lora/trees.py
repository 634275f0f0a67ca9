"""The modules of well-known base models, from their configurations alone: no weights are needed to name them.

Sizes: the configurations that Stability AI and RunwayML publish with SD 1.5, SD 2.1 and SDXL 1.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import nn

from hubman.lora.keys import Site
from registry.errors import HubError

_UNETS: dict[str, dict[str, object]] = {
    "sd1": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 2048,
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}
_CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
_ENCODERS = {"sd1": (_CLIP_L,), "sd2": (_CLIP_H,), "sdxl": (_CLIP_L, _CLIP_G)}


@cache
def sites_of_architecture(architecture: str) -> tuple[Site, ...]:
    """Every place of the UNet and the text encoders. Raises ``HubError`` for an architecture that is not known here."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    if architecture not in _UNETS:
        raise HubError(f"the modules of {architecture or 'an unknown base'} are not known", "name a base with --base")
    with torch.device("meta"):
        roots: dict[str, nn.Module] = {"unet": UNet2DConditionModel(**_UNETS[architecture])}
        for number, sizes in enumerate(_ENCODERS[architecture]):
            kind = CLIPTextModelWithProjection if number else CLIPTextModel
            roots[f"text_encoder_{number + 1}" if number else "text_encoder"] = kind(CLIPTextConfig(**sizes))
    return tuple(site for component, root in roots.items() for site in sites(component, root))


def sites(component: str, root: nn.Module) -> Iterator[Site]:
    """The Linear, Conv2d and norm modules of a component."""
    for path, module in root.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.GroupNorm | nn.LayerNorm):
            yield Site(component, path, tuple(module.weight.shape))
