"""What a training step is measured against: a plain PyTorch loop over the same layers, everything cached.

No product code: a UNet, factors around its attention and feed-forward layers, one optimizer, nothing else.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

_ATTENTION = re.compile(r"(^|\.)attentions\.\d+\.")


class Bare(nn.Module):
    """A frozen layer and its two factors, in fp32 whatever the layer is in."""

    def __init__(self, base: nn.Linear | nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.base = base
        out, *rest = base.weight.shape
        bound = 1 / math.sqrt(math.prod(rest))
        self.down = nn.Parameter(torch.empty(rank, *rest).uniform_(-bound, bound))
        self.up = nn.Parameter(torch.zeros(out, rank, *[1] * (len(rest) - 1)))

    def forward(self, x: Tensor, *_: object) -> Tensor:
        frozen: Tensor = self.base(x)
        down, up = self.down.to(x.dtype), self.up.to(x.dtype)
        if isinstance(self.base, nn.Linear):
            low = F.linear(x, down).flatten(0, -2)
            return torch.addmm(frozen.flatten(0, -2), low, up.t()).view_as(frozen)
        return torch.add(frozen, F.conv2d(F.conv2d(x, down), up))


class BareLoop:
    """The whole training: latents, conditioning, noise schedule and optimizer."""

    def __init__(
        self, base: Path, dtype: torch.dtype, *, rank: int, rate: float, latents: Tensor, states: Tensor
    ) -> None:
        self._unet = UNet2DConditionModel.from_pretrained(str(base / "unet"), torch_dtype=dtype)
        self._unet.requires_grad_(False).eval()
        self.modules = 0
        parameters = []
        for path, module in list(self._unet.named_modules()):
            if _ATTENTION.search(path) and isinstance(module, nn.Linear | nn.Conv2d):
                layer = Bare(module, rank)
                parent, _, name = path.rpartition(".")
                setattr(self._unet.get_submodule(parent), name, layer)
                parameters += [layer.down, layer.up]
                self.modules += 1
        self._optimizer = torch.optim.AdamW(parameters, lr=rate, fused=True)
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        alphas = (1 - betas).cumprod(0)
        self._signal, self._sigma = alphas.sqrt().float(), (1 - alphas).sqrt().float()
        self._latents, self._states, self._dtype = latents, states.to(dtype), dtype

    def step(self, number: int) -> float:
        """One step; its loss."""
        index = number % len(self._latents)
        latents = self._latents[index : index + 1]
        noise = torch.randn_like(latents)
        timesteps = torch.randint(1000, (1,))
        noisy = self._signal[timesteps].view(-1, 1, 1, 1) * latents + self._sigma[timesteps].view(-1, 1, 1, 1) * noise
        states = self._states[index : index + 1]
        answer = self._unet(noisy.to(self._dtype), timesteps, states, return_dict=False)[0]
        loss = F.mse_loss(answer.float(), noise)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())
