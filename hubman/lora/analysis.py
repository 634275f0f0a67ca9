"""One file or several, looked at exactly: sizes by module and block, and what they have to do with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubman.lora.common_names import block_of, block_order
from hubman.lora.delta_files import BaseWeights, DeltaFile, open_deltas
from hubman.lora.deltas import LowRank, rank_bound
from hubman.lora.inner import Grams, inner
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
    weight: float = 0.0
    """The norm of the base's own weight, 0 if it is not at hand."""


@dataclass(frozen=True)
class BlockSize:
    """``norm`` of all its modules, ``share`` of the whole energy; the ranks are means weighted by energy."""

    name: str
    modules: int
    norm: float
    share: float
    stable_rank: float
    effective_rank: float
    relative: float | None = None
    """Of the norm of the base's own weights in these modules, if it is at hand."""


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
    relative: float | None = None


@np.errstate(over="ignore", invalid="ignore")
def sizes(path: Path, tell: Tell, base: BaseWeights | None = None, *, most: int = 16) -> Sizes:
    """Exact sizes of a file; ``most`` singular values of each module are kept. Raises what ``open_deltas`` raises."""
    with open_deltas(path, base) as file:
        found: list[tuple[str, Spectrum]] = []
        total = len(file.names)
        for name, delta in file.deltas():
            found.append((name, _checked(spectrum(delta), file, name)))
            tell(len(found), total)
        vectors = float(np.sqrt(sum(float(np.square(vector, dtype=np.float64).sum()) for _, vector in file.vectors())))
        untold, strange, weights = file.untold, file.strange, dict(file.weight_norms())
    if not found and untold:
        raise HubError(
            f"{path.name}: the change of all {untold} modules is made of the base's weights",
            "name the base with --base",
        )
    modules = tuple(_module_size(name, one, weights.get(name, 0.0), most) for name, one in found)
    whole = _block("", modules, sum(one.norm**2 for one in modules))
    blocks = tuple(_blocks(modules, whole.norm**2))
    return Sizes(
        whole.norm, whole.stable_rank, whole.effective_rank, blocks, modules, vectors, untold, strange, whole.relative
    )


def _module_size(name: str, found: Spectrum, weight: float, most: int) -> ModuleSize:
    values = tuple(map(float, found.values[:most]))
    return ModuleSize(name, block_of(name), found.norm, found.stable_rank, found.effective_rank, values, weight)


def _checked(found: Spectrum, file: DeltaFile, name: str) -> Spectrum:
    if not np.isfinite(found.values).all():
        raise _broken(file, name)
    return found


def _broken(file: DeltaFile, name: str) -> DamagedFileError:
    return DamagedFileError(f"{file.path.name} holds NaN or infinity in {name}", "that training diverged")


def _blocks(modules: Sequence[ModuleSize], energy: float) -> Iterator[BlockSize]:
    for name in sorted({one.block for one in modules}, key=block_order):
        yield _block(name, [one for one in modules if one.block == name], energy)


def _block(name: str, modules: Sequence[ModuleSize], energy: float) -> BlockSize:
    own = sum(one.norm**2 for one in modules)
    stable, effective = (
        sum(one.norm**2 * rank for one, rank in zip(modules, ranks, strict=True)) / own if own else 0.0
        for ranks in ([one.stable_rank for one in modules], [one.effective_rank for one in modules])
    )
    weights = sum(one.weight**2 for one in modules)
    relative = (own / weights) ** 0.5 if weights else None
    return BlockSize(name, len(modules), own**0.5, own / energy if energy else 0.0, stable, effective, relative)


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
    weights: float = 0.0
    """The norm of the base's own weights in all these modules, 0 if it is not at hand."""


@np.errstate(over="ignore", invalid="ignore")
def compare(paths: Sequence[Path], tell: Tell, base: BaseWeights | None = None) -> Compared:
    """Look at several files module by module. Raises what ``open_deltas`` raises."""
    with ExitStack() as stack:
        files = [stack.enter_context(open_deltas(path, base)) for path in paths]
        names = sorted({name for file in files for name in file.names})
        products = np.zeros((len(names), len(files), len(files)))
        overlaps = np.zeros((len(files), len(files)))
        counts = np.zeros((len(files), 2), int)
        for number, name in enumerate(names):
            tell(number, len(names))
            _module(files, name, products[number], overlaps, counts)
        tell(len(names), len(names))
        untold = tuple(file.untold for file in files)
        own = {name: norm for file in files for name, norm in file.weight_norms()}
    total = products.sum(axis=0)
    found = tuple(
        Size(float(np.sqrt(total[i, i])), int(modules), int(ranks)) for i, (modules, ranks) in enumerate(counts)
    )
    weights = sum(norm**2 for norm in own.values()) ** 0.5
    return Compared(Products(tuple(names), products), tuple(_pairs(total, overlaps)), found, untold, weights)


def _module(
    files: Sequence[DeltaFile], name: str, products: Matrix, overlaps: Matrix, counts: NDArray[np.int_]
) -> None:
    deltas = {i: delta for i, file in enumerate(files) if (delta := file.delta(name)) is not None}
    if len({(delta.out, delta.columns) for delta in deltas.values()}) > 1:
        raise HubError(
            f"{' and '.join(files[i].path.name for i in deltas)} were made for different bases ({name})",
            "compare LoRAs of one architecture",
        )
    low = {i: delta for i, delta in deltas.items() if isinstance(delta, LowRank)}
    grams, place = Grams.of(list(low.values())), {i: number for number, i in enumerate(low)}
    for i, one in deltas.items():
        counts[i] += 1, rank_bound(one)
        for j, other in deltas.items():
            if j >= i:
                are_low = i in low and j in low
                value = grams.inner(place[i], place[j]) if are_low else inner(one, other)
                products[i, j] = products[j, i] = value
        if not np.isfinite(products[i, i]):
            raise _broken(files[i], name)
    for i, j in permutations(low, 2):
        overlaps[i, j] += grams.output_energy(place[i], place[j], low[i].out)


def _pairs(total: Matrix, overlaps: Matrix) -> Iterator[Pair]:
    for i in range(len(total)):
        for j in range(len(total)):
            if i != j:
                scale = float(np.sqrt(total[i, i] * total[j, j]))
                cosine = float(np.clip(total[i, j] / scale, -1, 1)) if scale else 0.0
                yield Pair(i, j, cosine, float(overlaps[i, j] / total[i, i]) if total[i, i] else 0.0)
