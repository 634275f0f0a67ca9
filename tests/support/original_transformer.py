"""Write the transformer of a small base as one file in its original model's names, as Civitai has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from hubman.train.architectures import load_model

_SD3 = {
    "pos_embed.proj": "x_embedder.proj",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}
_SD3_NORMS = {
    "attn.norm_q": "x_block.attn.ln_q",
    "attn.norm_k": "x_block.attn.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q",
    "attn.norm_added_k": "context_block.attn.ln_k",
    "attn2.norm_q": "x_block.attn2.ln_q",
    "attn2.norm_k": "x_block.attn2.ln_k",
}
_ZIMAGE = {".attention.norm_q": ".attention.q_norm", ".attention.norm_k": ".attention.k_norm"}


def save_transformer(folder: Path, file: Path) -> Path:
    """Save the transformer of the SD 3.5 or Z-Image in ``folder`` to ``file`` (fp32), and return it."""
    model = load_model(folder, torch.device("cpu"), torch.float32, mixed=False)
    names = _sd3_name if model.parts.detected.kind == "sd3" else _zimage_name
    tensors = {}
    for key, tensor in model.denoiser.state_dict().items():
        name = names(key, model.original_names)
        # diffusers' last layer scales before it shifts.
        swapped = name.startswith("final_layer.adaLN") and names is _sd3_name
        tensors[name] = (tensor.roll(tensor.shape[0] // 2, 0) if swapped else tensor).contiguous()
    save_file({f"model.diffusion_model.{name}": tensor for name, tensor in tensors.items()}, file)
    return file


def _sd3_name(key: str, original: Mapping[str, str]) -> str:
    path, _, end = key.rpartition(".")
    if key == "pos_embed.pos_embed":
        return "pos_embed"
    if path.startswith("transformer_blocks.") and path not in original:
        _, number, rest = path.split(".", 2)
        return f"joint_blocks.{number}.{_SD3_NORMS[rest]}.{end}"
    return f"{original.get(path) or _SD3.get(path, path)}.{end}"


def _zimage_name(key: str, original: Mapping[str, str]) -> str:
    path, dot, end = key.rpartition(".")
    for ours, theirs in _ZIMAGE.items():
        path = path.replace(ours, theirs)
    path = path.replace("all_x_embedder.2-1", "x_embedder").replace("all_final_layer.2-1", "final_layer")
    return f"{original.get(path, path)}{dot}{end}"
