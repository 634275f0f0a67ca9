"""Which modules of the model a LoRA file speaks of, judged from names and shapes alone before any weight is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from hubman.lora.keys import Site, split_name
from hubman.lora.kinds import UNKNOWN, Shape, fits, kind_of
from registry.errors import DamagedFileError, HubError

FULL_COVERAGE = 0.9
"""Below this share of matched modules a file is worth a warning (it may belong to another base)."""
_WRONG_BASE = 0.25
_PREFIX = re.compile(r"(?:lora|lycoris)_[a-z0-9]+|[^._]+")


@dataclass(frozen=True)
class Coverage:
    """How much of a file the model knows. ``unknown`` counts modules by the prefix of their name."""

    matched: int
    total: int
    unknown: Mapping[str, int] = field(default_factory=dict)
    bad_shapes: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Matched modules of all in the file, 0..1."""
        return self.matched / self.total if self.total else 0.0

    @property
    def complete(self) -> bool:
        return self.share >= FULL_COVERAGE

    def __str__(self) -> str:
        parts = [f"{self.matched} of {self.total} modules matched"]
        if self.unknown:
            parts.append("unknown: " + ", ".join(f"{count} {prefix}…" for prefix, count in self.unknown.items()))
        if self.bad_shapes:
            parts.append(f"{len(self.bad_shapes)} of the wrong shape, first {self.bad_shapes[0]}")
        return "; ".join(parts)


@dataclass(frozen=True)
class ModuleTensors:
    """The tensors of one module: part (``down``, ``hada_w1_a``, …) to the tensor's name in the file."""

    name: str
    parts: Mapping[str, str]


@dataclass(frozen=True)
class Resolved:
    modules: Mapping[Site, ModuleTensors]
    coverage: Coverage


def _group(names: Mapping[str, Shape]) -> tuple[dict[str, dict[str, str]], Counter[str]]:
    modules: dict[str, dict[str, str]] = {}
    strays: Counter[str] = Counter()
    for name in names:
        split = split_name(name)
        if split is None:
            strays[_prefix(name)] += 1
        else:
            modules.setdefault(split[0], {})[split[1]] = name
    return modules, strays


def _prefix(name: str) -> str:
    match = _PREFIX.match(name)
    return match[0] if match else name[:12]


def resolve(shapes: Mapping[str, Shape], table: Mapping[str, Site], *, file: str, base: str) -> Resolved:
    """Match the tensors of a file (name to shape) with the places of a base model.

    ``file`` and ``base`` are the names used in messages. Raises ``HubError`` if no module of the file is in the base,
    if the shapes say that it was made for another base, or if it holds a kind that cannot be drawn;
    ``DamagedFileError`` if two names claim the same module.
    """
    groups, unknown = _group(shapes)
    modules: dict[Site, ModuleTensors] = {}
    bad: list[str] = []
    for name, parts in groups.items():
        own = {part: shapes[tensor] for part, tensor in parts.items()}
        site = table.get(name)
        if site is None or kind_of(own) == UNKNOWN:
            unknown[_prefix(name)] += 1
        elif site in modules:
            raise DamagedFileError(f"{file} names the module {site.path} twice ({modules[site].name} and {name})")
        elif fits(site, own):
            modules[site] = ModuleTensors(name, parts)
        else:
            bad.append(name)
    coverage = Coverage(len(modules), len(modules) + len(bad) + unknown.total(), dict(unknown), tuple(bad))
    _refuse_strangers(coverage, file, base)
    return Resolved(modules, coverage)


def _refuse_strangers(coverage: Coverage, file: str, base: str) -> None:
    if coverage.matched == 0:
        raise HubError(f"{file} fits nothing in {base} ({coverage})", "choose the base model that it was trained on")
    if len(coverage.bad_shapes) > _WRONG_BASE * (coverage.matched + len(coverage.bad_shapes)):
        raise HubError(f"{file} was made for another base than {base} ({coverage})", "choose that base model")
