"""A set-up of the Generate screen kept as a recipe, and made again from one, or from a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hubman.generate import saved
from registry.errors import HubError
from tui import generate_settings, generation
from tui.generate_jobs import picture
from tui.generation import Setup, StackItem
from tui.grids import request_in

if TYPE_CHECKING:
    from hubman.generate.request import DrawRequest, LoraUse
    from registry.database import Registry


def keep(home: Path, name: str, setup: Setup, request: DrawRequest | None = None) -> Path:
    """Save ``request``, else the first picture of the set-up, as a recipe. Raises ``HubError``."""
    kept = saved.Saved(name=name, request=request or picture(setup), axes=tuple(map(str, setup.axes)))
    return saved.save(home, kept)


def load(registry: Registry, path: Path, before: Setup) -> tuple[Setup, list[str]]:
    """The set-up of a recipe, or of a picture that hubman drew, and what could not be found. For a thread.

    Raises ``HubError``.
    """
    if path.suffix == saved.SUFFIX:
        recipe = saved.load(path)
        return of_request(registry, recipe.request, before, recipe.axes)
    request = request_in(path)
    return of_request(registry, request, before) if request is not None else _imported(registry, path, before)


def _imported(registry: Registry, path: Path, before: Setup) -> tuple[Setup, list[str]]:
    """Of a picture that another program drew, on its base, or on the one that is chosen where its own is not here."""
    from hubman.generate.importing import import_picture
    from registry.errors import NotFoundError

    said: list[str] = []
    try:
        found = import_picture(registry, path)
    except NotFoundError as error:
        found = import_picture(registry, path, before.settings.base)
        said = [f"{error.message}: it is set up for {before.settings.base}"]
    setup, problems = of_request(registry, found.request, before)
    return setup, [*problems, *said, *found.remarks]


def of_request(
    registry: Registry, request: DrawRequest, before: Setup, axes: tuple[str, ...] = ()
) -> tuple[Setup, list[str]]:
    """The set-up that draws ``request``; a LoRA that is not here stays on the stack, marked. For a thread."""
    from hubman.generate.grids.spec import parse_axis

    problems: list[str] = []
    stack = tuple(_item(registry, use, problems) for use in request.loras)
    settings = generate_settings.of_request(request, before.settings)
    return Setup(request.prompt, stack, settings, tuple(map(parse_axis, axes))), problems


def _item(registry: Registry, use: LoraUse, problems: list[str]) -> StackItem:
    """By its hash, so that a file of the same name is not taken for it."""
    from registry import library

    try:
        model, version = library.resolve(registry, use.sha256)
        item = generation.item_of(registry, model, use.strength, version)
    except HubError as error:
        problems.append(f"{use.name}: {error}")
        item = StackItem("", use.name, use.sha256, "", trigger_words=use.trigger_words)
    return replace(
        item, alias=use.name, strength=use.strength, te=use.te_strength, start=use.start, stop=use.stop, rank=use.rank,
        blocks=use.blocks, slider=use.slider or item.slider,
    )  # fmt: skip
