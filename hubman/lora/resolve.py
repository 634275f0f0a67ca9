"""Which modules of the model a LoRA file speaks of, judged from names and shapes alone before any weight is read."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from hubman.lora.keys import Site, split_name
from registry.errors import DamagedFileError, HubError

Shape = tuple[int, ...]

FULL_COVERAGE = 0.9
"""Below this share of matched modules a file is worth a warning (it may belong to another base)."""
_WRONG_BASE = 0.25
_PREFIX = re.compile(r"(?:lora|lycoris)_[a-z0-9]+|[^._]+")
_NOT_DRAWABLE = {
    "w_norm": "norm layers",
    "b_norm": "norm layers",
    "oft_blocks": "OFT",
    "oft_diag": "OFT",
    "rescale": "OFT",
    "glora_a1": "GLoRA",
    "glora_b1": "GLoRA",
    "ia3_on_input": "(IA)3",
    "diff_b": "full difference with biases",
}


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


def kind_of(parts: Mapping[str, object]) -> str:
    """The adapter kind that a module's parts make: LoRA, LoHa, LoKr, full difference, or one that cannot be drawn."""
    for part, kind in _NOT_DRAWABLE.items():
        if part in parts:
            return kind
    if "down" in parts or "up" in parts:
        return "LoRA"
    if "hada_w1_a" in parts:
        return "LoHa"
    if any(part.startswith("lokr_") for part in parts):
        return "LoKr"
    return "full difference" if "diff" in parts else "unknown"


def _matrix(shapes: Mapping[str, Shape], whole: str) -> tuple[int, int] | None:
    """(rows, columns with any kernel flattened in) of ``whole`` or of its factors ``whole_a`` and ``whole_b``."""
    if whole in shapes:
        shape = shapes[whole]
        return (shape[0], math.prod(shape[1:])) if len(shape) >= 2 else None
    a, b = shapes.get(f"{whole}_a"), shapes.get(f"{whole}_b")
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return None
    core = shapes.get(whole.replace("lokr_w", "lokr_t").replace("hada_w", "hada_t"))
    if core is not None:
        return a[1], b[1] * math.prod(core[2:])
    return (a[0], math.prod(b[1:])) if a[1] == b[0] else None


def _lora_matrix(shapes: Mapping[str, Shape]) -> tuple[int, int] | None:
    down, up, mid = shapes.get("down"), shapes.get("up"), shapes.get("mid")
    if down is None or up is None or len(down) < 2 or len(up) < 2:
        return None
    if mid is not None:
        fits = len(mid) == 4 and mid[0] == up[1] and mid[1] == down[0]
        return (up[0], down[1] * math.prod(mid[2:])) if fits else None
    return (up[0], math.prod(down[1:])) if down[0] == up[1] else None


def _full_shape(shapes: Mapping[str, Shape]) -> tuple[int, int] | None:
    kind = kind_of(shapes)
    if kind == "LoRA":
        return _lora_matrix(shapes)
    if kind == "LoHa":
        first, second = _matrix(shapes, "hada_w1"), _matrix(shapes, "hada_w2")
        return first if first == second else None
    if kind == "LoKr":
        outer, inner = _matrix(shapes, "lokr_w1"), _matrix(shapes, "lokr_w2")
        return (outer[0] * inner[0], outer[1] * inner[1]) if outer and inner else None
    return _matrix(shapes, "diff")


def _fits(site: Site, shapes: Mapping[str, Shape]) -> bool:
    down = shapes.get("down", ())
    if len(down) == 4 and "mid" not in shapes and site.is_conv and down[1:] != site.shape[1:]:
        return False
    return _full_shape(shapes) == (site.shape[0], math.prod(site.shape[1:]))


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
        kind = kind_of(own)
        if kind in _NOT_DRAWABLE.values():
            hint = "convert it to LoRA with the tool that made it"
            raise HubError(f"{file} holds {kind} weights ({name}), which cannot be drawn yet", hint)
        site = table.get(name)
        if site is None or kind == "unknown":
            unknown[_prefix(name)] += 1
        elif site in modules:
            raise DamagedFileError(f"{file} names the module {site.path} twice ({modules[site].name} and {name})")
        elif _fits(site, own):
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
