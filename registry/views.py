"""Saved views: query lines with a name, which sync like every other edit.

Each is an item of its own with one fact, so two machines that save views of different names keep both, and of the
same name the later one.
"""

from __future__ import annotations

import re
import sqlite3

import msgspec

from registry import changes, ids, journal
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from registry.query import BUILT_IN_VIEWS, compile_query

_FIELD = "query"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LONGEST = 2000


def own(registry: Registry) -> dict[str, str]:
    """A person's own views: name to query line, by name."""
    rows = registry.db.execute(
        "SELECT item, value FROM facts WHERE item >= ? AND item < ? AND field = ? AND source = 'user' ORDER BY item",
        (ids.VIEW, ids.VIEW[:-1] + "0", _FIELD),
    )
    found = {item.removeprefix(ids.VIEW): msgspec.json.decode(value) for item, value in rows}
    # What another machine sends may be anything.
    return {name: line for name, line in found.items() if isinstance(line, str) and _NAME.fullmatch(name)}


def save(registry: Registry, name: str, line: str) -> str:
    """Keep ``line`` under ``name`` (a leading ``@`` is dropped), instead of what was there; returns the name.

    Raises :class:`UsageError` for a name that can't be, or a line that does not compile.
    """
    known = _free(name)
    line = " ".join(line.split("\n")).strip()
    if not line:
        raise UsageError(f"@{known} would be an empty query", f"for example hubman view save {known} rating:>=4")
    if len(line) > _LONGEST:
        raise UsageError(f"@{known} is longer than {_LONGEST} characters", "split it into several views")
    with registry.transaction() as db:
        compile_query(line, views={**own(registry), known: line}, name=known)
        journal.write(registry, "view", f"view @{known}", [ids.VIEW + known], lambda: _say(db, known, line))
    return known


def rename(registry: Registry, old: str, new: str) -> str:
    """Give a view another name; returns it. Views that refer to it by its old name follow.

    Raises :class:`NotFoundError` for no such view and :class:`UsageError` for a name that can't be or is taken.
    """
    before, after = _plain(old), _free(new)
    with registry.transaction() as db:
        views = own(registry)
        _require(views, before)
        if after in views:
            raise UsageError(f"there is a view @{after} already", f"hubman view rm {after} removes it")

        def act() -> None:
            _say(db, after, views[before])
            _say(db, before, None)
            for name, line in views.items():
                follows = re.sub(rf"(?<!\S)(-?)@{re.escape(before)}(?!\S)", rf"\1@{after}", line, flags=re.IGNORECASE)
                if follows != line:
                    _say(db, after if name == before else name, follows)

        items = [ids.VIEW + name for name in (*views, after)]
        journal.write(registry, "view", f"view @{before} as @{after}", items, act)
    return after


def remove(registry: Registry, name: str) -> str:
    """Forget a view; returns its name. Raises :class:`NotFoundError`, and :class:`UsageError` for a built-in one."""
    known = _free(name)
    with registry.transaction() as db:
        _require(own(registry), known)
        journal.write(registry, "view", f"no view @{known}", [ids.VIEW + known], lambda: _say(db, known, None))
    return known


def _plain(name: str) -> str:
    return name.strip().removeprefix("@").lower()


def _free(name: str) -> str:
    """The name as it is kept, if a person's own view may be called so."""
    plain = _plain(name)
    if not _NAME.fullmatch(plain):
        raise UsageError(f"a view can't be called {name!r}", "use letters, digits, - and _")
    if plain in BUILT_IN_VIEWS:
        raise UsageError(f"@{plain} is built in", "use another name")
    return plain


def _require(views: dict[str, str], name: str) -> None:
    if name not in views:
        known = ", ".join(f"@{other}" for other in views)
        raise NotFoundError(f"there is no view @{name} of your own", f"yours are {known}" if known else "you have none")


def _say(db: sqlite3.Connection, name: str, line: str | None) -> None:
    changes.record(db, [changes.set_field(db, ids.VIEW + name, "user", _FIELD, line)])
