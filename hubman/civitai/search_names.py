"""Names that the site knows exactly and people write loosely: types, base models, orders, licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import msgspec

from hubman.civitai import contract
from hubman.civitai.search import LORA_TYPES
from registry.errors import UsageError
from registry.listing import LEVELS, plain_base

_TYPES = {
    "lora": LORA_TYPES,
    "lycoris": ("LoCon",),
    "ckpt": ("Checkpoint",),
    "ti": ("TextualInversion",),
    "embedding": ("TextualInversion",),
}
"""Short names of types; ``lora`` means every kind of it, ``=lora`` the one that the site calls LORA."""

SORTS = {
    "rating": "Highest Rated", "downloads": "Most Downloaded", "liked": "Most Liked", "discussed": "Most Discussed",
    "collected": "Most Collected", "images": "Most Images", "newest": "Newest", "oldest": "Oldest",
}  # fmt: skip
PERIODS = {"day": "Day", "week": "Week", "month": "Month", "year": "Year", "all": "AllTime"}
PERIOD_MODES = {"published": "published", "stats": "stats"}
CHECKPOINTS = {"trained": "Trained", "merge": "Merge"}
USES = {"sell": "Sell", "image": "Image", "rent": "Rent", "rentcivit": "RentCivit"}
"""Commercial uses that the site can be asked for."""
PERMISSIONS = ("nocredit", "derivatives", "relicense")
"""What is held against the answer, because the site refuses to be asked for it."""
LEVEL_WORDS = {"no": LEVELS["pg"], "yes": LEVELS["xxx"], "all": LEVELS["xxx"]}
FLAGS = {
    "early": "early_access", "generator": "supports_generation", "onsite": "from_platform", "followed": "followed",
    "archived": "archived", "fav": "favorites", "hidden": "hidden", "newcreator": "new_creators",
    "primary": "primary_file_only",
}  # fmt: skip
"""What ``is:`` asks for."""
_FLAG_WORDS = {"favourite": "fav", "favorite": "fav", "new": "newcreator"}


class UnknownNameError(UsageError):
    """A type or a base model that the bundled lists don't have; the site's own may."""


class Names(msgspec.Struct, frozen=True):
    """The types and base models there are."""

    types: tuple[str, ...]
    bases: tuple[str, ...]


def bundled() -> Names:
    """What was known when this version of hubman was made."""
    return named(
        contract.enum_values("ModelType"), contract.enum_values("ActiveBaseModel"), contract.enum_values("BaseModel")
    )


def named(types: Sequence[str], active: Sequence[str], bases: Sequence[str]) -> Names:
    """The names, those base models that are still offered before the others."""
    return Names(tuple(types), tuple(dict.fromkeys([*active, *bases])))


def types_of(text: str, names: Names) -> tuple[str, ...]:
    """The types that ``text`` means; nothing for ``any``. Raises :class:`UnknownNameError`."""
    if text.lower() in {"any", "all"}:
        return ()
    if found := _TYPES.get(text.lower()):
        return found
    return (_known("type", text.removeprefix("="), names.types),)


def bases_of(text: str, names: Names) -> tuple[str, ...]:
    """The base models that ``text`` means: one, written however, or with a star all that begin so.

    Raises :class:`UnknownNameError`.
    """
    if text.endswith("*") and (start := plain_base(text)):
        found = tuple(name for name in names.bases if plain_base(name).startswith(start))
        if found:
            return found
    return (_known("base model", text.removeprefix("="), names.bases),)


def _known(what: str, text: str, names: Sequence[str]) -> str:
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(plain_base(name), name)
    exact = next((name for name in names if name.lower() == text.lower()), None) or plain.get(plain_base(text))
    if exact is not None:
        return exact
    # What begins so is nearer than what is spelt alike: SDXL is SDXL 1.0 rather than SD 1.4.
    begins = [key for key in plain if plain_base(text) and key.startswith(plain_base(text))]
    near = begins or get_close_matches(plain_base(text), plain, 1, 0.5)
    if near:
        more = f" {text}* takes all that begin so" if len(begins) > 1 and what == "base model" else ""
        raise UnknownNameError(f"there is no {what} {text!r}", f"did you mean {plain[near[0]]}?{more}")
    raise UnknownNameError(f"there is no {what} {text!r}", "hubman search --names lists them")


def one_of(name: str, text: str, choices: Mapping[str, str]) -> str:
    """The site's word for ``text``, which may be that word itself. Raises :class:`UsageError` with the nearest name."""
    key = text.lower().removeprefix("=")
    theirs = {plain_base(value): value for value in choices.values()}
    found = choices.get(key) or theirs.get(plain_base(key))
    if found is not None:
        return found
    near = get_close_matches(key, [*choices, *theirs], 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(choices)}"
    raise UsageError(f"{name} can't be {text!r}", hint)


def flag_of(text: str) -> str:
    """The field of a search that ``is:text`` sets. Raises :class:`UsageError`."""
    return one_of("is", _FLAG_WORDS.get(text.lower(), text), FLAGS)


def level_of(text: str) -> int:
    """The highest level that is wanted, from ``r``, ``<=r``, ``no`` or ``yes``. Raises :class:`UsageError`."""
    key = text.lower().removeprefix("<=").removeprefix("=").replace("-", "")
    if key in LEVEL_WORDS:
        return LEVEL_WORDS[key]
    if key not in {"pg", "pg13", "r", "x", "xxx"}:
        raise UsageError(f"nsfw can't be {text!r}", "say up to which level: pg, pg13, r, x or xxx")
    return LEVELS[key]
