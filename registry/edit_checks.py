"""What a person may not say of models because of what is said already: of the same version, or of another model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from registry.database import Registry
from registry.errors import UsageError

Row = tuple[tuple[str, str], Mapping[str, Any]]
"""((model, version), what would be said, by field; None takes back)"""


def check(registry: Registry, rows: Sequence[Row]) -> None:
    """Raises :class:`UsageError` for a range of strengths that is none, and for an alias that another model has."""
    for (_, version), values in rows:
        if values.get("strength_min") is not None or values.get("strength_max") is not None:
            _check_range(registry, version, values)
    _check_aliases(registry, {model: values["alias"] for (model, _), values in rows if values.get("alias")})


def _check_range(registry: Registry, version: str, values: Mapping[str, Any]) -> None:
    row = registry.db.execute("SELECT strength_min, strength_max FROM versions WHERE id = ?", (version,)).fetchone()
    low, high = (values.get(name, row[name] if row else None) for name in ("strength_min", "strength_max"))
    if low is not None and high is not None and low > high:
        raise UsageError(
            f"strength_min can't be {low:g} where strength_max is {high:g}", "give the lower one as strength_min"
        )


def _check_aliases(registry: Registry, wanted: Mapping[str, str]) -> None:
    counts = Counter(wanted.values())
    taken = next((alias for alias, count in counts.items() if count > 1), None)
    if taken is not None:
        raise UsageError(f"{counts[taken]} models can't all have the alias {taken}", "a prompt could mean any of them")
    sql = "SELECT id, name, alias FROM models WHERE alias IN (SELECT value FROM json_each(?)) ORDER BY id"
    rows = registry.db.execute(sql, (msgspec.json.encode(list(counts)).decode(),)).fetchall()
    # Files of the same name have the same alias until somebody gives them others: that it stays is no mistake.
    has = {(row["id"], row["alias"]) for row in rows}
    for row in rows:
        for model, alias in wanted.items():
            is_freed = wanted.get(row["id"], alias) != alias
            if alias == row["alias"] and model != row["id"] and (model, alias) not in has and not is_freed:
                raise UsageError(f"the alias {alias} is that of {row['name']} ({row['id'][:8]})", "use another one")
