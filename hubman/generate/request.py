"""What to draw: plain records that cross process borders as JSON, and the key that a finished picture is kept under."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from registry.errors import UsageError

MAX_SIDE = 4096
MAX_STEPS = 1000


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
    trigger_words: tuple[str, ...] = ()
    slider: bool = False
    """Whether its record calls it a slider, whose strengths run far beyond 0..1."""

    @property
    def text_strength(self) -> float:
        return self.strength if self.te_strength is None else self.te_strength

    def strength_at(self, step: int) -> float:
        """UNet strength at sampling step ``step`` (from 0)."""
        return self.strength if self.start <= step and (self.stop is None or step < self.stop) else 0.0


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
    sampler: str = "Euler a"
    """An A1111 name, see ``samplers.SAMPLERS``."""
    width: int | None = None
    """Pixels, a multiple of the VAE's scale (8); None = what the base was trained on."""
    height: int | None = None
    clip_skip: int = 1
    """1 = the last layer of the text encoder, 2 = the one before, …"""
    emphasis: str = "Original"
    """How ``(word:1.2)`` acts: ``Original`` and ``No norm`` as in A1111, ``Interpolate`` as in ComfyUI."""
    base_sha256: str = ""
    """Of the checkpoint file, if known: then the base may move without its pictures being drawn anew."""

    def key(self) -> str:
        """SHA-256 (hex) of all that decides the pixels, so without LoRA places, names, trigger words and order."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        fields["loras"] = sorted(_pixels_of(use) for use in self.loras)
        if self.base_sha256:
            del fields["base"]
        return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()


def _pixels_of(use: LoraUse) -> list[Any]:
    stop = -1 if use.stop is None else use.stop
    return [use.sha256.lower(), float(use.strength), float(use.text_strength), use.start, stop]


def check(request: DrawRequest) -> None:
    """Raise ``UsageError`` naming the field that no engine could draw."""
    from hubman.generate.samplers import SAMPLERS

    if request.sampler not in SAMPLERS:
        raise UsageError(f"sampler {request.sampler!r} is unknown", f"choose one of {', '.join(SAMPLERS)}")
    if not 1 <= request.steps <= MAX_STEPS:
        raise UsageError(f"steps is {request.steps}", f"choose 1 to {MAX_STEPS}")
    if not 0 <= request.seed < 2**63:
        raise UsageError(f"seed is {request.seed}", "choose 0 to 2**63 - 1")
    if request.clip_skip < 1:
        raise UsageError(f"clip_skip is {request.clip_skip}", "choose 1 or more")
    if request.emphasis not in {"Original", "No norm", "Interpolate"}:
        raise UsageError(f"emphasis {request.emphasis!r} is unknown", "choose Original, No norm or Interpolate")
    for name, side in (("width", request.width), ("height", request.height)):
        if side is not None and (not 8 <= side <= MAX_SIDE or side % 8):
            raise UsageError(f"{name} is {side}", f"choose a multiple of 8 up to {MAX_SIDE}")
    hashes = [use.sha256.lower() for use in request.loras]
    for use in request.loras:
        if hashes.count(use.sha256.lower()) > 1:
            total = sum(other.strength for other in request.loras if other.sha256.lower() == use.sha256.lower())
            raise UsageError(f"LoRA {use.name} is used twice", f"use it once, for instance at {total:g}")
