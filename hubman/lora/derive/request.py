"""What a derived file is made of and how: the request of a job, and what its header says so that it can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from registry.decodable import decodable

Method = Literal["concat", "svd", "ties", "dare", "prune"]
DENSE: frozenset[Method] = frozenset({"ties", "dare", "prune"})
"""Those that work on ΔW in full and change the sum."""
Precision = Literal["fp16", "bf16", "fp32"]

MERGED, RESIZED, EXTRACTED = "hubman.merge", "hubman.resize", "hubman.extract"
"""Entries of the header: JSON objects without paths or names."""
RANK = 128
"""The rank that a merge is cut to unless another is asked for: above it files grow more than they gain."""


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """A file that another is made of. ``path`` and ``name`` are this machine's and stay out of the header."""

    path: str
    sha256: str
    name: str = ""
    ratio: float = 1.0
    blocks: str = ""
    """Weights of its blocks, see :mod:`hubman.lora.blocks`."""


class MergeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``rank`` is the most that a module gets, None no bound; ``density`` and ``seed`` are TIES's, DARE's and pruning's."""

    parents: tuple[Parent, ...]
    out: str
    method: Method = "svd"
    rank: int | None = RANK
    density: float = 0.5
    seed: int = 0
    dtype: Precision = "fp16"
    base: str = ""
    title: str = ""
    """What the header calls it; empty: as the file."""
    trigger_words: tuple[str, ...] = ()

    @property
    def entry(self) -> str:
        """Where the header has the recipe."""
        return MERGED

    def recipe(self) -> dict[str, Any]:
        """What the header says of it."""
        thinned = {"density": self.density} if self.method in DENSE else {}
        seeded = {"seed": self.seed} if self.method == "dare" else {}
        parents = [
            {"sha256": one.sha256, "ratio": one.ratio, **({"blocks": one.blocks} if one.blocks else {})}
            for one in self.parents
        ]
        return {
            "version": 1, "method": self.method, "rank": self.rank, **thinned, **seeded, "dtype": self.dtype,
            "parents": parents,
        }  # fmt: skip


class ResizeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of :class:`hubman.lora.derive.rank_rule.RankRule`; ``count`` is of values in the whole file."""

    parent: Parent
    out: str
    rank: int | None = None
    keep: float | None = None
    sv_ratio: float | None = None
    count: int | None = None
    dtype: Precision = "fp16"
    base: str = ""
    trigger_words: tuple[str, ...] = ()

    @property
    def entry(self) -> str:
        """Where the header has the recipe."""
        return RESIZED

    def recipe(self) -> dict[str, Any]:
        rules = {name: getattr(self, name) for name in ("rank", "keep", "sv_ratio", "count")}
        given = {name: value for name, value in rules.items() if value is not None}
        return {"version": 1, **given, "dtype": self.dtype, "parents": [{"sha256": self.parent.sha256}]}


class ExtractRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``tuned`` and ``base`` are checkpoints or diffusers folders; ``conv_rank`` 0 leaves convolutions out."""

    tuned: str
    base: str
    out: str
    rank: int | None = 32
    conv_rank: int | None = None
    keep: float | None = None
    text: bool = True
    """Whether the text encoders are extracted too."""
    dtype: Precision = "fp16"

    @property
    def entry(self) -> str:
        """Where the header has the recipe."""
        return EXTRACTED

    def recipe(self) -> dict[str, Any]:
        rules = {name: getattr(self, name) for name in ("rank", "conv_rank", "keep")}
        given = {name: value for name, value in rules.items() if value is not None}
        return {"version": 1, **given, "text": self.text, "dtype": self.dtype}


class Stated(msgspec.Struct, frozen=True):
    """A parent as a header names it."""

    sha256: str
    ratio: float = 1.0
    blocks: str = ""


class MergeRecipe(msgspec.Struct, frozen=True):
    """:meth:`MergeRequest.recipe` as read from a header."""

    parents: tuple[Stated, ...]
    method: Method = "svd"
    rank: int | None = RANK
    density: float = 0.5
    seed: int = 0
    dtype: Precision = "fp16"


def stated(metadata: Mapping[str, str]) -> MergeRecipe | None:
    """The merge that a header tells of; None where it tells of none that can be read."""
    try:
        return msgspec.json.decode(metadata.get(MERGED, ""), type=decodable(MergeRecipe))
    except (msgspec.MsgspecError, RecursionError):
        return None
