"""One step of the journal, backwards: does its field still stand as the step left it, and which changes undo it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

import msgspec

from registry import changes, rivals, said
from registry.fields import ORDERED_SETS
from registry.said import Saying, Step


@dataclass
class Way:
    """Changes that bring something back, and (stamp made, stamp that it stands for)."""

    changes: list[changes.Change] = field(default_factory=list)
    restored: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Conflict:
    """Why taking a step back would undo somebody's later edit. Of a set only ``values`` are concerned."""

    reason: str
    values: frozenset[str] = frozenset()


def conflict(db: sqlite3.Connection, step: Step) -> Conflict | None:
    """What of ``step`` can't be taken back without undoing a later edit, if anything."""
    now = _now(db, step)
    if step.kind != "set":
        found, left = (now[:1], step.after[:1]) if step.kind == "fact" else (now, step.after)
        is_later = _origins(db, found) != _origins(db, left) and _values(now) != _values(step.before)
        return Conflict("was edited later") if is_later else None
    before, after, present = _by_value(step.before), _by_value(step.after), _by_value(now)
    given = sorted(
        value
        for value in after.keys() - before.keys()
        if value in present and _origins(db, present[value]) != _origins(db, after[value])
    )
    return Conflict(f"got {', '.join(given)} by another edit too", frozenset(given)) if given else None


def without(step: Step, values: frozenset[str]) -> Step | None:
    """``step`` of a set as if it had not touched ``values``; None if nothing is left of it."""
    kept = [saying for saying in step.after if saying[0] in values]
    before, after = _by_value(step.before), _by_value(step.after)
    if after.keys() - values == before.keys():
        return None
    return Step(step.item, step.kind, step.name, step.before + kept, step.after)


def way_back(db: sqlite3.Connection, step: Step) -> Way:
    """The changes after which what ``step`` changed stands as before it. Nothing where it stands so already."""
    now = _now(db, step)
    if step.kind == "fact":
        return _fact(db, step, now)
    if step.kind == "text":
        return _text(db, step, now)
    return _set(db, step, now)


def _fact(db: sqlite3.Connection, step: Step, now: list[Saying]) -> Way:
    shown, *beside = step.before or [("null", "")]
    standing, wanted, left = ({value for value, _ in found[1:]} for found in (now, step.before, step.after))
    if standing == wanted and _values(now[:1]) == _values([shown]):
        return Way()
    given = [stamp for value, stamp in now[1:] if value in left - wanted]
    way = Way([["rem", step.item, rivals.USER + step.name, "", sorted(given)]] if given else [])
    # A rival that was chosen between stands beside what shows again: its stamp has to be the earlier one.
    again = [saying for saying in beside if saying[0] not in standing]
    for value, stamp in (*again, shown):
        change = changes.set_field(db, step.item, "user", step.name, msgspec.json.decode(value))
        way.changes.insert(0, change)
        way.restored.append((change[4], _origin(db, stamp)))
    return way


def _text(db: sqlite3.Connection, step: Step, now: list[Saying]) -> Way:
    if _values(now) == _values(step.before):
        return Way()
    if not step.before:
        return Way([changes.clear_text(db, step.item, step.name)])
    (first, stamp), *others = step.before
    made = [changes.write_text(db, step.item, step.name, first)]
    made += [changes.add_text(db, step.item, step.name, value) for value, _ in others]
    stamps = [stamp, *(one for _, one in others)]
    return Way(made, [(change[4], _origin(db, old)) for change, old in zip(made, stamps, strict=True)])


def _set(db: sqlite3.Connection, step: Step, now: list[Saying]) -> Way:
    """What was added goes, what was removed comes back; where the order shows, what stood behind it follows."""
    before, after, present = _by_value(step.before), _by_value(step.after), _by_value(now)
    gone = [value for value in after if value not in before and value in present]
    stays = [value for value in present if value not in gone]
    back = [value for value in before if value not in after and value not in present]
    wanted = [value for value in before if value in stays or value in back]
    wanted += [value for value in stays if value not in before]
    kept = _common(stays, wanted)
    again = wanted[kept:] if step.name in ORDERED_SETS else back
    way = Way(
        [changes.remove_from_set(db, step.item, step.name, value) for value in (*gone, *again) if value in present]
    )
    for value in again:
        for _, stamp in present.get(value) or before[value]:
            change = changes.add_to_set(db, step.item, step.name, value)
            way.changes.append(change)
            way.restored.append((change[4], _origin(db, stamp)))
    return way


def _common(left: list[str], right: list[str]) -> int:
    """How many values stand at the beginning of both."""
    return next(
        (at for at, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), min(len(left), len(right))
    )


def _now(db: sqlite3.Connection, step: Step) -> list[Saying]:
    return said.of(db, step.item).get((step.kind, step.name), [])


def _by_value(sayings: list[Saying]) -> dict[str, list[Saying]]:
    found: dict[str, list[Saying]] = {}
    for value, stamp in sayings:
        found.setdefault(value, []).append((value, stamp))
    return found


def _values(sayings: list[Saying]) -> list[str]:
    """The values alone; a fact that says nothing is as good as none."""
    return [value for value, _ in sayings if value != "null"]


def _origins(db: sqlite3.Connection, sayings: list[Saying]) -> set[str]:
    return {_origin(db, stamp) for _, stamp in sayings} - {""}


def _origin(db: sqlite3.Connection, stamp: str) -> str:
    """The stamp of the saying that ``stamp`` brought back, else itself."""
    row = db.execute("SELECT stands_for FROM restored WHERE stamp = ?", (stamp,)).fetchone()
    return str(row[0]) if row else stamp
