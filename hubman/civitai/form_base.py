"""Civitai's exact name of a base model, from what the library calls it or from the tensors; never a silent guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

import msgspec

from hubman.civitai import contract
from registry.identify_base import SDXL_FAMILIES, is_told

_CANDIDATES: dict[str, tuple[str, ...]] = {
    "tiny": ("Other",),
    "sd1": ("SD 1.5", "SD 1.4", "SD 1.5 LCM", "SD 1.5 Hyper"),
    "sd2": ("SD 2.1", "SD 2.0"),
    "sdxl": ("SDXL 1.0", "Pony", "Illustrious", "NoobAI", "SDXL Lightning", "SDXL Hyper"),
    "flux": ("Flux.1 D", "Flux.1 S", "Flux.1 Krea", "Flux.1 Kontext"),
    "flux2": ("Flux.2 D", "Flux.2 Klein 9B", "Flux.2 Klein 9B-base", "Flux.2 Klein 4B", "Flux.2 Klein 4B-base"),
    "sd3": ("SD 3.5 Medium", "SD 3.5 Large", "SD 3.5 Large Turbo", "SD 3.5", "SD 3"),
    "cascade": ("Stable Cascade",),
    "svd": ("SVD", "SVD XT"),
    "auraflow": ("AuraFlow", "Pony V7"),
    "chroma": ("Chroma",),
    "kolors": ("Kolors",),
    "anima": ("Anima",),
    "hidream": ("HiDream", "HiDream-O1"),
    "mochi": ("Mochi",),
    "cogvideo": ("CogVideoX",),
    "hunyuan-dit": ("Hunyuan 1",),
    "hunyuan-video": ("Hunyuan Video",),
    "krea2": ("Krea 2",),
    "lumina": ("Lumina",),
    "z-image": ("ZImageTurbo", "ZImageBase"),
    "pixart": ("PixArt E", "PixArt a"),
    "qwen": ("Qwen", "Qwen 2", "Qwen 3"),
    "ltx": ("LTXV",),
    "ltx2": ("LTXV2", "LTXV 2.3"),
    "wan": (
        "Wan Video 1.3B t2v", "Wan Video 14B t2v", "Wan Video 14B i2v 480p", "Wan Video 14B i2v 720p", "Wan Video 2.2 TI2V-5B",
        "Wan Video 2.2 I2V-A14B", "Wan Video 2.2 T2V-A14B", "Wan Video 2.5 T2V", "Wan Video 2.5 I2V", "Wan Video 2.7",
    ),
}  # fmt: skip
"""The names that an architecture's files may have, the usual one first."""

_ALSO = {
    "SD 1.5": ("sd15", "sd1", "sdv1", "stable diffusion 1.5", "stable diffusion v1.5", "stable-diffusion-v1-5", "sd v1.5"),
    "SD 1.4": ("sd14", "stable diffusion 1.4"),
    "SD 2.0": ("sd20", "stable diffusion 2.0"),
    "SD 2.1": ("sd21", "stable diffusion 2.1", "stable-diffusion-2-1"),
    "SDXL 1.0": ("sdxl", "sdxl base", "sdxl base 1.0", "stable diffusion xl", "stable-diffusion-xl-base-1.0"),
    "Pony": ("pony diffusion v6", "pony diffusion v6 xl", "ponyxl", "pony xl"),
    "Illustrious": ("illustriousxl", "illustrious xl"),
    "NoobAI": ("noobai xl", "noob"),
    "Flux.1 D": ("flux dev", "flux.1 dev", "flux1dev"),
    "Flux.1 S": ("flux schnell", "flux.1 schnell"),
    "Flux.1 Krea": ("flux krea", "flux.1 krea dev"),
    "Flux.1 Kontext": ("flux kontext", "flux.1 kontext dev"),
    "Qwen": ("qwen image",),
    "ZImageTurbo": ("z-image turbo",),
    "ZImageBase": ("z-image", "z-image base"),
}  # fmt: skip
"""Other names that mean exactly one base model."""

_BY_NAME = frozenset(name for _, name in SDXL_FAMILIES)
"""Known by what a base is called only, also when one trains on it."""

TINY_NAME = "hubman-tinybase"


class Base(msgspec.Struct, frozen=True):
    """``name`` is Civitai's, or empty; ``is_sure`` says that it need not be asked. ``choices`` are what it may be."""

    name: str
    is_sure: bool
    choices: tuple[str, ...] = ()


def _plain(text: str) -> str:
    return re.sub(r"[\s._-]+", "", text).lower()


def named(text: str) -> str:
    """Civitai's name for what somebody calls a base model; empty where that is none or could be several."""
    if text in contract.base_models():
        return text
    plain = _plain(text)
    found = {name for name in contract.base_models() if _plain(name) == plain}
    found |= {name for name, others in _ALSO.items() if plain in map(_plain, others)}
    if plain == _plain(TINY_NAME):
        found.add("Other")
    return found.pop() if len(found) == 1 else ""


def candidates(architecture: str) -> tuple[str, ...]:
    """The names that files of an architecture may have, the usual one first; empty for one that Civitai has not."""
    return _CANDIDATES.get(architecture, ())


def of(told: str, source: str, architecture: str, metadata: Mapping[str, str]) -> Base:
    """The base model of a file that the library calls ``told`` because ``source`` said so.

    What was guessed, a family that a training knows by the base's name only, what is no name of Civitai's, ``Other`` for an
    architecture that has names, and the usual one of several that the header's ``metadata`` doesn't name itself, is to be asked.
    """
    choices = candidates(architecture)
    if told:
        name = named(told)
        is_vague = name == "Other" and architecture not in {"", "tiny"} and bool(choices)
        is_usual = source == "header" and len(choices) > 1 and not is_told(name, architecture, metadata)
        is_called_so = source == "training" and name in _BY_NAME
        sure = (
            bool(name) and source != "guess" and not (is_usual or is_called_so) and not (is_vague and source != "user")
        )
        return Base("" if is_vague and not sure else name, sure, choices)
    return Base(choices[0], True, choices) if len(choices) == 1 else Base("", False, choices)


def contradicts(name: str, architecture: str) -> bool:
    """Whether the tensors are another family's than the base model's."""
    known = candidates(architecture)
    records = contract.base_models()
    if not known or architecture == "tiny" or name in {"", "Other"} or name not in records:
        return False
    roots = {records[one].air_ecosystem for one in known}
    return name not in known and records[name].air_ecosystem not in roots


def near(text: str, offered: tuple[str, ...]) -> list[str]:
    """The names that are spelt most like ``text``."""
    return get_close_matches(text, offered, n=3, cutoff=0.4)
