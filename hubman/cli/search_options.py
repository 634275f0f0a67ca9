"""The options of ``hubman search``: each a field of the search line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_VALUES = (
    ("type", "TYPE", True, "Model type: lora (and its kin), checkpoint, any…; may be repeated."),
    ("base", "NAME", True, "Base model, such as 'SDXL 1.0' or 'sdxl*'; may be repeated."),
    ("tag", "TAG", False, "A tag."),
    ("by", "NAME", False, "The creator."),
    ("sort", "ORDER", False, "rating, downloads, liked, discussed, collected, images, newest, oldest."),
    ("period", "PERIOD", False, "day, week, month, year, all."),
    ("counted", "WHAT", False, "What the period is of: published or stats."),
    ("checkpoint", "KIND", False, "trained or merge."),
    ("nsfw", "LEVEL", False, "Up to which level: pg, pg13, r, x, xxx; by default that of the setting nsfw."),
    ("lic", "USE", True, "What the licence must allow: sell, image, rent, derivatives, nocredit, relicense."),
    ("format", "FORMAT", True, "A format of the files: safetensor, gguf…; may be repeated."),
    ("availability", "NAME", False, "public, earlyaccess…"),
    ("id", "N", True, "A model's number; may be repeated."),
    ("version", "N", True, "A version's number; may be repeated."),
    ("page", "N", False, "Begin at this page; not with words."),
)  # fmt: skip
_FLAGS = (
    ("early", "Only early access."),
    ("generator", "Only what the site's generator can use."),
    ("onsite", "Only what was made with the site's trainer."),
    ("followed", "Only of creators that you follow (needs a key)."),
    ("archived", "Also what was archived."),
    ("fav", "Only your favourites (needs a key)."),
    ("hidden", "Only what you hid (needs a key)."),
    ("newcreator", "Only of new creators."),
    ("primary", "Only the primary file of each version."),
)


def search_options(command: F) -> F:
    """Add every field as an option; :func:`given` reads them back."""
    for name, text in reversed(_FLAGS):
        command = click.option(f"--{name}", f"is_{name}", is_flag=True, help=text)(command)
    for name, shown, multiple, text in reversed(_VALUES):
        command = click.option(f"--{name}", f"field_{name}", metavar=shown, multiple=multiple, help=text)(command)
    return command


def given(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(field, value) of what a person gave."""
    found: list[tuple[str, str]] = []
    for name, _, multiple, _ in _VALUES:
        value = options[f"field_{name}"]
        found += [(name, one) for one in (value if multiple else [value]) if one is not None]
    return found + [("is", name) for name, _ in _FLAGS if options[f"is_{name}"]]
