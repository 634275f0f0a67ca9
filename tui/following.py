"""Following creators from the screens of Civitai."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.database import Registry


def turn(registry: Registry, creator: str) -> bool:
    """Follow a creator, or no longer; whether he is followed now."""
    from hubman.civitai import follow

    if any(one.name.casefold() == creator.casefold() for one in follow.following(registry) if one.kind == "creator"):
        follow.unfollow(registry, creator=creator)
        return False
    follow.follow(registry, creator=creator)
    return True


def told(creator: str, *, is_followed: bool) -> str:
    return f"{'following' if is_followed else 'no longer following'} {creator}"
