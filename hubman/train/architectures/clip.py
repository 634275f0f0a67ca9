"""CLIP text encoders: their tokenizer, which is known here so that nothing is downloaded, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from hubman.train.architectures.clip_vocabulary import vocabulary
from hubman.train.architectures.parts import Part
from hubman.train.loss.sending import sent

CHUNK = 75
"""Tokens that CLIP reads at once, without the marks at both ends."""

KEPT_TEXTS = 256


@dataclass(frozen=True)
class Clip:
    """A CLIP text encoder and its tokenizer."""

    component: str
    """``text_encoder``, ``text_encoder_2``: its name in the pipeline."""
    key: str
    """What kohya's files call it: ``lora_te``, ``lora_te1``, ``lora_te2``."""
    tokenizer: Any
    part: Part
    penultimate: bool = False
    """Read the last layer but one as it is, whatever the clip skip: SDXL and SD 3.x were trained so."""

    @property
    def encoder(self) -> Any:
        """Loaded now unless it is there."""
        return self.part.get()

    @cached_property
    def _tokens_of(self) -> Callable[[str], tuple[int, ...]]:
        # The cells of a sweep mostly say the same, and to split a text takes longer than to set their strengths.
        return lru_cache(KEPT_TEXTS)(partial(_tokens, self.tokenizer))

    def tokens(self, text: str) -> tuple[int, ...]:
        """Without marks, however many."""
        return self._tokens_of(text)

    def row(self, tokens: Sequence[int]) -> list[int]:
        """Up to 75 tokens with the marks at both ends, filled up to 77."""
        row = [self.tokenizer.bos_token_id, *tokens, self.tokenizer.eos_token_id]
        return row + [self.tokenizer.pad_token_id] * (CHUNK + 2 - len(row))

    def rows(self, text: str, chunks: int) -> list[list[int]]:
        """``chunks`` rows of 77, as A1111 reads long prompts; what exceeds them is cut off."""
        tokens = self.tokens(text)
        return [self.row(tokens[start : start + CHUNK]) for start in range(0, chunks * CHUNK, CHUNK)]

    def read(self, rows: Sequence[Sequence[int]], clip_skip: int) -> tuple[Tensor, Tensor]:
        """States ``[rows, 77, width]`` and what the encoder says of each row as a whole ``[rows, width]``."""
        ids = sent(torch.tensor(rows), next(self.encoder.parameters()).device)
        answer = self.encoder(ids, output_hidden_states=self.penultimate or clip_skip > 1)
        pooled: Tensor = answer.text_embeds if hasattr(answer, "text_embeds") else answer.pooler_output
        layers = answer.hidden_states
        if self.penultimate:
            return layers[-2], pooled
        if clip_skip == 1:
            return answer.last_hidden_state, pooled
        # transformers before 5 kept the layers one level down.
        norm = getattr(self.encoder, "text_model", self.encoder).final_layer_norm
        return norm(layers[-min(clip_skip, len(layers))]), pooled


def _tokens(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids)


def clip_tokenizer(pad_token: str = "<|endoftext|>") -> Any:  # noqa: S107 - a word of CLIP's vocabulary
    """CLIP's tokenizer, as a transformers ``CLIPTokenizer``. SD 2.x and OpenCLIP's bigG pad with ``!``."""
    from transformers import CLIPTokenizer

    tokens, merges = vocabulary()
    return CLIPTokenizer(vocab=tokens, merges=merges, pad_token=pad_token, model_max_length=CHUNK + 2)
