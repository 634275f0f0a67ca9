"""What a person should know of the machines and remotes that nobody else can mend: wrong clocks, copies, logs that stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from hubman.sync.care import devices
from hubman.sync.care.logs import CLOCK_MINUTES
from registry import clock, timestamps
from registry.database import Registry

_WAITED = timedelta(hours=24)
"""How long a batch may be on its way before it is worth a word."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One line about a device or a remote."""

    about: str
    message: str


def alerts(registry: Registry) -> list[Alert]:
    """Those of devices in use."""
    gone = devices.retired(registry.db)
    found = [*_held(registry), *_clocks(registry), *_copies(registry)]
    return [
        Alert(about=devices.name_of(registry.db, device), message=text) for device, text in found if device not in gone
    ]


def _held(registry: Registry) -> list[tuple[str, str]]:
    """Logs that could not be read to their end: by a clock that is far ahead at once, else when that lasts."""
    before = timestamps.of(datetime.now(UTC) - _WAITED)
    rows = registry.db.execute(
        "SELECT c.device, c.problem, c.since, r.name FROM cursors c JOIN remotes r ON r.repo = c.remote "
        "WHERE c.problem IS NOT NULL AND (c.since < ? OR c.problem LIKE '%ahead%') ORDER BY c.device",
        (before,),
    )
    return [
        (row["device"], f"its log on {row['name']} stands since {row['since'][:10]}: {row['problem']}") for row in rows
    ]


def _clocks(registry: Registry) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    sql = "SELECT device, max(hlc) AS hlc, seen_at FROM heads_seen GROUP BY device ORDER BY device"
    for row in registry.db.execute(sql):
        read = timestamps.parse(row["seen_at"]).timestamp() * 1000
        minutes = (clock.stamp_ms(row["hlc"]) - read) / 60_000
        if minutes > CLOCK_MINUTES:
            found.append(
                (row["device"], f"its clock, or one that it heard of, is {minutes:,.0f} minutes ahead: set it")
            )
    return found


def _copies(registry: Registry) -> list[tuple[str, str]]:
    rows = registry.db.execute(
        "SELECT device, count(*) AS names FROM received GROUP BY remote, device, substr(name, 1, 10) "
        "HAVING names > 1 ORDER BY device"
    )
    devices_of = sorted({row["device"] for row in rows})
    return [
        (one, "its registry was copied and both were used: nothing is lost, keep one of them") for one in devices_of
    ]
