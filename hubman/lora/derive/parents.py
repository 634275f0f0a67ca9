"""The files that another is made of: found by name or path, looked at by their headers, refused before any work begins.

No torch is needed here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from hubman.lora.derive.request import Parent, Stated
from registry import here, library, licence, scan
from registry.database import Registry
from registry.errors import DamagedFileError, HubError, NotFoundError, UsageError
from registry.hashing import hash_file
from registry.headers import Header, read_header
from registry.identify import Identity, identify
from registry.records import VersionRow

_NEED_WEIGHTS = {"dora": "DoRA", "oft": "OFT", "boft": "BOFT", "glora": "GLoRA", "ia3": "(IA)3"}
"""Kinds whose change is made of the base's own weights."""


@dataclass(frozen=True)
class Known:
    """A parent with what its header and the library say of it."""

    parent: Parent
    header: Header
    identity: Identity
    version: VersionRow | None = None


def split_ratio(text: str) -> tuple[str, float]:
    """(name, ratio) of ``NAME:0.7``; without a number behind the last colon the ratio is 1. Raises ``UsageError``."""
    name, colon, tail = text.rpartition(":")
    try:
        ratio = float(tail)
    except ValueError:
        return text, 1.0
    if not colon or Path(text).is_file():
        return text, 1.0
    if not math.isfinite(ratio) or not ratio:
        raise UsageError(f"the ratio of {name} can't be {tail}", "give a number that is not 0, negative ones take away")
    return name, ratio


def find(registry: Registry, ref: str, ratio: float = 1.0, blocks: str = "") -> Known:
    """The LoRA that ``ref`` means: a path, or what the library calls it.

    Raises ``NotFoundError``, ``UsageError`` for what is no LoRA, and ``DamagedFileError``.
    """
    path = Path(ref).expanduser()
    if path.is_file():
        return _known(registry, path.absolute(), hash_file(path).sha256, ratio, blocks)
    version = library.version(registry, scan.hashed(registry, library.resolve(registry, ref)[1]))
    if lying := here.file_of(version):
        file, place = lying
        return _known(registry, place, file.sha256, ratio, blocks)
    raise HubError(f"the file of {ref} is not on this machine", here.how_to_get(registry.db, version.model_id, ref))


def again(registry: Registry, stated: Stated) -> Known:
    """A parent by the hash that a header has of it. Raises ``NotFoundError`` where its file is not here."""
    file = library.file_by_hash(registry, stated.sha256)
    place = here.place_of(file) if file else None
    if place is None:
        raise NotFoundError(
            f"its parent {stated.sha256[:12]} is not here", "hubman scan indexes the folder that has it"
        )
    return _known(registry, place, stated.sha256, stated.ratio, stated.blocks)


def _known(registry: Registry, path: Path, sha256: str, ratio: float, blocks: str) -> Known:
    try:
        header = read_header(path)
    except OSError as error:
        raise DamagedFileError(f"{path} can't be read ({error.strerror})", "check its permissions") from error
    identity = identify(header)
    if identity.kind != "lora":
        raise UsageError(f"{path.name} is no LoRA but a file of the kind {identity.kind}", "give LoRA files")
    file = library.file_by_hash(registry, sha256)
    version = library.version(registry, file.version_id) if file else None
    return Known(
        Parent(path=str(path), sha256=sha256, name=path.stem, ratio=ratio, blocks=blocks), header, identity, version
    )


def refuse_strangers(parents: Sequence[Known], base: str) -> None:
    """Raise ``UsageError`` for parents that can't be merged: of different architectures, or made of weights nobody gave."""
    told = {one.identity.architecture: one for one in parents if one.identity.architecture}
    if len(told) > 1:
        words = " and ".join(f"{one.parent.name} is {name}" for name, one in list(told.items())[:2])
        raise UsageError(words, "merge LoRAs of one architecture")
    names = [one.parent.sha256 for one in parents]
    double = next((one for one in parents if names.count(one.parent.sha256) > 1), None)
    if double:
        raise UsageError(f"{double.parent.name} is named twice", "name it once with the sum of both ratios")
    for one in parents:
        kind = _NEED_WEIGHTS.get(one.identity.network_type or "") or next(
            (name for key, name in _NEED_WEIGHTS.items() if key in one.identity.mix), ""
        )
        if kind and not base:
            raise UsageError(
                f"{one.parent.name} is a {kind}, whose change is made of the base's weights", "add --base BASE"
            )


def renamed(known: Known, name: str) -> Known:
    """``known`` under another name."""
    return replace(known, parent=msgspec.structs.replace(known.parent, name=name))


def notes(registry: Registry, parents: Sequence[Known]) -> list[str]:
    """What does not forbid it, but should be known: parents for different base models or of different predictions, and
    what their licences forbid to do with the result.
    """
    found = []
    for what, said in (
        ("base models", {one.identity.base_model for one in parents if one.identity.base_model}),
        ("predictions", {one.identity.prediction for one in parents if one.identity.prediction}),
    ):
        if len(said) > 1:
            found.append(f"the parents are for different {what}: {', '.join(sorted(said))}")
    for one in parents:
        model = library.show(registry, one.version.model_id) if one.version else None
        allowed = licence.answers(model.permissions if model and model.origin != "trained" else {})
        if allowed["derivatives"] is False:
            found.append(f"{one.parent.name} allows no merges: this one can't be published")
        elif allowed["sell"] is False and allowed["relicense"] is not True:
            found.append(f"{one.parent.name} may not be sold, and neither may this")
    return found


def trigger_words(parents: Sequence[Known]) -> tuple[str, ...]:
    """The words that call the parents: the library's where it knows them, else the headers'."""
    words = [
        word
        for one in parents
        for word in (
            one.version.trigger_words if one.version and one.version.trigger_words else one.identity.trigger_candidates
        )
    ]
    return tuple(dict.fromkeys(words))
