"""Samplers by their A1111 names. The table needs no torch; ``make_scheduler`` does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from hubman.generate.schedules import AUTOMATIC, NATIVE, PLAIN_OF_FLOW, SCHEDULES, levels
from registry.errors import UsageError


@dataclass(frozen=True)
class Sampler:
    """A diffusers scheduler class and the settings that make it behave like the A1111 sampler."""

    scheduler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    automatic: str = AUTOMATIC
    """What A1111 draws it with where nobody chose a schedule type."""
    by_timestep: bool = False
    """It walks over timesteps, not noise levels, so that there is no schedule type to choose."""
    flow: str = ""
    """The scheduler class that undoes flow matching so; empty = there is none."""


_DPM = {"algorithm_type": "dpmsolver++", "solver_order": 2}
_SDE = {"algorithm_type": "sde-dpmsolver++", "solver_order": 2}
_MULTI, _SINGLE = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"
_NOISE = {"algorithm_type": "dpmsolver", "solver_order": 3, "final_sigmas_type": "sigma_min"}

SAMPLERS: Mapping[str, Sampler] = {
    "Euler a": Sampler("EulerAncestralDiscreteScheduler"),
    "Euler": Sampler("EulerDiscreteScheduler", flow="FlowMatchEulerDiscreteScheduler"),
    "Heun": Sampler("HeunDiscreteScheduler", flow="FlowMatchHeunDiscreteScheduler"),
    "LMS": Sampler("LMSDiscreteScheduler"),
    "DPM2": Sampler("KDPM2DiscreteScheduler", automatic="Karras"),
    "DPM2 a": Sampler("KDPM2AncestralDiscreteScheduler", automatic="Karras"),
    "DPM++ 2M": Sampler(_MULTI, _DPM, "Karras", flow=_MULTI),
    "DPM++ SDE": Sampler(_SINGLE, _SDE, "Karras"),
    "DPM++ 2M SDE": Sampler(_MULTI, _SDE, "Exponential", flow=_MULTI),
    "DPM++ 2M SDE Heun": Sampler(_MULTI, {**_SDE, "solver_type": "heun"}, "Exponential"),
    "DPM++ 3M SDE": Sampler(_MULTI, {**_SDE, "solver_order": 3}, "Exponential"),
    "DPM fast": Sampler(_SINGLE, _NOISE, "Exponential"),
    "DDIM": Sampler("DDIMScheduler", {"clip_sample": False}, by_timestep=True),
    "PLMS": Sampler("PNDMScheduler", {"skip_prk_steps": True}, by_timestep=True),
    "UniPC": Sampler("UniPCMultistepScheduler", flow="UniPCMultistepScheduler"),
    "LCM": Sampler("LCMScheduler", by_timestep=True, flow="FlowMatchLCMScheduler"),
}
REFUSED: Mapping[str, str] = {
    "DPM++ 2S a": "DPM++ SDE",
    "DPM adaptive": "DPM fast",
    "DDIM CFG++": "DDIM",
    "Restart": "Heun",
}
"""Samplers of A1111 that diffusers has no scheduler for, and what is nearest."""


_ANCESTRAL = frozenset({"Euler a", "DPM2 a"})
_FROM_NOISE = 500.0
"""How far above the next level one is put where fp32 can't have more."""
_KEPT = {("DPM++ 2M", "Karras"), ("DPM++ 2M SDE", "Karras")}
"""What the first release drew just so, under these names."""


def split_name(sampler: str, schedule: str = AUTOMATIC) -> tuple[str, str]:
    """(sampler, schedule type), also of an old name that has both: ``("DPM++ 2M", "Karras")``.

    Raises ``UsageError`` for a name that nobody knows, and for one that cannot be drawn.
    """
    name = sampler
    if name not in SAMPLERS and name not in REFUSED and schedule == AUTOMATIC:
        name, _, end = sampler.rpartition(" ")
        if end not in SCHEDULES or name not in {*SAMPLERS, *REFUSED}:
            raise UsageError(f"sampler {sampler!r} is unknown", f"choose one of {', '.join(SAMPLERS)}")
        schedule = end
    if name in REFUSED:
        raise UsageError(f"sampler {name!r} is not in diffusers", f"choose {REFUSED[name]}, which is nearest")
    if name not in SAMPLERS:
        raise UsageError(f"sampler {sampler!r} is unknown", f"choose one of {', '.join(SAMPLERS)}")
    if name == "LMS" and find_spec("scipy") is None:
        raise UsageError("sampler LMS needs scipy", "pip install scipy, or choose DPM++ 2M, which is nearest")
    if schedule not in SCHEDULES:
        raise UsageError(f"schedule type {schedule!r} is unknown", f"choose one of {', '.join(SCHEDULES)}")
    if SAMPLERS[name].by_timestep and schedule != AUTOMATIC:
        raise UsageError(f"sampler {name} has no schedule type {schedule}", f"choose {AUTOMATIC}, or Euler")
    return name, schedule


def a1111_name(sampler: str, schedule: str = AUTOMATIC) -> tuple[str, str]:
    """(``Sampler``, ``Schedule type``) as A1111 writes them; of any text."""
    try:
        return split_name(sampler, schedule)
    except UsageError:
        return sampler, schedule


def key_name(sampler: str, schedule: str) -> str:
    """One name for all spellings of the same sampler and schedule type; as the first release kept pictures."""
    name, schedule = a1111_name(sampler, schedule)
    if name in SAMPLERS and schedule == AUTOMATIC:
        schedule = SAMPLERS[name].automatic
    if schedule == AUTOMATIC:
        return name
    return f"{name} {schedule}" if (name, schedule) in _KEPT else f"{name}/{schedule}"


def make_scheduler(
    sampler: str,
    config: Mapping[str, Any],
    steps: int,
    *,
    schedule: str = AUTOMATIC,
    device: Any = None,
    ays: str = "StableDiffusionSigmas",
) -> Any:
    """A fresh diffusers scheduler, its timesteps set, for a base whose scheduler has ``config``.

    Betas and prediction type are kept. ``ays``: see :func:`~hubman.generate.schedules.levels`. Raises ``UsageError`` as
    :func:`split_name`.
    """
    import diffusers

    name, schedule = split_name(sampler, schedule)
    entry = SAMPLERS[name]
    schedule = entry.automatic if schedule == AUTOMATIC else schedule
    made = getattr(diffusers, entry.scheduler)
    # The others would stay within the timesteps that the base's own spacing visits.
    native = schedule in NATIVE and entry.scheduler in (_MULTI, _SINGLE, "UniPCMultistepScheduler")
    of_levels = schedule != AUTOMATIC and not native
    flags = {"use_karras_sigmas": of_levels and name != "Euler a", **(NATIVE[schedule] if native else {})}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*dpmsolver", category=FutureWarning)  # DPM fast is made of it
        scheduler = made.from_config({**config, **flags, **entry.settings})
    if not of_levels:
        scheduler.set_timesteps(steps, device=device)
        if name == "Euler a":
            scheduler.sigmas = _tame(scheduler.sigmas, to_the_end=True)
        return scheduler
    alphas = scheduler.alphas_cumprod.double().numpy()
    chosen = levels(schedule, ((1 - alphas) / alphas) ** 0.5, steps, ays)
    if name in _ANCESTRAL:
        chosen = _tame(chosen, to_the_end=name == "Euler a")
    if name == "Euler a":
        scheduler.set_timesteps(steps, device=device)
        _visit(scheduler, chosen, alphas)
    else:
        # The one place in which all of diffusers' schedulers ask for levels that do not follow from timesteps.
        scheduler._convert_to_karras = lambda in_sigmas, num_inference_steps: chosen  # noqa: ARG005
        scheduler.set_timesteps(steps, device=device)
    return scheduler


def _tame(levels: Any, *, to_the_end: bool) -> Any:
    """Noise levels (a tensor or an array, falling) between which an ancestral sampler can step in fp32.

    To come from ``a`` to ``b`` it takes the root of b² - b²(a² - b²)/a², which is b⁴/a² but for rounding: where few steps
    begin at a level without signal it may come out negative, and the picture black. Seen from ``b``, a smaller ``a`` is noise
    alone just as well. ``to_the_end``: the root may be 0.
    """
    import numpy as np

    for number in reversed(range(len(levels) - 1)):
        above, below = np.float32(levels[number]), np.float32(levels[number + 1])
        if not below > 0:
            continue
        up = (below**2 * (above**2 - below**2) / above**2) ** np.float32(0.5)
        left = below**2 - up**2
        if left < 0 or (left == 0 and not to_the_end):
            levels[number] = float(below) * _FROM_NOISE
    return levels


def _visit(scheduler: Any, chosen: Any, alphas: Any) -> None:
    """Give Euler a its noise levels, which in diffusers it has no setting for."""
    import numpy as np
    import torch

    trained = np.log(((1 - alphas) / alphas) ** 0.5)
    at = np.interp(np.log(chosen), trained, np.arange(len(trained)))
    scheduler.sigmas = torch.from_numpy(np.append(chosen, 0.0).astype(np.float32))
    scheduler.timesteps = torch.from_numpy(at.astype(np.float32)).to(scheduler.timesteps.device)


def make_flow_scheduler(
    sampler: str,
    config: Mapping[str, Any],
    steps: int,
    *,
    sigmas: Any,
    shift: float,
    mu: float | None,
    schedule: str = AUTOMATIC,
    device: Any = None,
) -> Any:
    """As :func:`make_scheduler` for flow matching, whose noise levels are shifted by ``shift``, or ``exp(mu)``.

    ``sigmas`` are the levels before the shift, None for the scheduler's own. Raises ``UsageError`` too for a sampler without
    a flow form.
    """
    import diffusers

    name, schedule = split_name(sampler, schedule)
    entry = SAMPLERS[name]
    if not entry.flow:
        able = [each for each, one in SAMPLERS.items() if one.flow]
        raise UsageError(f"sampler {sampler!r} cannot undo flow matching", f"choose one of {', '.join(able)}")
    if schedule not in PLAIN_OF_FLOW and not (name == "Euler" and schedule in NATIVE):
        hint = f"choose {AUTOMATIC}, or Euler with {', '.join(NATIVE)}"
        raise UsageError(f"sampler {name} has no schedule type {schedule} for flow matching", hint)
    made = getattr(diffusers, entry.flow)
    if name in ("Euler", "LCM"):
        scheduler = made.from_config({**config, **NATIVE.get(schedule, {})})
        scheduler.set_timesteps(steps, sigmas=sigmas, device=device, mu=mu)
    elif name == "Heun":
        scheduler = made(shift=shift)
        scheduler.set_timesteps(steps, device=device)
    else:
        settings = {each: value for each, value in entry.settings.items() if each != "solver_order"}
        scheduler = made(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, **settings)
        scheduler.set_timesteps(steps, device=device)
    return scheduler
