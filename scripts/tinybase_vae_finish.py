"""Give the VAE latents that a UNet can learn, and a sharper decoder: python scripts/tinybase_vae_finish.py --vae DIR --out DIR.

Most of the first VAE's sixteen channels say little, and three (colour) say most of what an MSE loss sees. The ten
strongest principal components, each scaled to unit variance, become the channels: the change is linear and goes into
the encoder's last and the decoder's first convolution. Then the decoder alone trains on, the encoder frozen. With
--decoder-only a finished VAE's decoder trains on: its latents, and so the UNet that draws them, stay valid.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from muon import Optimizer
from tinybase_vae import augment, gradient_loss, make_pool, make_vae, style_errors
from torch import nn

CHANNELS = 10
LOG_VARIANCE = -6.0


@torch.no_grad()
def compress(old: AutoencoderKL, pictures: torch.Tensor) -> AutoencoderKL:
    """A VAE of :data:`CHANNELS` whitened channels with the weights of ``old``."""
    latents = old.encode(pictures).latent_dist.mode()
    flat = latents.transpose(0, 1).flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat))
    keep, scale = vectors[:, -CHANNELS:], values[-CHANNELS:].sqrt()
    into = (keep / scale).T  # [10, 16]: old channels to new ones
    back = keep * scale  # [16, 10]: and back
    mean = flat.mean(1)
    new = make_vae(CHANNELS)
    state = {name: value for name, value in old.state_dict().items() if _is_kept(name)}
    new.load_state_dict(state, strict=False)
    width = old.config.latent_channels
    means = old.quant_conv.weight[:width, :, 0, 0]
    out = old.encoder.conv_out
    new.encoder.conv_out.weight.zero_()
    new.encoder.conv_out.weight[:CHANNELS] = torch.einsum("no,oc,cikl->nikl", into, means, out.weight)
    new.encoder.conv_out.bias[:CHANNELS] = into @ (means @ out.bias + old.quant_conv.bias[:width] - mean)
    new.encoder.conv_out.bias[CHANNELS:] = LOG_VARIANCE
    for conv in (new.quant_conv, new.post_quant_conv):
        nn.init.dirac_(conv.weight)
        conv.bias.zero_()
    first = torch.einsum("oikl,ic->ockl", old.decoder.conv_in.weight, old.post_quant_conv.weight[:, :, 0, 0])
    new.decoder.conv_in.weight.copy_(torch.einsum("ockl,cn->onkl", first, back))
    constant = old.decoder.conv_in.weight.sum((2, 3)) @ (
        old.post_quant_conv.weight[:, :, 0, 0] @ mean + old.post_quant_conv.bias
    )
    new.decoder.conv_in.bias.copy_(old.decoder.conv_in.bias + constant)
    new.register_to_config(scaling_factor=1.0)
    return new


def _is_kept(name: str) -> bool:
    return not name.startswith(("encoder.conv_out", "decoder.conv_in", "quant_conv", "post_quant_conv"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--pool", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--decoder-only", action="store_true", help="The VAE has its final latents already.")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    pool = make_pool(args.pool, args.seed)
    vae = AutoencoderKL.from_pretrained(args.vae, dtype=torch.float32).eval()
    if not args.decoder_only:
        vae = compress(vae, pool[:600].float() / 127.5 - 1)
    print({name: round(error, 2) for name, error in style_errors(vae.eval()).items()}, flush=True)
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    vae.train()
    optimizer = Optimizer(vae, args.steps, lr=args.lr, adam_lr=1e-3)
    started = time.monotonic()
    for step in range(args.steps):
        rows = torch.randint(0, len(pool), (16,), generator=generator)
        x = augment(pool[rows], generator).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                latent = vae.encode(x).latent_dist.mode()
            # A little noise, because what a UNet draws is never quite what an encoder would have written.
            y = vae.decode(latent + 0.1 * torch.randn_like(latent)).sample
        y = y.float()
        optimizer.step(F.l1_loss(y, x) + 0.5 * gradient_loss(y, x))
        if step % 50 == 0:
            print(f"{step} l1 {F.l1_loss(y, x).item():.4f} {time.monotonic() - started:.0f} s", flush=True)
    print({name: round(error, 2) for name, error in style_errors(vae.eval()).items()}, flush=True)
    vae.save_pretrained(args.out)


if __name__ == "__main__":
    main()
