"""What each type of model looks like in the catalogue: how many there are, on which base models, with which files."""

from __future__ import annotations

import random

from hubman.civitai import contract

_WEIGHTS = {
    "LORA": 520, "Checkpoint": 120, "LoCon": 60, "TextualInversion": 70, "DoRA": 40, "Controlnet": 20, "Upscaler": 15,
    "VAE": 15, "Workflows": 30, "Wildcards": 20, "Poses": 20, "MotionModule": 10,
}  # fmt: skip
_BASES = {
    "Illustrious": 24, "SDXL 1.0": 20, "Pony": 14, "SD 1.5": 18, "Flux.1 D": 10, "NoobAI": 4, "Wan Video 2.2 T2V-A14B": 3,
    "Qwen": 2, "ZImageTurbo": 2, "Other": 1,
}  # fmt: skip
_FORM_BY_ROOT = {"sd1": "sd1", "sdxl": "sdxl", "flux1": "flux", "wanvideo-22-t2v-a14b": "wan"}
_UNPACKED = {"Wildcards": "zip", "Poses": "zip", "Workflows": "json", "ComfyWorkflows": "json"}


def kind_of(place: int, chance: random.Random) -> str:
    """The model's type: first one of each that the site knows, then as often as people make them."""
    every = contract.enum_values("ModelType")
    if place <= len(every):
        return every[place - 1]
    return chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]


def base_of(kind: str, chance: random.Random) -> str:
    if kind in {"Upscaler", "Wildcards", "Detection"}:
        return "Other"
    return chance.choices(list(_BASES), list(_BASES.values()))[0]


def form_of(kind: str, base: str) -> tuple[str, str]:
    """The form and suffix of the model's file (see :mod:`hubman.sandbox.catalogue.contents`)."""
    if kind in _UNPACKED:
        return kind.lower(), _UNPACKED[kind]
    root = _FORM_BY_ROOT.get(contract.base_models()[base].air_ecosystem, "sdxl")
    unet = root if root in {"sd1", "sdxl"} else "sdxl"
    forms = {
        "LORA": f"lora-{root}", "LoCon": f"lora-{root}", "DoRA": f"dora-{unet}", "Checkpoint": f"checkpoint-{unet}",
        "TextualInversion": f"embedding-{unet}", "VAE": "vae",
    }  # fmt: skip
    suffixes = {"LLM": "gguf", "Hypernetwork": "pt", "AestheticGradient": "pt"}
    return forms.get(kind, "weights"), suffixes.get(kind, "safetensors")
