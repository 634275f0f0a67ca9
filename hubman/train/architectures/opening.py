"""Open a base model from this machine: a diffusers folder, or a single file in a layout that is known here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hubman.train.architectures.clip import clip_tokenizer
from hubman.train.architectures.detect import Detected, Kind, companion, detect, marked
from hubman.train.architectures.layouts import LAYOUTS
from hubman.train.encoding.weights_digest import Source
from registry.errors import DamagedFileError, HubError

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
_LARGE: Mapping[Kind, tuple[str, ...]] = {
    "sd": ("unet", "vae", "text_encoder"),
    "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2"),
    "flux": ("transformer", "vae", "text_encoder", "text_encoder_2"),
    "sd3": ("transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"),
    "zimage": ("transformer", "vae", "text_encoder"),
}
"""The components that are models, the denoiser first."""
_PREFIXES = {
    "vae": ("first_stage_model.",),
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0."),
    "text_encoder_2": ("conditioner.embedders.1.",),
}
_TRANSFORMERS: Mapping[Kind, str] = {
    "flux": "FluxTransformer2DModel",
    "sd3": "SD3Transformer2DModel",
    "zimage": "ZImageTransformer2DModel",
}


class Parts:
    """An opened pipeline: its components by their names in diffusers. What is large is loaded when it is asked for."""

    def __init__(self, path: Path, dtype: torch.dtype, layout: Path | None = None) -> None:
        """See :func:`open_base`."""
        self.path = path
        self.detected = detect(path) if layout is None or path.is_dir() else marked(detect(layout), path)
        self.denoiser_name = _LARGE[self.detected.kind][0]
        self._dtype, self._layout = dtype, layout
        alone = self.detected.layout or layout
        self._folder = path if path.is_dir() else None if alone else companion(path, self.detected)
        """Where all but the denoiser comes from, unless it is all in one file."""
        self._small: dict[str, Any] = {}
        opened = self._open(self.denoiser_name)
        self.denoiser = opened.pop(self.denoiser_name)
        self._small = {name: part for name, part in opened.items() if name not in _LARGE[self.detected.kind]}

    @property
    def name(self) -> str:
        if self.detected.family == "tiny":
            return "hubman-tinybase"
        return self.path.name if self.path.is_dir() else self.path.stem

    def __getitem__(self, component: str) -> Any:
        """A tokenizer or the scheduler."""
        return self._small[component]

    def load(self, component: str) -> Any:
        """The VAE or a text encoder, anew at each call; None if the base has no such."""
        return self._open(component)[component]

    def sources(self, component: str, tokenizer: str = "") -> list[Source]:
        """Where the weights of a component stand, and its tokenizer."""
        if self._folder is not None:
            return [Source(self._folder / name) for name in (component, tokenizer) if name]
        return [Source(self.path, _PREFIXES[component])]

    def _open(self, component: str) -> dict[str, Any]:
        """Every small component, and this one of the large ones."""
        given = {name: None for name in _LARGE[self.detected.kind] if name != component} | self._small
        _be_quiet()
        try:
            if self._folder is None:
                dtype = torch.float32 if component == "vae" else self._dtype
                pipeline = _file(self.path, self.detected, dtype, given=given, layout=self._layout)
            elif component == self.denoiser_name and self.path.is_file():
                transformer = _transformer(self.path, self._folder, self.detected.kind, self._dtype)
                pipeline = _folder(self._folder, self.detected, self._dtype, given={**given, component: transformer})
            else:
                pipeline = _folder(self._folder, self.detected, self._dtype, given=given)
        except (HubError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # the loaders raise everything from KeyError to their own
            reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
            kind = _CLASSES[self.detected.kind].removesuffix("Pipeline")
            hint = f"check that it is a complete {kind} model with safetensors"
            raise DamagedFileError(f"base model {self.path.name} cannot be loaded ({reason})", hint) from error
        return dict(pipeline.components)


def open_base(path: Path, dtype: torch.dtype, layout: Path | None = None) -> Parts:
    """Open the base at ``path``, weights in about ``dtype``, the VAE in fp32; nothing is downloaded.

    ``layout`` is a diffusers folder that says what a single file holds, where its size is not the family's usual one.
    Raises what :func:`~hubman.train.architectures.detect.detect` raises, DamagedFileError for what does not load, and
    HubError for a single file of a family whose tokenizer only a folder has.
    """
    return Parts(path, dtype, layout)


def _be_quiet() -> None:
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def _class(kind: Kind) -> Any:
    import diffusers

    return getattr(diffusers, _CLASSES[kind])


def _folder(path: Path, detected: Detected, dtype: torch.dtype, *, given: Mapping[str, Any]) -> Any:
    stem = path / _LARGE[detected.kind][0] / "diffusion_pytorch_model"
    halves = stem.with_suffix(".fp16.safetensors").is_file() and not stem.with_suffix(".safetensors").is_file()
    return _class(detected.kind).from_pretrained(
        str(path),
        dtype={"default": dtype, "vae": torch.float32},
        variant="fp16" if halves else None,
        local_files_only=True,
        use_safetensors=True,
        **{**_UNUSED[detected.kind], **given},
    )


def _transformer(path: Path, folder: Path, kind: Kind, dtype: torch.dtype) -> Any:
    import diffusers

    made = getattr(diffusers, _TRANSFORMERS[kind])
    return made.from_single_file(
        str(path), config=str(folder), subfolder="transformer", dtype=dtype, local_files_only=True
    )


def _file(path: Path, detected: Detected, dtype: torch.dtype, *, given: Mapping[str, Any], layout: Path | None) -> Any:
    if layout is None and not detected.layout:
        raise HubError(
            f"{path.name} lacks the tokenizer of its long texts, whose licence lets nobody ship it with hubman",
            "put the folder of the whole model in diffusers' format beside it, or give that folder",
        )
    pipeline = _class(detected.kind).from_single_file(
        str(path),
        config=str(layout or LAYOUTS / detected.layout),
        dtype=dtype,
        local_files_only=True,
        **{
            **{name: value for name, value in _UNUSED[detected.kind].items() if name != "add_watermarker"},
            **({} if "tokenizer" in given else _tokenizers(detected, layout)),
            **given,
        },
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
