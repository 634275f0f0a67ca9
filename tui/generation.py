"""What the Generate screen asks for: words, a stack of LoRAs, settings; and how they become jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubman import bases
from hubman.generate import axes
from hubman.generate.prompt_tags import LoraTag, cut_tags, format_number
from hubman.generate.request import DrawRequest, LoraUse, check
from hubman.generate.samplers import SAMPLERS
from registry.errors import HubError, UsageError

if TYPE_CHECKING:
    from hubman.generate.grids.view import GridReader
    from hubman.generate.guards import Guard
    from hubman.jobs.records import Job
    from registry.database import Registry
    from tui.services.run_events import Picture


@dataclass(frozen=True)
class StackItem:
    """A LoRA of the stack and its strength."""

    version_id: str
    alias: str
    sha256: str
    path: str
    """Empty where the file is not on this machine."""
    strength: float = 1.0
    low: float | None = None
    high: float | None = None
    trigger_words: tuple[str, ...] = ()
    required_words: tuple[str, ...] = ()
    """Those that go into a prompt with it."""

    @property
    def tag(self) -> str:
        return str(LoraTag(self.alias, self.strength, self.strength))


def item_of(registry: Registry, model: str, strength: float | None = None, version_id: str | None = None) -> StackItem:
    """A version of a model, its newest if none is named, as an item at its recommended strength, else 0.8.

    Raises ``HubError``.
    """
    from registry import library, prompt_name, scan, triggers

    detail = library.show(registry, model)
    if not detail.versions:
        raise UsageError(f"{detail.name} has no file", "scan its folder again")
    chosen = next((one.id for one in detail.versions if one.id == version_id), detail.versions[0].id)
    version = library.version(registry, scan.hashed(registry, chosen))
    name = prompt_name.of(library.show(registry, version.model_id), version)
    file = version.files[0]
    present = [place.path for place in file.places if place.state == "present"]
    recommended = version.strength if version.strength is not None else 0.8
    return StackItem(
        version.id, name, file.sha256, present[0] if present else "", recommended if strength is None else strength,
        version.strength_min, version.strength_max, version.trigger_words,
        tuple(triggers.copied(version.trigger_words, version.trigger_groups)),
    )  # fmt: skip


def sweep_strengths(item: StackItem) -> str:
    """The strengths that test a LoRA: from 0 up to 1, or to the end of its range where that lies higher, in few steps."""
    end = max(1.0, item.high or 0.0)
    step = next((step for step in (0.25, 0.2, 0.1) if abs(end / step - round(end / step)) < 1e-6), 0.25)
    return f"0-{format_number(end)} (+{format_number(step)})"


def take_tags(registry: Registry, prompt: str) -> tuple[str, list[StackItem], list[str]]:
    """A prompt without its ``<lora:…>`` tags, the LoRAs that they name, and what could not be understood."""
    from registry import prompt_name

    cut = cut_tags(prompt)
    found: list[StackItem] = []
    problems = [lint.message for lint in cut.lints]
    for tag in cut.tags:
        try:
            model, version = prompt_name.find(registry, tag.name)
            found.append(item_of(registry, model, tag.unet, version))
        except HubError as error:
            problems.append(str(error))
    return cut.text.strip(" ,"), found, problems


SETTINGS: Mapping[str, str] = {
    "negative": "what the picture should not show",
    "seeds": "one picture for each; such as 1,2,3 or 1-8",
    "steps": "sampling steps: more is slower and, up to a point, cleaner",
    "cfg": "how strictly to follow the prompt; empty takes what the base wants",
    "sampler": f"one of {', '.join(SAMPLERS)}; empty takes what the base wants",
    "size": "WIDTHxHEIGHT in pixels; empty takes what the base was trained on",
    "strengths": "for sweeps and grids: 0,0.5,1 or a range such as 0-1 (+0.25)",
    "contrast": "a second prompt for sweeps: then the curve tells how far the first is still followed",
    "base": "tiny (the embedded base), a diffusers folder or a .safetensors checkpoint",
}


@dataclass(frozen=True)
class Settings:
    """As they were typed; every field is right by itself (see :func:`assign`)."""

    negative: str = ""
    seeds: str = "1"
    steps: str = "16"
    cfg: str = ""
    sampler: str = ""
    size: str = ""
    strengths: str = "0-1 (+0.25)"
    contrast: str = ""
    base: str = bases.EMBEDDED


def assign(settings: Settings, name: str, text: str) -> Settings:
    """The settings with one changed. Raises ``HubError`` that says what it takes."""
    changed = replace(settings, **{name: text.strip()})
    picture(changed, "", ())
    _strengths(changed)
    if not changed.seeds:
        raise UsageError("seeds is empty", "give at least one, such as 1")
    return changed


def _sides(text: str) -> tuple[int | None, int | None]:
    if not text:
        return None, None
    width, _, height = text.lower().partition("x")
    if not (width.strip().isdigit() and height.strip().isdigit()):
        raise UsageError(f"size {text!r} is not WIDTHxHEIGHT", "write for example 512x768")
    return int(width), int(height)


def _strengths(settings: Settings) -> list[float]:
    return list(axes.parse_floats(settings.strengths))


def _seeds(settings: Settings) -> list[int]:
    return list(axes.parse_integers(settings.seeds))


def picture(settings: Settings, words: str, stack: Sequence[StackItem]) -> DrawRequest:
    """The first picture that would be drawn, for checks and warnings. Raises ``HubError``."""
    from hubman.generate import request as requests

    width, height = _sides(settings.size)
    try:
        steps, cfg = int(settings.steps), float(settings.cfg or 7)
    except ValueError:
        raise UsageError("steps and cfg are numbers", "for example 16 and 7") from None
    uses = [
        LoraUse(
            path=item.path,
            name=item.alias,
            sha256=item.sha256,
            strength=item.strength,
            trigger_words=item.trigger_words,
        )
        for item in stack
    ]
    made = requests.DrawRequest(
        base=str(bases.find(settings.base)), prompt=words, negative=settings.negative, loras=tuple(uses),
        seed=_seeds(settings)[0] if settings.seeds else 0, steps=steps, cfg=cfg, sampler=settings.sampler or "Euler a",
        width=width, height=height,
    )  # fmt: skip
    check(made)
    return made


def warnings(settings: Settings, words: str, stack: Sequence[StackItem]) -> tuple[Guard, ...]:
    """What may go wrong, with a fix where there is one. Raises ``HubError`` where nothing could be drawn."""
    from hubman.generate.guards import guards

    return guards(picture(settings, words, stack))


def _common(settings: Settings) -> dict[str, Any]:
    width, height = _sides(settings.size)
    chosen = {
        "negative": settings.negative, "seeds": _seeds(settings), "steps": int(settings.steps), "base": str(bases.find(settings.base)),
        "cfg": float(settings.cfg) if settings.cfg else None, "sampler": settings.sampler or None, "width": width, "height": height,
    }  # fmt: skip
    return {name: value for name, value in chosen.items() if value is not None}


def _prompt(words: str, stack: Sequence[StackItem]) -> str:
    return " ".join([words, *(item.tag for item in stack)]).strip()


def _must_be_here(stack: Sequence[StackItem]) -> None:
    for item in stack:
        if not item.path:
            raise UsageError(f"{item.alias} is not on this machine", "sync it, or take it off the stack")


def draw_job(settings: Settings, words: str, stack: Sequence[StackItem]) -> tuple[str, str, dict[str, Any]]:
    """(kind, title, request) that draws the prompt with every seed. Raises ``HubError``."""
    _must_be_here(stack)
    return "generate", f"draw {words[:40]}", {"prompt": _prompt(words, stack), **_common(settings)}


def sweep_job(settings: Settings, words: str, stack: Sequence[StackItem], at: int) -> tuple[str, str, dict[str, Any]]:
    """(kind, title, request) that sweeps the strength of one item; the others keep theirs. Raises ``HubError``."""
    _must_be_here(stack)
    others = [item for number, item in enumerate(stack) if number != at]
    request = {
        "version_ids": [stack[at].version_id],
        "prompt": _prompt(words, others),
        "strengths": _strengths(settings),
    }
    if settings.contrast:
        request["contrast"] = settings.contrast
    return "sweep", f"sweep {stack[at].alias}", {**request, **_common(settings)}


def grid_job(settings: Settings, words: str, stack: Sequence[StackItem]) -> tuple[str, str, dict[str, Any]]:
    """(kind, title, request) that draws every pair of strengths of the first two items. Raises ``HubError``."""
    _must_be_here(stack)
    pair, others = stack[:2], stack[2:]
    request = {
        "version_ids": [item.version_id for item in pair],
        "prompt": _prompt(words, others),
        "strengths": _strengths(settings),
    }
    return "sweep", f"sweep {pair[0].alias} x {pair[1].alias}", {**request, **_common(settings)}


At = tuple[int, int]
"""(row, column)"""


@dataclass(frozen=True)
class GridShape:
    """The axes of a job's pictures."""

    x_label: str
    xs: tuple[str, ...]
    y_label: str
    ys: tuple[str, ...]


def cells_of(job: Job, pictures: Sequence[Picture]) -> dict[At, Path]:
    """Where in its grid each finished picture of a job stands. Reads the grid's plan; for a thread.

    A finished job's result names all pictures row by row, also those that an earlier job had drawn.
    """
    width = len(shape_of(job).xs)
    if job.result and job.result.get("images"):
        return {divmod(number, width): Path(path) for number, path in enumerate(job.result["images"])}
    if job.kind == "generate":
        return {(0, number): Path(picture.path) for number, picture in enumerate(pictures)}
    reader = _reader(Path(job.folder).parent.parent / "generations" / job.id) if pictures else None
    return {at: Path(cell.path) for at, cell in reader.look().page(0).items() if cell.path} if reader else {}


@lru_cache(maxsize=8)
def _reader(folder: Path) -> GridReader:
    """The plan is written before the first picture."""
    from hubman.generate.grids.view import GridReader

    return GridReader(folder)


def shape_of(job: Job) -> GridShape:
    """The grid that a ``generate`` or ``sweep`` job fills: strengths across, seeds or the other's strengths down."""
    request = job.request
    seeds = tuple(str(seed) for seed in request.get("seeds") or [0])
    if job.kind == "generate":
        return GridShape("seed", seeds, "", ("",))
    given = [float(strength) for strength in request.get("strengths", [])]
    if len(request.get("version_ids", [])) == 2:
        labels = tuple(map(format_number, given))
        return GridShape("strength of the first", labels, "of the second", labels)
    # A sweep always draws strength 0, to compare with.
    return GridShape("strength", tuple(map(format_number, sorted({0.0, *given}))), "seed", seeds)
