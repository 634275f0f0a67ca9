"""The trainings that were, and in what two of them differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hubman.train.recipe_versions import upgraded
from registry import library
from registry.database import Registry
from registry.decodable import decodable
from registry.errors import HubError, NotFoundError
from registry.records import RunRow

_RUNS = """
SELECT r.body FROM records r WHERE r.kind = 'run'
ORDER BY json_extract(r.body, '$.finished_at') DESC, r.id DESC
"""
_FACTS = ("base", "dataset_fingerprint", "images", "final_loss", "seconds", "memory_peak", "best")


class Difference(msgspec.Struct, frozen=True):
    """One thing in which two runs differ; None where a run does not say."""

    field: str
    """A path of the recipe such as ``network.rank``, or a fact of the run such as ``run.final_loss``."""
    first: Any
    second: Any


def runs(registry: Registry) -> list[RunRow]:
    """Every training that is known, the newest first; a record from elsewhere that is none is passed over."""
    found = []
    for (body,) in registry.db.execute(_RUNS):
        try:
            found.append(msgspec.convert(msgspec.json.decode(body), decodable(RunRow)))
        except (msgspec.ValidationError, msgspec.DecodeError):
            continue
    return found


def run_of(registry: Registry, ref: str) -> RunRow:
    """The training that made what ``ref`` names: a version, one of its epochs, a model, or the name of a run.

    Raises NotFoundError where none is known.
    """
    every = runs(registry)
    named = [run for run in every if run.name == ref]
    if len(named) == 1:
        return named[0]
    model, version = library.resolve(registry, ref)
    of_version = [run for run in every if version in (run.id, *(each.version_id for each in run.epochs))]
    siblings = {each.id for each in library.show(registry, model).versions}
    found = of_version or [run for run in every if run.id in siblings]
    if not found:
        raise NotFoundError(f"no training of {ref} is known", "hubman runs lists those that are")
    return found[0]


def differences(first: RunRow, second: RunRow) -> list[Difference]:
    """In what two runs differ: their recipes field by field, then what they learned from, took and reached."""
    sides = [dict(_facts(run)) for run in (first, second)]
    names = dict.fromkeys([*sides[0], *sides[1]])
    pairs = ((name, sides[0].get(name), sides[1].get(name)) for name in names)
    return [Difference(name, one, other) for name, one, other in pairs if one != other]


def _facts(run: RunRow) -> Iterator[tuple[str, Any]]:
    try:
        recipe = upgraded(run.recipe)
    except HubError:
        recipe = run.recipe
    yield from _flat(recipe, "")
    for name in _FACTS:
        yield f"run.{name}", getattr(run, name)
    losses = [each.validation for each in run.epochs if each.validation is not None]
    yield "run.validation", min(losses) if losses else None
    for name, version in run.versions.items():
        yield f"versions.{name}", version


def _flat(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
