"""Prompts into text embeddings as A1111 makes them: chunks of 75 tokens, emphasis on the embeddings, clip skip."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from hubman.generate.bank import Bank
from hubman.generate.pipeline import Base
from hubman.generate.prompt_emphasis import Run, runs

CHUNK = 75
KEPT_TEXTS = 512
"""Encoded prompts kept; 77 x 1024 numbers in fp32 are 0.3 MB."""
COMMA_BACKTRACK = 20
"""A chunk that fills within so many tokens after a comma is cut at that comma."""


@dataclass(frozen=True)
class Chunk:
    """Up to 75 tokens with a weight each, without the marks at both ends."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


def chunks_of(text: str, base: Base) -> tuple[Chunk, ...]:
    """Cut a prompt into chunks; there is always at least one."""
    comma = base.tokenizer.convert_tokens_to_ids(",</w>")
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
        for token in _tokens(run, base):
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


def _tokens(run: Run, base: Base) -> list[int]:
    return list(base.tokenizer(run.text, truncation=False, add_special_tokens=False, verbose=False).input_ids)


class Encoder:
    """Encodes prompts under given text-encoder strengths, each distinct one once."""

    def __init__(self, base: Base, bank: Bank) -> None:
        self._base = base
        self._bank = bank
        self._cache: OrderedDict[tuple[object, ...], torch.Tensor] = OrderedDict()

    def forget(self) -> None:
        """Drop the cache; needed after the bank's LoRAs change."""
        self._cache.clear()

    @torch.inference_mode()
    def encode(
        self, text: str, strengths: Sequence[float], *, clip_skip: int, emphasis: str, chunks: int
    ) -> torch.Tensor:
        """[77 · chunks, width]: the prompt, filled up with empty prompts to ``chunks`` chunks."""
        key = (text, tuple(strengths), clip_skip, emphasis, chunks)
        if key not in self._cache:
            cut = list(chunks_of(text, self._base))
            cut += [Chunk((), ())] * (chunks - len(cut))
            empty = self._hidden([Chunk((), ())], strengths, clip_skip) if emphasis == "Interpolate" else None
            hidden = self._hidden(cut, strengths, clip_skip)
            weighted = [_emphasise(z, chunk.weights, emphasis, empty) for z, chunk in zip(hidden, cut, strict=True)]
            self._cache[key] = torch.cat(weighted)
            if len(self._cache) > KEPT_TEXTS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]

    def _hidden(self, chunks: Sequence[Chunk], strengths: Sequence[float], clip_skip: int) -> torch.Tensor:
        """[chunks, 77, width]."""
        tokenizer, encoder = self._base.tokenizer, self._base.text_encoder
        rows = []
        for chunk in chunks:
            row = [tokenizer.bos_token_id, *chunk.tokens, tokenizer.eos_token_id]
            rows.append(row + [tokenizer.pad_token_id] * (CHUNK + 2 - len(row)))
        self._bank.set_strengths("text_encoder", [strengths] * len(rows))
        output = encoder(torch.tensor(rows, device=self._base.device), output_hidden_states=clip_skip > 1)
        if clip_skip == 1:
            hidden: torch.Tensor = output.last_hidden_state
            return hidden
        layers = output.hidden_states
        # transformers before 5 kept the layers one level down.
        norm = getattr(encoder, "text_model", encoder).final_layer_norm
        skipped: torch.Tensor = norm(layers[-min(clip_skip, len(layers))])
        return skipped


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
