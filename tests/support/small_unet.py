"""An architecture around a very small real UNet with random weights: what predicts is real, captions are numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn

from hubman.generate.request import DrawRequest
from hubman.train.adapters.network import Target
from hubman.train.architectures.base import Conditioning, Encoder, Framing, Identity, Latent, Reader
from hubman.train.encoding.material import Item
from hubman.train.encoding.weights_digest import Source
from hubman.train.loss.process import Process
from hubman.train.settings.learning import Part

SIDE, CHANNELS, WIDTH = 4, 4, 8
FRAMING = Framing.whole((SIDE * 8, SIDE * 8))


class SmallUnet:
    """Predicts by 9,000 random weights; the same seed gives the same ones."""

    device = torch.device("cpu")
    sampler = "Euler"
    step = 8

    def __init__(self, process: Process, seed: int = 0) -> None:
        self.process = process
        self.asked: list[tuple[Tensor, Conditioning, Tensor]] = []
        """What was predicted from: noisy latents, conditioning, answer."""
        self.identity = Identity("small", "sd_v1", False, "stable-diffusion-v1/lora", "diffusers", "epsilon", "0")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.denoiser = UNet2DConditionModel(
                sample_size=SIDE,
                in_channels=CHANNELS,
                out_channels=CHANNELS,
                layers_per_block=1,
                block_out_channels=(8,),
                down_block_types=("CrossAttnDownBlock2D",),
                up_block_types=("UpBlock2D",),
                mid_block_type=None,
                cross_attention_dim=WIDTH,
                attention_head_dim=4,
                norm_num_groups=4,
            ).requires_grad_(requires_grad=False)

    def targets(self, *, conv: bool, text: bool) -> list[Target]:
        modules = (path for path, module in self.denoiser.named_modules() if isinstance(module, nn.Linear))
        return [
            Target(f"lora_unet_{path.replace('.', '_')}", self.denoiser, path) for path in modules if "attn" in path
        ]

    def encode_image(self, picture: Image.Image) -> Latent:
        """The picture itself, an eighth as large, its brightness as the fourth channel."""
        small = picture.resize((picture.width // 8, picture.height // 8))
        values = [
            torch.frombuffer(bytearray(band.tobytes()), dtype=torch.uint8)
            for band in (*small.split(), small.convert("L"))
        ]
        mean = torch.stack(values).view(CHANNELS, small.height, small.width) / 127.5 - 1
        return Latent(mean, torch.full_like(mean, 0.1))

    def encode_text(
        self, captions: Sequence[str], clip_skip: int, chunks: int = 1, known: Sequence[Conditioning] = ()
    ) -> list[Conditioning]:
        return [{"states": caption_states(caption, 3 * chunks)} for caption in captions]

    readers: frozenset[Reader] = frozenset(("text",))
    long_tokens = 0

    def read_frozen(self, caption: str, clip_skip: int, chunks: int, trained: Collection[Part]) -> Conditioning:
        return {}

    def predict(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, framings: Sequence[Framing]
    ) -> Tensor:
        answer: Tensor = self.denoiser(noisy, timesteps, conditioning["states"], return_dict=False)[0]
        self.asked.append((noisy, conditioning, answer))
        return answer

    def draw(self, request: DrawRequest) -> Image.Image:
        raise NotImplementedError

    def encoder_sources(self, encoder: Encoder) -> Sequence[Source]:
        return ()

    def place(self) -> None:
        pass

    def loaded(self, encoder: Encoder) -> int:
        return 0

    def release(self, encoder: Encoder, trained: Collection[Part] = ()) -> None:
        pass


def caption_states(caption: str, tokens: int = 3) -> Tensor:
    """Random states ``[tokens, WIDTH]`` that follow from the caption."""
    seed = int.from_bytes(hashlib.sha256(caption.encode()).digest()[:7])
    return torch.randn(tokens, WIDTH, generator=torch.Generator().manual_seed(seed))


def random_items(count: int, masks: bool = False) -> list[Item]:
    """Images that are only latents, each with a caption of its own."""
    generator = torch.Generator().manual_seed(7)
    items = []
    for i in range(count):
        mean, spread = torch.randn(2, CHANNELS, SIDE, SIDE, generator=generator)
        mask = torch.rand(SIDE * 8, SIDE * 8, generator=generator).round() if masks else None
        latent = Latent(mean, spread.abs() / 10)
        items.append(Item(f"{i}.png", f"pixels {i}", f"zvk, number {i}", (32, 32), FRAMING, latent, mask=mask))
    return items
