"""Base models to choose from without typing a path: those used last, those in the library, and the embedded one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hubman import bases
from registry import library
from registry.database import Registry
from registry.errors import HubError

MOST = 40
_SUFFIXES = frozenset((".safetensors", ".sft"))


class KnownBase(msgspec.Struct, frozen=True):
    """A base that lies on this machine. ``ref`` is what :func:`hubman.bases.find` takes."""

    ref: str
    name: str
    what: str
    """Its base model as Civitai calls it, or what else is known of it."""


def known(registry: Registry, used: Sequence[str] = ()) -> list[KnownBase]:
    """Those of ``used`` (the last first) that are still there, then the library's checkpoints, then the embedded one."""
    listed = {base.ref: base for base in _of_library(registry)}
    embedded = KnownBase(bases.EMBEDDED, bases.EMBEDDED, "hubman's embedded base, to try things with")
    listed[embedded.ref] = embedded
    before = [listed.get(ref) or _at(ref) for ref in used]
    found = {base.ref: base for base in before if base is not None}
    return [*found.values(), *(base for ref, base in listed.items() if ref not in found)]


def _at(ref: str) -> KnownBase | None:
    try:
        path = bases.find(ref)
    except HubError:
        return None
    return KnownBase(ref, bases.display_name(path), "used before")


def _of_library(registry: Registry) -> list[KnownBase]:
    """The newest checkpoints whose file is here and of a format that can be trained on."""
    found = []
    for model in library.first_ids(registry, "kind:checkpoint", MOST):
        shown = library.show(registry, model)
        for version in shown.versions:
            places = [place.path for file in version.files for place in file.places if place.state == "present"]
            path = next((path for path in places if Path(path).suffix in _SUFFIXES), "")
            if path:
                found.append(KnownBase(path, shown.name, version.base_model or version.architecture or "checkpoint"))
    return found
