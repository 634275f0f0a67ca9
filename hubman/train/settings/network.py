"""What is trained: the kind and size of the adapter."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hubman.train.settings.section import Section
from registry.errors import UsageError

NetworkType = Literal["lora", "dora", "loha", "lokr"]
DoraAxis = Literal["input", "output"]


class RankPattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rank of its own for the modules whose file key ``match`` (a regular expression) finds; the first match counts."""

    match: str
    rank: Annotated[int, Meta(ge=0, le=1024)]
    """0 leaves the module alone."""
    alpha: Annotated[float, Meta(ge=0, le=65504)] | None = None
    """None keeps the relation of alpha to rank."""

    def __post_init__(self) -> None:
        try:
            re.compile(self.match)
        except re.error as error:
            raise UsageError(
                f"network.patterns: {self.match!r} is no regular expression ({error})", "correct the pattern"
            ) from error


class NetworkSettings(Section, frozen=True, kw_only=True):
    """The adapter; a LoCon is a ``lora`` whose ``conv_rank`` is above 0."""

    type: Annotated[
        NetworkType,
        Meta(description="lora is read by every program; dora follows a style closer and costs a third more time"),
    ] = "lora"
    rank: Annotated[
        int,
        Meta(ge=1, le=1024, description="a style needs more room than one character; more learns a small set by heart"),
    ] = 16
    alpha: Annotated[
        float,
        Meta(gt=0, le=65504, description="half the rank halves the effective rate and keeps the first steps tame"),
    ] = 8.0
    conv_rank: Annotated[
        int,
        Meta(ge=0, le=1024, description="textures live in the 3x3 convolutions: a style trains them; 0 leaves them"),
    ] = 0
    conv_alpha: Annotated[float, Meta(ge=0, le=65504, description="alpha of the convolutions")] = 0.0
    rank_stabilized: Annotated[
        bool, Meta(description="scales by the root of the rank, so that ranks above 64 learn as fast as small ones")
    ] = False
    factor: Annotated[
        int, Meta(ge=-1, le=1024, description="lokr: size of the small factor; -1 takes the squarest split")
    ] = -1
    decompose_both: Annotated[bool, Meta(description="lokr: a low rank for the small factor too: a smaller file")] = (
        False
    )
    tucker: Annotated[
        bool, Meta(description="loha and lokr: a core for the kernels of 3x3 convolutions: a smaller file")
    ] = False
    dora_axis: Annotated[
        DoraAxis,
        Meta(description="dora: input is what A1111, Forge and ComfyUI draw exactly; output is what diffusers has"),
    ] = "input"
    dropout: Annotated[
        float, Meta(ge=0, lt=1, description="switches inputs off at random: slows learning by heart in small sets")
    ] = 0.0
    rank_dropout: Annotated[
        float, Meta(ge=0, lt=1, description="switches ranks off at random, so that none carries all")
    ] = 0.0
    module_dropout: Annotated[
        float, Meta(ge=0, lt=1, description="switches whole modules off at random, so that none carries all")
    ] = 0.0
    max_norm: Annotated[
        float, Meta(ge=0, le=1000, description="scales a module down whose change grows beyond it; 0 lets all grow")
    ] = 0.0
    patterns: Annotated[
        tuple[RankPattern, ...], Meta(description="ranks of their own for blocks or modules, by regular expression")
    ] = ()
    start_from: Annotated[str, Meta(description="a LoRA file to go on from, instead of from nothing")] = ""
    ema: Annotated[
        float, Meta(ge=0, lt=1, description="writes a running mean of the weights (0.99 to 0.999): calmer; 0 is off")
    ] = 0.0
