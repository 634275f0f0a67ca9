"""Prompts into text embeddings as A1111 makes them: chunks of 75 tokens, emphasis on the embeddings, clip skip."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from hubman.generate.bank import Bank
from hubman.generate.prompt_emphasis import runs
from hubman.train.architectures.base import Conditioning
from hubman.train.architectures.clip import CHUNK, Clip
from hubman.train.architectures.model import Model

KEPT_TEXTS = 512
"""Encoded prompts kept; 77 x 2048 numbers in fp32 are 0.6 MB."""
COMMA_BACKTRACK = 20
"""A chunk that fills within so many tokens after a comma is cut at that comma."""


@dataclass(frozen=True)
class Chunk:
    """Up to 75 tokens with a weight each, without the marks at both ends."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


def chunks_of(text: str, clip: Clip) -> tuple[Chunk, ...]:
    """Cut a prompt into chunks; there is always at least one."""
    comma = clip.tokenizer.convert_tokens_to_ids(",</w>")
    done: list[Chunk] = []
    tokens: list[int] = []
    weights: list[float] = []
    last_comma = -1

    def close(at: int | None = None) -> None:
        nonlocal tokens, weights, last_comma
        end = len(tokens) if at is None else at
        done.append(Chunk(tuple(tokens[:end]), tuple(weights[:end])))
        tokens, weights, last_comma = tokens[end:], weights[end:], -1

    for run in runs(text):
        if run.is_break:
            close()
            continue
        for token in clip.tokens(run.text):
            if token == comma:
                last_comma = len(tokens)
            elif len(tokens) == CHUNK and last_comma != -1 and CHUNK - last_comma <= COMMA_BACKTRACK:
                close(last_comma + 1)
            if len(tokens) == CHUNK:
                close()
            tokens.append(token)
            weights.append(run.weight)
    if tokens or not done:
        close()
    return tuple(done)


class Encoder:
    """Encodes prompts under given text-encoder strengths, each distinct one once."""

    def __init__(self, model: Model, bank: Bank) -> None:
        self._model = model
        self._bank = bank
        self._cache: OrderedDict[tuple[object, ...], Conditioning] = OrderedDict()

    def forget(self) -> None:
        """Drop the cache; needed after the bank's LoRAs change."""
        self._cache.clear()

    @torch.inference_mode()
    def encode(
        self, text: str, strengths: Sequence[float], *, clip_skip: int, emphasis: str, chunks: int
    ) -> Conditioning:
        """What the model is told of the prompt, whose CLIP states are filled up with empty prompts to ``chunks``."""
        key = (text, tuple(strengths), clip_skip, emphasis, chunks)
        if key not in self._cache:
            self._model.wake()
            with self._model.autocast():
                read = [self._read(clip, text, strengths, clip_skip, emphasis, chunks) for clip in self._model.clips]
                plain = "".join(" " if run.is_break else run.text for run in runs(text))
                longer = self._model.read_long([plain])[0]
                self._cache[key] = self._model.join([each for each, _ in read], [each for _, each in read], longer)
            if len(self._cache) > KEPT_TEXTS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]

    def _read(
        self, clip: Clip, text: str, strengths: Sequence[float], clip_skip: int, emphasis: str, chunks: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[77 · chunks, width] with emphasis, and what the first chunk says as a whole [width], without."""
        cut = list(chunks_of(text, clip))[:chunks]
        cut += [Chunk((), ())] * (chunks - len(cut))
        empty = self._hidden(clip, [Chunk((), ())], strengths, clip_skip)[0] if emphasis == "Interpolate" else None
        hidden, pooled = self._hidden(clip, cut, strengths, clip_skip)
        weighted = [_emphasise(z, chunk.weights, emphasis, empty) for z, chunk in zip(hidden, cut, strict=True)]
        return torch.cat(weighted), pooled[0]

    def _hidden(
        self, clip: Clip, chunks: Sequence[Chunk], strengths: Sequence[float], clip_skip: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[chunks, 77, width] and [chunks, width]."""
        rows = [clip.row(chunk.tokens) for chunk in chunks]
        self._bank.set_strengths(clip.component, [strengths] * len(rows))
        return clip.read(rows, clip_skip)


def _emphasise(z: torch.Tensor, weights: Sequence[float], mode: str, empty: torch.Tensor | None) -> torch.Tensor:
    """Apply token weights to one chunk, [77, width]. The marks at both ends and the padding have weight 1."""
    if all(weight == 1 for weight in weights):
        return z
    padded = [1.0, *weights, *[1.0] * (CHUNK + 1 - len(weights))]
    w = torch.tensor(padded, device=z.device, dtype=z.dtype)[:, None]
    if empty is not None:
        return empty[0] + w * (z - empty[0])
    weighted = z * w
    mean = weighted.mean()
    return weighted * (z.mean() / mean) if mode == "Original" and mean != 0 else weighted
