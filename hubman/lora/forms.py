"""The tensors of one module in each format that is written: names by lookup, suffixes, scales."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from hubman.lora.change import change_of
from hubman.lora.keys import TEXT_ENCODERS, Site, UNetLayout, kohya_clip, kohya_unet, with_level
from hubman.lora.kinds import kind_of, rank_of, scale_of
from registry.errors import HubError

Format = Literal["kohya", "diffusers", "peft"]
Parts = Mapping[str, Tensor]

_SUFFIXES = {
    "down": "lora_down.weight",
    "up": "lora_up.weight",
    "mid": "lora_mid.weight",
    **{f"glora_{part}": f"{part}.weight" for part in ("a1", "a2", "b1", "b2", "bm")},
    "ia3_weight": "weight",
    "ia3_on_input": "on_input",
}


@dataclass(frozen=True)
class Module:
    """One module as the file has it; ``alpha`` is what it or its header says, None where nothing does."""

    site: Site
    parts: Parts
    alpha: float | None


@dataclass
class Converted:
    """A file in the making: tensors, entries for its header, and PEFT's configuration for each component."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)


def kohya(modules: Iterable[Module], sites: Sequence[Site], originals: Mapping[str, str]) -> Converted:
    """Kohya's names and an alpha for each module.

    SDXL has LDM blocks and two text encoders, transformers have the names of their ``originals``; diffusers' paths
    else. Raises ``HubError`` for a module without a name there.
    """
    named = kohya_namer(sites, originals)
    made = Converted()
    for module in modules:
        name = named(module.site)
        for part, tensor in module.parts.items():
            if part == "ia3_l":
                raise HubError(f"{name} is PEFT's (IA)3, which kohya's format has no place for", "fuse it instead")
            if part != "alpha":
                made.tensors[f"{name}.{_SUFFIXES.get(part, part)}"] = tensor
        alpha = module.parts.get("alpha")
        rank = rank_of(module.parts)
        if alpha is not None or rank:
            stated = float(rank) if module.alpha is None else module.alpha
            made.tensors[f"{name}.alpha"] = torch.tensor(stated) if alpha is None else alpha
    return made


def diffusers(modules: Iterable[Module]) -> Converted:
    """Diffusers' names, alpha / rank folded into the up matrix: readers that know no alphas get the scale right."""
    made = Converted()
    for module in modules:
        down, up, scale = pair_of(module)
        name = f"{module.site.component}.{_file_path(module.site)}"
        made.tensors[f"{name}.lora_A.weight"] = down
        made.tensors[f"{name}.lora_B.weight"] = scaled(up, scale)
        if "dora_scale" in module.parts:
            made.tensors[f"{name}.lora_magnitude_vector"] = _vector(module)
    return made


def peft(modules: Iterable[Module]) -> Converted:
    """PEFT's own names, and for each component the configuration with ranks and alphas by module."""
    made = Converted()
    ranks: dict[str, dict[str, tuple[int, float]]] = {}
    for module in modules:
        site = module.site
        down, up, scale = pair_of(module)
        name = f"{site.component}/base_model.model.{site.path}"
        made.tensors[f"{name}.lora_A.weight"], made.tensors[f"{name}.lora_B.weight"] = down, up
        if "dora_scale" in module.parts:
            made.tensors[f"{name}.lora_magnitude_vector"] = _vector(module)
        ranks.setdefault(site.component, {})[site.path] = (down.shape[0], scale * down.shape[0])
    doras = {name.partition("/")[0] for name in made.tensors if name.endswith("lora_magnitude_vector")}
    made.configs = {
        component: _config(mine, use_dora=component in doras, text=component in TEXT_ENCODERS)
        for component, mine in ranks.items()
    }
    return made


def kohya_namer(sites: Iterable[Site], originals: Mapping[str, str]) -> Callable[[Site], str]:
    """What kohya's files call a module of a base that has ``sites``; it raises ``HubError`` for one without a name."""
    sites = tuple(sites)
    layout = UNetLayout.of(site.path for site in sites if site.component == "unet")
    # SD 1.x and 2.x alone have one text encoder and call it by no number.
    numbered = any(site.component in ("text_encoder_2", "transformer") for site in sites)
    return lambda site: _kohya_name(site, layout, originals, numbered=numbered)


def _kohya_name(site: Site, layout: UNetLayout, originals: Mapping[str, str], *, numbered: bool) -> str:
    if site.component in TEXT_ENCODERS:
        number = TEXT_ENCODERS.index(site.component) + 1
        return kohya_clip(f"lora_te{number}" if numbered else "lora_te", site.path)
    if site.component == "unet":
        return kohya_unet(site.path, layout if numbered else None)
    if site.path not in originals:
        raise HubError(f"{site.path} has no name in kohya's format", "leave it out of the file")
    return kohya_unet(originals[site.path])


def _file_path(site: Site) -> str:
    return with_level(site.path) if site.component in TEXT_ENCODERS else site.path


def pair_of(module: Module) -> tuple[Tensor, Tensor, float]:
    """(down, up, scale) of a module; other low-rank kinds are multiplied out, exactly.

    Raises ``HubError`` for kinds that no two factors make.
    """
    parts, site = module.parts, module.site
    alpha = float(parts["alpha"]) if "alpha" in parts else module.alpha
    if set(parts) <= {"down", "up", "alpha", "dora_scale"} and kind_of(parts) == "LoRA":
        return *_shaped(parts["down"], parts["up"], site), scale_of(alpha, parts["down"].shape[0])
    kind = kind_of(parts)
    plain = {part: tensor for part, tensor in parts.items() if part != "dora_scale"}
    factors = change_of(plain, site, alpha=alpha).factors if kind in ("LoRA", "LoHa", "LoKr") else None
    if site.is_norm or parts.keys() & {"diff_b", "b_norm"}:
        raise HubError(f"{site.path} changes a norm or a bias, which no LoRA can", "keep the file in kohya's format")
    if factors is None or factors.rank >= min(site.shape[0], factors.down[0].numel()):
        raise HubError(
            f"{site.path} is {kind}, which has no low-rank form", "--bake RANK --base BASE makes it one, nearly"
        )
    return *_shaped(factors.down, factors.up, site), 1.0


def _shaped(down: Tensor, up: Tensor, site: Site) -> tuple[Tensor, Tensor]:
    """As a Linear or Conv2d at ``site`` has them; kohya's files of one base fit others whose 1x1 convolutions are Linear."""
    ones = [1] * (len(site.shape) - 2)
    return down.reshape(-1, *site.shape[1:]), up.reshape(site.shape[0], -1, *ones)


def scaled(up: Tensor, scale: float) -> Tensor:
    """``up`` times ``scale``, in fp32 where its own type has no room for the digits."""
    scaled = up.float() * scale
    short = scaled.to(up.dtype)
    return short if torch.equal(short.float(), scaled) else scaled


def _vector(module: Module) -> Tensor:
    magnitude = module.parts["dora_scale"]
    if magnitude.dim() >= 2 and magnitude.shape[0] == 1 and magnitude.shape[1] > 1:
        raise HubError(
            f"{module.site.path} is a DoRA along the input axis, which diffusers and PEFT do not have",
            "--bake RANK --base BASE makes it a plain LoRA, nearly",
        )
    return magnitude.reshape(1, -1, 1, 1) if module.site.is_conv else magnitude.reshape(-1)


def _config(modules: Mapping[str, tuple[int, float]], *, use_dora: bool, text: bool) -> dict[str, Any]:
    pairs = list(modules.values())
    rank, alpha = max(pairs, key=pairs.count)
    return {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION" if text else None,
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {f"^{path}": own for path, (own, _) in modules.items() if own != rank},
        "alpha_pattern": {f"^{path}": own for path, (_, own) in modules.items() if own != alpha},
        "target_modules": sorted(modules),
        "use_dora": use_dora,
        "use_rslora": False,
        "bias": "none",
        "inference_mode": True,
    }


def config_text(config: Mapping[str, Any]) -> str:
    return json.dumps(config, indent=2, sort_keys=True) + "\n"
