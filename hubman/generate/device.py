"""Which device draws, with which numbers, and what is not known of it."""

from __future__ import annotations

import torch

from hubman.train.architectures.detect import FLOW, Kind
from hubman.train.capacity.machine import pick_device
from registry.errors import UsageError

UNTESTED = {
    "mps": "drawing on Apple's GPUs (MPS) was not tried by hubman's makers: compare a picture with one of the CPU",
    "rocm": "drawing on AMD's GPUs (ROCm) was not tried by hubman's makers: compare a picture with one of the CPU",
}


def choose(wanted: str = "auto") -> torch.device:
    """The accelerator of this machine, else the CPU; or the ``wanted`` one, ``UsageError`` if that is not there.

    AMD's GPUs are ``cuda`` to torch.
    """
    if wanted == "auto":
        return pick_device()
    there = {"cuda": torch.cuda.is_available(), "mps": bool(torch.backends.mps.is_available())}
    if not there.get(wanted, True):
        raise UsageError(f"torch finds no device {wanted}", "set device to auto, or install the build of torch for it")
    return torch.device(wanted)


def dtype_for(device: str, kind: Kind, *, has_bf16: bool) -> torch.dtype:
    """fp32 on the CPU; on accelerators fp16, in which small steps of strength show, unlike in bf16.

    Flow models overflow in fp16: bf16 for them, fp32 where a device has none.
    """
    if device == "cpu":
        return torch.float32
    if kind in FLOW:
        return torch.bfloat16 if has_bf16 else torch.float32
    return torch.float16


def has_bf16(device: torch.device) -> bool:
    """Whether ``device`` computes in bf16 by itself: NVIDIA's since Ampere, Apple's since macOS 14."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "mps" and bool(torch.backends.mps.is_macos_or_newer(14, 0))


def name_of(device: torch.device) -> str:
    """As its maker calls it; empty for the CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def note_on(device: torch.device) -> str:
    """A line where nobody tried this kind of device; empty otherwise."""
    kind = "rocm" if device.type == "cuda" and torch.version.hip else device.type
    return UNTESTED.get(kind, "")
