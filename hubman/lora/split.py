"""Changes of single rows joined to those of the whole layer: diffusers' files split what the original model fuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from hubman.lora.change import Change
from hubman.lora.factors import Factors
from hubman.lora.keys import Site

_Piece = tuple[int, Change]
"""First row of the whole, and what changes from there on."""


def joined(changes: Mapping[Site, Change]) -> dict[Site, Change]:
    """``changes`` with all that concern rows of a fused layer joined to one of that layer; exact."""
    pieces: dict[Site, list[_Piece]] = {}
    for site, change in changes.items():
        pieces.setdefault(site.of or site, []).append((site.first_row, change))
    return {
        whole: found[0][1] if whole in changes and len(found) == 1 else _join(whole, found)
        for whole, found in pieces.items()
    }


def _join(whole: Site, pieces: Sequence[_Piece]) -> Change:
    parts = [(row, change.factors) for row, change in pieces if change.factors]
    bias = [(row, change.bias) for row, change in pieces if change.bias is not None]
    change = Change(factors=_factors(whole, parts)) if parts else Change()
    if not bias:
        return change
    vector = torch.zeros(whole.shape[0])
    for row, part in bias:
        vector[row : row + part.shape[0]] += part
    return replace(change, bias=vector)


def _factors(whole: Site, parts: Sequence[tuple[int, Factors]]) -> Factors:
    """Down matrices below each other, up matrices on a diagonal; equal down matrices (split files) stay one."""
    first = parts[0][1].down
    shared = all(torch.equal(first, factors.down) for _, factors in parts)
    rank = first.shape[0] if shared else sum(factors.rank for _, factors in parts)
    up, start = torch.zeros(whole.shape[0], rank), 0
    for row, factors in parts:
        columns = slice(0, rank) if shared else slice(start, start + factors.rank)
        up[row : row + factors.up.shape[0], columns] += factors.up
        start += factors.rank
    return Factors(first if shared else torch.cat([factors.down for _, factors in parts]), up)
