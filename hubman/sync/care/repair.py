"""Mend a remote from here: send again what is here, write this machine's head and log anew, ask others for the rest."""

from __future__ import annotations

import msgspec

from hubman.sync import outgoing
from hubman.sync.care import asks, devices, relog
from hubman.sync.care.blobs import holders
from hubman.sync.care.findings import Finding
from hubman.sync.care.logs import read_head
from hubman.sync.records import layout, snapshots
from hubman.sync.session import Session
from registry.errors import HubError


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """A line for each thing that was done or asked for; ``sent`` are the SHA-256 of blobs that went out again."""

    done: list[str]
    sent: set[str]


def repair(session: Session, findings: list[Finding]) -> Repaired:
    """Do what can be done about ``findings``, and ask for the rest.

    The caller holds the lock. Interrupted anywhere, the next repair goes on.
    """
    done = _logs(session, [finding for finding in findings if finding.kind == "hole"])
    again: list[Finding] = []
    for finding in findings:
        if finding.kind in {"absent", "spoiled"}:
            session.stop_if_asked()
            if asks.send_again(session, finding.subject, spoiled=finding.kind == "spoiled"):
                again.append(finding)
            else:
                done.append(_asked_for(session, finding))
    warnings: list[str] = []
    outgoing.send(session, is_announced=_is_own_head_good(session), warnings=warnings)
    own = layout.head_key(session.device)
    done += [f"{own}: written anew" for finding in findings if finding.about == own and finding.kind == "head"]
    sent = {finding.subject for finding in again if asks.is_sent(session, finding.subject)}
    for finding in again:
        how = "sent again from here" if finding.subject in sent else "could not be sent from here"
        done.append(f"{finding.about}: {how}")
    return Repaired(done=done + warnings, sent=sent)


def _asked_for(session: Session, finding: Finding) -> str:
    what = finding.subject if finding.kind == "absent" else asks.spoiled(finding.subject)
    names = [devices.name_of(session.db, one) for one in holders(session, finding.subject)[:3]]
    whom = ", ".join(names) or "every device"
    is_new = asks.ask(session, what)
    return f"{finding.about}: asked {whom} for it" if is_new else f"{finding.about}: {whom} was asked for it before"


def _logs(session: Session, findings: list[Finding]) -> list[str]:
    """Own batches whose bytes are here go out again; a snapshot says what others said, if it was read here."""
    done: list[str] = []
    needs_snapshot = False
    for finding in findings:
        session.stop_if_asked()
        if relog.send_again(session, finding.subject):
            done.append(f"{finding.about}: sent again")
        elif relog.can_mend(session, finding.subject):
            needs_snapshot = True
            done.append(f"{finding.about}: a new snapshot says it")
        elif finding.level == "repairable":
            is_new = asks.ask(session, finding.subject)
            done.append(f"{finding.about}: {'asked' if is_new else 'asked before'} whoever read it to say it again")
    if needs_snapshot:
        snapshots.write(session)
    return done


def _is_own_head_good(session: Session) -> bool:
    try:
        return read_head(session, session.device) is not None
    except HubError:
        return False
