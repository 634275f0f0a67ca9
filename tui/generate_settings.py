"""The settings of a picture as they are typed, line by line, and what each of them takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hubman import bases
from hubman.generate import axes
from hubman.generate.request import DrawRequest, Hires, check
from hubman.generate.samplers import SAMPLERS
from registry.errors import NotFoundError, UsageError

SETTINGS: Mapping[str, str] = {
    "negative": "what the picture should not show",
    "slots": "what {subject} and the like in the prompt stand for: subject=a cat, place=a roof",
    "seeds": "one picture for each; such as 1,2,3 or 1-8",
    "steps": "sampling steps: more is slower and, up to a point, cleaner",
    "cfg": "how strictly to follow the prompt; empty takes what the base wants",
    "sampler": "how noise is taken away; empty takes what the base wants",
    "schedule": "how the steps are spread over the noise; Automatic is what the sampler is used with",
    "size": "WIDTHxHEIGHT in pixels; empty takes what the base was trained on",
    "init": "a picture to start from, instead of noise alone",
    "denoise": "how far back towards noise the picture goes: 0 leaves it, 1 forgets it",
    "hires": "a second, larger pass: 2 for twice the sides, or 1024x1536; then denoise=0.5, steps=10, Lanczos",
    "vae": "another VAE: a diffusers folder or a file; empty is the base's own",
    "mode": "bank: all at once; fused: one setting, fastest; switch: in turn; composite: predictions averaged",
    "emphasis": "how (word:1.2) acts: as in A1111, without its norm, or as in ComfyUI",
    "clip_skip": "1 is the last layer of the text encoder, 2 the one before",
    "strengths": "for sweeps and pairs: 0,0.5,1 or a range such as 0-1 (+0.25)",
    "contrast": "a second prompt for sweeps: then the curve tells how far the first is still followed",
    "base": "tiny (the embedded base), a diffusers folder or a .safetensors checkpoint",
}
CHOICES: Mapping[str, Sequence[tuple[str, str]]] = {
    "mode": (
        ("bank", "all LoRAs at once; strengths differ within a batch"),
        ("fused", "one setting, fastest; for DoRA and full weights"),
        ("switch", "one LoRA at a time, in turn"),
        ("composite", "a prediction of each LoRA, averaged"),
    ),
    "emphasis": (
        ("Original", "as A1111 does it"),
        ("No norm", "A1111 without rescaling"),
        ("Interpolate", "as ComfyUI does it"),
    ),
}
"""(value, remark) of what is chosen from a list; samplers and schedules are added by :func:`choices`."""
PATHS: Mapping[str, tuple[str, ...]] = {
    "init": (".png", ".jpg", ".jpeg", ".webp"),
    "vae": (".safetensors", ".sft"),
    "base": (".safetensors", ".sft"),
}
"""What is a path, and the suffixes of files that are offered for it."""


@dataclass(frozen=True)
class Settings:
    """As they were typed; every field is right by itself (see :func:`assign`)."""

    negative: str = ""
    slots: str = ""
    seeds: str = "1"
    steps: str = "16"
    cfg: str = ""
    sampler: str = ""
    schedule: str = ""
    size: str = ""
    init: str = ""
    denoise: str = "0.75"
    hires: str = ""
    vae: str = ""
    mode: str = "bank"
    emphasis: str = "Original"
    clip_skip: str = "1"
    strengths: str = "0-1 (+0.25)"
    contrast: str = ""
    base: str = bases.EMBEDDED

    @property
    def lines(self) -> list[tuple[str, str]]:
        """(name, value), without those that act only with another one which is not set."""
        return [(one.name, getattr(self, one.name)) for one in fields(self) if one.name != "denoise" or self.init]

    @property
    def is_default(self) -> bool:
        return self == Settings()


def choices(name: str) -> Sequence[tuple[str, str]]:
    """(value, remark) of a setting that is chosen from a list; nothing for one that is written."""
    if name == "sampler":
        return [("", "what the base wants"), *((sampler, "") for sampler in SAMPLERS)]
    if name == "schedule":
        from hubman.generate.schedules import AUTOMATIC, SCHEDULES

        rest = [(schedule, "") for schedule in SCHEDULES if schedule != AUTOMATIC]
        return [("", "what the sampler is mostly used with"), *rest]
    return CHOICES.get(name, ())


def assign(settings: Settings, name: str, text: str) -> Settings:
    """The settings with one changed. Raises ``HubError`` that says what it takes."""
    known = [value for value, _ in CHOICES.get(name, ())]
    if known and text.strip() not in known:
        raise UsageError(f"{name} can't be {text.strip()!r}", f"choose one of {', '.join(known)}")
    changed = replace(settings, **{name: text.strip()})
    as_request(changed)
    strengths(changed)
    slots(changed)
    if not changed.seeds:
        raise UsageError("seeds is empty", "give at least one, such as 1")
    return changed


def strengths(settings: Settings) -> list[float]:
    return list(axes.parse_floats(settings.strengths))


def seeds(settings: Settings) -> list[int]:
    return list(axes.parse_integers(settings.seeds))


def slots(settings: Settings) -> dict[str, str]:
    """What the prompt's template slots stand for, by name. Raises ``UsageError``."""
    found: dict[str, str] = {}
    for item in axes.parse_values(settings.slots) if settings.slots else ():
        name, equals, value = item.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UsageError(f"slots: {item!r} is not name=value", "write for example subject=a cat, place=a roof")
        found[name.strip()] = value.strip()
    return found


def as_request(settings: Settings) -> DrawRequest:
    """A request without words and LoRAs, with the first seed. Raises ``HubError`` naming the setting that is wrong."""
    width, height = _sides(settings.size)
    made = DrawRequest(
        base=str(bases.find(settings.base)), prompt="", negative=settings.negative,
        seed=seeds(settings)[0] if settings.seeds else 0, steps=int(_number(settings, "steps")),
        cfg=_number(settings, "cfg", 7.0), sampler=settings.sampler or "Euler a", width=width, height=height,
        schedule=settings.schedule or "Automatic", init=_file(settings, "init"), denoise=_number(settings, "denoise"),
        hires=_hires(settings.hires), vae=_file(settings, "vae"), mode=settings.mode, emphasis=settings.emphasis,  # type: ignore[arg-type]
        clip_skip=int(_number(settings, "clip_skip")),
    )  # fmt: skip
    check(made)
    return made


def of_request(request: DrawRequest, settings: Settings) -> Settings:
    """``settings`` with those of a picture; what only a sweep has is kept."""
    size = f"{request.width}x{request.height}" if request.width and request.height else ""
    return replace(
        settings, negative=request.negative, seeds=str(request.seed), steps=str(request.steps), cfg=f"{request.cfg:g}",
        sampler=request.sampler, schedule="" if request.schedule == "Automatic" else request.schedule, size=size,
        init=request.init, denoise=f"{request.denoise:g}", hires=_hires_text(request.hires), vae=request.vae,
        mode=request.mode, emphasis=request.emphasis, clip_skip=str(request.clip_skip),
        base=_base_text(request.base) or settings.base,
    )  # fmt: skip


def as_job(settings: Settings) -> dict[str, Any]:
    """What a drawing job is told; what nobody chose is left to it."""
    from msgspec import to_builtins

    request, plain = as_request(settings), DrawRequest(base="", prompt="")
    told: dict[str, Any] = {
        "negative": settings.negative,
        "seeds": seeds(settings),
        "steps": request.steps,
        "base": request.base,
    }
    if settings.slots:
        told["slots"] = slots(settings)
    if settings.cfg:
        told["cfg"] = request.cfg
    if settings.sampler:
        told["sampler"] = request.sampler
    for name in ("width", "height", "schedule", "init", "hires", "vae", "mode", "emphasis", "clip_skip"):
        value = getattr(request, name)
        if value != getattr(plain, name):
            told[name] = to_builtins(value)
    if settings.init:
        told["denoise"] = request.denoise
    return told


def _number(settings: Settings, name: str, empty: float | None = None) -> float:
    text = getattr(settings, name)
    if not text and empty is not None:
        return empty
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{name} {text!r} is not a number", f"for example {getattr(Settings(), name) or 7}") from None
    if name in ("steps", "clip_skip") and value != int(value):
        raise UsageError(f"{name} {text!r} is not a whole number", f"for example {getattr(Settings(), name)}")
    return value


def _sides(text: str) -> tuple[int | None, int | None]:
    if not text:
        return None, None
    width, _, height = text.lower().partition("x")
    if not (width.strip().isdigit() and height.strip().isdigit()):
        raise UsageError(f"size {text!r} is not WIDTHxHEIGHT", "write for example 512x768")
    return int(width), int(height)


def _file(settings: Settings, name: str) -> str:
    text = getattr(settings, name)
    if not text:
        return ""
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise NotFoundError(f"{name}: there is nothing at {text}", "give a path, or nothing")
    return str(path)


_HIRES = ("denoise", "steps")


def _hires(text: str) -> Hires | None:
    """``2``, ``1024x1536 denoise=0.5 steps=10 Lanczos``."""
    if not text:
        return None
    told: dict[str, Any] = {}
    for word in text.replace(",", " ").split():
        key, equals, value = word.partition("=")
        try:
            if equals and key in _HIRES:
                told[key] = float(value) if key == "denoise" else int(value)
            elif "x" in word.lower() and word[0].isdigit():
                told["width"], told["height"] = _sides(word)
            elif word.lower() in ("latent", "lanczos"):
                told["upscaler"] = word.capitalize()
            else:
                told["scale"] = float(word)
        except ValueError:
            raise UsageError(f"hires: {word!r} is not known", "write for example 2 denoise=0.5 steps=10") from None
    return Hires(**told)


def _hires_text(hires: Hires | None) -> str:
    if hires is None:
        return ""
    size = f"{hires.width}x{hires.height}" if hires.width and hires.height else f"{hires.scale:g}"
    steps = f" steps={hires.steps}" if hires.steps else ""
    return f"{size} denoise={hires.denoise:g}{steps} {hires.upscaler}"


def _base_text(path: str) -> str:
    from hubman import tinybase

    if not path or path in (str(tinybase.MODEL), tinybase.MODEL.name):
        return bases.EMBEDDED if path else ""
    return path if Path(path).exists() else ""
