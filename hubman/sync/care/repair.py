"""Mend a remote from here: send again what is here, write this machine's head and log anew, ask others for the rest."""

from __future__ import annotations

import msgspec

from hubman.sync import devices, layout, outgoing
from hubman.sync.care import asks, relog
from hubman.sync.care.blobs import holders
from hubman.sync.care.findings import Finding
from hubman.sync.care.logs import read_head
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
    done = _logs(session, [finding for finding in findings if finding.kind in {"hole", "batch"}])
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
    """Fill the holes; of what was in those whose bytes are gone, the whole state says everything once more."""
    done: list[str] = []
    is_lost = False
    for finding in findings:
        session.stop_if_asked()
        what = finding.subject
        if finding.kind == "batch":
            device, _, name = what.removeprefix("log/").partition("/")
            seq = layout.batch_seq(name) or 0
            what = relog.hole(device, seq, seq)
        lost = relog.needs_everything(session, what)
        if relog.fill(session, what, instead_of=finding.subject if finding.kind == "batch" else ""):
            is_lost |= lost
            done.append(f"{finding.about}: {'filled, and everything is said again' if lost else 'sent again'}")
        elif finding.level == "repairable":
            is_new = asks.ask(session, what)
            done.append(f"{finding.about}: {'asked' if is_new else 'asked before'} whoever read it to fill it")
    if is_lost:
        relog.say_everything(session)
    return done


def _is_own_head_good(session: Session) -> bool:
    try:
        return read_head(session, session.device) is not None
    except HubError:
        return False
