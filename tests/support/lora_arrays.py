"""LoRA files made of NumPy arrays, and what they add to the weights in float64, from the definition alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Array = np.ndarray
Factors = tuple[Array, Array]
"""(up [out, rank], down [rank, columns])."""
Lora = dict[str, Factors]
"""Factors by kohya's name of the module, in float64."""

_TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "uint16": "BF16", "uint8": "F8_E4M3", "int64": "I64"}


def save(path: Path, tensors: Mapping[str, Array], **metadata: str) -> Path:
    """Write a safetensors file; arrays of uint16 are bfloat16's bits, of uint8 those of float8 (e4m3)."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": _TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [end, end + array.nbytes],
        }
        end += array.nbytes
    raw = json.dumps(header).encode()
    content = b"".join(np.ascontiguousarray(array).tobytes() for array in tensors.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + content)
    return path


def bfloat16(array: Array) -> Array:
    return ((array.astype(np.float32).view(np.uint32) + 0x8000) >> 16).astype(np.uint16)


def random_lora(
    seed: int, *, rank: int = 4, modules: int = 60, out: int = 48, columns: int = 40, size: float = 1.0
) -> Lora:
    """In the middle layers of SDXL's UNet, in the names that kohya's files have."""
    rng = np.random.default_rng(seed)
    names = [
        f"lora_unet_{block}_transformer_blocks_{layer}_attn1_to_{part}"
        for layer in range(10)
        for block in ("input_blocks_7_1", "middle_block_1", "output_blocks_1_1")
        for part in ("q", "k", "v", "out_0")
    ]
    return {
        name: (rng.standard_normal((out, rank)) * size * 0.05, rng.standard_normal((rank, columns)) * 0.2)
        for name in names[:modules]
    }


def kohya(lora: Lora, *, kind: type = np.float32) -> dict[str, Array]:
    tensors: dict[str, Array] = {}
    for name, (up, down) in lora.items():
        tensors[f"{name}.lora_down.weight"] = down.astype(kind)
        tensors[f"{name}.lora_up.weight"] = up.astype(kind)
        tensors[f"{name}.alpha"] = np.array(len(down), kind)
    return tensors


def dense(lora: Lora) -> dict[str, Array]:
    return {name: up @ down for name, (up, down) in lora.items()}


def flat(lora: Lora) -> Array:
    """All of the change in one vector."""
    return np.concatenate([delta.reshape(-1) for delta in dense(lora).values()])


def scaled(lora: Lora, strength: float) -> Lora:
    return {name: (up * strength, down) for name, (up, down) in lora.items()}


def turned(lora: Lora, seed: int = 9) -> Lora:
    """The same change in another basis of the factors."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, (up, down) in lora.items():
        q, _ = np.linalg.qr(rng.standard_normal((up.shape[1], up.shape[1])))
        stretch: Array = 0.5 + 1.5 * rng.random((up.shape[1],))
        made[name] = ((up @ q) * stretch, (q.T @ down) / stretch[:, None])
    return made


def merged(*parts: tuple[float, Lora]) -> Lora:
    """The weighted sum, exact, of the rank of all together."""
    names = dict.fromkeys(name for _, lora in parts for name in lora)
    made: Lora = {}
    for name in names:
        pairs = [(lora[name][0] * weight, lora[name][1]) for weight, lora in parts if name in lora]
        made[name] = (np.concatenate([up for up, _ in pairs], 1), np.concatenate([down for _, down in pairs]))
    return made


def reduced(lora: Lora, rank: int) -> Lora:
    """The nearest change of each module of that rank."""
    made = {}
    for name, delta in dense(lora).items():
        left, values, right = np.linalg.svd(delta, full_matrices=False)
        made[name] = (left[:, :rank] * values[:rank], right[:rank])
    return made
