"""How it learns: length, optimizer, rates and their course."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from hubman.train.settings.section import Section

Shape = Literal["cosine", "cosine_restarts", "linear", "polynomial", "constant"]
Part = Literal["model", "text", "text2"]
"""What has a rate of its own: the UNet or transformer, its text encoder, and a second one."""
Argument = bool | int | float | str | tuple[float, ...]


class LengthSettings(Section, frozen=True, kw_only=True):
    """How long; counted in optimizer steps."""

    steps: Annotated[
        int,
        Meta(ge=1, le=10_000_000, description="showings by batch: enough for so many images, before it copies them"),
    ] = 1000
    epochs: Annotated[
        int,
        Meta(
            ge=1, le=1000, description="equal parts; each ends with a file to choose from: the last isn't always best"
        ),
    ] = 5
    batch: Annotated[
        int, Meta(ge=1, le=1024, description="as many as an ordinary card holds; larger wants a rate times its root")
    ] = 2
    accumulate: Annotated[
        int,
        Meta(ge=1, le=1024, description="batches before each step: the effect of a larger batch without its memory"),
    ] = 1


class OptimizerSettings(Section, frozen=True, kw_only=True):
    """Who takes the steps, and how far."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            description="adamw, adamw8bit, prodigy, adafactor, lion or the path of a class; adamw is the one all know",
        ),
    ] = "adamw"
    unet_lr: Annotated[
        float, Meta(ge=0, le=10, description="the middle of what peers use for this family and batch; prodigy wants 1")
    ] = 1e-4
    text_lr: Annotated[
        float,
        Meta(
            ge=0, le=10, description="a style needs no new words (0); a character or concept ties its trigger to a look"
        ),
    ] = 0.0
    text2_lr: Annotated[
        float,
        Meta(
            ge=-1, le=10, description="of the second text encoder of SDXL and SD 3.5, where it differs; -1: as text_lr"
        ),
    ] = -1.0
    lora_plus: Annotated[
        float, Meta(ge=1, le=64, description="LoRA+: how many times faster the up matrices learn; 1 is plain")
    ] = 1.0
    weight_decay: Annotated[float, Meta(ge=0, le=10, description="pulls weights to zero a little: less by heart")] = (
        0.01
    )
    max_grad_norm: Annotated[
        float, Meta(ge=0, le=1e9, description="one strange image can't tear the weights apart; 0 is off")
    ] = 1.0
    args: Annotated[dict[str, Argument], Meta(description="further arguments of the optimizer's class")] = {}  # noqa: RUF012 - msgspec copies it

    @property
    def rates(self) -> dict[Part, float]:
        """The full rate of each part; 0 leaves it as it is."""
        return {
            "model": self.unet_lr,
            "text": self.text_lr,
            "text2": self.text_lr if self.text2_lr < 0 else self.text2_lr,
        }

    @property
    def trained_text(self) -> frozenset[Part]:
        """The text encoders that learn, so that what they say can't be kept, whether the base has them or not."""
        return frozenset(part for part, rate in self.rates.items() if part != "model" and rate > 0)

    @property
    def trains_text(self) -> bool:
        """Whether a text encoder learns."""
        return bool(self.trained_text)


class ScheduleSettings(Section, frozen=True, kw_only=True):
    """The course of the rate, as shares of the full one."""

    shape: Annotated[Shape, Meta(description="cosine ends near zero, so the last checkpoint is calm")] = "cosine"
    warmup: Annotated[
        float, Meta(ge=0, le=1, description="share of the steps in which the rate rises: the first ones are wildest")
    ] = 0.05
    restarts: Annotated[int, Meta(ge=1, le=1000, description="cosine_restarts: how many falls")] = 3
    power: Annotated[float, Meta(gt=0, le=100, description="polynomial: 1 is a line, more falls sooner")] = 2.0
    floor: Annotated[float, Meta(ge=0, le=1, description="the share of the rate that is never undercut")] = 0.0
