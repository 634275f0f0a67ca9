"""The bytes of the catalogue's files: small, valid, and following from their storage key alone.

A key reads ``catalogue/<number>/<form>.<suffix>``. Weights carry kohya's names at the true widths of their
architecture, so that a library identifies them as it would the real ones.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping

from blake3 import blake3

from registry.hashing import FileHashes

PREFIX = "catalogue/"
_KEY = re.compile(r"catalogue/([0-9]{1,12})/([a-z0-9-]+)\.([a-z]+)")
_LORA = "networks.lora"
_DTYPE_BYTES = {"F16": 2, "F32": 4}
# Random bytes would hold NaN: of each only a sign and two bits of the fraction are kept, as halves near 0.01.
_TAME = bytes(byte & 0x83 | 0x20 for byte in range(256))
Shapes = dict[str, list[int]]


def _adapter(prefix: str, modules: Mapping[str, tuple[int, int]]) -> Shapes:
    """The tensors of a LoRA of rank 1 in kohya's names."""
    shapes: Shapes = {}
    for name, (inputs, outputs) in modules.items():
        shapes[f"{prefix}{name}.lora_down.weight"] = [1, inputs]
        shapes[f"{prefix}{name}.lora_up.weight"] = [outputs, 1]
        shapes[f"{prefix}{name}.alpha"] = [1]
    return shapes


def _unet(cross: int) -> Shapes:
    block = "down_blocks_1_attentions_0_transformer_blocks_0"
    modules = {f"{block}_attn1_to_q": (640, 640), f"{block}_attn2_to_k": (cross, 640)}
    return _adapter("lora_unet_", {**modules, "mid_block_attentions_0_proj_in": (1280, 1280)})


_FLUX = _adapter(
    "lora_unet_", {"double_blocks_0_img_attn_proj": (3072, 3072), "single_blocks_0_linear1": (3072, 21504)}
)
_WAN = _adapter("lora_unet_", {"blocks_0_self_attn_q": (5120, 5120), "blocks_0_cross_attn_k": (5120, 5120)})
_DORA = {"lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.dora_scale": [1, 640]}
_FORMS: dict[str, Shapes] = {
    "lora-sd1": _unet(768),
    "lora-sdxl": _unet(2048),
    "lora-flux": _FLUX,
    "lora-wan": _WAN,
    "dora-sd1": {**_unet(768), **_DORA},
    "dora-sdxl": {**_unet(2048), **_DORA},
    "checkpoint-sd1": {
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": [4, 768],
        "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": [4, 768],
        "first_stage_model.decoder.conv_in.bias": [512],
    },
    "checkpoint-sdxl": {
        "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": [2, 2048],
        "conditioner.embedders.1.model.ln_final.bias": [1280],
        "first_stage_model.decoder.conv_in.bias": [512],
    },
    "embedding-sd1": {"emb_params": [2, 768]},
    "embedding-sdxl": {"clip_l": [2, 768], "clip_g": [2, 1280]},
    "vae": {"decoder.conv_in.bias": [512], "encoder.conv_in.bias": [128], "post_quant_conv.bias": [4]},
    "weights": {"body.0.weight": [16, 3, 3, 3], "body.0.bias": [16], "tail.weight": [64, 16]},
}


def forms() -> tuple[str, ...]:
    """Every form of safetensors file."""
    return tuple(_FORMS)


def key(number: int, form: str, suffix: str) -> str:
    """The storage key of a file; ``number`` makes it unlike every other."""
    return f"{PREFIX}{number}/{form}.{suffix}"


def from_key(text: str) -> bytes | None:
    """The bytes under a key of the catalogue; None for any other key."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    number, form, suffix = int(match[1]), match[2], match[3]
    if suffix == "safetensors":
        return _safetensors(number, form) if form in _FORMS else None
    maker = {"zip": _zip, "pt": _pickle, "ckpt": _pickle, "gguf": _gguf, "json": _workflow, "yaml": _config}.get(suffix)
    return maker(number, form) if maker else None


def hashes(body: bytes, suffix: str) -> FileHashes:
    """As :func:`registry.hashing.hash_file` finds them; every content here is too small for AutoV1."""
    sha256 = hashlib.sha256(body).hexdigest()
    start = 8 + int.from_bytes(body[:8], "little")
    return FileHashes(
        size=len(body),
        sha256=sha256,
        autov1=None,
        autov2=sha256[:10],
        autov3=hashlib.sha256(memoryview(body)[start:]).hexdigest() if suffix == "safetensors" else None,
        blake3=blake3(body).hexdigest(),
        crc32=zlib.crc32(body).to_bytes(4, "little").hex().upper(),
    )


def _noise(number: int, form: str, size: int) -> bytes:
    return hashlib.shake_256(f"{form}/{number}".encode()).digest(size).translate(_TAME)


@functools.cache
def _layout(form: str) -> tuple[str, int]:
    """The header's entries as text without their opening brace, and the number of bytes of data."""
    entries, end = {}, 0
    for name, shape in _FORMS[form].items():
        length = 2
        for side in shape:
            length *= side
        entries[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + length]}
        end += length
    return json.dumps(entries, separators=(",", ":"))[1:], end


def _safetensors(number: int, form: str) -> bytes:
    entries, size = _layout(form)
    metadata = {"sandbox_number": str(number)}
    if form.startswith(("lora", "dora")):
        metadata.update(ss_network_module=_LORA, ss_network_dim="1", ss_output_name=f"catalogue_{number}")
    text = f'{{"__metadata__":{json.dumps(metadata)},{entries}'
    header = text.encode().ljust(-(-len(text) // 8) * 8)
    return len(header).to_bytes(8, "little") + header + _noise(number, form, size)


def _archive(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            # A fixed date keeps the bytes the same.
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), body)
    return buffer.getvalue()


def _zip(number: int, form: str) -> bytes:
    if form in _FORMS:
        return _archive({f"catalogue_{number}.safetensors": _safetensors(number, form), "readme.txt": b"Unpack me.\n"})
    return _archive({f"{form}/{number}.txt": f"{form} {number}\n".encode() * 40, "readme.txt": b"Unpack me.\n"})


def _pickle(number: int, form: str) -> bytes:
    body = pickle.dumps({"string_to_param": {}, "name": f"{form} {number}", "step": number})
    return _archive({"archive/data.pkl": body, "archive/version": b"3\n"})


def _gguf(number: int, form: str) -> bytes:
    """Version 3 without tensors: two counts of eight bytes, zero tensors and zero keys, then padding."""
    return b"GGUF" + (3).to_bytes(4, "little") + bytes(16) + _noise(number, form, 2048)


def _workflow(number: int, _form: str) -> bytes:
    nodes = {"3": {"class_type": "KSampler", "inputs": {"seed": number, "steps": 28}}}
    return json.dumps(nodes, indent=1).encode()


def _config(number: int, _form: str) -> bytes:
    return f"model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    seed: {number}\n".encode()
