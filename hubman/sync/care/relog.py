"""Mend a log with a hole: what its batches said is in the state of whoever read them, and can be said again.

A hole keeps every new reader from what follows it. It is filled with a batch that says nothing, and the whole state goes
out once more in this machine's own log.
"""

from __future__ import annotations

import re

from hubman.sync import batches, freeze, layout, push
from hubman.sync.session import Session
from registry import changes

_HOLE = re.compile(r"log/([0-9a-f]{16})/([0-9]{10})-([0-9]{10})")
MOST = 1_000
"""Batches that one repair fills in: a log that claims more that nobody read is no log."""


def hole(device: str, first: int, last: int) -> str:
    """How a hole is called, in findings and when others are asked to fill it."""
    return f"{layout.log_prefix(device)}{first:010d}-{last:010d}"


def can_fill(session: Session, name: str) -> bool:
    """Whether ``name`` is a hole of this machine's log, or of one that was read here beyond it."""
    found = _HOLE.fullmatch(name)
    if found is None:
        return False
    device, first, last = found[1], int(found[2]), int(found[3])
    return 0 < first <= last < first + MOST and last <= reached(session, device)


def fill(session: Session, name: str, *, instead_of: str = "") -> bool:
    """Fill a hole; False for one that can't be filled from here.

    What the lost batches said must then be said again (:func:`say_everything`), unless their bytes are still here.
    ``instead_of`` is the key of a damaged batch that is removed for it.
    """
    found = _HOLE.fullmatch(name)
    if found is None or not can_fill(session, name):
        return False
    device, first, last = found[1], int(found[2]), int(found[3])
    if instead_of:
        session.storage.delete(instead_of)
    for seq in range(first, last + 1):
        if device == session.device:
            _fill_own(session, seq)
        else:
            body = _filler(session, device, seq)
            session.storage.create(layout.log_prefix(device) + layout.batch_name(seq, body), body)
    return True


def needs_everything(session: Session, name: str) -> bool:
    """Whether the bytes of a hole are gone, so that filling it loses what they said."""
    found = _HOLE.fullmatch(name)
    if found is None or found[1] != session.device:
        return True
    sql = "SELECT count(*) FROM outbound WHERE remote = ? AND device = ? AND seq BETWEEN ? AND ? AND length(body) > 0"
    first, last = int(found[2]), int(found[3])
    (kept,) = session.db.execute(sql, (session.repo, session.device, first, last)).fetchone()
    return int(kept) <= last - first


def reached(session: Session, device: str) -> int:
    """The number of the last batch of a device whose content is in the state here."""
    if device == session.device:
        sql = "SELECT max(seq) FROM outbound WHERE remote = ? AND device = ?"
    else:
        sql = "SELECT seq FROM cursors WHERE remote = ? AND device = ?"
    row = session.db.execute(sql, (session.repo, device)).fetchone()
    return int(row[0] or 0) if row else 0


def say_everything(session: Session) -> None:
    """Make the whole state wait to be sent once more."""
    push.freeze_outbox(session)
    with session.registry.transaction() as db:
        freeze.everything(db, session.repo, session.codec)


def _fill_own(session: Session, seq: int) -> None:
    of = (session.repo, session.device, seq)
    with session.registry.transaction() as db:
        kept = db.execute(
            "UPDATE outbound SET sent = 0 WHERE remote = ? AND device = ? AND seq = ? AND length(body) > 0", of
        )
        if kept.rowcount == 0:
            body = _filler(session, session.device, seq)
            db.execute(
                "INSERT OR REPLACE INTO outbound (remote, device, seq, name, body, changes) VALUES (?, ?, ?, ?, ?, 0)",
                (*of, layout.batch_name(seq, body), body),
            )


def _filler(session: Session, device: str, seq: int) -> bytes:
    return session.codec.seal(batches.encode([changes.encode(batches.NOTHING)]), layout.batch_label(device, seq))
