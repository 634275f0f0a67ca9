"""What to draw: plain records that cross process borders as JSON, and the key that a finished picture is kept under."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from hubman.generate.samplers import key_name, split_name
from hubman.generate.upscaling import upscaler
from hubman.lora.blocks import read_blocks
from registry.errors import UsageError

MAX_SIDE = 4096
MAX_STEPS = 1000
MAX_RANK = 4096
_DEFAULT_SAMPLER = "Euler a"
_DEFAULT_EMPHASIS = "Original"
EMPHASES = (_DEFAULT_EMPHASIS, "No norm", "Interpolate")
_DEFAULT_DENOISE = 0.75

Mode = Literal["bank", "fused", "switch", "composite"]
"""How several LoRAs act: all at once (``bank``), all at once in a copy of the base (``fused``, "turbo"), one at a time in turn
(``switch``) or each in a prediction of its own, averaged (``composite``). The last two: Zhong et al. 2024, "Multi-LoRA
Composition for Image Generation"."""

_DEFAULT_MODE: Mode = "bank"


class LoraUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A LoRA in a picture. ``path`` says where the file lies now, ``sha256`` (64 hex) which file it is."""

    path: str
    name: str
    """Its name in ``<lora:name:…>``."""
    sha256: str
    strength: float = 1.0
    """UNet strength; any sign, 0 = off."""
    te_strength: float | None = None
    """Text-encoder strength; None = the same as ``strength``."""
    start: int = 0
    """Active from this sampling step on (0 = the first)."""
    stop: int | None = None
    """Active until this sampling step, which no longer has it; None = to the end."""
    blocks: str = ""
    """Block weights: a preset's name or a list of numbers; see ``hubman.lora.blocks``; empty = 1 everywhere."""
    rank: int | None = None
    """Cut down to this rank, the largest singular values first; None = as it is."""
    trigger_words: tuple[str, ...] = ()
    slider: bool = False
    """Whether its record calls it a slider, whose strengths run far beyond 0..1."""

    @property
    def text_strength(self) -> float:
        return self.strength if self.te_strength is None else self.te_strength

    def strength_at(self, step: int) -> float:
        """UNet strength at sampling step ``step`` (from 0)."""
        return self.strength if self.start <= step and (self.stop is None or step < self.stop) else 0.0


class Hires(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A second pass at a higher resolution over the first one's picture."""

    scale: float = 2.0
    """Of both sides, above 1 to 8; rounded to what the base can draw. Without effect where a size is given."""
    width: int | None = None
    """Pixels; both sides or none."""
    height: int | None = None
    steps: int = 0
    """Of the second pass before ``denoise`` cuts them down; 0 = as many as the first pass has."""
    denoise: float = 0.7
    """0 … 1: how far back towards noise the second pass starts."""
    upscaler: str = "Latent"
    """A name of ``upscaling.UPSCALERS``."""


class DrawRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One picture. ``prompt`` and ``negative`` hold no ``<lora:…>`` tags (see ``prompt.parse``): ``loras`` does."""

    base: str
    """Path of the base model: a diffusers folder or a .safetensors checkpoint."""
    prompt: str
    negative: str = ""
    loras: tuple[LoraUse, ...] = ()
    seed: int = 0
    """0 … 2**63 - 1."""
    steps: int = 16
    cfg: float = 7.0
    """Classifier-free guidance scale; at 1 the negative prompt is not used."""
    sampler: str = _DEFAULT_SAMPLER
    """An A1111 name, see ``samplers.SAMPLERS``; an old one may end in its schedule type ("DPM++ 2M Karras")."""
    schedule: str = "Automatic"
    """What A1111 calls the schedule type, see ``schedules.SCHEDULES``."""
    width: int | None = None
    """Pixels, a multiple of the VAE's scale (8); None = what the base was trained on."""
    height: int | None = None
    clip_skip: int = 1
    """1 = the last layer of the text encoder, 2 = the one before, …"""
    emphasis: str = _DEFAULT_EMPHASIS
    """How ``(word:1.2)`` acts: ``Original`` and ``No norm`` as in A1111, ``Interpolate`` as in ComfyUI."""
    base_sha256: str = ""
    """Of the checkpoint file, if known: then the base may move without its pictures being drawn anew."""
    init: str = ""
    """Path of a picture to start from (img2img), scaled to the size; empty = from noise alone."""
    init_sha256: str = ""
    """Of that file, if known: then it decides the key and not the path."""
    denoise: float = _DEFAULT_DENOISE
    """0 … 1: how far back towards noise img2img goes; 0 leaves the picture, 1 all but forgets it."""
    hires: Hires | None = None
    vae: str = ""
    """Path of another VAE, a diffusers folder or a file; empty = the base's own."""
    vae_sha256: str = ""
    """Of that file, if known."""
    mode: Mode = _DEFAULT_MODE
    switch_every: int = 1
    """Sampling steps that each LoRA has before the next one's turn, in mode ``switch``."""
    rng: Literal["CPU"] = "CPU"
    """Where noise is drawn; the CPU's is the same on every machine."""

    def key(self) -> str:
        """SHA-256 (hex) of all that decides the pixels, so without LoRA places, names, trigger words and order."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        fields["loras"] = sorted(_pixels_of(use) for use in self.loras)
        for path, sha256 in (("base", self.base_sha256), ("init", self.init_sha256), ("vae", self.vae_sha256)):
            if sha256:
                fields.pop(path, None)
        for name in ("sampler", "schedule"):
            fields.pop(name, None)
        if (sampler := key_name(self.sampler, self.schedule)) != _DEFAULT_SAMPLER:
            fields["sampler"] = sampler
        if self.mode == "switch":
            fields["loras"] = [_pixels_of(use) for use in self.loras]  # in the order of their turns
        acts = {
            "denoise": self.init and self.denoise != _DEFAULT_DENOISE,
            "emphasis": self.emphasis != _DEFAULT_EMPHASIS,
            "mode": self.mode != _DEFAULT_MODE,
            "switch_every": self.mode == "switch",
        }
        for name in (name for name, does in acts.items() if not does):
            fields.pop(name, None)
        # What was typed as a whole number comes out of JSON as a float: to both ends it is one request.
        fields |= {name: float(fields[name]) for name in ("cfg", "denoise") if name in fields}
        if self.hires is not None:
            fields["hires"] = _pixels_of_hires(self.hires)
        return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()


def _pixels_of(use: LoraUse) -> list[Any]:
    stop = -1 if use.stop is None else use.stop
    cut = [use.blocks, use.rank or 0] if use.blocks or use.rank else []
    return [use.sha256.lower(), float(use.strength), float(use.text_strength), use.start, stop, *cut]


def _pixels_of_hires(hires: Hires) -> dict[str, Any]:
    """What differs from a second pass without settings; a size makes the scale be nothing."""
    told = {
        name: getattr(hires, name) for name in hires.__struct_fields__ if getattr(hires, name) != getattr(Hires(), name)
    }
    if hires.width is not None:
        told.pop("scale", None)
    return {name: float(value) if name in {"scale", "denoise"} else value for name, value in told.items()}


def check(request: DrawRequest) -> None:
    """Raise ``UsageError`` naming the field that no engine could draw."""
    split_name(request.sampler, request.schedule)
    if request.emphasis not in EMPHASES:
        raise UsageError(f"emphasis {request.emphasis!r} is unknown", f"choose one of {', '.join(EMPHASES)}")
    for field, value, low, high in _ranges(request):
        if not low <= value <= high:  # not a number is in no range
            raise UsageError(f"{field} is {value:g}", f"choose {low:g} to {high:g}")
    if not 0 <= request.seed < 2**63:
        raise UsageError(f"seed is {request.seed}", "choose 0 to 2**63 - 1")
    sizes = [("width", request.width), ("height", request.height)]
    if request.hires:
        sizes += [("hires.width", request.hires.width), ("hires.height", request.hires.height)]
    for field, side in sizes:
        if side is not None and (not 8 <= side <= MAX_SIDE or side % 8):
            raise UsageError(f"{field} is {side}", f"choose a multiple of 8 up to {MAX_SIDE}")
    if request.hires:
        _check_hires(request.hires)
        if request.init:
            raise UsageError("init and hires are both set", "upscale the picture first, or leave one of them out")
    _check_loras(request)


def _ranges(request: DrawRequest) -> Iterator[tuple[str, float, float, float]]:
    """(field, value, least, most)"""
    yield "steps", request.steps, 1, MAX_STEPS
    yield "clip_skip", request.clip_skip, 1, 100
    yield "cfg", request.cfg, -100, 100
    yield "denoise", request.denoise, 0, 1
    yield "switch_every", request.switch_every, 1, MAX_STEPS
    if request.hires:
        yield "hires.steps", request.hires.steps, 0, MAX_STEPS
        yield "hires.denoise", request.hires.denoise, 0, 1
        yield "hires.scale", request.hires.scale, 1, 8


def _check_hires(hires: Hires) -> None:
    upscaler(hires.upscaler)
    if (hires.width is None) != (hires.height is None):
        raise UsageError("hires has one side only", "give width and height, or scale")
    if hires.width is None and hires.scale <= 1:
        raise UsageError(f"hires.scale is {hires.scale:g}", "choose more than 1, up to 8")


def _check_loras(request: DrawRequest) -> None:
    hashes = [use.sha256.lower() for use in request.loras]
    for use in request.loras:
        if hashes.count(use.sha256.lower()) > 1:
            total = sum(other.strength for other in request.loras if other.sha256.lower() == use.sha256.lower())
            raise UsageError(f"LoRA {use.name} is used twice", f"use it once, for instance at {total:g}")
        if not all(math.isfinite(strength) for strength in (use.strength, use.text_strength)):
            raise UsageError(f"the strength of LoRA {use.name} is not a number", "choose a finite one")
        read_blocks(use.blocks)
        if request.mode == "fused" and (use.start or use.stop is not None):
            raise UsageError(f"LoRA {use.name} starts or stops within the run", "draw it with mode bank, not fused")
        if use.rank is not None and not 1 <= use.rank <= MAX_RANK:
            raise UsageError(f"the rank of LoRA {use.name} is {use.rank}", f"choose 1 to {MAX_RANK}")
