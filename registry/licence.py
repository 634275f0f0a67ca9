"""What a model's licence allows, in five letters: credit, images, rent, sell, derivatives.

Civitai tells ``allowNoCredit``, ``allowDerivatives`` (booleans) and ``allowCommercialUse`` (an array, one word, or a
text such as ``{Image,Rent}``). What is not told is unknown, which is neither yes nor no.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Answer = bool | None
"""Allowed, not allowed, or unknown."""

_USES = ("image", "rent", "sell")
_LETTERS = {"nocredit": "C", "image": "I", "rent": "R", "sell": "S", "derivatives": "D"}
_WORDS = {"image": "sell images", "rent": "rent it out", "sell": "sell it", "derivatives": "derivatives"}


def answers(permissions: Mapping[str, Any]) -> dict[str, Answer]:
    """``nocredit image rent sell derivatives relicense``, each allowed, not allowed or unknown."""
    uses = _commercial(permissions.get("allowCommercialUse"))
    return {
        "nocredit": _flag(permissions, "allowNoCredit"),
        **{use: None if uses is None else use in uses for use in _USES},
        "derivatives": _flag(permissions, "allowDerivatives"),
        "relicense": _flag(permissions, "allowDifferentLicense"),
    }


def _flag(permissions: Mapping[str, Any], name: str) -> Answer:
    value = permissions.get(name)
    return value if isinstance(value, bool) else None


def _commercial(said: object) -> frozenset[str] | None:
    """The uses that are named; None where nothing is said of them."""
    if isinstance(said, str):
        words = re.findall(r"\w+", said)
    elif isinstance(said, list):
        words = [word for word in said if isinstance(word, str)]
    else:
        return None
    found = {use for word in words for use in _USES if word.lower().startswith(use)}
    if not found and words and not any(word.lower() == "none" for word in words):
        return None
    return frozenset(found)


def is_known(permissions: Mapping[str, Any]) -> bool:
    """Whether anything at all is told."""
    return any(answer is not None for answer in answers(permissions).values())


def unknown(permissions: Mapping[str, Any]) -> list[str]:
    """Those of the five that are not told."""
    found = answers(permissions)
    return [name for name in _LETTERS if found[name] is None]


def letters(permissions: Mapping[str, Any]) -> str:
    """Five cells: the letter where it is allowed (``C``: without credit), ``-`` where not, ``?`` where unknown."""
    found = answers(permissions)
    return "".join({True: letter, False: "-", None: "?"}[found[name]] for name, letter in _LETTERS.items())


def words(permissions: Mapping[str, Any]) -> str:
    """The same in words."""
    found = answers(permissions)
    credit = {True: "no credit needed", False: "credit the creator", None: "credit unknown"}[found["nocredit"]]
    said = [credit]
    for answer, verb in ((True, "allowed"), (False, "not allowed"), (None, "unknown")):
        names = [text for name, text in _WORDS.items() if found[name] is answer]
        if names:
            said.append(f"{verb}: {', '.join(names)}")
    return " · ".join(said) if is_known(permissions) else "nothing is known of it"


_FLAGS = ("allowNoCredit", "allowDerivatives", "allowDifferentLicense")
_IMPLIED = {"sell": ("Image", "RentCivit", "Rent", "Sell"), "rent": ("RentCivit", "Rent")}
_USES_OF = ("Image", "RentCivit", "Rent", "Sell")


def strictest(all_permissions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What may be done with a model that is made of several, in Civitai's fields: what each of them allows.

    A flag that one forbids is forbidden; what one does not tell is unknown unless another forbids it. Commercial uses are
    those that all who tell of them allow.
    """
    found: dict[str, Any] = {}
    for name in _FLAGS:
        said = [_flag(one, name) for one in all_permissions]
        if said and (False in said or None not in said):
            found[name] = False not in said
    uses = [
        _widened(one["allowCommercialUse"])
        for one in all_permissions
        if _commercial(one.get("allowCommercialUse")) is not None
    ]
    if uses:
        found["allowCommercialUse"] = [use for use in _USES_OF if all(use in one for one in uses)]
    return found


def _widened(said: object) -> set[str]:
    """Commercial uses with those that they imply, as the site's form has it."""
    words = re.findall(r"\w+", said) if isinstance(said, str) else [word for word in said if isinstance(word, str)]  # type: ignore[attr-defined]
    exact = {use.lower(): use for use in _USES_OF}
    return {implied for word in words for implied in _IMPLIED.get(word.lower(), (exact.get(word.lower(), word),))}
