"""The ways to draw a sweep that the bars compare: hubman's bank, and stock diffusers with PEFT."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from benchmarks.generate_maker import LORAS, SIDE
from hubman.generate.hanging import Hanging
from hubman.generate.pipeline import load_base
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.sampling import sample
from hubman.lora.load import LoraWeights, load_lora

STEPS, CFG, SEED = 6, 7.0, 3
PROMPT, NEGATIVE = "a red circle on white paper", "blue"
Cell = tuple[float, ...]
"""A strength for each LoRA."""
CELLS: tuple[Cell, ...] = tuple(product((0.4, 0.8), repeat=len(LORAS)))


class Ours:
    """The product: its loader, its bank, its sampling loop."""

    def __init__(self, folder: Path) -> None:
        self.base = load_base(folder, device=torch.device("cpu"), dtype=torch.float32)
        self.hanging = Hanging(self.base)
        files = [folder / f"{name}.safetensors" for name in LORAS]
        self.uses = [
            LoraUse(path=str(file), name=file.stem, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
            for file in files
        ]

    def request(self, cell: Cell, **changes: Any) -> DrawRequest:
        loras = tuple(
            msgspec.structs.replace(use, strength=strength) for use, strength in zip(self.uses, cell, strict=True)
        )
        request = DrawRequest(
            base=str(self.base.path),
            prompt=PROMPT,
            negative=NEGATIVE,
            loras=loras,
            seed=SEED,
            steps=STEPS,
            cfg=CFG,
            sampler="DDIM",
            width=SIDE,
            height=SIDE,
        )
        return msgspec.structs.replace(request, **changes)

    def load(self, use: LoraUse) -> LoraWeights:
        return load_lora(Path(use.path), self.base.table, base="bench", weight_of=self.base.weight_of)

    def draw(self, requests: Sequence[DrawRequest]) -> Tensor:
        """All in one batch, decoded like the others'; the latents."""
        hashes = self.hanging.hang(requests[0], self.load)
        last = torch.empty(0)

        def keep(_step: int, _steps: int, latents: Tensor) -> None:
            nonlocal last
            last = latents

        bank, encoder = self.hanging.bank, self.hanging.encoder
        list(sample(requests, model=self.base.model, bank=bank, encoder=encoder, hashes=hashes, on_step=keep))
        return last

    def sweep(self) -> Tensor:
        """From the base alone to all cells, the files read from disk."""
        self.hanging.take_down()
        return self.draw([self.request(cell) for cell in CELLS])


class Stock:
    """diffusers and PEFT as their documentation says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pipeline: Any = StableDiffusionPipeline.from_pretrained(str(folder), safety_checker=None)
        self._pipeline.set_progress_bar_config(disable=True)

    def loop(self) -> Tensor:
        """One load, then ``set_adapters`` for each cell; the latents."""
        self._load()
        found = torch.cat([self._draw(cell) for cell in CELLS])
        self._pipeline.unload_lora_weights()
        return found

    def reload(self) -> Tensor:
        """Everything loaded anew for each cell; the latents."""
        found = []
        for cell in CELLS:
            self._load()
            found.append(self._draw(cell))
            self._pipeline.unload_lora_weights()
        return torch.cat(found)

    def pictures(self, latents: Tensor) -> Tensor:
        """[n, 3, h, w] in 0..1."""
        vae = self._pipeline.vae
        with torch.inference_mode():
            decoded: Tensor = vae.decode(latents / vae.config.scaling_factor)[0]
        return (decoded / 2 + 0.5).clamp(0, 1)

    def _load(self) -> None:
        for name in LORAS:
            self._pipeline.load_lora_weights(str(self._folder), weight_name=f"{name}.safetensors", adapter_name=name)

    def _draw(self, cell: Cell) -> Tensor:
        self._pipeline.set_adapters(list(LORAS), list(cell))
        last = torch.empty(0)

        def keep(_pipeline: Any, _step: int, _t: Any, told: dict[str, Any]) -> dict[str, Any]:
            nonlocal last
            last = told["latents"]
            return told

        self._pipeline(
            PROMPT,
            negative_prompt=NEGATIVE,
            num_inference_steps=STEPS,
            guidance_scale=CFG,
            width=SIDE,
            height=SIDE,
            generator=torch.Generator("cpu").manual_seed(SEED),
            callback_on_step_end=keep,
        )
        return last
