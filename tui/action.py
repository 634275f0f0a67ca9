"""What an action is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """Something a person can do. The part of ``id`` before the dot is the scope that offers it.

    ``needs`` names what must be there first (see ``Acting.lacks``); without it the action is shown
    disabled and says why when called.
    """

    id: str
    keys: str
    label: str
    description: str
    needs: str = ""
    footer: bool = True
    palette: bool = True

    @property
    def scope(self) -> str:
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        return self.id.partition(".")[2]
