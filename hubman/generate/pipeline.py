"""Load a base model from this machine: a diffusers folder or a checkpoint of Stable Diffusion 1.x or 2.x."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hubman.generate.checkpoint import open_checkpoint
from hubman.lora.keys import Site, alias_table
from registry.errors import DamagedFileError, HubError, NotFoundError

DRAWABLE = ("StableDiffusionPipeline",)
CHECKPOINTS = (".safetensors", ".sft")


@dataclass(frozen=True)
class Base:
    """A loaded base model. ``modules`` are its Linear and Conv2d, ``table`` every name a LoRA may give them."""

    path: Path
    name: str
    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler_config: Mapping[str, Any]
    device: torch.device
    dtype: torch.dtype
    modules: Mapping[Site, nn.Module]
    table: Mapping[str, Site]

    @property
    def roots(self) -> dict[str, nn.Module]:
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    @property
    def vae_scale(self) -> int:
        """Pixels a side for one latent."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def default_size(self) -> tuple[int, int]:
        """(width, height) in pixels that the UNet was trained on."""
        side = self.unet.config.sample_size
        height, width = side if isinstance(side, list | tuple) else (side, side)
        return width * self.vae_scale, height * self.vae_scale

    def weight_of(self, site: Site) -> torch.Tensor:
        """The frozen weight of a place, whatever the bank has installed there."""
        weight = self.modules[site].weight
        if not isinstance(weight, torch.Tensor):
            raise TypeError(f"{site.path} has no weight")
        return weight.detach().cpu()


def best_device() -> torch.device:
    """CUDA if there is any, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_base(
    path: Path, *, device: torch.device | None = None, dtype: torch.dtype | None = None, layout: Path | None = None
) -> Base:
    """Load a base model; nothing is downloaded. By default fp16 on CUDA, fp32 on the CPU.

    ``layout`` is a diffusers folder that says what a single file holds, where its family is not SD 1.x or 2.x.

    Raises ``NotFoundError`` if nothing is there, ``HubError`` if it is of a kind that cannot be drawn, and
    ``DamagedFileError`` if it cannot be read.
    """
    device = device or best_device()
    dtype = dtype or (torch.float16 if device.type == "cuda" else torch.float32)
    if not path.exists():
        raise NotFoundError(f"base model {path} is not there", "scan again, or choose another base")
    pipeline = _open(path, dtype, layout)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.to(device).eval().requires_grad_(False)
    roots = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
    modules = {site: module for name, root in roots.items() for site, module in sites_of(name, root).items()}
    return Base(
        path=path,
        name=path.name if path.is_dir() else path.stem,
        unet=pipeline.unet,
        vae=pipeline.vae,
        text_encoder=pipeline.text_encoder,
        tokenizer=pipeline.tokenizer,
        scheduler_config=dict(pipeline.scheduler.config),
        device=device,
        dtype=dtype,
        modules=modules,
        table=alias_table(modules),
    )


def sites_of(component: str, root: nn.Module) -> dict[Site, nn.Module]:
    """Every Linear, Conv2d and norm of a component by its place; unusual convolutions are left out."""
    found: dict[Site, nn.Module] = {}
    for path, module in root.named_modules():
        plain_conv = isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros"
        norm = isinstance(module, nn.GroupNorm | nn.LayerNorm) and module.weight is not None
        if isinstance(module, nn.Linear) or plain_conv or norm:
            found[Site(component, path, tuple(module.weight.shape))] = module
    return found


def _open_folder(path: Path, dtype: torch.dtype) -> Any:
    from diffusers import StableDiffusionPipeline

    try:
        kind = json.loads((path / "model_index.json").read_bytes())["_class_name"]
    except FileNotFoundError as error:
        raise HubError(f"{path} is no diffusers folder", "it needs a model_index.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path / 'model_index.json'} cannot be read ({error})") from error
    if kind not in DRAWABLE:
        raise HubError(
            f"{path.name} is a {kind}, which cannot be drawn yet", "choose a Stable Diffusion 1.x or 2.x base"
        )
    variant = "fp16" if (path / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file() else None
    plain = path / "unet" / "diffusion_pytorch_model.safetensors"
    return StableDiffusionPipeline.from_pretrained(
        str(path),
        dtype=dtype,
        variant=None if plain.is_file() else variant,
        local_files_only=True,
        use_safetensors=True,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _open_file(path: Path, dtype: torch.dtype, layout: Path | None) -> Any:
    if path.suffix not in CHECKPOINTS:
        raise HubError(f"{path.name} is not a safetensors file", "pickled files are never opened; convert it first")
    return open_checkpoint(path, dtype, layout)


def _open(path: Path, dtype: torch.dtype, layout: Path | None) -> Any:
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        return _open_folder(path, dtype) if path.is_dir() else _open_file(path, dtype, layout)
    except HubError:
        raise
    except Exception as error:  # the loaders raise everything from KeyError to their own
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        hint = "check that it is a complete Stable Diffusion 1.x or 2.x model"
        raise DamagedFileError(f"base model {path.name} cannot be loaded ({reason})", hint) from error
