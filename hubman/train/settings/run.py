"""How a run is watched, what it may take of the machine, and what it leaves behind."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from hubman.train.settings.section import Section

Dtype = Literal["fp32", "bf16"]
Auto = Literal["auto", "on", "off"]
Quantize = Literal["auto", "off", "int8"]
FileDtype = Literal["fp16", "bf16", "fp32"]
Privacy = Literal["full", "private"]


class WatchSettings(Section, frozen=True, kw_only=True):
    """What shows how it goes, and what it can go on from."""

    save_every: Annotated[
        int, Meta(ge=0, le=10_000_000, description="a crash costs at most so many steps; 0: only epochs are kept")
    ] = 200
    validation_images: Annotated[
        int, Meta(ge=0, le=10_000, description="images whose loss at fixed noise is followed; 0 is off")
    ] = 8
    held_out: Annotated[
        bool, Meta(description="they aren't trained: an honest measure, for sets that can spare them")
    ] = False
    sample_prompts: Annotated[
        tuple[str, ...], Meta(description="drawn after each epoch; none takes the first captions")
    ] = ()
    samples: Annotated[
        int, Meta(ge=0, le=64, description="captions that are drawn where no prompt is given; 0 draws none")
    ] = 2
    sample_steps: Annotated[int, Meta(ge=1, le=1000, description="steps of a sample")] = 20
    sample_guidance: Annotated[float, Meta(ge=0, le=100, description="guidance of a sample")] = 7.0


class MachineSettings(Section, frozen=True, kw_only=True):
    """What it may take; ``auto`` goes by the forecast of memory."""

    dtype: Annotated[
        Dtype, Meta(description="of the frozen weights: bf16 halves time and memory; the LoRA itself stays fp32")
    ] = "fp32"
    checkpointing: Annotated[Auto, Meta(description="computes twice to hold half: when memory is short")] = "auto"
    offload: Annotated[Auto, Meta(description="frozen layers wait in main memory: when memory is very short")] = "auto"
    quantize: Annotated[Quantize, Meta(description="frozen weights in 8 bits: when nothing else fits")] = "auto"
    compile: Annotated[Auto, Meta(description="compiles the blocks first: pays in long runs on a GPU")] = "auto"
    threads: Annotated[
        int,
        Meta(ge=0, le=256, description="of the CPU; 0: as torch finds best; small models are fastest with 1"),
    ] = 0


class FileSettings(Section, frozen=True, kw_only=True):
    """The file that comes out."""

    dtype: Annotated[FileDtype, Meta(description="every program loads fp16, and the difference can't be seen")] = "fp16"
    bake_rank: Annotated[
        int,
        Meta(
            ge=0,
            le=1024,
            description="writes dora, loha, lokr as plain LoRA of this rank, which all draw; 0: as it is",
        ),
    ] = 0
    privacy: Annotated[
        Privacy, Meta(description="full lets others see tags and settings; private keeps all but the trigger back")
    ] = "full"
    strength: Annotated[
        float, Meta(ge=-10, le=10, description="recommended at first: trained at 1, mostly used a little below")
    ] = 0.8
