"""Base models as the Hub names them, and their licences as its model cards write them."""

from __future__ import annotations

import re

import msgspec

from hubman.civitai import contract

_REPOSITORIES = {
    "AuraFlow": "fal/AuraFlow",
    "Chroma": "lodestones/Chroma1-HD",
    "Flux.1 D": "black-forest-labs/FLUX.1-dev",
    "Flux.1 Kontext": "black-forest-labs/FLUX.1-Kontext-dev",
    "Flux.1 Krea": "black-forest-labs/FLUX.1-Krea-dev",
    "Flux.1 S": "black-forest-labs/FLUX.1-schnell",
    "Flux.2 D": "black-forest-labs/FLUX.2-dev",
    "HiDream": "HiDream-ai/HiDream-I1-Full",
    "Hunyuan Video": "tencent/HunyuanVideo",
    "Illustrious": "OnomaAIResearch/Illustrious-xl-early-release-v0",
    "Kolors": "Kwai-Kolors/Kolors",
    "LTXV": "Lightricks/LTX-Video",
    "Lumina": "Alpha-VLLM/Lumina-Image-2.0",
    "Mochi": "genmo/mochi-1-preview",
    "NoobAI": "Laxhar/noobai-XL-1.1",
    "PixArt E": "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
    "PixArt a": "PixArt-alpha/PixArt-XL-2-1024-MS",
    "Qwen": "Qwen/Qwen-Image",
    "SD 1.4": "CompVis/stable-diffusion-v1-4",
    "SD 1.5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "SD 3.5 Large": "stabilityai/stable-diffusion-3.5-large",
    "SD 3.5 Medium": "stabilityai/stable-diffusion-3.5-medium",
    "SDXL 1.0": "stabilityai/stable-diffusion-xl-base-1.0",
    "Wan Video 1.3B t2v": "Wan-AI/Wan2.1-T2V-1.3B",
    "Wan Video 14B i2v 480p": "Wan-AI/Wan2.1-I2V-14B-480P",
    "Wan Video 14B i2v 720p": "Wan-AI/Wan2.1-I2V-14B-720P",
    "Wan Video 14B t2v": "Wan-AI/Wan2.1-T2V-14B",
    "Wan Video 2.2 I2V-A14B": "Wan-AI/Wan2.2-I2V-A14B",
    "Wan Video 2.2 T2V-A14B": "Wan-AI/Wan2.2-T2V-A14B",
    "Wan Video 2.2 TI2V-5B": "Wan-AI/Wan2.2-TI2V-5B",
    "ZImageTurbo": "Tongyi-MAI/Z-Image-Turbo",
}
"""By Civitai's names. One that is missing has no repository of its own, or none that is certain."""

_LICENCES = {
    "Apache 2.0": "apache-2.0",
    "CreativeML Open RAIL++-M": "openrail++",
    "CreativeML Open RAIL-M": "creativeml-openrail-m",
    "MIT": "mit",
}
"""The Hub's own identifiers (hf.co/docs/hub/repositories-licenses); any other licence is told by its name."""


class Licence(msgspec.Struct, frozen=True, kw_only=True):
    """``id`` is the Hub's, ``other`` with a ``name`` for one that it has no identifier of, empty where nothing is known."""

    id: str = ""
    name: str = ""


def repository(base_model: str) -> str:
    """The base model's repository, or an empty text."""
    return _REPOSITORIES.get(base_model, "")


def licence(base_model: str) -> Licence:
    """The licence that a base model hands on to what is trained on it."""
    record = contract.base_models().get(base_model)
    text = record.license if record else None
    if not text:
        return Licence()
    known = _LICENCES.get(text)
    return (
        Licence(id=known) if known else Licence(id="other", name=re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-"))
    )


def is_video(base_model: str) -> bool:
    record = contract.base_models().get(base_model)
    return record is not None and "video" in (record.media if isinstance(record.media, str) else " ".join(record.media))
