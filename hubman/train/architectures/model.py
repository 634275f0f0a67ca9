"""What all bases have in common: frozen parts, a VAE, CLIP encoders, and a denoiser that differs."""

from __future__ import annotations

import contextlib
import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hubman.generate.request import DrawRequest
from hubman.generate.samplers import make_scheduler
from hubman.generate.schedules import AUTOMATIC
from hubman.train.adapters.network import Target
from hubman.train.architectures.base import Conditioning, Encoder, Framing, Identity, Latent, Reader
from hubman.train.architectures.clip import Clip
from hubman.train.architectures.opening import Parts
from hubman.train.architectures.parts import Part
from hubman.train.architectures.small_maps import multiply_small_maps
from hubman.train.encoding.weights_digest import Source
from hubman.train.loss.process import Process
from hubman.train.settings.learning import Part as TrainedPart

_CLIPS: tuple[Literal["text", "text2"], ...] = ("text", "text2")
"""What has a rate of its own, in the order of the pipeline."""
KEPT_SCHEDULERS = 32
"""A base's, with a thousand numbers each."""


class Model(ABC):
    """The parts of a pipeline, frozen, in evaluation mode. Subclasses are the adapters; see ``base.Architecture``."""

    denoiser_name: ClassVar[str] = "transformer"
    """Its component in the pipeline."""
    sampler: ClassVar[str] = "DPM++ 2M"
    """What samples are drawn with where nobody chose."""
    guidance_is_input: ClassVar[bool] = False
    """The guidance is an input (FLUX.1 dev) or fixed (schnell): there is no second, negative prediction."""

    align_your_steps: ClassVar[str] = "StableDiffusionSigmas"
    """The table in diffusers of the noise levels that suit it."""

    long_tokens = 0
    """Tokens that the encoder of whole texts reads; 0 where there is none."""

    identity: Identity
    process: Process

    def __init__(self, parts: Parts, device: torch.device, dtype: torch.dtype, *, mixed: bool) -> None:
        """``mixed`` runs under autocast, for adapters in fp32 around weights in ``dtype``.

        The denoiser is in main memory until :meth:`place`.
        """
        self.parts = parts
        self.device, self.dtype = device, dtype
        self._mixed = mixed and dtype is not torch.float32
        self._keeps_fp32 = mixed
        self.denoiser = freeze(parts.denoiser, torch.device("cpu"), dtype)
        if device.type == "cpu":
            multiply_small_maps(self.denoiser)
        self._vae = self._own_vae = Part(self._load_vae, parts.sources("vae"))
        self._chosen_vae: tuple[object, ...] = ()
        self.scheduler_config: Mapping[str, Any] = dict(parts["scheduler"].config)
        self._texts: list[Part] = []
        self._schedulers: dict[tuple[object, ...], Any] = {}
        self.is_resting = False
        """Whether :meth:`rest` was the last to touch the text encoders."""
        self.clips = tuple(self._clips())

    def place(self) -> None:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        self.denoiser.to(self.device)

    @abstractmethod
    def _clips(self) -> Iterable[Clip]:
        """The CLIP text encoders, in the order of the pipeline."""

    def _text_part(self, component: str, tokenizer: str) -> Part:
        """A text encoder that is in memory while it is needed."""
        part = Part(
            lambda: freeze(self.parts.load(component), self.device, self.dtype),
            self.parts.sources(component, tokenizer),
        )
        self._texts.append(part)
        return part

    def _clip(self, number: int, key: str, *, penultimate: bool = False) -> Clip:
        """The pipeline's CLIP of that number, from 1."""
        end = f"_{number}" if number > 1 else ""
        component, tokenizer = f"text_encoder{end}", f"tokenizer{end}"
        return Clip(component, key, self.parts[tokenizer], self._text_part(component, tokenizer), penultimate)

    def _load_vae(self) -> Any:
        vae = self.parts.load("vae")
        fp32 = self._keeps_fp32 or vae.config.get("force_upcast", False)
        return freeze(vae, self.device, torch.float32 if fp32 else self.dtype)

    def choose_vae(self, path: str) -> None:
        """Decode and encode with the VAE at ``path``, a diffusers folder or a file, from now on; empty = the base's own.

        It is read again when its files have changed: pictures are kept by their content. Raises HubError for one that
        cannot be read or does not have this base's latents; then the old one stays.
        """
        from hubman.train.architectures.other_vae import load_vae, state_of

        chosen = state_of(path) if path else ()
        if chosen == self._chosen_vae:
            return
        if not path:
            self._vae, self._chosen_vae = self._own_vae, ()
            return
        vae = load_vae(path, dict(self._own_vae.get().config))
        fp32 = self._keeps_fp32 or vae.config.get("force_upcast", False)
        frozen = freeze(vae, self.device, torch.float32 if fp32 else self.dtype)
        self._vae, self._chosen_vae = Part(lambda: frozen, ()), chosen

    @property
    def vae(self) -> Any:
        """Loaded now unless it is there."""
        return self._vae.get()

    def encoder_sources(self, encoder: Encoder) -> Sequence[Source]:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        return [source for part in self._encoders(encoder) for source in part.sources]

    def loaded(self, encoder: Encoder) -> int:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        return sum(part.loaded for part in self._encoders(encoder))

    def release(self, encoder: Encoder, trained: Collection[TrainedPart] = ()) -> None:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        kept = [clip.part for name, clip in zip(_CLIPS, self.clips, strict=False) if name in trained]
        for part in self._encoders(encoder):
            if part not in kept:
                part.release()

    def rest(self) -> None:
        """Take the text encoders off the device until :meth:`wake`. Those in which nothing hangs are given up till then."""
        hung = [clip.part for clip in self.clips]
        for part in self._texts:
            if part in hung:
                part.get().to("cpu")
            else:
                part.release()
        self.is_resting = True

    def wake(self) -> None:
        """Have the text encoders on the device."""
        if self.is_resting:
            for clip in self.clips:
                clip.encoder.to(self.device)
            self.is_resting = False

    def _encoders(self, encoder: Encoder) -> Sequence[Part]:
        return (self._vae,) if encoder == "image" else self._texts

    @abstractmethod
    def targets(self, *, conv: bool, text: bool) -> list[Target]:
        """See :class:`~hubman.train.architectures.base.Architecture`."""

    @abstractmethod
    def join(self, states: Sequence[Tensor], pooled: Sequence[Tensor], longer: Mapping[str, Tensor]) -> Conditioning:
        """What the CLIPs say of one text (``[tokens, width]`` and ``[width]`` each) and what :meth:`read_long` says."""

    @abstractmethod
    def answer(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, framings: Sequence[Framing]
    ) -> Tensor:
        """The denoiser's answer, in whatever dtype; see ``base.Architecture.predict``."""

    def read_long(self, texts: Sequence[str]) -> list[Mapping[str, Tensor]]:
        """What encoders that read a whole text at once say of each; nothing where there is none."""
        return [{} for _ in texts]

    @property
    def roots(self) -> dict[str, nn.Module]:
        """The components that LoRAs change, by their names in diffusers."""
        return {self.denoiser_name: self.denoiser, **{clip.component: clip.encoder for clip in self.clips}}

    @property
    def original_names(self) -> Mapping[str, str]:
        """What the original model calls the denoiser's modules, by their paths here; a UNet's follow from its paths."""
        return {}

    @property
    def latent_channels(self) -> int:
        return int(self.vae.config.latent_channels)

    @property
    def vae_scale(self) -> int:
        """Pixels a side for one latent."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def step(self) -> int:
        """Pixels that sides are multiples of."""
        return self.vae_scale

    @property
    def default_size(self) -> tuple[int, int]:
        """(width, height) in pixels that the base was trained on."""
        side = self.denoiser.config.sample_size
        height, width = side if isinstance(side, list | tuple) else (side, side)
        return width * self.vae_scale, height * self.vae_scale

    def scheduler(self, sampler: str, steps: int, size: tuple[int, int], schedule: str = AUTOMATIC) -> Any:  # noqa: ARG002 - some shift by size
        """A diffusers scheduler with its timesteps set, for a picture of ``size`` (width, height) pixels.

        Raises UsageError for a sampler that has no such schedule type.
        """
        return make_scheduler(
            sampler, self.scheduler_config, steps, schedule=schedule, device=self.device, ays=self.align_your_steps
        )

    def fresh_scheduler(self, sampler: str, steps: int, size: tuple[int, int], schedule: str = AUTOMATIC) -> Any:
        """As :meth:`scheduler`; one that was made before is copied, which takes a tenth of the time."""
        self.check_sampler(sampler, steps, size, schedule)
        made = self._schedulers[sampler, steps, size, schedule]
        # Its configuration is frozen, and refuses to be filled as a copy would; its tables are only ever replaced.
        shared = [made._internal_dict, *(one for one in vars(made).values() if isinstance(one, Tensor))]
        return copy.deepcopy(made, {id(one): one for one in shared})

    def check_sampler(self, sampler: str, steps: int, size: tuple[int, int], schedule: str = AUTOMATIC) -> None:
        """Raise UsageError for what :meth:`fresh_scheduler` could not make."""
        key = sampler, steps, size, schedule
        if key not in self._schedulers:
            if len(self._schedulers) >= KEPT_SCHEDULERS:
                self._schedulers.clear()
            self._schedulers[key] = self.scheduler(sampler, steps, size, schedule)

    def time(self, t: Tensor, rows: int) -> Tensor:
        """A scheduler's ``t`` in the unit of :attr:`process`, once for each row of a batch."""
        return t.expand(rows)

    @torch.no_grad()
    def encode_image(self, picture: Image.Image) -> Latent:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        pixels = torch.from_numpy(np.asarray(picture.convert("RGB"), np.float32) / 127.5 - 1)
        posterior = self.vae.encode(pixels.permute(2, 0, 1)[None].to(self.device, self.vae.dtype)).latent_dist
        shift, scale = self._latent_range()
        mean, std = posterior.mean[0].float(), posterior.std[0].float()
        return Latent(((mean - shift) * scale).cpu(), (std * scale).cpu())

    def decode(self, latent: Tensor) -> Image.Image:
        """The picture of ``latent`` ``[C, h, w]``."""
        shift, scale = self._latent_range()
        raw = (latent[None] / scale + shift).to(self.vae.dtype)
        pixels = self.vae.decode(raw, return_dict=False)[0][0]
        scaled = (pixels.float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return Image.fromarray((scaled * 255).round().astype(np.uint8))

    def _latent_range(self) -> tuple[float, float]:
        config = self.vae.config
        return float(getattr(config, "shift_factor", None) or 0.0), float(config.scaling_factor)

    @property
    def readers(self) -> frozenset[Reader]:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        clips: tuple[Reader, ...] = _CLIPS[: len(self.clips)]
        return frozenset((*clips, "long") if self.long_tokens else clips)

    def encode_text(
        self, captions: Sequence[str], clip_skip: int, chunks: int = 1, known: Sequence[Conditioning] = ()
    ) -> list[Conditioning]:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        with self.autocast():
            said = self._ask(captions, clip_skip, chunks, self.readers, known)
            return [self._joined(each) for each in said]

    def read_frozen(self, caption: str, clip_skip: int, chunks: int, trained: Collection[TrainedPart]) -> Conditioning:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        with self.autocast():
            return self._ask([caption], clip_skip, chunks, self.readers.difference(trained))[0]

    def _ask(
        self,
        captions: Sequence[str],
        clip_skip: int,
        chunks: int,
        readers: Collection[Reader],
        known: Sequence[Conditioning] = (),
    ) -> list[Conditioning]:
        """What ``readers`` say of each caption, named ``text.states``, unless it is ``known``."""
        said: list[dict[str, Tensor]] = [dict(each) for each in known] or [{} for _ in captions]
        asked = [reader for reader in readers if not any(name.startswith(f"{reader}.") for name in said[0])]
        for name, clip in zip(_CLIPS, self.clips, strict=False):
            if name in asked:
                rows = [row for caption in captions for row in clip.rows(caption, chunks)]
                states, pooled = clip.read(rows, clip_skip)
                whole = states.float().reshape(len(captions), -1, states.shape[-1])
                firsts = pooled.float()[::chunks]  # what the first chunk says stands for all
                for each, own, first in zip(said, whole, firsts, strict=True):
                    each |= {f"{name}.states": own, f"{name}.pooled": first}
        if "long" in asked:
            for each, longer in zip(said, self.read_long(captions), strict=True):
                each |= {f"long.{entry}": value for entry, value in longer.items()}
        return list(said)

    def _joined(self, said: Conditioning) -> Conditioning:
        clips = _CLIPS[: len(self.clips)]
        longer = {name.removeprefix("long."): value for name, value in said.items() if name.startswith("long.")}
        return self.join([said[f"{clip}.states"] for clip in clips], [said[f"{clip}.pooled"] for clip in clips], longer)

    def predict(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, framings: Sequence[Framing]
    ) -> Tensor:
        """See :class:`~hubman.train.architectures.base.Architecture`."""
        if not self._mixed:
            noisy = noisy.to(self.dtype)
            conditioning = {
                name: each.to(self.dtype) if each.is_floating_point() else each for name, each in conditioning.items()
            }
        with self.autocast():
            return self.answer(noisy, timesteps, conditioning, framings).float()

    def draw(self, request: DrawRequest) -> Image.Image:
        """See :class:`~hubman.train.architectures.base.Architecture`; by the engine of the generation pane."""
        from hubman.generate.sampling import draw_adapted

        return draw_adapted(self, request)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """What everything runs under."""
        return torch.autocast(self.device.type, self.dtype) if self._mixed else contextlib.nullcontext()


def digest_of(weights: Iterable[Tensor]) -> str:
    """SHA-256 of the values of ``weights``."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def freeze(module: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """``module`` in evaluation mode, without gradients of its own."""
    module = module.requires_grad_(requires_grad=False).eval().to(device)
    # diffusers warns of every cast, even to the dtype that is there.
    return module if all(each.dtype == dtype for each in module.parameters()) else module.to(dtype)
