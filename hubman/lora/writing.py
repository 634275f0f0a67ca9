"""A LoRA's bytes: safetensors with the hashes that kohya's scripts, A1111 and Civitai know a file by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

import torch
from safetensors.torch import save
from torch import Tensor

from registry.errors import HubError

FileDtype = Literal["fp16", "bf16", "fp32"]
DTYPES: dict[FileDtype, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
LEGACY_WINDOW = slice(0x100000, 0x110000)
"""The bytes that the legacy hash (AutoV1's) is taken of."""


def cast(tensors: Mapping[str, Tensor], dtype: FileDtype) -> dict[str, Tensor]:
    """``tensors`` as they are stored. Raises HubError for values that are not finite in ``dtype``."""
    stored = {}
    for name, tensor in tensors.items():
        stored[name] = tensor.detach().to("cpu", DTYPES[dtype]).contiguous()
        if not bool(torch.isfinite(stored[name]).all()):
            raise HubError(f"{name} is not finite", "train anew at a lower rate, or write the file in fp32")
    return stored


def serialise(tensors: Mapping[str, Tensor], entries: Mapping[str, str]) -> bytes:
    """A safetensors file with its hashes added to the metadata, in place of any that ``entries`` has.

    ``sshs_model_hash`` and ``modelspec.hash_sha256`` are of the tensors' bytes, ``sshs_legacy_hash`` of a window of the
    file with nothing but the ``ss_`` entries, as sd-scripts computes it.
    """
    plain = save(dict(tensors), {name: value for name, value in entries.items() if name.startswith("ss_")})
    start = 8 + int.from_bytes(plain[:8], "little")
    data = memoryview(plain)[start:]
    digest = hashlib.sha256(data).hexdigest()
    header = json.loads(plain[8:start])
    header["__metadata__"] = {**entries, **hashes(digest, plain[LEGACY_WINDOW])}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    # The data starts at a multiple of 8, as safetensors itself writes it.
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, data))


def hashes(digest: str, window: bytes) -> dict[str, str]:
    """The header's entries by the SHA-256 of the tensors' bytes and the bytes of :data:`LEGACY_WINDOW`."""
    return {
        "sshs_model_hash": digest,
        "sshs_legacy_hash": hashlib.sha256(window).hexdigest()[:8],
        "modelspec.hash_sha256": f"0x{digest}",
    }
