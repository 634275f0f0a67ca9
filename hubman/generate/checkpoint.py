"""Single-file checkpoints: which family one belongs to, and its tokenizer, both known here so that nothing is downloaded."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from registry.errors import DamagedFileError, HubError

FAMILIES = Path(__file__).with_name("families")

_UNET = "model.diffusion_model."
_CROSS_ATTENTION = f"{_UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_IN = f"{_UNET}input_blocks.0.0.weight"
_HINT = "choose a Stable Diffusion 1.x or 2.x checkpoint"


def family_of(path: Path) -> Path:
    """The layout folder of a checkpoint, read off its header.

    Raises ``DamagedFileError`` if that cannot be read, and ``HubError`` if it is of a family that cannot be drawn.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            names = set(file.keys())
            metadata = file.metadata() or {}
            width = file.get_slice(_CROSS_ATTENTION).get_shape()[1] if _CROSS_ATTENTION in names else 0
            channels = file.get_slice(_IN).get_shape()[1] if _IN in names else 4
    except (SafetensorError, OSError, IndexError) as error:
        raise DamagedFileError(f"{path.name} cannot be loaded ({error})", "download it again") from error
    if any(name.startswith("conditioner.embedders.") for name in names):
        raise HubError(f"{path.name} is an SDXL checkpoint, which cannot be drawn yet", _HINT)
    if channels != 4:
        raise HubError(f"{path.name} is an inpainting checkpoint, which cannot be drawn", _HINT)
    if width == 768:
        return FAMILIES / "sd15"
    if width == 1024:
        return FAMILIES / ("sd2" if _predicts_epsilon(metadata, names) else "sd2_v")
    raise HubError(f"{path.name} is not a checkpoint of a known family", _HINT)


def _predicts_epsilon(metadata: dict[str, str], names: set[str]) -> bool:
    """SD 2.x comes in both kinds with the same tensors: the metadata decides, and most files are v-prediction."""
    if "v_pred" in names:
        return False
    stated = metadata.get("modelspec.prediction_type", "") + metadata.get("modelspec.architecture", "")
    return "epsilon" in stated or "v2-512" in stated


def clip_tokenizer(pad_token: str = "<|endoftext|>") -> Any:  # noqa: S107 - a word of CLIP's vocabulary
    """CLIP's tokenizer, as a transformers ``CLIPTokenizer``. SD 2.x pads with ``!``."""
    from transformers import CLIPTokenizer

    merges = [tuple(line.split()) for line in _merges()]
    letters = _byte_letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=pad_token, model_max_length=77)


def _merges() -> list[str]:
    return gzip.decompress((FAMILIES / "clip_merges.txt.gz").read_bytes()).decode().splitlines()


def _byte_letters() -> list[str]:
    """GPT-2's printable stand-in for each byte, in the order of CLIP's vocabulary."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + number) for number in range(len(others))]


def open_checkpoint(path: Path, dtype: torch.dtype, layout: Path | None) -> Any:
    """A ``StableDiffusionPipeline`` from one file. ``layout`` is a diffusers folder of the same topology, whose
    configuration (and tokenizer) are used; without it the file's family decides.
    """
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTokenizer

    folder = layout or family_of(path)
    if (folder / "tokenizer").is_dir():
        tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
    else:
        tokenizer = clip_tokenizer("<|endoftext|>" if folder.name == "sd15" else "!")
    return StableDiffusionPipeline.from_single_file(
        str(path),
        config=str(folder),
        dtype=dtype,
        local_files_only=True,
        tokenizer=tokenizer,
        safety_checker=None,
        requires_safety_checker=False,
    )
