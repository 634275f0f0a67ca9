"""What is set up becomes pictures: the request of one for checks, and the jobs that draw, sweep and fill grids."""

from __future__ import annotations

from typing import Any

import msgspec

from hubman.generate import prompt_slots
from hubman.generate.request import DrawRequest, check
from registry.errors import UsageError
from tui import generate_settings
from tui.generation import Setup

Planned = tuple[str, str, dict[str, Any]]
"""(kind, title, request) of a job."""


def picture(setup: Setup) -> DrawRequest:
    """The first picture that would be drawn, for checks and remarks. Raises ``HubError``.

    A slot of the prompt that nothing fills stays as it is: an axis may fill it. The same LoRA twice is let through: a remark says so.
    """
    made = generate_settings.as_request(setup.settings)
    uses = tuple(item.use for item in setup.stack)
    words = prompt_slots.fill(setup.words, generate_settings.slots(setup.settings)).text
    made = msgspec.structs.replace(made, prompt=words, loras=uses)
    check(msgspec.structs.replace(made, loras=tuple({use.sha256: use for use in uses}.values())))
    return made


def draw_job(setup: Setup) -> Planned:
    """Draw the prompt with every seed. Raises ``HubError``."""
    must_be_here(setup)
    return "generate", f"draw {setup.words[:40]}", {"prompt": setup.prompt, **generate_settings.as_job(setup.settings)}


def sweep_job(setup: Setup, at: int) -> Planned:
    """Sweep the strength of one item of the stack; the others keep theirs. Raises ``HubError``."""
    must_be_here(setup)
    item = setup.stack[at]
    request: dict[str, Any] = {"version_ids": [item.version_id], **_rest(setup, at)}
    if setup.settings.contrast:
        request["contrast"] = setup.settings.contrast
    return "sweep", f"sweep {item.alias}", request


def pair_job(setup: Setup) -> Planned:
    """Draw every pair of strengths of the first two items. Raises ``HubError``."""
    must_be_here(setup)
    pair = setup.stack[:2]
    request = {"version_ids": [item.version_id for item in pair], **_rest(setup, 0, 1)}
    return "sweep", f"sweep {pair[0].alias} x {pair[1].alias}", request


def _rest(setup: Setup, *swept: int) -> dict[str, Any]:
    stack = tuple(item for number, item in enumerate(setup.stack) if number not in swept)
    prompt = Setup(words=setup.words, stack=stack).prompt
    strengths = generate_settings.strengths(setup.settings)
    return {"prompt": prompt, "strengths": strengths, **generate_settings.as_job(setup.settings)}


def must_be_here(setup: Setup) -> None:
    """Raise ``UsageError`` for a LoRA whose file is elsewhere."""
    for item in setup.stack:
        if not item.path:
            raise UsageError(f"{item.alias} is not on this machine", "sync it, or take it off the stack")
