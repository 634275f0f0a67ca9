"""Is every blob there that should be, in its size and, where that was asked, with its bytes?"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hubman.sync import queue
from hubman.sync.care import devices, proofs, referenced
from hubman.sync.care.findings import Finding
from hubman.sync.care.survey import Survey
from hubman.sync.policies import policy
from hubman.sync.records import layout
from hubman.sync.session import Session
from registry import blobs, here, whereabouts
from registry.ids import HASHED


def blob_findings(session: Session, survey: Survey, ask: proofs.Ask | None) -> Iterator[Finding]:
    """Blobs that are absent, of the wrong size or, with ``ask``, of other bytes; and those that nothing speaks of."""
    with proofs.Ledger(session) as ledger:
        survey.db.execute("BEGIN")
        spoken_of = referenced.blobs(session)
        for row in session.db.execute(f"SELECT sha256, size, name FROM files WHERE {HASHED}"):  # noqa: S608 - ours
            session.stop_if_asked()
            yield from _of_file(session, survey, ledger, row["sha256"], row["size"], row["name"], spoken_of)
        for wanted in queue.known_blobs(session.db):
            if wanted.kind == "picture":
                yield from _of_picture(session, survey, ledger, wanted.sha256, spoken_of)
        survey.db.execute("COMMIT")
    yield from survey.orphans()
    if ask is not None:
        for sha256, name in proofs.wrong_ones(session, survey, ask):
            yield _finding(session, sha256, name, "holds other bytes on the remote than it should", "spoiled")


def _of_file(
    session: Session,
    survey: Survey,
    ledger: proofs.Ledger,
    sha256: str,
    size: int,
    name: str,
    spoken_of: Collection[str],
) -> Iterator[Finding]:
    found = [(survey.size(one.key), one.stored) for one in session.objects(sha256, size)]
    if all(there == stored for there, stored in found):
        survey.whole(sha256, size, name, ledger.proved_at(proofs.blob_name(sha256), size))
    elif not _is_kept(session, sha256, spoken_of):
        return
    elif any(there is not None for there, _ in found):
        yield _finding(session, sha256, name, "is not whole on the remote", "absent")
    elif _is_expected(session, sha256):
        yield _finding(session, sha256, name, "is not on the remote", "absent")


def _of_picture(
    session: Session, survey: Survey, ledger: proofs.Ledger, sha256: str, spoken_of: Collection[str]
) -> Iterator[Finding]:
    """Of a picture that is not here the size is not known."""
    path = blobs.path_of(session.registry, sha256)
    size = path.stat().st_size if path.is_file() else None
    (one,) = session.objects(sha256, size or 0)
    there = survey.size(one.key)
    name = f"picture {sha256[:12]}"
    if there is not None and size is not None and there != one.stored:
        yield _finding(session, sha256, name, "is not whole on the remote", "absent")
    elif there is not None:
        survey.whole(sha256, there, name, ledger.proved_at(proofs.blob_name(sha256), there), is_picture=True)
    elif _is_kept(session, sha256, spoken_of) and (size or 0) <= layout.PICTURE_CAP and _is_expected(session, sha256):
        yield _finding(session, sha256, name, "is not on the remote", "absent")


def _is_kept(session: Session, sha256: str, spoken_of: Collection[str]) -> bool:
    """Whether the collection of garbage leaves it, so that its absence is worth a word."""
    return session.codec.blob_key(f"{layout.BLOBS}{sha256[:2]}/{sha256}") in spoken_of


def _is_expected(session: Session, sha256: str) -> bool:
    """Whether a blob was on the remote once, or somebody has it who sends what it has."""
    of = (session.repo, sha256)
    waits = "SELECT 1 FROM blob_queue WHERE remote = ? AND sha256 = ? AND way = 'up'"
    if session.db.execute(waits, of).fetchone():
        return False
    seen = (
        "SELECT 1 FROM remote_blobs WHERE remote = ?1 AND sha256 = ?2 UNION ALL SELECT 1 FROM devices d "
        "JOIN holdings h ON h.device = d.id AND h.sha256 = ?2 WHERE h.state = ?3 LIMIT 1"
    )
    sent = session.db.execute(seen, (*of, whereabouts.ON_REMOTE)).fetchone()
    return sent is not None or bool(holders(session, sha256)) or is_here(session, sha256)


def _finding(session: Session, sha256: str, name: str, message: str, kind: str) -> Finding:
    having = holders(session, sha256)
    names = ", ".join(devices.name_of(session.db, device) for device in having[:3])
    if is_here(session, sha256):
        remedy = "is sent again from here"
    elif having:
        remedy = f"{names} is asked for it, and sends it when it syncs"
    else:
        remedy = "every device is asked for it"
    return Finding(
        level="repairable" if having or is_here(session, sha256) else "missing",
        about=name,
        message=message,
        remedy=remedy,
        kind="spoiled" if kind == "spoiled" else "absent",
        subject=sha256,
    )


def is_here(session: Session, sha256: str) -> bool:
    return here.is_here(session.db, sha256) or blobs.path_of(session.registry, sha256).is_file()


def holders(session: Session, sha256: str) -> list[str]:
    """The devices in use that said they have a file's bytes, and that send what they have."""
    gone = devices.retired(session.db)
    sql = (
        "SELECT h.device FROM devices d JOIN holdings h ON h.device = d.id "
        "WHERE h.sha256 = ? AND h.state = 'present' ORDER BY h.device"
    )
    found = [row[0] for row in session.db.execute(sql, (sha256,)).fetchall() if row[0] not in gone]
    return [device for device in found if policy.of_device(session.db, device).upload == "yes"]
