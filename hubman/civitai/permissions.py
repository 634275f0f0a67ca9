"""What a key may do, in words."""

from __future__ import annotations

import msgspec

from hubman.civitai import contract
from hubman.civitai.records import Me

_WORDS = (
    ("read models", "ModelsRead"),
    ("read pictures", "MediaRead"),
    ("publish models", "ModelsWrite"),
    ("publish pictures", "MediaWrite"),
    ("delete models", "ModelsDelete"),
    ("delete pictures", "MediaDelete"),
    ("read collections", "CollectionsRead"),
)
_TO_PUBLISH = ("read models", "read pictures", "publish models", "publish pictures")


class KeyReport(msgspec.Struct, frozen=True, kw_only=True):
    """A key and its account. ``may`` is empty where the site does not tell; ``advice`` says what to do, if anything."""

    username: str
    id: int
    tier: str
    status: str
    may: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """What publishing needs and the key lacks."""
    can_publish: bool = False
    advice: str = ""


def report(me: Me, *, key_page: str) -> KeyReport:
    """What the account of a key may do; ``key_page`` is where a better key is made."""
    scope = me.token_scope
    bits = contract.scope_bits()
    may = tuple(words for words, name in _WORDS if scope is not None and scope & bits[name])
    missing = tuple(words for words in _TO_PUBLISH if words not in may) if scope is not None else ()
    is_free = me.status not in {"muted", "banned"}
    return KeyReport(
        username=me.username,
        id=me.id,
        tier=me.tier,
        status=me.status,
        may=may,
        missing=missing,
        can_publish=not missing and is_free,
        advice=_advice(me.status, missing, key_page),
    )


def _advice(status: str, missing: tuple[str, ...], key_page: str) -> str:
    if status == "muted":
        return "the account is muted: it may read and download, but not publish; Civitai's support tells why"
    if status == "banned":
        return "the account is banned; Civitai's support tells why"
    if missing:
        return (
            f"publishing needs a key that may also {', '.join(missing)}: make one with the scope Creator on {key_page}"
        )
    return ""


def lines(found: KeyReport) -> list[str]:
    """For a person."""
    who = f"{found.username or 'unnamed'} (account {found.id}{f', {found.tier}' if found.tier else ''})"
    may = ", ".join(found.may) if found.may else "the site does not tell"
    said = [who, f"may: {may}", f"publishing: {'yes' if found.can_publish else 'no'}"]
    return [*said, found.advice] if found.advice else said
