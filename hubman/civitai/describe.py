"""The description of a page: a Markdown template, filled with what the form says.

A line whose every ``{name}`` is unknown is left out, and so is a heading that nothing is left under. What a person types
instead stays as it is: braces mean nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hubman.civitai import markdown
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.civitai.form import PublishForm, VersionPart

FILE = "description.md"
"""A person's own template, beside ``config.toml``."""

DEFAULT = """\
{words}

## How to use it

- Trigger words: {triggers}
- Strength: {strength}

## How it was trained

- Base model: {base}
- Images: {images}
- Network: {network}
- Steps: {steps}
- Epochs: {epochs}
- Batch: {batch}
- Resolution: {resolution}
- Learning rate: {learning_rate}
"""

NAMES = (
    "words", "name", "version", "triggers", "strength", "strength_best", "strength_min", "strength_max", "base", "checkpoint",
    "images", "network", "rank", "alpha", "steps", "epochs", "batch", "resolution", "learning_rate", "clip_skip",
)  # fmt: skip
"""What a template may name."""

_NAME = re.compile(r"\{([a-z_]+)\}")
_HEADING = re.compile(r"#{1,6} ")
_TRAINING = ("images", "network", "steps", "epochs", "batch", "resolution", "learning_rate")


def template(home: Path) -> str:
    """The template of this home: ``description.md``, else the built-in one. Raises :class:`UsageError`."""
    path = home / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return DEFAULT
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} can't be read ({error})", f"mend it, or remove {path}") from error
    unknown = [name for name in _NAME.findall(text) if name not in NAMES]
    if unknown:
        raise UsageError(f"{path.name} names {{{unknown[0]}}}", f"it may name {', '.join(NAMES)}")
    return text


def from_template(form: PublishForm) -> str:
    """The description that the form's template makes, in Markdown."""
    return filled(form.template or DEFAULT, values(form))


def filled(text: str, known: Mapping[str, str]) -> str:
    """A template with what is known; see the module for what is left out."""
    lines: list[str] = []
    for line in text.splitlines():
        names = [name for name in _NAME.findall(line) if name in known]
        if names and not any(known[name] for name in names):
            continue
        lines.append(_NAME.sub(lambda match: known.get(match[1], match[0]), line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(_without_empty_sections(lines))).strip()


def _without_empty_sections(lines: list[str]) -> list[str]:
    kept: list[str] = []
    has_text = True
    for line in reversed(lines):
        if _HEADING.match(line):
            if has_text:
                kept.append(line)
            has_text = False
            continue
        has_text = has_text or bool(line.strip())
        kept.append(line)
        if not kept[0].strip() and len(kept) == 1:
            has_text = False
    return kept[::-1]


def values(form: PublishForm) -> dict[str, str]:
    """What a template may name. Of several versions the last counts, which the site shows first."""
    part = form.parts[-1]
    words = tuple(dict.fromkeys(word for one in form.parts for word in one.trained_words))
    facts = _facts(part)
    known = {
        **dict.fromkeys(NAMES, ""),
        **facts,
        "words": form.words,
        "name": markdown.escaped(form.name),
        "version": markdown.escaped(part.name),
        "triggers": ", ".join(markdown.code(word) for word in words),
        "strength": strength(part),
        "strength_best": _number(part.strength),
        "strength_min": _number(part.strength_min),
        "strength_max": _number(part.strength_max),
    }
    is_told = any(facts.get(name) for name in _TRAINING)
    base = part.base_model if part.base_model != "Other" else part.facts.get("checkpoint") or part.base_model
    # Alone the base model says nothing that the page does not say by itself.
    return {**known, "base": markdown.escaped(base) if is_told else ""}


def _facts(part: VersionPart) -> dict[str, str]:
    numbers = {"steps": part.steps, "epochs": part.epochs, "clip_skip": part.clip_skip}
    counted = {name: f"{value:,}" for name, value in numbers.items() if value}
    return {name: markdown.escaped(value) for name, value in part.facts.items() if name in NAMES} | counted


def strength(part: VersionPart) -> str:
    """The recommended strength with its range, in words."""
    if part.strength is None:
        return ""
    text = f"{part.strength:g}"
    if part.strength_min is not None and part.strength_max is not None:
        text += f" (works from {part.strength_min:g} to {part.strength_max:g})"
    return text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
