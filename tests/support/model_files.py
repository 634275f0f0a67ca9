"""Model files with the tensor names, shapes and metadata of real ones, their data all zero and sparse on disk."""

from __future__ import annotations

import ast
import gzip
import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

Tensors = Mapping[str, tuple[str, Sequence[int]]]
"""Name to (dtype, shape)."""

_DATA = Path(__file__).parent.parent / "data"
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1}


def real_keys(name: str) -> tuple[dict[str, str], dict[str, tuple[str, list[int]]]]:
    """(metadata, tensors) of a file that a real trainer wrote: ``sds_diffusers``, ``sdxl_kohya_lora_r8``…"""
    metadata: dict[str, str] = {}
    tensors: dict[str, tuple[str, list[int]]] = {}
    for line in gzip.decompress((_DATA / f"{name}.keys.txt.gz").read_bytes()).decode().splitlines():
        fields = line.split("\t")
        if line.startswith("@ "):
            metadata[fields[0][2:]] = ast.literal_eval(fields[1])
        elif not line.startswith("#"):
            tensors[fields[0]] = (fields[1].replace("torch.float32", "F32"), ast.literal_eval(fields[2]))
    return metadata, tensors


def write_model(path: Path, tensors: Tensors, metadata: Mapping[str, str] = {}, *, seed: int = 0) -> Path:
    """Write a safetensors file; ``seed`` makes its content differ from others of the same tensors."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        length = math.prod(shape) * _BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + length]}
        end += length
    raw = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + end)
        file.seek(8 + len(raw))
        file.write(struct.pack("<I", seed)[: min(4, end)])
    return path


def small_lora(*, width: int = 768, rank: int = 4) -> dict[str, tuple[str, list[int]]]:
    """One cross-attention module in kohya's names: enough to tell architecture, type and rank."""
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    return {
        f"{module}.lora_down.weight": ("F16", [rank, width]),
        f"{module}.lora_up.weight": ("F16", [320, rank]),
    }


def tiny_lora(*, rank: int = 4) -> dict[str, tuple[str, list[int]]]:
    """One attention module that the embedded base has, in kohya's names."""
    module = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    return {f"{module}.lora_down.weight": ("F16", [rank, 128]), f"{module}.lora_up.weight": ("F16", [128, rank])}
