"""The changes that a LoRA file makes, module by module under their common names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hubman.lora.arrays import Array, ArrayFile, ArrayModule, open_arrays
from hubman.lora.deltas import WIDEST, Delta, Parts, delta_of, needs_base, vectors_of
from hubman.lora.kinds import kind_of, needs_weight
from registry.errors import DamagedFileError

_MISFITS = (ValueError, KeyError, IndexError, ArithmeticError, MemoryError)
"""What NumPy raises of tensors that make no change together, or one of a size that no model has."""


class DeltaFile:
    """An open file. A change that it gives is good until it gives that of another module."""

    def __init__(self, file: ArrayFile) -> None:
        self.path = file.path
        self.metadata = file.header.metadata
        self.strange = file.strange
        """Tensors that are no part of an adapter."""
        self.untold = sum(map(_is_untold, file.modules))
        """Modules whose change can't be told without the base's weight."""
        self._file = file
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

    def delta(self, name: str) -> Delta | None:
        """That of one module."""
        module = self._owner.get(name)
        return dict(self._of(module)).get(name) if module else None

    def vectors(self) -> Iterator[tuple[str, Array]]:
        """What is added to norms and biases, as far as :meth:`deltas` went."""
        yield from self._vectors.items()

    def _of(self, module: ArrayModule) -> list[tuple[str, Delta]]:
        names = module.common.names
        try:
            parts, alpha = self._file.parts(module)
            self._keep_vectors(names[0], parts)
            delta = delta_of(parts, alpha)
            rows = rows_of(names, delta.out, delta.columns) if delta else []
        except _MISFITS as error:
            raise DamagedFileError(f"{self.path.name}: the tensors of {module.name} do not fit together") from error
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


@contextmanager
def open_deltas(path: Path) -> Iterator[DeltaFile]:
    """Open a LoRA file. Raises what ``open_arrays`` raises, and ``DamagedFileError`` for a file that holds no LoRA."""
    with open_arrays(path) as file:
        if not file.modules:
            raise DamagedFileError(f"{path.name} holds no LoRA", "name the file of one")
        yield DeltaFile(file)


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
