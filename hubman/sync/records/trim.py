"""Remove batches that nobody needs any more: two old snapshots have what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hubman.sync.care import devices
from hubman.sync.records import layout, snapshots
from hubman.sync.session import Session
from registry import clock, timestamps

ABANDONED = timedelta(days=180)
"""A device that was not seen for so long no longer trims its log itself."""


def trim(session: Session) -> int:
    """Delete this device's batches, and those of abandoned ones, that two verified snapshots older than a week cover.

    Returns how many. A machine that comes back and needs one reads a snapshot instead.
    """
    old = [entry for entry in snapshots.listed(session) if snapshots.is_old(entry)]
    vectors: list[dict[str, int]] = []
    for entry in old:
        covers = snapshots.verified(session, entry)
        vectors += [covers] if covers is not None else []
        if len(vectors) == 2:
            break
    else:
        return 0
    return sum(
        _trim_log(session, device, min(one.get(device, 0) for one in vectors)) for device in _trimmed_here(session)
    )


def _trimmed_here(session: Session) -> list[str]:
    now = datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
    return [
        one.id
        for one in devices.all_devices(session.registry)
        if one.is_this or one.retired or (one.last_seen and now - timestamps.parse(one.last_seen) > ABANDONED)
    ]


def _trim_log(session: Session, device: str, through: int) -> int:
    """Delete a device's batches up to number ``through``."""
    of_device = (session.repo, device)
    sql = "SELECT trimmed FROM trims WHERE remote = ? AND device = ?"
    row = session.db.execute(sql, of_device).fetchone()
    if through <= (row[0] if row else 0):
        return 0
    count = 0
    for entry in list(session.storage.entries(layout.log_prefix(device))):
        seq = layout.batch_seq(entry.key.rpartition("/")[2])
        if seq is not None and seq <= through:
            session.stop_if_asked()
            session.storage.delete(entry.key)
            count += 1
    with session.registry.transaction() as db:
        db.execute("INSERT OR REPLACE INTO trims (remote, device, trimmed) VALUES (?, ?, ?)", (*of_device, through))
    return count
