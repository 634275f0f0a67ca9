"""What is asked at each step: which noise, at which time, and how the answer's error counts."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from hubman.train.settings.section import Section

LossKind = Literal["l2", "huber", "smooth_l1"]
HuberSchedule = Literal["constant", "exponential", "snr"]
Sampling = Literal["uniform", "logit_normal"]


class NoiseSettings(Section, frozen=True, kw_only=True):
    """The noise that is added."""

    offset: Annotated[
        float, Meta(ge=0, le=1, description="lets the LoRA learn pictures that are darker or brighter than average")
    ] = 0.0
    adaptive: Annotated[
        float, Meta(ge=-10, le=10, description="adds this much of the latent's own mean to the offset")
    ] = 0.0
    multires_iterations: Annotated[
        int, Meta(ge=0, le=20, description="adds coarser noise, 6 to 10 times: more contrast; 0 is off")
    ] = 0
    multires_discount: Annotated[float, Meta(gt=0, le=1, description="weight of each coarser noise")] = 0.3
    perturbation: Annotated[
        float, Meta(ge=0, le=1, description="more noise than the target says (0.1): forgives errors while drawing")
    ] = 0.0
    zero_terminal_snr: Annotated[
        bool, Meta(description="lets the last timestep hold no picture at all; only for bases with v-prediction")
    ] = False


class TimestepSettings(Section, frozen=True, kw_only=True):
    """The moments that are trained; 0 is clean, 1 is noise."""

    sampling: Annotated[
        Sampling, Meta(description="uniform for noise prediction; flow models learn most in the middle: logit_normal")
    ] = "uniform"
    low: Annotated[float, Meta(ge=0, lt=1, description="earliest moment that is trained")] = 0.0
    high: Annotated[float, Meta(gt=0, le=1, description="latest moment that is trained")] = 1.0
    mean: Annotated[float, Meta(ge=-10, le=10, description="logit_normal: above 0 trains noisier moments")] = 0.0
    spread: Annotated[float, Meta(gt=0, le=10, description="logit_normal: how far around the mean")] = 1.0
    shift: Annotated[
        float, Meta(ge=0, le=100, description="flow: moves moments to the noisy end; 0 leaves it to the resolution")
    ] = 1.0


class LossSettings(Section, frozen=True, kw_only=True):
    """How an error counts."""

    kind: Annotated[LossKind, Meta(description="l2 is what bases were trained with; huber forgives odd images")] = "l2"
    huber_c: Annotated[float, Meta(gt=0, le=10, description="errors beyond it count linearly")] = 0.1
    huber_schedule: Annotated[
        HuberSchedule, Meta(description="how the bound follows the moment; snr is the authors' choice")
    ] = "snr"
    min_snr_gamma: Annotated[
        float,
        Meta(ge=0, le=1000, description="keeps almost clean moments from drowning the others; trains faster; 0 is off"),
    ] = 5.0
    debiased: Annotated[
        bool, Meta(description="weighs by the root of the signal: details and composition alike; instead of min-SNR")
    ] = False
    masked: Annotated[bool, Meta(description="counts the masked parts of images only")] = False
    mask_floor: Annotated[
        float, Meta(ge=0, le=1, description="what is outside of a mask still counts a little, or it turns to mush")
    ] = 0.1


class PriorSettings(Section, frozen=True, kw_only=True):
    """Prior preservation by the base's own answer: no class images are needed."""

    weight: Annotated[
        float, Meta(ge=0, le=100, description="how much the class must stay as it was; 0 is off and saves a third")
    ] = 0.0
    caption: Annotated[str, Meta(description="what the subject is one of: woman, dog, house")] = ""
