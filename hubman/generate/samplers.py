"""Samplers by their A1111 names. The table needs no torch; ``make_scheduler`` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sampler:
    """A diffusers scheduler class and the settings that make it behave like the A1111 sampler."""

    scheduler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    schedule_type: str = "Automatic"
    """What A1111 writes as ``Schedule type``."""


_DPM = {"algorithm_type": "dpmsolver++", "solver_order": 2}

SAMPLERS: Mapping[str, Sampler] = {
    "Euler a": Sampler("EulerAncestralDiscreteScheduler"),
    "Euler": Sampler("EulerDiscreteScheduler"),
    "Euler Karras": Sampler("EulerDiscreteScheduler", {"use_karras_sigmas": True}, "Karras"),
    "DDIM": Sampler("DDIMScheduler", {"clip_sample": False}),
    "DPM++ 2M": Sampler("DPMSolverMultistepScheduler", _DPM, "Uniform"),
    "DPM++ 2M Karras": Sampler("DPMSolverMultistepScheduler", {**_DPM, "use_karras_sigmas": True}, "Karras"),
    "DPM++ 2M SDE": Sampler("DPMSolverMultistepScheduler", {**_DPM, "algorithm_type": "sde-dpmsolver++"}, "Uniform"),
    "DPM++ 2M SDE Karras": Sampler(
        "DPMSolverMultistepScheduler",
        {**_DPM, "algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
        "Karras",
    ),
    "UniPC": Sampler("UniPCMultistepScheduler"),
}


def a1111_name(sampler: str) -> tuple[str, str]:
    """(``Sampler``, ``Schedule type``) as A1111 writes them: ``("DPM++ 2M", "Karras")``."""
    return sampler.removesuffix(" Karras"), SAMPLERS[sampler].schedule_type if sampler in SAMPLERS else "Automatic"


def make_scheduler(sampler: str, config: Mapping[str, Any]) -> Any:
    """A fresh diffusers scheduler for a base whose scheduler has ``config`` (betas and prediction type are kept)."""
    import diffusers

    entry = SAMPLERS[sampler]
    wanted = {**config, "use_karras_sigmas": False, **entry.settings}
    return getattr(diffusers, entry.scheduler).from_config(wanted)
