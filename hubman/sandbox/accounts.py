"""The sandbox's users and keys: one for each way in which the real site treats a caller."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hubman.civitai import contract


@dataclass(frozen=True)
class User:
    """``status`` is ``active``, ``muted`` or ``banned``; ``score`` and ``age_days`` decide how many posts a day."""

    id: int
    username: str
    status: str = "active"
    onboarded: bool = True
    score: int = 0
    age_days: int = 400


@dataclass(frozen=True)
class Caller:
    """A user and what the key in hand may do."""

    user: User
    scope: int
    token_id: int


_READS = ("UserRead", "ModelsRead", "MediaRead", "ArticlesRead", "BountiesRead", "BuzzRead", "CollectionsRead")
_WRITES = ("ModelsWrite", "MediaWrite", "ArticlesWrite", "BountiesWrite", "CollectionsWrite", "SocialWrite")


def _mask(*names: str) -> int:
    bits = contract.scope_bits()
    return sum(bits[name] for name in names)


READ_ONLY = _mask(*_READS, "NotificationsRead", "VaultRead")
CREATOR = READ_ONLY | _mask(*_WRITES)
FULL = _mask("Full")

CREATOR_USER = User(42, "creator")
_CALLERS = {
    "full": Caller(CREATOR_USER, FULL, 1),
    "creator": Caller(CREATOR_USER, CREATOR, 2),
    "read-only": Caller(CREATOR_USER, READ_ONLY, 3),
    "other": Caller(User(43, "someone"), FULL, 4),
    "muted": Caller(User(44, "muted", status="muted"), CREATOR, 5),
    "new": Caller(User(45, "newcomer", onboarded=False), CREATOR, 6),
    "banned": Caller(User(46, "banned", status="banned"), CREATOR, 7),
    "fresh": Caller(User(47, "fresh", age_days=0), CREATOR, 8),
}
TOKEN_NAMES = tuple(_CALLERS)


def token(name: str) -> str:
    """The sandbox's key called ``name``, 32 hex digits; raises ``KeyError`` for an unknown name.

    The same everywhere: it opens nothing but a sandbox on this machine.
    """
    if name not in _CALLERS:
        raise KeyError(name)
    return hashlib.sha256(f"hubman sandbox {name}".encode()).hexdigest()[:32]


_BY_TOKEN = {token(name): caller for name, caller in _CALLERS.items()}
_USERS = {caller.user.id: caller.user for caller in _CALLERS.values()}
USER_IDS = tuple(_USERS)


def caller_of(key: str) -> Caller | None:
    """Who presents ``key``; a banned user's key yields nobody, as on the real site."""
    caller = _BY_TOKEN.get(key)
    return None if caller is None or caller.user.status == "banned" else caller


def user(user_id: int) -> User:
    return _USERS.get(user_id) or User(user_id, f"user{user_id}")
