"""Fingerprints: a LoRA in some hundred kilobytes, from which norms and inner products are told without its file.

F = Ψᵀ·ΔW·Ω / m of each module, Ψ and Ω fixed random directions (``directions.py``). For two changes
E⟨F₁, F₂⟩ = ⟨ΔW₁, ΔW₂⟩ (Johnson and Lindenstrauss), whatever factors the changes were written as. With m = 16 and the
722 modules of an SDXL LoRA the norm of the whole is right to 0.3 % and the cosine of two to 0.002; those of one module
to 0.06. ΔW is never formed, except of kinds that have no low rank.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubman.lora.common_names import block_of
from hubman.lora.delta_files import open_deltas
from hubman.lora.directions import IN, OUT, VECTOR, directions
from hubman.lora.halves import Array
from hubman.lora.kinship import Size
from registry.errors import DamagedFileError

M = 16
SIZE = M * M
"""Numbers of a module."""

_LARGEST = 1024.0
"""The largest number of a stored fingerprint, so that small modules too stay in the range of fp16."""


@dataclass(frozen=True)
class Layout:
    """The modules of a fingerprint in the order of its rows. LoRAs of one base and kind of training share one."""

    names: tuple[str, ...]
    index: dict[str, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {name: i for i, name in enumerate(self.names)})

    @property
    def id(self) -> str:
        return sha256("\n".join(self.names).encode()).hexdigest()[:16]

    @property
    def blocks(self) -> tuple[str, ...]:
        """The block of each module."""
        return tuple(block_of(name) for name in self.names)


@dataclass(frozen=True)
class Fingerprint:
    """``rows`` is [modules, m²] in float32."""

    layout: Layout
    rows: Array
    untold: int = 0
    """Modules whose change is made of the base's weight (DoRA, OFT, GLoRA, (IA)³) and which are not in here."""
    ranks: int = 0
    """The sum of the ranks that its modules may have: less in what was cut down."""

    @property
    def norm(self) -> float:
        """‖ΔW‖ of the whole, an estimate."""
        return float(np.sqrt(np.einsum("ij,ij->", self.rows, self.rows, dtype=np.float64)))

    @property
    def size(self) -> Size:
        return Size(self.norm, len(self.layout.names), self.ranks)

    def squares(self) -> NDArray[np.float64]:
        """‖ΔW‖² of each module, estimates."""
        found: NDArray[np.float64] = np.einsum("ij,ij->i", self.rows, self.rows, dtype=np.float64)
        return found

    def encoded(self) -> bytes:
        """A scale in float32 and the rows in fp16."""
        largest = float(np.abs(self.rows).max(initial=0.0))
        scale = np.float32(largest / _LARGEST if largest else 1.0)
        return scale.tobytes() + (self.rows / scale).astype(np.float16).tobytes()


def encoded_size(layout: Layout) -> int:
    """Bytes of :meth:`Fingerprint.encoded`."""
    return 4 + 2 * SIZE * len(layout.names)


def decoded(layout: Layout, content: bytes, untold: int = 0, ranks: int = 0) -> Fingerprint:
    """The inverse of :meth:`Fingerprint.encoded`. Raises ``ValueError`` if the size is not that of the layout."""
    scale = np.frombuffer(content, np.float32, 1)[0]
    rows = np.frombuffer(content, np.float16, offset=4).astype(np.float32).reshape(len(layout.names), SIZE)
    return Fingerprint(layout, rows * scale, untold, ranks)


def _left(rows: int) -> Array:
    return directions(rows, M, OUT)


def _right(columns: int) -> Array:
    return directions(columns, M, IN)


@np.errstate(over="ignore", invalid="ignore")
def fingerprint(path: Path) -> Fingerprint:
    """Read a LoRA file. Raises what ``open_deltas`` raises, and ``DamagedFileError`` for values that are not finite or
    tensors that do not fit together, also for a file without any module of an adapter.
    """
    found: dict[str, Array] = {}
    ranks = 0
    with open_deltas(path) as file:
        for name, projected, rank in file.projections(_left, _right):
            found[name] = projected.reshape(-1) / np.float32(M)
            ranks += rank
        for name, vector in file.vectors():
            found[name] = (vector @ directions(vector.size, SIZE, VECTOR)) / np.float32(M)
        untold = file.untold
    names = tuple(sorted(found))
    rows = np.stack([found[name] for name in names]) if names else np.empty((0, SIZE), np.float32)
    if not np.isfinite(rows).all():
        broken = names[int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])]
        raise DamagedFileError(f"{path.name} holds NaN or infinity in {broken}", "that training diverged")
    return Fingerprint(Layout(names), rows, untold, ranks)
