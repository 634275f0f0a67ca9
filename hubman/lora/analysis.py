"""One file or several, looked at exactly: sizes by module and block, and what they have to do with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubman.lora.common_names import block_of, block_order
from hubman.lora.delta_files import DeltaFile, open_deltas
from hubman.lora.deltas import LowRank, rank_bound
from hubman.lora.inner import inner
from hubman.lora.kinship import Size
from hubman.lora.spectrum import Spectrum, spectrum
from hubman.lora.stack import Matrix, Products
from registry.errors import DamagedFileError, HubError

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class ModuleSize:
    """``values`` are its largest singular values."""

    name: str
    block: str
    norm: float
    stable_rank: float
    effective_rank: float
    values: tuple[float, ...]


@dataclass(frozen=True)
class BlockSize:
    """``norm`` of all its modules, ``share`` of the whole energy; the ranks are means weighted by energy."""

    name: str
    modules: int
    norm: float
    share: float
    stable_rank: float
    effective_rank: float


@dataclass(frozen=True)
class Sizes:
    """``vectors`` is the norm of what is added to norms and biases, ``untold`` counts modules that need the base."""

    norm: float
    stable_rank: float
    effective_rank: float
    blocks: tuple[BlockSize, ...]
    modules: tuple[ModuleSize, ...]
    vectors: float
    untold: int
    strange: int


def sizes(path: Path, tell: Tell, *, most: int = 16) -> Sizes:
    """Exact sizes of a file; ``most`` singular values of each module are kept. Raises what ``open_deltas`` raises."""
    with open_deltas(path) as file:
        found: list[tuple[str, Spectrum]] = []
        total = len(file.names)
        for name, delta in file.deltas():
            found.append((name, _checked(spectrum(delta), file, name)))
            tell(len(found), total)
        vectors = float(np.sqrt(sum(float(np.square(vector, dtype=np.float64).sum()) for _, vector in file.vectors())))
        untold, strange = file.untold, file.strange
    if not found and untold:
        raise HubError(
            f"{path.name}: the change of all {untold} modules is made of the base's weights",
            "hubman convert --bake RANK --base BASE makes a plain LoRA of it",
        )
    modules = tuple(
        ModuleSize(
            name, block_of(name), one.norm, one.stable_rank, one.effective_rank, tuple(map(float, one.values[:most]))
        )
        for name, one in found
    )
    whole = _block("", modules, sum(one.norm**2 for one in modules))
    blocks = tuple(_blocks(modules, whole.norm**2))
    return Sizes(whole.norm, whole.stable_rank, whole.effective_rank, blocks, modules, vectors, untold, strange)


def _checked(found: Spectrum, file: DeltaFile, name: str) -> Spectrum:
    if not np.isfinite(found.values).all():
        raise DamagedFileError(f"{file.path.name} holds NaN or infinity in {name}", "that training diverged")
    return found


def _blocks(modules: Sequence[ModuleSize], energy: float) -> Iterator[BlockSize]:
    for name in sorted({one.block for one in modules}, key=block_order):
        yield _block(name, [one for one in modules if one.block == name], energy)


def _block(name: str, modules: Sequence[ModuleSize], energy: float) -> BlockSize:
    own = sum(one.norm**2 for one in modules)
    stable, effective = (
        sum(one.norm**2 * rank(one) for one in modules) / own if own else 0.0
        for rank in (lambda one: one.stable_rank, lambda one: one.effective_rank)
    )
    return BlockSize(name, len(modules), own**0.5, own / energy if energy else 0.0, stable, effective)


@dataclass(frozen=True)
class Pair:
    """Two files of a stack, by their places in it. ``output_overlap`` is how much of the change of ``one`` goes where
    ``other`` writes too, above what chance would give: 0 for strangers, 1 if all of it does.
    """

    one: int
    other: int
    cosine: float
    output_overlap: float


@dataclass(frozen=True)
class Compared:
    """Exact inner products by module, and pairs."""

    products: Products
    pairs: tuple[Pair, ...]
    sizes: tuple[Size, ...]
    untold: tuple[int, ...]
    """Modules of each file that need the base to be told."""


def compare(paths: Sequence[Path], tell: Tell) -> Compared:
    """Look at several files module by module. Raises what ``open_deltas`` raises."""
    with ExitStack() as stack:
        files = [stack.enter_context(open_deltas(path)) for path in paths]
        names = sorted({name for file in files for name in file.names})
        products = np.zeros((len(names), len(files), len(files)))
        overlaps = np.zeros((len(files), len(files)))
        counts = np.zeros((len(files), 2), int)
        for number, name in enumerate(names):
            tell(number, len(names))
            _module(files, name, products[number], overlaps, counts)
        tell(len(names), len(names))
        untold = tuple(file.untold for file in files)
    if not np.isfinite(products).all():
        raise DamagedFileError("one of the files holds NaN or infinity", "hubman verify tells which")
    total = products.sum(axis=0)
    found = tuple(
        Size(float(np.sqrt(total[i, i])), int(modules), int(ranks)) for i, (modules, ranks) in enumerate(counts)
    )
    return Compared(Products(tuple(names), products), tuple(_pairs(total, overlaps)), found, untold)


def _module(
    files: Sequence[DeltaFile], name: str, products: Matrix, overlaps: Matrix, counts: NDArray[np.int_]
) -> None:
    deltas = [(i, delta) for i, file in enumerate(files) if (delta := file.delta(name)) is not None]
    for i, one in deltas:
        counts[i] += 1, rank_bound(one)
        for j, other in deltas:
            if j >= i:
                try:
                    products[i, j] = products[j, i] = inner(one, other)
                except ValueError as error:
                    raise HubError(
                        f"{files[i].path.name} and {files[j].path.name} were made for different bases ({name})",
                        "compare LoRAs of one architecture",
                    ) from error
            if i != j and isinstance(one, LowRank) and isinstance(other, LowRank):
                overlaps[i, j] += _output_energy(one, other)


_WEAK = 1e-6
"""Of the energy of the strongest direction: what is weaker counts as none that is written to."""


def _output_energy(one: LowRank, other: LowRank) -> float:
    """‖U₂ᵀΔW₁‖² less the chance level (k/out)·‖ΔW₁‖², over 1 - k/out: the energy of the first in the k directions
    that the second writes to, U₂ their orthonormal basis, taken from B₂ᵀB₂.
    """
    values, vectors = np.linalg.eigh((other.up.T @ other.up).astype(np.float64))
    strong = values > _WEAK * values[-1]
    k, out = int(strong.sum()), other.out
    if k == 0 or k >= out:
        return 0.0
    gram = (one.down @ one.down.T).astype(np.float64)
    inside = (one.up.T @ other.up).astype(np.float64) @ (vectors[:, strong] / np.sqrt(values[strong]))
    energy = float(np.einsum("ij,ij->", gram @ inside, inside)) * one.scale**2
    whole = float(np.einsum("ij,ij->", gram, one.up.T @ one.up)) * one.scale**2
    return (energy - whole * k / out) / (1 - k / out)


def _pairs(total: Matrix, overlaps: Matrix) -> Iterator[Pair]:
    for i in range(len(total)):
        for j in range(len(total)):
            if i != j:
                scale = float(np.sqrt(total[i, i] * total[j, j]))
                cosine = float(np.clip(total[i, j] / scale, -1, 1)) if scale else 0.0
                yield Pair(i, j, cosine, float(overlaps[i, j] / total[i, i]) if total[i, i] else 0.0)
