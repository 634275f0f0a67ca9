"""The changes that a LoRA file makes, module by module under their common names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from hubman.lora.arrays import ArrayFile, ArrayModule, open_arrays
from hubman.lora.deltas import WIDEST, Delta, Parts, delta_of, needs_base, rank_bound, vectors_of
from hubman.lora.halves import Array
from hubman.lora.kinds import kind_of, needs_weight, scale_of
from registry.errors import DamagedFileError

Directions = Callable[[int], Array]

_MISFITS = (ValueError, KeyError, IndexError, ArithmeticError, MemoryError)
"""What NumPy raises of tensors that make no change together, or one of a size that no model has."""


class BaseWeights(Protocol):
    """What the base is asked for, by the names that files give its modules."""

    def delta(self, module: str, parts: Parts, alpha: float | None) -> Delta | None: ...
    def weight(self, module: str) -> Array | None: ...


class DeltaFile:
    """An open file. A change that it gives is good until it gives that of another module."""

    def __init__(self, file: ArrayFile, base: BaseWeights | None = None) -> None:
        self.path = file.path
        self.metadata = file.header.metadata
        self.strange = file.strange
        """Tensors that are no part of an adapter."""
        self.untold = sum(_is_untold(module) and not _has(base, module) for module in file.modules)
        """Modules whose change can't be told without the base's weight."""
        self._file = file
        self._base = base
        self._owner = {name: module for module in file.modules for name in module.common.names}
        self._vectors: dict[str, Array] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The common names of its modules; some may turn out to have no change of their weight that can be told."""
        return tuple(self._owner)

    def deltas(self) -> Iterator[tuple[str, Delta]]:
        """The change of each module's weight; those of a fused layer's parts one after the other.

        Raises ``DamagedFileError`` for tensors that do not fit together.
        """
        for module in self._file.modules:
            yield from self._of(module)

    def projections(self, left: Directions, right: Directions) -> Iterator[tuple[str, Array, int]]:
        """leftᵀ·ΔW·right of each module, and the rank that it may have; ``left`` gives the matrix for a number of rows,
        ``right`` that for one of columns. A plain LoRA's factors are never whole in memory.

        Raises ``DamagedFileError`` for tensors that do not fit together.
        """
        for module in self._file.modules:
            if module.tensors.keys() - {"alpha"} == {"down", "up"} and len(module.common.names) == 1:
                yield module.common.names[0], *self._plain(module, left, right)
            else:
                for name, delta in self._of(module):
                    yield name, delta.project(left(delta.out), right(delta.columns)), rank_bound(delta)

    def _plain(self, module: ArrayModule, left: Directions, right: Directions) -> tuple[Array, int]:
        try:
            (out, rank), (rows, columns) = self._file.shape(module, "up"), self._file.shape(module, "down")
            if rank != rows or not rank or max(out, columns) > WIDEST:
                raise ValueError("its ranks differ")
            scale = scale_of(self._file.alpha(module), rank)
            outputs = self._file.under(module, "up", left(out))
            found = outputs @ self._file.times(module, "down", right(columns))
        except _MISFITS as error:
            raise self._misfit(module) from error
        return found * np.float32(scale), min(out, rank, columns)

    def _misfit(self, module: ArrayModule) -> DamagedFileError:
        return DamagedFileError(f"{self.path.name}: the tensors of {module.name} do not fit together")

    def delta(self, name: str) -> Delta | None:
        """That of one module."""
        module = self._owner.get(name)
        return dict(self._of(module)).get(name) if module else None

    def weight_norms(self) -> Iterator[tuple[str, float]]:
        """The norm of the base's own weight of each module, as far as the base has it."""
        for module in self._file.modules:
            weight = self._base.weight(module.name) if self._base else None
            if weight is not None:
                rows = rows_of(module.common.names, *weight.shape)
                for name, part in zip(module.common.names, rows, strict=True):
                    yield name, float(np.sqrt(np.square(weight[part], dtype=np.float64).sum()))

    def _made_of_base(self, module: ArrayModule, parts: Parts, alpha: float | None) -> Delta | None:
        return self._base.delta(module.name, parts, alpha) if self._base else None

    def vectors(self) -> Iterator[tuple[str, Array]]:
        """What is added to norms and biases, as far as :meth:`deltas` or :meth:`projections` went."""
        yield from self._vectors.items()

    def _of(self, module: ArrayModule) -> list[tuple[str, Delta]]:
        names = module.common.names
        try:
            parts, alpha = self._file.parts(module)
            self._keep_vectors(names[0], parts)
            delta = self._made_of_base(module, parts, alpha) if needs_base(parts) else delta_of(parts, alpha)
            rows = rows_of(names, delta.out, delta.columns) if delta else []
        except _MISFITS as error:
            raise self._misfit(module) from error
        if delta is None:
            return []
        if len(rows) == 1:
            return [(names[0], delta)]
        return [(name, delta.rows(part)) for name, part in zip(names, rows, strict=True)]

    def _keep_vectors(self, name: str, parts: Parts) -> None:
        if needs_base(parts):
            return
        for kind, vector in vectors_of(parts).items():
            if vector.size > WIDEST:
                raise ValueError("no model has a bias of that size")
            self._vectors[f"{name}.{kind}"] = vector.copy()


def _is_untold(module: ArrayModule) -> bool:
    return bool({"dora_scale", "dora_vector"} & module.tensors.keys()) or needs_weight(kind_of(module.tensors))


def _has(base: BaseWeights | None, module: ArrayModule) -> bool:
    return base is not None and base.weight(module.name) is not None


@contextmanager
def open_deltas(path: Path, base: BaseWeights | None = None) -> Iterator[DeltaFile]:
    """Open a LoRA file; with its ``base`` also changes are told that are made of weights.

    Raises what ``open_arrays`` raises, and ``DamagedFileError`` for a file that holds no LoRA.
    """
    with open_arrays(path) as file:
        if not file.modules:
            raise DamagedFileError(f"{path.name} holds no LoRA", "name the file of one")
        yield DeltaFile(file, base)


def rows_of(names: Sequence[str], out: int, columns: int) -> list[slice]:
    """The rows of a layer that belong to each of ``names``, which are below each other.

    The three of an attention are of one size; what follows them (FLUX's ``linear1``) takes the rest: the attention of
    that layer is as wide as its input. Raises ``ValueError`` where they do not share the layer so.
    """
    if len(names) == 1:
        return [slice(0, out)]
    width = columns if len(names) > 3 else out // len(names)
    starts = [width * i for i in range(len(names))]
    if width == 0 or starts[-1] >= out:
        raise ValueError("a fused layer of that size has no such parts")
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], out], strict=True)]
