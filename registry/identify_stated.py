"""What the metadata says the architecture is, and where it contradicts the tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from registry.identify_evidence import Evidence, Family

_STATED = (
    ("stable-diffusion-xl", "sdxl"), ("sdxl", "sdxl"), ("sd_xl", "sdxl"), ("kolors", "kolors"), ("playground-v2", "sdxl"),
    ("stable-diffusion-v1", "sd1"), ("sd_v1", "sd1"), ("sd_1", "sd1"), ("sd1", "sd1"), ("sd15", "sd1"),
    ("stable-diffusion-v2", "sd2"), ("sd_v2", "sd2"), ("sd_2", "sd2"), ("sd2", "sd2"),
    ("stable-diffusion-3", "sd3"), ("sd3", "sd3"), ("sd_3", "sd3"), ("medium", "sd3"), ("5-medium", "sd3"), ("5-large", "sd3"),
    ("flux-2", "flux2"), ("flux2", "flux2"), ("flux.2", "flux2"), ("flux", "flux"), ("chroma", "chroma"),
    ("qwen", "qwen"), ("wan", "wan"), ("z-image", "z-image"), ("z_image", "z-image"), ("zimage", "z-image"),
    ("hunyuan-video", "hunyuan-video"), ("hunyuan_video", "hunyuan-video"), ("hunyuanvideo", "hunyuan-video"),
    ("hunyuan-image", "hunyuan-image"), ("hunyuan_image", "hunyuan-image"), ("hunyuan-dit", "hunyuan-dit"),
    ("hunyuan_dit", "hunyuan-dit"), ("hydit", "hunyuan-dit"), ("hidream", "hidream"), ("lumina", "lumina"),
    ("auraflow", "auraflow"), ("aura-flow", "auraflow"), ("pony-v7", "auraflow"), ("stable-cascade", "cascade"),
    ("stable_cascade", "cascade"), ("wuerstchen", "cascade"), ("pixart", "pixart"), ("sana", "sana"), ("anima", "anima"),
    ("cosmos", "cosmos"), ("nvidia-cosmos", "cosmos"), ("ltx-2", "ltx2"), ("ltx2", "ltx2"), ("ltx", "ltx"),
    ("lightricks-ltx", "ltx"), ("cogvideo", "cogvideo"), ("mochi", "mochi"), ("genmo-mochi", "mochi"), ("krea-2", "krea2"),
    ("krea2", "krea2"), ("stable-video", "svd"),
)  # fmt: skip
"""(how the value begins, architecture), of ``modelspec.architecture`` and ``ss_base_model_version``."""

_MODULES = {
    "networks.lora_flux": "flux", "networks.lora_flux_2": "flux2", "networks.lora_sd3": "sd3", "networks.lora_wan": "wan",
    "networks.lora_framepack": "hunyuan-video", "networks.lora_qwen_image": "qwen", "networks.lora_zimage": "z-image",
    "networks.lora_lumina": "lumina", "networks.lora_hunyuan_image": "hunyuan-image", "networks.lora_anima": "anima",
}  # fmt: skip
"""Network modules of sd-scripts and musubi-tuner that train one architecture."""

_ALIKE = {
    ("flux", "chroma"): "a LoRA of Chroma has the names of one of Flux.1", ("sdxl", "kolors"): "Kolors has SDXL's UNet",
    ("anima", "cosmos"): "Anima is made of Cosmos-Predict2", ("cosmos", "anima"): "Anima is made of Cosmos-Predict2",
    ("ltx", "ltx2"): "LTX 2 has the names of LTX", ("pixart", "sana"): "the smallest Sana is as wide as PixArt",
    ("hunyuan-video", "hunyuan-image"): "they share their names", ("flux", "hunyuan-video"): "they share their names",
    ("flux", "flux2"): "they share their names", ("flux", "qwen"): "their first blocks share their names",
}  # fmt: skip
"""(what the tensors look like, what they may be): pairs whose tensors may be the same, so that the metadata decides."""


class Statement(NamedTuple):
    """An architecture that an entry of the metadata names."""

    architecture: str
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key} says {shortened(self.value)}"


def statements(metadata: Mapping[str, str]) -> list[Statement]:
    """What the metadata says of the architecture, the most telling entry first."""
    found = []
    for key in ("modelspec.architecture", "ss_base_model_version"):
        value = metadata.get(key, "")
        low = value.strip().lower()
        if low and (name := next((name for start, name in _STATED if low.startswith(start)), None)):
            found.append(Statement(name, key, value))
    module = metadata.get("ss_network_module", "")
    if module in _MODULES:
        found.append(Statement(_MODULES[module], "ss_network_module", module))
    if metadata.get("ss_v2") == "True" and "ss_base_model_version" not in metadata:
        found.append(Statement("sd2", "ss_v2", "True"))
    return found


def settled(found: Family | None, said: Sequence[Statement]) -> tuple[Family | None, tuple[str, ...]]:
    """(the architecture by tensors and metadata, what contradicts it): tensors win where they tell."""
    if found is None:
        if not said:
            return None, ()
        found = Family(said[0].architecture, f"{said[0]}; the tensors don't tell")
    elif any(one.architecture == found.architecture for one in said):
        found = replace(found, is_guess=False)
    else:
        for one in said:
            if (found.architecture, one.architecture) in _ALIKE:
                found = Family(
                    one.architecture, f"{one}, and {_ALIKE[found.architecture, one.architecture]}", found.variant
                )
                break
    return found, tuple(
        f"{one}, but {found.reason}: that is {found.architecture}"
        for one in said
        if one.architecture != found.architecture and (found.architecture, one.architecture) not in _ALIKE
    )


def shortened(text: str, limit: int = 80) -> str:
    """A value from outside, short enough to stand in a sentence."""
    text = " ".join(text[: 2 * limit].split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def prediction(metadata: Mapping[str, str], tensors: Mapping[str, object]) -> Evidence | None:
    """What the model predicts (``epsilon`` or ``v``), where something says so."""
    if "v_pred" in tensors:
        return Evidence("v", "it has a marker tensor v_pred")
    said = metadata.get("modelspec.prediction_type", "").lower()
    if said in {"v", "epsilon"}:
        return Evidence(said, f"modelspec.prediction_type says {said}")
    if metadata.get("ss_v_parameterization", "").lower() == "true":
        return Evidence("v", "ss_v_parameterization is True")
    if metadata.get("ss_base_model_version", "").endswith("_v"):
        return Evidence("v", f"ss_base_model_version says {shortened(metadata['ss_base_model_version'])}")
    return None
