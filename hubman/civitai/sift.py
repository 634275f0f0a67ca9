"""What the site can't be asked for over REST, held against what it answers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hubman.civitai.facts import permissions
from hubman.civitai.records import RemoteModel
from registry import licence
from registry.listing import LEVELS

EVERY_LEVEL = LEVELS["xxx"]
_ADULT = LEVELS["r"]


class Sift(msgspec.Struct, frozen=True, kw_only=True):
    """What a model must be, and must not be, to be shown.

    ``licence`` names answers of :mod:`registry.licence` that must be yes: the site refuses ``allowNoCredit``,
    ``allowDerivatives`` and ``allowDifferentLicense`` in an address. ``up_to`` is the bit of the highest browsing level
    that is wanted. The others list what is not wanted; texts are in lower case.
    """

    licence: tuple[str, ...] = ()
    up_to: int = EVERY_LEVEL
    without_tags: tuple[str, ...] = ()
    without_creators: tuple[str, ...] = ()
    without_types: tuple[str, ...] = ()
    without_bases: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self == Sift()


class Sifted(msgspec.Struct, frozen=True, kw_only=True):
    """What is left, and how many were left out: for their level, and for the rest."""

    models: tuple[RemoteModel, ...]
    above: int = 0
    others: int = 0


def sifted(models: Sequence[RemoteModel], sift: Sift) -> Sifted:
    mild = [model for model in models if not is_above(model, sift.up_to)]
    kept = tuple(model for model in mild if _is_wanted(model, sift))
    return Sifted(models=kept, above=len(models) - len(mild), others=len(mild) - len(kept))


def is_above(model: RemoteModel, up_to: int) -> bool:
    """Whether nothing of a model lies at or below a level: not its mildest picture, nor what its creator says of it."""
    if up_to >= EVERY_LEVEL:
        return False
    lowest = model.nsfw_level & -model.nsfw_level
    return lowest > up_to or (model.nsfw and up_to < _ADULT)


def _is_wanted(model: RemoteModel, sift: Sift) -> bool:
    if sift.licence:
        answers = licence.answers(permissions(model) or {})
        if any(answers.get(name) is not True for name in sift.licence):
            return False
    bases = {version.base_model.lower() for version in model.versions}
    return not (
        model.type.lower() in sift.without_types
        or model.creator.lower() in sift.without_creators
        or {tag.lower() for tag in model.tags} & set(sift.without_tags)
        or (bases and bases <= set(sift.without_bases))
    )
