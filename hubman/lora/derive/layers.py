"""The layers that files change, one at a time and each as a whole, whatever the files call and split them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hubman.lora.change import Change
from hubman.lora.derive.request import Parent
from hubman.lora.keys import Site
from hubman.lora.load import OpenLora, open_lora
from hubman.lora.names import Names
from hubman.lora.split import joined
from registry.errors import HubError

BlockWeight = Callable[[str], float]
"""From kohya's name of a module to how much of it counts."""


@dataclass(frozen=True)
class OpenParent:
    """A parent whose file fits; ``layers`` are the places that it changes, by whole layers."""

    parent: Parent
    opened: OpenLora
    layers: dict[Site, list[Site]]
    weight: BlockWeight

    def change(self, layer: Site) -> Change | None:
        """What the file does to a layer, strength 1; None if nothing."""
        parts = self.layers.get(layer)
        return joined({site: self.opened.change(site) for site in parts})[layer] if parts else None


@contextmanager
def opened(parents: Sequence[tuple[Parent, BlockWeight]], names: Names) -> Iterator[list[OpenParent]]:
    """Open the files of ``parents``. Raises what :func:`open_lora` raises, and ``HubError`` for modules that the base
    has no place for: they would be lost.
    """
    table = names.table
    with ExitStack() as stack:
        found = []
        for parent, weight in parents:
            file = stack.enter_context(open_lora(Path(parent.path), table, base=names.base, weight_of=names.weight_of))
            coverage = file.resolved.coverage
            if coverage.share < 1:
                raise HubError(
                    f"{file.file.name} holds modules that would be lost ({coverage})", "name its base with --base"
                )
            layers: dict[Site, list[Site]] = {}
            for site in file.resolved.modules:
                layers.setdefault(site.of or site, []).append(site)
            found.append(OpenParent(parent, file, layers, weight))
        yield found


def in_file_order(parents: Sequence[OpenParent], names: Names) -> list[tuple[str, Site]]:
    """(kohya's name, layer) of all that any parent changes, as files lay them out."""
    layers = dict.fromkeys(layer for parent in parents for layer in parent.layers)
    return sorted(((names.kohya_name(layer), layer) for layer in layers), key=lambda one: f"{one[0]}.")
