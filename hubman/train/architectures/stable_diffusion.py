"""Stable Diffusion 1.x and 2.x, and hubman's embedded base, which is one of them in small."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image
from torch import Tensor, nn

from hubman.generate.request import DrawRequest
from hubman.train.architectures.base import Conditioning, Encoder, Framing, Identity, Latent
from hubman.train.architectures.parts import Part
from hubman.train.network import Target
from hubman.train.noise import NoiseSchedule
from hubman.train.process import Process
from hubman.train.settings.run import Dtype
from hubman.train.weights_digest import Source
from registry.errors import DamagedFileError, HubError, NotFoundError

_ATTENTION = re.compile(r"(^|\.)attentions\.\d+\.")
_CONV = re.compile(r"(^|\.)(resnets|downsamplers|upsamplers)\.\d+\.")
_ENCODER = re.compile(r"(^|\.)encoder\.layers\.\d+\.")
_LEVEL = "text_model."
CHUNK = 75
"""Tokens that CLIP reads at once, without the marks at both ends."""
_DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


class StableDiffusion:
    """The parts of a pipeline, frozen, in evaluation mode."""

    def __init__(self, path: Path, name: str, family: str, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self._dtype = dtype
        pipeline = _open_pipeline(path, "unet")
        self.denoiser = _freeze(pipeline.unet, device, dtype)
        self._text_encoder = Part(
            lambda: _freeze(_open_pipeline(path, "text_encoder").text_encoder, device, dtype), _text_sources(path)
        )
        self._vae = Part(lambda: _freeze(_open_pipeline(path, "vae").vae, device, torch.float32), _image_sources(path))
        self._tokenizer = pipeline.tokenizer
        self._scheduler = pipeline.scheduler
        prediction = self._scheduler.config.prediction_type
        if prediction not in ("epsilon", "v_prediction"):
            raise HubError(f"{name} predicts {prediction!r}", "only epsilon and v-prediction bases can be trained")
        v_prediction = prediction == "v_prediction"
        self.process: Process = NoiseSchedule.of(
            self._scheduler.alphas_cumprod, v_prediction=v_prediction, device=device
        )
        self.identity = _identity(name, family, self.denoiser, v_prediction=v_prediction)

    @classmethod
    def load(cls, path: Path, family: str, device: torch.device, dtype: Dtype) -> StableDiffusion:
        """Load a diffusers folder or a ``.safetensors`` checkpoint from disk; pickled weights are refused."""
        name = "hubman-tinybase" if family == "tiny" else path.stem if path.is_file() else path.name
        return cls(path, name, family, device, _DTYPES[dtype])

    def targets(self, *, conv: bool, text: bool) -> list[Target]:
        """The modules that kohya's scripts adapt; see :class:`~hubman.train.architectures.base.Architecture`."""
        found = []
        for path, module in self.denoiser.named_modules():
            chosen = _ATTENTION.search(path) or (conv and _CONV.search(path))
            if chosen and isinstance(module, nn.Linear | nn.Conv2d):
                found.append(Target(f"lora_unet_{_flat(path)}", self.denoiser, path))
        for path, module in self._text_encoder.get().named_modules() if text else ():
            if _ENCODER.search(path) and isinstance(module, nn.Linear):
                # transformers 5 dropped the level that the files' keys always have.
                full = path if path.startswith(_LEVEL) else _LEVEL + path
                found.append(Target(f"lora_te_{_flat(full)}", self._text_encoder.get(), path, text=True))
        return found

    @torch.no_grad()
    def encode_image(self, picture: Image.Image) -> Latent:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        pixels = torch.from_numpy(np.asarray(picture.convert("RGB"), np.float32) / 127.5 - 1)
        vae = self._vae.get()
        posterior = vae.encode(pixels.permute(2, 0, 1)[None].to(self.device)).latent_dist
        scale = vae.config.scaling_factor
        return Latent((posterior.mean[0] * scale).cpu(), (posterior.std[0] * scale).cpu())

    def encode_text(self, captions: Sequence[str], clip_skip: int, chunks: int = 1) -> list[Conditioning]:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        rows = [row for caption in captions for row in self._rows(caption, chunks)]
        ids = torch.tensor(rows, device=self.device)
        encoder = self._text_encoder.get()
        with self._autocast():
            answer = encoder(ids, output_hidden_states=clip_skip > 1)
            if clip_skip == 1:
                states: Tensor = answer.last_hidden_state
            else:
                inner = getattr(encoder, "text_model", encoder)
                states = inner.final_layer_norm(answer.hidden_states[-clip_skip])
        return [{"states": each} for each in states.float().reshape(len(captions), -1, states.shape[-1])]

    def _rows(self, caption: str, chunks: int) -> list[list[int]]:
        """``chunks`` rows of 77 tokens, each with the marks at both ends, as A1111 reads long prompts."""
        tokenizer = self._tokenizer
        tokens = tokenizer(caption, add_special_tokens=False, truncation=False, verbose=False).input_ids
        rows = []
        for start in range(0, chunks * CHUNK, CHUNK):
            row = [tokenizer.bos_token_id, *tokens[start : start + CHUNK], tokenizer.eos_token_id]
            rows.append(row + [tokenizer.pad_token_id] * (CHUNK + 2 - len(row)))
        return rows

    def predict(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        framings: Sequence[Framing],  # noqa: ARG002 - SDXL's
    ) -> Tensor:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        with self._autocast():
            answer: Tensor = self.denoiser(noisy, timesteps, conditioning["states"], return_dict=False)[0]
        return answer.float()

    @torch.no_grad()
    def draw(self, request: DrawRequest) -> Image.Image:
        """See :class:`~hubman.train.architectures.base.Architecture`; DPM++ 2M, starting noise from the CPU."""
        pipeline = StableDiffusionPipeline(
            vae=self._vae.get(),
            text_encoder=self._text_encoder.get(),
            tokenizer=self._tokenizer,
            unet=self.denoiser,
            scheduler=DPMSolverMultistepScheduler.from_config(self._scheduler.config),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        with self._autocast():
            picture: Image.Image = pipeline(
                request.prompt,
                height=request.height,
                width=request.width,
                num_inference_steps=request.steps,
                guidance_scale=request.cfg,
                # diffusers counts layers to skip, we count from the last layer.
                clip_skip=request.clip_skip - 1 or None,
                generator=torch.Generator().manual_seed(request.seed),
            ).images[0]
        return picture

    def encoder_sources(self, encoder: Encoder) -> Sequence[Source]:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        return (self._vae if encoder == "image" else self._text_encoder).sources

    def release(self, encoder: Encoder) -> None:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        (self._vae if encoder == "image" else self._text_encoder).release()

    def count_tokens(self, caption: str) -> int:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        return len(self._tokenizer(caption).input_ids) - 2

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._dtype is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self._dtype)


def _image_sources(path: Path) -> list[Source]:
    return [Source(path / "vae")] if path.is_dir() else [Source(path, ("first_stage_model.",))]


def _text_sources(path: Path) -> list[Source]:
    if path.is_dir():
        return [Source(path / "text_encoder"), Source(path / "tokenizer")]
    return [Source(path, ("cond_stage_model.",))]


_PARTS = ("unet", "vae", "text_encoder")


def _open_pipeline(path: Path, part: str) -> Any:
    """The pipeline with its tokenizer, its scheduler and ``part``, without the weights of the others."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    options: dict[str, Any] = {"local_files_only": True, "safety_checker": None}
    options |= {other: None for other in _PARTS if other != part}
    if not path.exists():
        raise NotFoundError(f"the base {path} does not exist", "give a diffusers folder or a .safetensors file")
    try:
        if path.is_dir():
            options |= {"feature_extractor": None, "requires_safety_checker": False, "use_safetensors": True}
            return StableDiffusionPipeline.from_pretrained(str(path), **options)
        if path.suffix != ".safetensors":
            raise HubError(
                f"{path.name} is not a .safetensors file", "pickled checkpoints are never opened: convert it"
            )
        return StableDiffusionPipeline.from_single_file(str(path), **options)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "it must be a complete Stable Diffusion 1.x or 2.x pipeline with safetensors weights"
        if path.is_file():
            hint = (
                "single files need the base's configuration in the Hugging Face cache; a diffusers folder has it inside"
            )
        reason = (str(error).splitlines() or ["unknown layout"])[0][:160]
        raise DamagedFileError(f"{path.name} cannot be loaded ({reason})", hint) from error


def _freeze(module: Any, device: torch.device, dtype: torch.dtype) -> Any:
    module = module.requires_grad_(requires_grad=False).eval().to(device)
    # diffusers warns of every cast, even to the dtype that is there.
    return module if all(each.dtype == dtype for each in module.parameters()) else module.to(dtype)


def _flat(path: str) -> str:
    return path.replace(".", "_")


def _identity(name: str, family: str, unet: Any, *, v_prediction: bool) -> Identity:
    v2 = family == "sd2"
    sd2 = ("sd_v2_v", "stable-diffusion-v2-768-v/lora") if v_prediction else ("sd_v2", "stable-diffusion-v2-512/lora")
    version, modelspec = sd2 if v2 else ("sd_v1", "stable-diffusion-v1/lora")
    digest = hashlib.sha256()
    for weight in (unet.conv_in.weight, unet.conv_out.weight, unet.time_embedding.linear_1.weight):
        digest.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
    prediction = "v" if v_prediction else "epsilon"
    return Identity(name, version, v2, modelspec, "diffusers", prediction, digest.hexdigest())
