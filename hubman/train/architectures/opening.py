"""Open a base model from this machine: a diffusers folder, or a single file in a layout that is known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hubman.train.architectures.clip import clip_tokenizer
from hubman.train.architectures.detect import Detected, Kind, detect, marked
from hubman.train.architectures.layouts import LAYOUTS
from registry.errors import DamagedFileError, HubError
from registry.headers import read_header

_CLASSES: Mapping[Kind, str] = {
    "sd": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "flux": "FluxPipeline",
    "sd3": "StableDiffusion3Pipeline",
    "zimage": "ZImagePipeline",
}
_UNUSED: Mapping[Kind, Mapping[str, Any]] = {
    "sd": {"safety_checker": None, "feature_extractor": None, "image_encoder": None, "requires_safety_checker": False},
    "sdxl": {"feature_extractor": None, "image_encoder": None, "add_watermarker": False},
    "flux": {"feature_extractor": None, "image_encoder": None},
    "sd3": {"feature_extractor": None, "image_encoder": None},
    "zimage": {},
}
_STORED = {"F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class Parts:
    """An opened pipeline: its components by their names in diffusers (``unet``, ``vae``, ``tokenizer_2``, ...)."""

    path: Path
    detected: Detected
    components: Mapping[str, Any]

    @property
    def name(self) -> str:
        if self.detected.family == "tiny":
            return "hubman-tinybase"
        return self.path.name if self.path.is_dir() else self.path.stem

    def __getitem__(self, component: str) -> Any:
        return self.components[component]


def open_base(path: Path, dtype: torch.dtype, layout: Path | None = None) -> Parts:
    """Load every component of the base at ``path``, weights in about ``dtype``, the VAE in fp32; nothing is downloaded.

    ``layout`` is a diffusers folder that says what a single file holds, where its size is not the family's usual one.
    Raises what :func:`~hubman.train.architectures.detect.detect` raises, DamagedFileError for what does not load, and
    HubError for a single file of a family whose tokenizer only a folder has.
    """
    detected = detect(path) if layout is None or path.is_dir() else marked(detect(layout), path)
    _be_quiet()
    try:
        pipeline = _folder(path, detected, dtype) if path.is_dir() else _file(path, detected, dtype, layout)
    except HubError:
        raise
    except Exception as error:  # the loaders raise everything from KeyError to their own
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        hint = f"check that it is a complete {_CLASSES[detected.kind].removesuffix('Pipeline')} model with safetensors"
        raise DamagedFileError(f"base model {path.name} cannot be loaded ({reason})", hint) from error
    return Parts(path, detected, pipeline.components)


def _be_quiet() -> None:
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def _class(kind: Kind) -> Any:
    import diffusers

    return getattr(diffusers, _CLASSES[kind])


def _folder(path: Path, detected: Detected, dtype: torch.dtype) -> Any:
    stem = path / ("unet" if detected.kind in ("sd", "sdxl") else "transformer") / "diffusion_pytorch_model"
    halves = stem.with_suffix(".fp16.safetensors").is_file() and not stem.with_suffix(".safetensors").is_file()
    return _class(detected.kind).from_pretrained(
        str(path),
        dtype={"default": dtype, "vae": torch.float32},
        variant="fp16" if halves else None,
        local_files_only=True,
        use_safetensors=True,
        **_UNUSED[detected.kind],
    )


def _file(path: Path, detected: Detected, dtype: torch.dtype, layout: Path | None) -> Any:
    if layout is None and not detected.layout:
        raise HubError(
            f"{path.name} lacks the tokenizer of its long texts, whose licence lets nobody ship it with hubman",
            "give the folder of the whole model in diffusers' format instead",
        )
    # The VAE would lose precision in another dtype than the file's.
    stored = {info.dtype for name, info in read_header(path).tensors.items() if "first_stage_model" in name}
    kept = _STORED[stored.pop()] if len(stored) == 1 and stored <= _STORED.keys() else torch.float32
    pipeline = _class(detected.kind).from_single_file(
        str(path),
        config=str(layout or LAYOUTS / detected.layout),
        dtype=torch.float32 if dtype == torch.float32 else kept,
        local_files_only=True,
        **_tokenizers(detected, layout),
        **{name: value for name, value in _UNUSED[detected.kind].items() if name != "add_watermarker"},
    )
    _mark(pipeline, detected)
    return pipeline


def _tokenizers(detected: Detected, layout: Path | None) -> dict[str, Any]:
    from transformers import CLIPTokenizer

    names = ("tokenizer",) if detected.kind == "sd" else ("tokenizer", "tokenizer_2")
    if layout is not None and (layout / "tokenizer").is_dir():
        return {name: CLIPTokenizer.from_pretrained(str(layout / name), local_files_only=True) for name in names}
    pads = {"tokenizer": "!" if detected.family == "sd2" else "<|endoftext|>", "tokenizer_2": "!"}
    return {name: clip_tokenizer(pads[name]) for name in names}


def _mark(pipeline: Any, detected: Detected) -> None:
    """Tell the scheduler what the file's markers say; the layout only knows the family's usual prediction."""
    told: dict[str, Any] = {}
    if detected.v_prediction:
        told["prediction_type"] = "v_prediction"
    if detected.zero_terminal_snr:
        told |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if told:
        pipeline.scheduler = type(pipeline.scheduler).from_config({**pipeline.scheduler.config, **told})
