"""Settings of a recipe that contradict each other, each in one line with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hubman.train.architectures.detect import detect
from hubman.train.loss.process import Prediction
from hubman.train.recipe import Recipe
from registry.errors import HubError, UsageError


@dataclass(frozen=True)
class Clash:
    """One contradiction."""

    fields: tuple[str, ...]
    """The fields that clash, by their dotted names; the one that is best changed comes first."""
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.what}: {self.hint}"


def clashes(recipe: Recipe, prediction: Prediction | None = None) -> tuple[Clash, ...]:
    """What contradicts itself in ``recipe``; ``prediction`` is the base's, by default read off the base if it is there."""
    known = prediction or _prediction_of(recipe)
    return tuple(clash for rule in _RULES for clash in rule(recipe, known))


def refuse_clashes(recipe: Recipe, prediction: Prediction | None = None) -> None:
    """Raise UsageError with the first clash and how many more there are."""
    found = clashes(recipe, prediction)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UsageError(f"recipe: {found[0].what}{more}", found[0].hint)


def _prediction_of(recipe: Recipe) -> Prediction | None:
    """None for a base that is not there or cannot be used: who opens it says so."""
    path = Path(recipe.base)
    try:
        return _detected(path, path.stat().st_mtime_ns) if recipe.base else None
    except (OSError, HubError):
        return None


@lru_cache(maxsize=8)
def _detected(path: Path, _changed_at: int) -> Prediction:
    return detect(path).prediction


def _zero_terminal(recipe: Recipe, prediction: Prediction | None) -> Iterator[Clash]:
    if not recipe.noise.zero_terminal_snr:
        return
    off = "turn noise.zero_terminal_snr off"
    if prediction in ("epsilon", "flow"):
        yield Clash(("noise.zero_terminal_snr",), "zero-terminal SNR needs a base with v-prediction", off)
    elif recipe.loss.min_snr_gamma:
        yield Clash(
            ("loss.min_snr_gamma", "noise.zero_terminal_snr"),
            "min-SNR gives the last timestep of zero-terminal SNR no weight",
            "set loss.min_snr_gamma to 0",
        )


def _weights(recipe: Recipe, prediction: Prediction | None) -> Iterator[Clash]:
    if recipe.loss.min_snr_gamma and recipe.loss.debiased:
        yield Clash(
            ("loss.debiased", "loss.min_snr_gamma"),
            "min-SNR and debiased weights both weigh the timesteps",
            "turn loss.debiased off, or set loss.min_snr_gamma to 0",
        )
    if prediction == "flow" and recipe.loss.min_snr_gamma:
        yield Clash(("loss.min_snr_gamma",), "a flow model has no SNR to weigh by", "set loss.min_snr_gamma to 0")
    if prediction == "flow" and recipe.loss.debiased:
        yield Clash(("loss.debiased",), "a flow model has no SNR to weigh by", "turn loss.debiased off")


def _noise(recipe: Recipe, prediction: Prediction | None) -> Iterator[Clash]:
    noise = recipe.noise
    if noise.multires_iterations and (noise.offset or noise.adaptive):
        yield Clash(
            ("noise.multires_iterations", "noise.offset", "noise.adaptive"),
            "multires noise and a noise offset do the same, twice",
            "set noise.multires_iterations to 0, or noise.offset and noise.adaptive",
        )
    if prediction in ("epsilon", "v") and recipe.timesteps.shift != 1:
        yield Clash(("timesteps.shift",), "only flow models shift their timesteps", "set timesteps.shift to 1")


def _optimizer(recipe: Recipe, _: Prediction | None) -> Iterator[Clash]:
    settings = recipe.optimizer
    if settings.lora_plus != 1 and recipe.network.type in ("loha", "lokr"):
        yield Clash(
            ("optimizer.lora_plus", "network.type"),
            f"{recipe.network.type} has no up matrices for LoRA+",
            "set optimizer.lora_plus to 1",
        )
    if settings.name != "prodigy":
        return
    if 0 < settings.unet_lr < 0.5:
        yield Clash(("optimizer.unet_lr",), "prodigy finds the rate itself", "set optimizer.unet_lr to 1")
    rates = settings.rates
    for name, rate in (("text_lr", rates["text"]), ("text2_lr", rates["text2"])):
        if getattr(settings, name) >= 0 and rate not in (0, settings.unet_lr):
            yield Clash(
                (f"optimizer.{name}", "optimizer.name"),
                "prodigy knows one rate only",
                f"set optimizer.{name} to that of the model, or to 0",
            )
    if settings.lora_plus != 1:
        yield Clash(
            ("optimizer.lora_plus", "optimizer.name"), "prodigy knows one rate only", "set optimizer.lora_plus to 1"
        )


def _network(recipe: Recipe, _: Prediction | None) -> Iterator[Clash]:
    settings = recipe.network
    dropouts = {
        "dropout": settings.dropout,
        "rank_dropout": settings.rank_dropout,
        "module_dropout": settings.module_dropout,
    }
    used = tuple(f"network.{name}" for name, share in dropouts.items() if share)
    if settings.type == "dora" and settings.dora_axis == "output" and used:
        yield Clash(
            (*used, "network.dora_axis"),
            "a DoRA along the output axis knows no dropouts",
            f"set {' and '.join(used)} to 0, or network.dora_axis to input",
        )
    if settings.type == "lora" and recipe.file.bake_rank:
        yield Clash(("file.bake_rank", "network.type"), "a LoRA needs no baking", "set file.bake_rank to 0")


def _prior_and_masks(recipe: Recipe, _: Prediction | None) -> Iterator[Clash]:
    if recipe.prior.weight and not recipe.prior.caption.strip():
        yield Clash(
            ("prior.caption", "prior.weight"),
            "prior preservation needs a class",
            "say in prior.caption what it is one of",
        )
    if recipe.loss.masked and recipe.images.masks == "none":
        yield Clash(
            ("loss.masked", "images.masks"), "a masked loss needs masks", "set images.masks, or turn loss.masked off"
        )


_RULES: tuple[Callable[[Recipe, Prediction | None], Iterator[Clash]], ...] = (
    _zero_terminal,
    _weights,
    _noise,
    _optimizer,
    _network,
    _prior_and_masks,
)
