"""Which base model a file was made for, by Civitai's exact names.

Architecture and size follow from the tensors; Pony, Illustrious and NoobAI are SDXL to the last tensor, so only what the
metadata says of the base lets one guess them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from registry.identify_evidence import Evidence, Family
from registry.identify_stated import Statement, shortened

TINY_BASE_NAME = "hubman-tinybase"
"""``ss_sd_model_name`` of what is trained on the embedded base model."""
TINY_WIDTH = 128

SDXL_FAMILIES = (
    (r"pony", "Pony"), (r"noob", "NoobAI"), (r"illustrious|ilxl|(^|[^a-z])il_?xl|wai.?(nsfw|ani|illu)", "Illustrious"),
)  # fmt: skip
"""(pattern in what a base is called, lower case; Civitai's name): their tensors are SDXL's."""
_NAMED = (
    ("flux", r"schnell", "Flux.1 S"), ("flux", r"kontext", "Flux.1 Kontext"), ("flux", r"krea", "Flux.1 Krea"),
    ("sd2", r"768|v2_v|_v$|v-pred", "SD 2.1 768"),
    ("sd1", r"(^|[^0-9])1[._-]4([^0-9]|$)", "SD 1.4"), ("sdxl", r"0[._]9([^0-9]|$)", "SDXL 0.9"),
    ("sdxl", r"lightning", "SDXL Lightning"), ("sdxl", r"hyper", "SDXL Hyper"), ("sdxl", r"playground", "Playground v2"),
    ("sd3", r"(3[._-]?)?5.?m", "SD 3.5 Medium"), ("sd3", r"(3[._-]?)?5.?l", "SD 3.5 Large"),
    ("z-image", r"z-?_?image.?base", "ZImageBase"), ("auraflow", r"pony", "Pony V7"),
    ("flux2", r"9b.?base", "Flux.2 Klein 9B-base"), ("flux2", r"4b.?base", "Flux.2 Klein 4B-base"),
    ("flux2", r"9b", "Flux.2 Klein 9B"), ("flux2", r"4b", "Flux.2 Klein 4B"), ("flux2", r"dev", "Flux.2 D"),
    ("pixart", r"alpha|pixart.?a", "PixArt a"), ("pixart", r"sigma|pixart.?e", "PixArt E"), ("ltx2", r"2[._-]3", "LTXV 2.3"),
    ("wan", r"2[._-]?2.*i2v|i2v.*2[._-]2|a14b.*i2v|i2v.*a14b", "Wan Video 2.2 I2V-A14B"),
    ("wan", r"2[._-]?2.*(5b|ti2v)", "Wan Video 2.2 TI2V-5B"),
    ("wan", r"2[._-]?2.*t2v|t2v.*2[._-]2|t2v.*a14b", "Wan Video 2.2 T2V-A14B"),
    ("wan", r"i2v.*720|720.*i2v", "Wan Video 14B i2v 720p"), ("wan", r"i2v.*480|480.*i2v", "Wan Video 14B i2v 480p"),
    ("wan", r"t2v.*14b|14b.*t2v", "Wan Video 14B t2v"), ("wan", r"1[._]3b", "Wan Video 1.3B t2v"),
    ("qwen", r"qwen.?image.?2", "Qwen 2"),
)  # fmt: skip
"""(architecture, pattern in what the metadata says of the base, Civitai's name)."""

_USUAL = {
    "sd1": "SD 1.5", "sd2": "SD 2.1", "sdxl": "SDXL 1.0", "flux": "Flux.1 D", "qwen": "Qwen", "hidream": "HiDream",
    "hunyuan-video": "Hunyuan Video", "hunyuan-dit": "Hunyuan 1", "auraflow": "AuraFlow", "tiny": "Other", "sd3": "SD 3",
    "chroma": "Chroma", "kolors": "Kolors", "anima": "Anima", "cascade": "Stable Cascade", "lumina": "Lumina",
    "z-image": "ZImageTurbo", "pixart": "PixArt E", "ltx": "LTXV", "ltx2": "LTXV2", "cogvideo": "CogVideoX", "mochi": "Mochi",
    "svd": "SVD", "krea2": "Krea 2",
}  # fmt: skip
"""What an architecture's files are nearly always made for."""

_USUAL_FILES = {
    "sd1": r"(^|[\\/]|diffusion.|sd.?)v?1[._-]?5(?![0-9])",
    "sd2": r"(^|[\\/]|diffusion.|sd.?)v?2[._-]?1(?![0-9])",
    "sdxl": r"sd_?xl[._-]?base|xl[._-]base[._-]1[._-]0",
    "flux": r"flux[._-]?1?[._-]?dev(?![a-z])", "sd3": r"sd_?3[._-]medium|stable-diffusion-3-medium", "z-image": r"turbo",
    "qwen": r"qwen[._-]image",
}  # fmt: skip
"""How the usual base's own file is called, for architectures that have several."""

_ONLY = frozenset({"chroma", "kolors", "anima", "hidream", "mochi", "cogvideo", "hunyuan-dit", "krea2", "tiny"})
"""Architectures that have one base model, so that it follows from the tensors."""

_BY_VARIANT = {
    ("flux2", "Klein 4B"): "Flux.2 Klein 4B", ("flux2", "Klein 9B"): "Flux.2 Klein 9B", ("flux2", "Dev"): "Flux.2 D",
    ("wan", "1.3B"): "Wan Video 1.3B t2v", ("wan", "5B"): "Wan Video 2.2 TI2V-5B", ("sd3", "large"): "SD 3.5 Large",
    ("sd3", "3.5 medium"): "SD 3.5 Medium", ("flux", "schnell"): "Flux.1 S", ("flux", "dev"): "Flux.1 D",
}  # fmt: skip

_LONGEST = 300
"""Characters of an entry that are searched: a base's name is never longer, and some patterns take the square of it."""

_HASHES = (
    ("sdxl", "67ab2fd8ec", "Pony"), ("sdxl", "31e35c80fc", "SDXL 1.0"), ("sd1", "6ce0161689", "SD 1.5"),
    ("sd1", "cc6cb27103", "SD 1.5"), ("sd1", "1a189f0be6", "SD 1.5"), ("sd1", "e1441589a6", "SD 1.5"),
)  # fmt: skip
"""(architecture, beginning of the SHA-256 of a base's published file, Civitai's name)."""

_SAYING = (
    "ss_sd_model_name", "ss_base_model_version", "modelspec.architecture", "modelspec.implementation", "modelspec.merged_from",
)  # fmt: skip


def base_model(
    family: Family | None, metadata: Mapping[str, str], stated: Sequence[Statement]
) -> tuple[Evidence, bool] | None:
    """(Civitai's exact name with its reason, whether it is a guess); None if nothing lets one say.

    What only suggests itself, from a file's name or from what is usual, is a guess.
    """
    if family is None:
        return None
    architecture = family.architecture
    said = {key: text[:_LONGEST].lower() for key in _SAYING if (text := metadata.get(key))}
    return (
        _by_hash(architecture, metadata)
        or _sdxl_family(architecture, said, metadata)
        or _named(architecture, said)
        or _by_variant(family)
        or _usual(family, stated)
    )


def is_told(name: str, architecture: str, metadata: Mapping[str, str]) -> bool:
    """Whether a header names the base ``name`` itself, by hash, by words or by the file's name.

    Trainers write the architecture's usual base down for whatever base of it they were given, so where an architecture has
    several, ``ss_base_model_version`` and ``modelspec.architecture`` don't tell the usual one.
    """
    if name != _USUAL.get(architecture) or architecture in _ONLY:
        return True
    said = {key: text[:_LONGEST].lower() for key in _SAYING if (text := metadata.get(key))}
    found = _by_hash(architecture, metadata) or _named(architecture, said)
    if found is not None:
        return found[0].value == name
    pattern = _USUAL_FILES.get(architecture)
    return bool(pattern and re.search(pattern, said.get("ss_sd_model_name", "")))


def _by_variant(family: Family) -> tuple[Evidence, bool] | None:
    name = _BY_VARIANT.get((family.architecture, family.variant.value)) if family.variant else None
    return (Evidence(name, family.variant.reason), False) if name and family.variant else None


def _usual(family: Family, stated: Sequence[Statement]) -> tuple[Evidence, bool] | None:
    architecture = family.architecture
    usual = _USUAL.get(architecture)
    if usual is None:
        return None
    if architecture in _ONLY:
        return Evidence(usual, f"the base of {architecture}; {family.reason}"), False
    if agreeing := next((one for one in stated if one.architecture == architecture), None):
        return Evidence(usual, f"{agreeing}, and it is the usual base of {architecture}"), False
    return Evidence(usual, f"the usual base of the architecture {architecture}"), True


def _by_hash(architecture: str, metadata: Mapping[str, str]) -> tuple[Evidence, bool] | None:
    value = metadata.get("ss_new_sd_model_hash", "").lower()
    for family, start, name in _HASHES:
        if family == architecture and value.startswith(start):
            return Evidence(name, f"ss_new_sd_model_hash {start}… is that of its published file"), False
    return None


def _sdxl_family(
    architecture: str, said: Mapping[str, str], metadata: Mapping[str, str]
) -> tuple[Evidence, bool] | None:
    """Always a guess: a base may be named after what it is not, and is often a merge of several."""
    if architecture != "sdxl":
        return None
    for pattern, name in SDXL_FAMILIES:
        for key, text in said.items():
            if re.search(pattern, text):
                return Evidence(name, f"a guess: {key} says {shortened(metadata[key])}; the tensors are SDXL's"), True
    if '"score_9' in metadata.get("ss_tag_frequency", ""):
        return Evidence("Pony", "a guess: its captions have score_9, a tag of Pony; the tensors are SDXL's"), True
    return None


def _named(architecture: str, said: Mapping[str, str]) -> tuple[Evidence, bool] | None:
    for family, pattern, name in _NAMED:
        if family == architecture:
            for key, text in said.items():
                if re.search(pattern, text):
                    return Evidence(name, f"{key} says {shortened(text)}"), False
    return None
