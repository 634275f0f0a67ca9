"""Mend a log with a hole: what its batches said is in the state of whoever read them, and a snapshot says it again.

A hole keeps every new reader from what follows it, unless a snapshot leads over it.
"""

from __future__ import annotations

import re

from hubman.sync.records import layout, snapshots
from hubman.sync.session import Session

_HOLE = re.compile(r"log/([0-9a-f]{16})/([0-9]{10})-([0-9]{10})")


def hole(device: str, first: int, last: int) -> str:
    """How a hole is called, in findings and when others are asked to mend it."""
    return f"{layout.log_prefix(device)}{first:010d}-{last:010d}"


def can_mend(session: Session, name: str) -> bool:
    """Whether ``name`` is a hole of this machine's log, or of one that was read here beyond it."""
    found = _HOLE.fullmatch(name)
    return found is not None and 0 < int(found[2]) <= int(found[3]) <= reached(session, found[1])


def send_again(session: Session, name: str) -> bool:
    """Make a hole of this machine's log wait to be sent, where the bytes of all its batches are still here."""
    found = _HOLE.fullmatch(name)
    if found is None or found[1] != session.device:
        return False
    first, last = int(found[2]), int(found[3])
    of = (session.repo, session.device, first, last)
    where = "WHERE remote = ? AND device = ? AND seq BETWEEN ? AND ? AND length(body) > 0"
    with session.registry.transaction() as db:
        (kept,) = db.execute(f"SELECT count(*) FROM outbound {where}", of).fetchone()  # noqa: S608 - fixed texts
        if kept <= last - first:
            return False
        db.execute(f"UPDATE outbound SET sent = 0 {where}", of)  # noqa: S608 - fixed texts
    return True


def reached(session: Session, device: str) -> int:
    """The number of the last batch of a device whose content is in the state here."""
    return snapshots.reads(session.db, session.repo).get(device, 0)


def covered(session: Session) -> dict[str, int]:
    """How far whole snapshots on the remote say what each log said."""
    furthest: dict[str, int] = {}
    for entry in snapshots.listed(session)[: snapshots.KEEP]:
        for device, seq in (snapshots.verified(session, entry) or {}).items():
            furthest[device] = max(furthest.get(device, 0), seq)
    return furthest
