"""What ``hubman analyze`` tells, as records: of one LoRA, of a stack, and of where one comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubman.lora import fingerprint_store, library_norms, stack
from hubman.lora.analysis import Pair, Sizes, Tell, compare, sizes
from hubman.lora.conflict import FEWEST, Kinship, Reading, read_stack
from hubman.lora.delta_files import BaseWeights
from hubman.lora.fingerprints import Fingerprint, fingerprint
from hubman.lora.kinship import kin_of_two
from hubman.lora.relatives import Origin, origin
from hubman.lora.subjects import Subject
from registry import fingerprints as kept
from registry.database import Registry


@dataclass(frozen=True)
class OneReport:
    """``percentile``: 0..100, the share of the library's LoRAs of its architecture that move the weights less."""

    name: str
    file: str
    sizes: Sizes
    percentile: float | None


@dataclass(frozen=True)
class StackReport:
    """All exact, but for ``percentile``. ``relations`` and ``pairs`` name the LoRAs by their place in ``names``."""

    names: tuple[str, ...]
    strengths: tuple[float, ...]
    norms: tuple[float, ...]
    total: Reading
    blocks: tuple[Reading, ...]
    pairs: tuple[Pair, ...]
    relations: tuple[Kinship, ...]
    untold: tuple[int, ...]
    words: tuple[str, ...]
    relative: float | None = None
    """The budget as a share of the base's own weights in these modules, if it is at hand."""


@dataclass(frozen=True)
class OriginReport:
    """``words`` tell the origin; ``names`` are those of the SHA-256s in ``origin``."""

    name: str
    origin: Origin
    names: dict[str, str]
    words: tuple[str, ...]


def of_one(registry: Registry, one: Subject, tell: Tell, base: BaseWeights | None = None) -> OneReport:
    """Exact sizes. Raises what ``sizes`` raises."""
    found = sizes(one.path, tell, base)
    norms = library_norms.of_architecture(registry, one.sha256).total if one.sha256 else ()
    share = stack.percentile(found.norm, norms) if len(norms) >= FEWEST else None
    return OneReport(one.name, str(one.path), found, share)


def of_stack(
    registry: Registry, subjects: Sequence[Subject], tell: Tell, base: BaseWeights | None = None
) -> StackReport:
    """What several do together. Raises what ``compare`` raises."""
    found = compare([one.path for one in subjects], tell, base)
    strengths = tuple(one.strength for one in subjects)
    known = next((one.sha256 for one in subjects if one.sha256), "")
    others = library_norms.of_architecture(registry, known) if known else library_norms.LibraryNorms()
    total, blocks, words = read_stack(found.products, strengths, others)
    inner = found.products.total
    relations = []
    for i in range(len(subjects)):
        for j in range(i + 1, len(subjects)):
            is_turned, kin = kin_of_two(float(inner[i, j]), found.sizes[i], found.sizes[j])
            if kin:
                ends = (str(j), str(i)) if is_turned else (str(i), str(j))
                relations.append(Kinship(*ends, kin.kind, kin.ratio, kin.words))
    return StackReport(
        names=tuple(one.name for one in subjects),
        strengths=strengths,
        norms=tuple(float(inner[i, i]) ** 0.5 for i in range(len(subjects))),
        total=total,
        blocks=blocks,
        pairs=found.pairs,
        relations=tuple(relations),
        untold=found.untold,
        words=words,
        relative=total.budget / found.weights if found.weights else None,
    )


def of_origin(registry: Registry, one: Subject) -> OriginReport:
    """Where one comes from, among the fingerprints that the library has. Raises what ``fingerprint`` raises."""
    found = origin(_fingerprint(registry, one), fingerprint_store.each_stored(registry), own=one.sha256)
    recipe = found.recipe.parts if found.recipe else ()
    mentioned = [part[0] for part in (*found.nearest, *recipe)] + [each.sha256 for each in found.relatives]
    names = {sha256: sha256[:12] for sha256 in mentioned} | dict(kept.names(registry, mentioned))
    return OriginReport(one.name, found, names, tuple(_words(one.name, found, names)))


def _fingerprint(registry: Registry, one: Subject) -> Fingerprint:
    if not one.sha256:
        return fingerprint(one.path)
    return fingerprint_store.stored(registry, one.sha256) or fingerprint_store.make(registry, one.sha256, one.path)


def _words(name: str, found: Origin, names: dict[str, str]) -> list[str]:
    words = []
    if found.recipe:
        parts = " + ".join(f"{coefficient:.2f}·{names[sha256]}" for sha256, coefficient in found.recipe.parts)
        if found.recipe.is_exact:
            words.append(f"{name} is a merge: {parts.replace('+ -', '- ')} (residual {found.recipe.residual:.3f})")
        else:
            words.append(
                f"{name} is likely a merge that was cut down: about {parts.replace('+ -', '- ')} "
                f"(residual {found.recipe.residual:.2f})"
            )
    for each in found.relatives:
        first, second = (names[each.sha256], name) if each.is_turned else (name, names[each.sha256])
        words.append(f"{first} {each.kin.words.format(second)}")
    if not words:
        words.append(f"{name} is independent of the {found.compared} others: nothing comes near it")
    return words
