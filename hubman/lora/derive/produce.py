"""From requested changes to a file: each module is cast, compared with what was asked for, and only then written."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from hubman.lora.decomposition import largest, of_factors
from hubman.lora.derive.methods import balanced
from hubman.lora.derive.rank_rule import RankRule
from hubman.lora.factors import Factors
from hubman.lora.streaming import StreamedFile, room_for, streamed
from hubman.lora.writing import DTYPES, FileDtype
from hubman.progress import Progress, Report
from registry.errors import DamagedFileError, HubError

TOLERANCE: Mapping[FileDtype, float] = {"fp32": 2e-6, "fp16": 2e-3, "bf16": 2e-2}
"""Largest error of a module beyond what its rank leaves out, relative to its Frobenius norm: the precision's rounding."""
_OF_VALUES = 2e-5
"""What the rounding of singular values themselves may add."""


@dataclass(frozen=True)
class Wanted:
    """One module as it is asked for."""

    name: str
    factors: Factors | None = None
    norm: Tensor | None = None
    bias: Tensor | None = None
    rule: RankRule | None = None
    """Without one the factors are kept as they are."""


@dataclass
class Tally:
    """What came of all modules so far."""

    modules: int = 0
    idle: int = 0
    """Modules that change nothing, which the file does without."""
    cut: int = 0
    """Modules that lost rank."""
    energy: float = 0.0
    lost: float = 0.0
    error: float = 0.0
    """Largest error of a module beyond its lost energy."""
    ranks: Counter[int] = field(default_factory=Counter)
    is_plain: bool = True
    """Whether there is nothing but LoRA in it."""

    @property
    def kept(self) -> float:
        return 1.0 - self.lost / self.energy if self.energy else 1.0


@dataclass(frozen=True)
class Made:
    """A file that was written. ``kept`` is the share of the asked-for energy, ``error`` the largest of a module."""

    path: Path
    modules: int
    idle: int
    cut: int
    kept: float
    error: float
    ranks: tuple[int, int]


Headed = Callable[[Tally], Mapping[str, str]]
"""The header's entries once all modules are known."""


def produce(
    out: Path, dtype: FileDtype, tensors: Mapping[str, Sequence[str]], wanted: Iterable[Wanted], headed: Headed,
    *, report: Report,
) -> Made:  # fmt: skip
    """Write the modules that ``wanted`` gives to ``out``.

    ``tensors`` are what each of them may have at most, by its name and in the order of files.

    Raises ``HubError`` where nothing would be changed or the file can't be written, ``DamagedFileError`` where a module
    would not be what was asked for: then nothing is written.
    """
    tally = Tally()
    names = [f"{name}.{suffix}" for name, suffixes in tensors.items() for suffix in suffixes]
    with streamed(out, dtype, room_for(names, headed(tally))) as file:
        for number, module in enumerate(wanted, 1):
            for suffix, tensor in _checked(module, file, tally):
                file.add(f"{module.name}.{suffix}", tensor)
            report(Progress(stage="modules", done=number, total=len(tensors), unit="modules"))
        if not tally.modules:
            raise HubError("the file would change nothing", "give ratios that are not 0, or a smaller threshold")
        file.finish(headed(tally))
    ranks = (min(tally.ranks, default=0), max(tally.ranks, default=0))
    return Made(out, tally.modules, tally.idle, tally.cut, tally.kept, tally.error, ranks)


def _checked(module: Wanted, file: StreamedFile, tally: Tally) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a module as stored, in the order of their names."""
    stored: dict[str, Tensor] = {}
    errors = []
    size = module.factors.norm() if module.factors else 0.0
    if module.factors is not None and size:
        stored, kept, error = _stored_pair(module, module.factors, size, file)
        errors.append(error)
        tally.energy += size**2
        tally.lost += size**2 * (1 - kept)
        tally.cut += kept < 1 - 1e-9
        tally.ranks[stored["lora_down.weight"].shape[0]] += 1
    for suffix, tensor in (("w_norm", module.norm), ("b_norm" if module.norm is not None else "diff_b", module.bias)):
        if tensor is not None and bool(tensor.any()):
            stored |= _cast(module, {suffix: tensor}, file)
            errors.append(float((stored[suffix].double() - tensor.double()).norm() / tensor.double().norm()))
            tally.is_plain = False
    if not stored:
        tally.idle += 1
        return
    _refuse(module.name, max(errors), file.dtype)
    tally.error = max(tally.error, *errors)
    tally.modules += 1
    yield from sorted(stored.items())


def _stored_pair(
    module: Wanted, factors: Factors, size: float, file: StreamedFile
) -> tuple[dict[str, Tensor], float, float]:
    """(tensors as stored, share of the energy kept, error beyond what is lost)."""
    for found_down, found_up, kept in _pairs(factors, module.rule):
        down, up = _with_whole_alpha(found_down, found_up, file.dtype)
        ones = [1] * (down.dim() - 2)
        alpha = torch.tensor(float(down.shape[0]))
        pair = {"alpha": alpha, "lora_down.weight": down, "lora_up.weight": up.reshape(*up.shape, *ones)}
        stored = _cast(module, pair, file)
        left_out = math.sqrt(max(0.0, 1 - kept)) + (_OF_VALUES if kept < 1 else 0.0)
        error = max(0.0, _error(factors, stored, size) - left_out)
        if error <= TOLERANCE[file.dtype]:
            break
    return stored, kept, error


def _with_whole_alpha(down: Tensor, up: Tensor, dtype: FileDtype) -> tuple[Tensor, Tensor]:
    """The same product with zeros up to a rank that an alpha of ``dtype`` can say: bf16 has no 257, fp16 no 2049."""
    rank = down.shape[0]
    whole = next(
        number for number in itertools.count(rank) if float(torch.tensor(float(number), dtype=DTYPES[dtype])) == number
    )
    if whole == rank:
        return down, up
    more = torch.zeros(whole - rank, *down.shape[1:])
    return torch.cat([down, more]), torch.cat([up, torch.zeros(up.shape[0], whole - rank)], dim=1)


def _cast(module: Wanted, tensors: Mapping[str, Tensor], file: StreamedFile) -> dict[str, Tensor]:
    stored = file.stored({f"{module.name}.{suffix}": tensor for suffix, tensor in tensors.items()})
    return {name.removeprefix(f"{module.name}."): tensor for name, tensor in stored.items()}


def _pairs(factors: Factors, rule: RankRule | None) -> Iterator[tuple[Tensor, Tensor, float]]:
    """(down, up, share of the energy kept): the factors themselves where the rule allows, then by singular values.

    The latter are for parents that nearly cancel: of the small rest the factors' rounding would be a large part.
    """
    if factors.full is None and (rule is None or (not rule.reads_all and (rule.most or 0) >= factors.rank)):
        yield *balanced(factors), 1.0
    rule = rule or RankRule()
    # What is given in full has so many values that the largest are found much sooner than all.
    is_long = factors.full is not None and rule.most is not None and not rule.reads_all
    found = largest(factors.delta(), rule.most or 0) if is_long else of_factors(factors)
    rank = rule.rank(found)
    yield *found.pair(rank), found.kept(rank)


def _error(factors: Factors, stored: Mapping[str, Tensor], size: float) -> float:
    """‖B'A' - ΔW‖ / ‖ΔW‖ of the stored factors, without forming either where ΔW is given as factors."""
    down = stored["lora_down.weight"].float()
    up = stored["lora_up.weight"].float().flatten(1) * (float(stored["alpha"]) / down.shape[0])
    if factors.full is not None:
        return float((Factors(down, up).delta() - factors.full).double().norm()) / size
    both = Factors(torch.cat([factors.down, down]), torch.cat([factors.up, -up], dim=1))
    return both.norm() / size


def _refuse(name: str, error: float, dtype: FileDtype) -> None:
    if not error <= TOLERANCE[dtype]:
        wider = "write it with --dtype fp32" if dtype != "fp32" else "report it with the names of the files"
        raise DamagedFileError(f"{name} would be off by {error:.1e} of what was asked for; nothing was written", wider)
