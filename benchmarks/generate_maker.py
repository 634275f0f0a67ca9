"""What the bars of drawing run on: the topology of Stable Diffusion 1.5 in widths 64 to 256 with random weights, and LoRAs."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from hubman import tinybase

WIDTHS = (64, 128, 256, 256)
TEXT_WIDTH = 256
SIDE = 128
RANK = 8
LORAS = ("ink", "neon", "clay")


def make_base(folder: Path) -> Path:
    """A diffusers folder in fp32, and the LoRAs in it. Returns ``folder``."""
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=12,
        num_attention_heads=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=8,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
        set_alpha_to_one=False,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer.from_pretrained(str(tinybase.MODEL / "tokenizer")),
        unet=UNet2DConditionModel(
            sample_size=SIDE // 8, block_out_channels=WIDTHS, cross_attention_dim=TEXT_WIDTH, attention_head_dim=8
        ),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(str(folder))
    for seed, name in enumerate(LORAS, 1):
        _make_lora(pipeline.unet, pipeline.text_encoder, folder / f"{name}.safetensors", seed)
    return folder


def _make_lora(unet: nn.Module, text_encoder: nn.Module, file: Path, seed: int) -> None:
    """kohya's names, over the attention and feed-forward layers of the UNet and the text encoder."""
    random = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for prefix, root, mark in (("lora_unet_", unet, "attentions."), ("lora_te_text_model_", text_encoder, "layers.")):
        for path, module in root.named_modules():
            if mark not in path or not isinstance(module, nn.Linear | nn.Conv2d):
                continue
            out, *rest = module.weight.shape
            name = prefix + path.removeprefix("text_model.").replace(".", "_")
            tensors[f"{name}.lora_down.weight"] = torch.randn(RANK, *rest, generator=random) * 0.05
            tensors[f"{name}.lora_up.weight"] = torch.randn(out, RANK, *[1] * (len(rest) - 1), generator=random) * 0.05
            tensors[f"{name}.alpha"] = torch.tensor(float(RANK))
    save_file(tensors, file)
