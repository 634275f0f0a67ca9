"""Write a diffusers folder as one checkpoint in the original (LDM) names, as A1111 and Civitai have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import save_file

from hubman.lora.keys import UNetLayout, ldm_path

_ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out", "group_norm": "norm"}
_RESNET = {"norm1": "in_layers.0", "norm2": "out_layers.0"}


def save_checkpoint(folder: Path, file: Path, markers: Sequence[str] = ()) -> Path:
    """Save the pipeline of SD 1.x or SDXL in ``folder`` to ``file`` (fp32), and return it.

    ``markers`` are empty tensors that say of what kind it is.
    """
    pipeline = DiffusionPipeline.from_pretrained(str(folder), local_files_only=True)
    tensors = {f"model.diffusion_model.{name}": t for name, t in _unet(pipeline.unet.state_dict()).items()}
    tensors |= {f"first_stage_model.{name}": t for name, t in _vae(pipeline.vae.state_dict()).items()}
    large = hasattr(pipeline, "text_encoder_2")
    text = pipeline.text_encoder.state_dict()
    prefix = f"{'conditioner.embedders.0' if large else 'cond_stage_model'}.transformer.text_model."
    tensors |= {prefix + name.removeprefix("text_model."): t for name, t in text.items()}
    if large:
        second = _open_clip(pipeline.text_encoder_2.state_dict())
        tensors |= {f"conditioner.embedders.1.model.{name}": t for name, t in second.items()}
    tensors |= {name: torch.zeros(0) for name in markers}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


_OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def _open_clip(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """OpenCLIP's names: queries, keys and values are one, and the projection lies on its side."""
    plain = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    found = {
        "text_projection": plain["text_projection.weight"].T,
        "token_embedding.weight": plain["embeddings.token_embedding.weight"],
        "positional_embedding": plain["embeddings.position_embedding.weight"],
        **{f"ln_final.{end}": plain[f"final_layer_norm.{end}"] for end in ("weight", "bias")},
    }
    for name, tensor in plain.items():
        match = re.match(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$", name)
        if match and match[2] in _OPEN_CLIP:
            found[f"transformer.resblocks.{match[1]}.{_OPEN_CLIP[match[2]]}.{match[3]}"] = tensor
        elif match and match[2] == "self_attn.q_proj":
            whole = torch.cat([plain[name.replace("q_proj", f"{each}_proj")] for each in "qkv"])
            found[f"transformer.resblocks.{match[1]}.attn.in_proj_{match[3]}"] = whole
    return found


def _unet(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    layout = UNetLayout.of(name.rpartition(".")[0] for name in state)
    found: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        path, _, end = name.rpartition(".")
        head, _, last = path.rpartition(".")
        if path == "conv_norm_out":
            found[f"out.0.{end}"] = tensor
        elif last in _RESNET and "resnets" in head:
            block = ldm_path(f"{head}.conv1", layout)
            assert block is not None
            found[f"{block.removesuffix('in_layers.2')}{_RESNET[last]}.{end}"] = tensor
        else:
            ldm = ldm_path(path, layout)
            assert ldm is not None, path
            found[f"{ldm}.{end}"] = tensor
    return found


def _vae(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    levels = 1 + max(int(match[1]) for name in state if (match := re.match(r"decoder\.up_blocks\.(\d+)", name)))

    def up(match: re.Match[str]) -> str:
        return f"decoder.up.{levels - 1 - int(match[1])}."

    found: dict[str, torch.Tensor] = {}
    for diffusers_name, tensor in state.items():
        name = re.sub(r"decoder\.up_blocks\.(\d+)\.", up, diffusers_name)
        name = re.sub(r"encoder\.down_blocks\.(\d+)\.", r"encoder.down.\1.", name)
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = name.replace("mid_block.attentions.0.", "mid.attn_1.").replace("resnets.", "block.")
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        name = name.replace("downsamplers.0", "downsample").replace("upsamplers.0", "upsample")
        for ours, theirs in _ATTENTION.items():
            name = name.replace(f"attn_1.{ours}.", f"attn_1.{theirs}.")
        is_projection = "attn_1" in name and tensor.dim() == 2
        found[name] = tensor[..., None, None] if is_projection else tensor
    return found
