"""Guard rails: what may go wrong with a request, why, and what would help. They warn and never change anything.

Nothing here needs torch. :mod:`.single` looks at each LoRA, :mod:`.stack` at them together, :mod:`.grids` at a grid
before and after it is drawn; :mod:`.facts` gathers what the library and the files say.
"""

from __future__ import annotations

from hubman.generate.guards.facts import Known, know
from hubman.generate.guards.grids import Plan, PlannedAxis, drawn_guards, grid_guards
from hubman.generate.guards.guard import Guard
from hubman.generate.guards.single import single
from hubman.generate.guards.stack import together
from hubman.generate.request import DrawRequest
from registry.errors import HubError

__all__ = ["Guard", "Known", "Plan", "PlannedAxis", "drawn_guards", "grid_guards", "guards", "know", "refuse"]

_NOTHING = Known()


def guards(request: DrawRequest, known: Known = _NOTHING) -> tuple[Guard[DrawRequest], ...]:
    """Everything to say of a request, errors first. ``known`` is what :func:`know` found of its LoRAs."""
    found = [guard for use in request.loras for guard in single(request, use, known.of(use.sha256))]
    found += together(request, known.meter)
    return tuple(sorted(found, key=lambda guard: guard.level != "error"))


def refuse(found: tuple[Guard[DrawRequest], ...]) -> None:
    """Raise ``HubError`` for the first error among the guards."""
    for guard in found:
        if guard.level == "error":
            raise HubError(guard.message, f"{guard.reason}; {guard.fix}" if guard.fix else guard.reason)
