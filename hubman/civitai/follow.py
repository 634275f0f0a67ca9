"""Whom and what a person follows on Civitai, and whose updates he ignores: edits that sync and can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from registry import changes, ids, journal, projection, timestamps
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from registry.journal import Entry

EVERYTHING = 1 << 40
"""The version through which one ignores when one ignores a model: no version of Civitai's has so large a number."""

_FOLLOWED, _THROUGH = "followed", "through"


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A creator by name, or a model by Civitai's number, and since when: what was published before is no news."""

    kind: Literal["creator", "model"]
    name: str
    since: str
    number: int = 0


class Ignored(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose versions up to the number ``through`` are no news."""

    number: int
    through: int

    @property
    def is_everything(self) -> bool:
        return self.through >= EVERYTHING


def follow(registry: Registry, *, creator: str = "", model: int = 0, name: str = "", now: str = "") -> Followed:
    """Follow a creator or a model from now on; following it already changes nothing. ``name`` is the model's.

    Raises :class:`UsageError` for a creator's name that can't be one.
    """
    item = _item(creator, model)
    known = {_item_of(one): one for one in following(registry)}
    if item in known:
        return known[item]
    said = {"name": name if model else _plain(creator), "since": now or timestamps.now()}
    _write(registry, "follow", f"follow {_label(creator, model, name)}", item, _FOLLOWED, said)
    return next(one for one in following(registry) if _item_of(one) == item)


def unfollow(registry: Registry, *, creator: str = "", model: int = 0) -> Followed:
    """Follow no longer. Raises :class:`NotFoundError` for what is not followed."""
    item = _item(creator, model)
    known = {_item_of(one): one for one in following(registry)}
    if item not in known:
        raise NotFoundError(f"{_label(creator, model, '')} is not followed", "hubman following lists who is")
    one = known[item]
    _write(registry, "follow", f"no longer follow {_label(one.name, model, one.name)}", item, _FOLLOWED, None)
    return one


def following(registry: Registry) -> list[Followed]:
    """Creators first, by name."""
    found = list(_said_follows(registry))
    return sorted(found, key=lambda one: (one.kind, one.name.casefold(), one.number))


def _said_follows(registry: Registry) -> Iterator[Followed]:
    for item, value in _said(registry, ids.FOLLOW, _FOLLOWED):
        # What another machine sends may be anything.
        if not isinstance(value, dict) or not isinstance(value.get("since"), str):
            continue
        kind, _, what = item.partition("/")
        name = str(value.get("name") or what)
        if kind == "creator" and what:
            yield Followed(kind="creator", name=name, since=value["since"])
        elif kind == "model" and what.isascii() and what.isdigit():
            yield Followed(kind="model", name=name, since=value["since"], number=int(what))


def ignore(registry: Registry, model: int, version: int | None = None) -> Entry | None:
    """Ignore the updates of the model with Civitai's number ``model``: all, or those up to and with ``version``."""
    through = EVERYTHING if version is None else version
    what = f"updates of model {model}" + (f" up to version {version}" if version is not None else "")
    return _write(registry, "ignore", f"ignore {what}", f"{ids.IGNORE}{model}", _THROUGH, through)


def unignore(registry: Registry, model: int) -> Entry | None:
    """Ignore nothing of a model any more; None if nothing was ignored."""
    return _write(registry, "ignore", f"ignore no updates of model {model}", f"{ids.IGNORE}{model}", _THROUGH, None)


def ignored(registry: Registry) -> list[Ignored]:
    found = []
    for what, value in _said(registry, ids.IGNORE, _THROUGH):
        if what.isascii() and what.isdigit() and isinstance(value, int) and value > 0:
            found.append(Ignored(number=int(what), through=value))
    return found


def _said(registry: Registry, prefix: str, field: str) -> list[tuple[str, Any]]:
    rows = registry.db.execute(
        "SELECT item, value FROM facts WHERE item >= ? AND item < ? AND field = ? AND source = 'user' ORDER BY item",
        (prefix, prefix[:-1] + "0", field),
    )
    return [(item.removeprefix(prefix), msgspec.json.decode(value)) for item, value in rows]


def _write(registry: Registry, verb: str, label: str, item: str, field: str, value: object) -> Entry | None:
    before = dict(_said(registry, item[: item.index("/") + 1], field)).get(item.partition("/")[2])
    if before == value:
        return None

    def act() -> None:
        db = registry.db
        projection.rebuild(db, changes.record(db, [changes.set_field(db, item, "user", field, value)]))

    return journal.write(registry, verb, label, [item], act)


def _item(creator: str, model: int) -> str:
    return f"{ids.FOLLOW}model/{model}" if model else f"{ids.FOLLOW}creator/{_plain(creator).casefold()}"


def _item_of(one: Followed) -> str:
    return _item("" if one.number else one.name, one.number)


def _plain(creator: str) -> str:
    name = creator.strip().removeprefix("@")
    if not name or "/" in name or len(name) > 80 or not name.isprintable():
        raise UsageError(f"{creator!r} is no name of a creator", "give the name as Civitai shows it, or a model of his")
    return name


def _label(creator: str, model: int, name: str) -> str:
    return (f"model {name} ({model})" if name else f"model {model}") if model else f"creator {_plain(creator)}"
