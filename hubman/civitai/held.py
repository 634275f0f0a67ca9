"""Which versions of the site's models are in the library already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hubman.civitai.records import RemoteFile, RemoteModel, RemoteVersion
from registry.database import Registry
from registry.holdings import Holdings, holdings

State = Literal["here", "known"]
"""``here``: its file lies on this machine. ``known``: the library knows it, but has no file of it here."""


def held(registry: Registry, models: Sequence[RemoteModel], *, by_number: bool) -> dict[int, State]:
    """The versions of ``models`` that the library has, by their numbers; one look-up for all of them.

    A version is known by the hash of any of its files, of the whole or of its tensors alone, and ``by_number``, which
    means nothing for a site whose numbers are its own.
    """
    versions = [version for model in models for version in model.versions]
    files = [file for version in versions for file in _weights(version)]
    found = holdings(
        registry,
        sha256=(one for file in files for one in _hashes(file, "SHA256", "AutoV2")),
        autov3=(one for file in files for one in _hashes(file, "AutoV3")),
        versions=(version.id for version in versions) if by_number else (),
    )
    states = ((version.id, _state(version, found)) for version in versions)
    return {number: state for number, state in states if state is not None}


_WEIGHTS = frozenset({"Model", "Pruned Model"})


def _weights(version: RemoteVersion) -> Sequence[RemoteFile]:
    """The files that make it what it is: a VAE or a config beside them may lie beside many."""
    return [file for file in version.files if file.primary or file.type in _WEIGHTS] or version.files


def _hashes(file: RemoteFile, *kinds: str) -> list[str]:
    """The first of these kinds that is told."""
    said = (file.hashes.get(kind) for kind in kinds)
    return [text for text in said if isinstance(text, str) and text][:1]


def _state(version: RemoteVersion, found: Holdings) -> State | None:
    hashes = [one.lower() for file in _weights(version) for one in _hashes(file, "SHA256", "AutoV2")]
    hashes += [one.lower() for file in _weights(version) for one in _hashes(file, "AutoV3")]
    answers = [found.by_hash[one] for one in hashes if one in found.by_hash]
    if version.id in found.by_version:
        answers.append(found.by_version[version.id])
    return None if not answers else "here" if any(answers) else "known"
