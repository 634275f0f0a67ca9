"""Are the logs whole: every head readable, no number left out, every batch what its name says?"""

from __future__ import annotations

from collections.abc import Iterator

from hubman.sync.care import devices, proofs, relog
from hubman.sync.care.findings import Finding, Level
from hubman.sync.care.survey import SHOWN, Survey
from hubman.sync.records import layout
from hubman.sync.records.batches import PACKED_CAP, decode
from hubman.sync.records.incoming import STAMP, is_sound
from hubman.sync.session import Session
from registry import clock
from registry.errors import HubError

CLOCK_MINUTES = 5
"""From which difference on a clock is worth a word."""

_GAPS = f"""
SELECT seq + 1 AS first, next - 1 AS last FROM (
    SELECT seq, lead(seq, 1, :end) OVER (ORDER BY seq) AS next
    FROM (SELECT :start AS seq UNION SELECT seq FROM batches WHERE device = :device AND seq > :start)
) WHERE next > seq + 1 LIMIT {SHOWN}
"""  # noqa: S608 - fixed texts


def log_findings(session: Session, survey: Survey) -> Iterator[Finding]:
    """What is wrong with each device's head and log."""
    known = {row[0] for row in session.db.execute("SELECT device FROM cursors WHERE remote = ?", (session.repo,))}
    listed = survey.db.execute("SELECT device FROM heads UNION SELECT device FROM batches ORDER BY device")
    covered = relog.covered(session)
    strangers = 0
    for (device,) in listed.fetchall():
        if device not in known | {session.device}:
            strangers += 1
            if strangers > layout.MAX_DEVICES:
                continue
        yield from _of_device(session, survey, device, covered.get(device, 0))
    if strangers > layout.MAX_DEVICES:
        about = f"holds logs of {strangers} devices that were never read; only {layout.MAX_DEVICES} were looked at"
        yield Finding(level="note", about="the remote", message=about)


def _of_device(session: Session, survey: Survey, device: str, covered: int) -> Iterator[Finding]:
    session.stop_if_asked()
    name = devices.name_of(session.db, device)
    called = f"device {device}" if name == device else name
    try:
        head = read_head(session, device)
    except HubError as error:
        yield _head_finding(session, device, error.message)
        head = None
    else:
        if head is None:
            yield _head_finding(session, device, "is missing; a deep sync reads the log all the same")
    yield from _holes(session, survey, device, head, covered)
    twice = "SELECT seq, count(*) AS names FROM batches WHERE device = ? GROUP BY seq HAVING names > 1 LIMIT ?"
    for row in survey.db.execute(twice, (device, SHOWN)).fetchall():
        yield Finding(
            level="note", about=called, message=f"was copied: {row['names']} batches have number {row['seq']}"
        )
    yield from _batches(session, survey, device, covered)
    if head and STAMP.fullmatch(head.hlc):
        ahead = (clock.stamp_ms(head.hlc) - clock.wall_ms()) / 60_000
        if ahead > CLOCK_MINUTES and device != session.device:
            message = f"has a clock {ahead:.0f} minutes ahead of this one"
            yield Finding(level="note", about=called, message=message)


def read_head(session: Session, device: str) -> layout.Head | None:
    """A device's head, None where there is none. Raises :class:`HubError` for one that can't be read."""
    key = layout.head_key(device)
    fetched = session.storage.get(key, session.codec.cap(layout.HEAD_CAP))
    return layout.decode_head(session.codec.open(fetched.data, layout.HEAD_CAP, key)) if fetched else None


def _head_finding(session: Session, device: str, message: str) -> Finding:
    own = device == session.device
    remedy = "is written anew" if own else f"{devices.name_of(session.db, device)} writes it anew when it syncs"
    key = layout.head_key(device)
    return Finding(level="repairable", about=key, message=message, remedy=remedy, kind="head", subject=device)


def _holes(session: Session, survey: Survey, device: str, head: layout.Head | None, covered: int) -> Iterator[Finding]:
    """Numbers behind what a snapshot ``covered`` that no batch has, and names of the head that are not there."""
    (last,) = survey.db.execute("SELECT max(seq) FROM batches WHERE device = ?", (device,)).fetchone()
    end = max(last or 0, head.seq if head else 0, covered) + 1
    for gap in survey.db.execute(_GAPS, {"device": device, "start": covered, "end": end}).fetchall():
        first, count = gap["first"], gap["last"] - gap["first"] + 1
        message = "is missing" if count == 1 else f"and the {count - 1} batches after it are missing"
        yield _log_finding(session, device, f"{first:010d}", first, gap["last"], message)
    for name in head.tail if head else []:
        seq = layout.batch_seq(name) or 0
        rows = survey.db.execute("SELECT name FROM batches WHERE device = ? AND seq = ?", (device, seq)).fetchall()
        if seq > covered and rows and name not in {row[0] for row in rows}:
            yield _log_finding(session, device, name, seq, seq, "stands in the head and is not there")


def _log_finding(session: Session, device: str, name: str, first: int, last: int, message: str) -> Finding:
    level, remedy = _who_knows(session, device, last)
    return Finding(
        level=level,
        about=layout.log_prefix(device) + name,
        message=message,
        remedy=remedy,
        kind="hole",
        subject=relog.hole(device, first, last),
    )


def _who_knows(session: Session, device: str, seq: int) -> tuple[Level, str]:
    """Whether somebody still knows what a lost batch said."""
    if relog.reached(session, device) >= seq:
        return "repairable", "this machine knows what it said and says it again"
    if device in devices.retired(session.db):
        return "missing", ""
    name = devices.name_of(session.db, device)
    return "repairable", f"{name} is asked to say it again, which it does when it syncs"


def _batches(session: Session, survey: Survey, device: str, covered: int) -> Iterator[Finding]:
    """Those that were not proved yet and that no snapshot stands in for, read and tried."""
    sql = "SELECT seq, name, size FROM batches WHERE device = ? AND seq > ? ORDER BY seq"
    with proofs.Ledger(session) as ledger:
        for row in survey.db.execute(sql, (device, covered)):
            key = layout.log_prefix(device) + row["name"]
            if ledger.proved_at(key, row["size"]):
                continue
            session.stop_if_asked()
            session.tell("read", row["seq"], unit="batches")
            problem, is_damaged = _batch_problem(session, key, device, row["seq"])
            if problem and is_damaged:
                yield _log_finding(session, device, row["name"], row["seq"], row["seq"], problem)
            elif problem:
                yield Finding(level="note", about=key, message=problem)
            else:
                ledger.note(key, row["size"])


def _batch_problem(session: Session, key: str, device: str, seq: int) -> tuple[str | None, bool]:
    """(what is wrong with a batch, whether its bytes are)."""
    try:
        fetched = session.storage.get(key, session.codec.cap(PACKED_CAP))
        if fetched is None:
            return "has gone meanwhile", False
        if not layout.is_intact(key, fetched.data):
            return "is not whole", True
        packed = session.codec.open(fetched.data, PACKED_CAP, layout.batch_label(device, seq))
        strange = sum(not is_sound(change) for change in decode(packed))
    except HubError as error:
        return error.message, True
    return (f"holds {strange} changes that make no sense" if strange else None), False
