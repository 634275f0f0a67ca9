"""The text that A1111 keeps in a picture (``parameters``): written, and read back from any tool that imitates it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hubman.generate.prompt import with_tags
from hubman.generate.prompt_tags import format_number, tag_name
from hubman.generate.request import DrawRequest
from hubman.generate.samplers import a1111_name

EMPTY_HASH = "e3b0c44298fc"
"""First of SHA-256 of nothing: a well-known way to credit a stranger's LoRA; never resolved, never written."""

NEGATIVE = "Negative prompt:"
_HEX = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Infotext:
    """Generation data: ``fields`` are unquoted texts in order, ``json_fields`` are ``Hashes`` and the like."""

    prompt: str
    negative: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    json_fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) in pixels."""
        match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", self.fields.get("Size", ""))
        return (int(match[1]), int(match[2])) if match else None

    def whole(self, key: str) -> int | None:
        """The whole number that a field holds (``Steps``, ``Seed``), None if it holds none."""
        value = self.fields.get(key, "")
        return int(value) if re.fullmatch(r"-?[0-9]{1,20}", value) else None

    def number(self, key: str) -> float | None:
        """The number that a field holds (``CFG scale``), None if it holds none."""
        value = self.fields.get(key, "")
        return float(value) if re.fullmatch(r"-?(?:[0-9]{1,12}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})", value) else None

    @property
    def clip_skip(self) -> int:
        """1 where nothing is said."""
        return max(1, self.whole("Clip skip") or 1)

    @property
    def rng(self) -> str:
        """Where the noise was drawn: ``GPU`` where nothing is said."""
        return self.fields.get("RNG") or "GPU"

    @property
    def sampler(self) -> tuple[str, str]:
        """(sampler, schedule type): ``Automatic`` where nothing is said, not even in an old name of the sampler."""
        return a1111_name(self.fields.get("Sampler", ""), self.fields.get("Schedule type") or "Automatic")

    @property
    def lora_hashes(self) -> dict[str, str]:
        """LoRA name to 12 hex of either hash (``Lora hashes``) or 10 hex (``Hashes``); never the empty hash."""
        found: dict[str, str] = {}
        hashes = self.json_fields.get("Hashes")
        for name, value in hashes.items() if isinstance(hashes, dict) else ():
            if name.lower().startswith("lora:") and isinstance(value, str):
                found[name[5:]] = value.lower()
        for item in self.fields.get("Lora hashes", "").split(","):
            name, _, value = item.rpartition(":")
            if name.strip():
                found[name.strip()] = value.strip().lower()
        return {name: value for name, value in found.items() if is_hash(value)}


def is_hash(value: str) -> bool:
    """Whether ``value`` is the beginning of some file's hash: 8 to 64 hex digits that are not of SHA-256 of nothing."""
    return _HEX.fullmatch(value) is not None and not value.startswith(EMPTY_HASH[: len(value)])


def quote(value: str) -> str:
    """A field's value as A1111 writes it: JSON-quoted where a comma, colon, newline or quote would confuse a reader."""
    if value != value.strip() or any(char in value for char in ',:\n\r"') or value.startswith(("{", "[")):
        return json.dumps(value, ensure_ascii=False)
    return value


def write(info: Infotext) -> str:
    """The ``parameters`` text: prompt, negative prompt, one line of fields, raw JSON fields last."""
    lines = [info.prompt]
    if info.negative:
        lines.append(f"{NEGATIVE} {info.negative}")
    parts = [f"{key}: {quote(value)}" for key, value in info.fields.items()]
    parts += [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in info.json_fields.items()]
    return "\n".join([*lines, ", ".join(parts)]) if parts else "\n".join(lines)


def infotext_of(
    request: DrawRequest, *, size: tuple[int, int], model: str, model_hash: str = "", version: str = ""
) -> Infotext:
    """What A1111 would write for ``request``. ``size`` is the picture's; ``model_hash`` a SHA-256 or its start.

    LoRAs are named as their tags name them. Their hashes are always there: by them Civitai links what its reader of
    tags leaves out (names with spaces or brackets, negative weights, arguments).
    """
    sampler, schedule_type = a1111_name(request.sampler, request.schedule)
    named = {tag_name(use.name): use.sha256.lower() for use in request.loras if use.sha256}
    told = {
        "Steps": request.steps,
        "Sampler": sampler,
        "Schedule type": schedule_type,
        "CFG scale": format_number(request.cfg),
        "Seed": request.seed,
        "Size": "x".join(map(str, _first_size(request, size))),
        "Model hash": model_hash[:10],
        "Model": model,
        "Denoising strength": _denoising(request),
        "Clip skip": request.clip_skip if request.clip_skip > 1 else "",
        "RNG": request.rng,
        "Emphasis": request.emphasis if request.emphasis != "Original" else "",
        "VAE hash": request.vae_sha256[:10],
        "VAE": re.split(r"[/\\]", request.vae)[-1],
        **_hires_fields(request),
        "Lora mode": request.mode if request.mode in {"switch", "composite"} else "",
        "Lora hashes": ", ".join(f"{name}: {digest[:12]}" for name, digest in named.items()),
        "Version": f"hubman {version}".strip(),
    }
    hashes = {"model": model_hash[:10]} if model_hash else {}
    hashes |= {f"lora:{name}": digest[:10] for name, digest in named.items()}
    fields = {key: str(value) for key, value in told.items() if value != ""}
    prompt = with_tags(request.prompt, request.loras)
    return Infotext(prompt, request.negative, fields, {"Hashes": hashes} if hashes else {})


def _denoising(request: DrawRequest) -> str:
    if request.hires:
        return format_number(request.hires.denoise)
    return format_number(request.denoise) if request.init else ""


def _first_size(request: DrawRequest, size: tuple[int, int]) -> tuple[int, int]:
    """What A1111 calls the size: that of the first pass."""
    if request.hires and request.width and request.height:
        return request.width, request.height
    if request.hires and request.hires.width is None:
        return round(size[0] / request.hires.scale), round(size[1] / request.hires.scale)
    return size


def _hires_fields(request: DrawRequest) -> dict[str, str]:
    hires = request.hires
    if hires is None:
        return {}
    sized = {"Hires upscale": format_number(hires.scale)}
    if hires.width and hires.height:
        sized = {"Hires resize": f"{hires.width}x{hires.height}"}
    return {**sized, "Hires steps": str(hires.steps or ""), "Hires upscaler": hires.upscaler}
