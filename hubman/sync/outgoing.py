"""Send what was done here, if this machine may write on the remote at all."""

from __future__ import annotations

import msgspec

from hubman.sync import push, remotes
from hubman.sync.care import asks
from hubman.sync.records import freeze
from hubman.sync.session import Session
from hubman.sync.storages.storage import RefusedError
from hubman.sync.transfer import upload


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What went out. ``is_allowed`` is False where the remote is not written by this machine."""

    changes: int = 0
    uploaded: upload.Uploaded = upload.Uploaded()
    is_allowed: bool = True


_NOTHING = Sent(is_allowed=False)


def send(session: Session, *, is_announced: bool, warnings: list[str]) -> Sent:
    """Blobs, batches, head; ``is_announced`` as for :func:`hubman.sync.push.send`.

    What waits for a remote that is only read is passed over. Where the remote turns out to refuse writes, that is a
    warning and no failure: what others wrote there is read all the same.
    """
    if session.remote.is_read_only:
        with session.registry.transaction() as db:
            freeze.pass_over(db, session.repo)
        return _NOTHING
    asked = asks.answerable(session)
    is_needed = asked or not is_announced or session.deep or _is_waiting(session) or push.is_stale(session)
    if is_needed and not _may_write(session):
        warnings.append(f"{session.remote.name} needs a newer hubman to be written: update hubman; it was only read")
        return _NOTHING
    answered = asks.answer(session, asked)
    refused = push.freeze_outbox(session)
    if refused:
        warnings.append(f"{refused} changes are too large to sync and stay on this machine")
    try:
        uploaded = upload.upload(session)
        warnings += uploaded.problems
        sent = push.send(session, is_announced=is_announced)
        asks.settle(session, answered)
        return Sent(changes=sent, uploaded=uploaded)
    except RefusedError as error:
        name = session.remote.name
        warnings.append(
            f"{error.message}, so it was only read: if that is meant, hubman remote rm {name}, then add it --read-only"
        )
        return _NOTHING


def _is_waiting(session: Session) -> bool:
    if freeze.is_waiting(session.db, session.repo):
        return True
    sql = (
        "SELECT 1 FROM outbound WHERE remote = ?1 AND sent = 0 "
        "UNION ALL SELECT 1 FROM blob_queue WHERE remote = ?1 AND way = 'up' LIMIT 1"
    )
    return session.db.execute(sql, (session.repo,)).fetchone() is not None


def _may_write(session: Session) -> bool:
    """Asked of the remote before every write: another machine may have upgraded it since."""
    return remotes.check_is_same(session.storage, session.remote).is_writable
