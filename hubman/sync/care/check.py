"""Look a remote over: is everything there that should be, whole, and nothing else? Mends what it finds if asked to."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hubman.progress import Report, silent
from hubman.sync import remotes
from hubman.sync.care import proofs, repair
from hubman.sync.care.blobs import blob_findings
from hubman.sync.care.findings import Finding, exit_status
from hubman.sync.care.logs import log_findings
from hubman.sync.care.survey import Survey
from hubman.sync.opening import opened
from hubman.sync.remote import find
from hubman.sync.secrecy.codecs import codec_of
from hubman.sync.session import Session
from hubman.sync.storages.readonly import open_remote
from hubman.sync.storages.storage import Storage
from registry.database import Registry
from registry.errors import UsageError

__all__ = ["CheckResult", "Finding", "check", "check_and_repair", "exit_status"]

_ORDER = {"missing": 0, "repairable": 1, "note": 2}


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was found and, of a repair, what was done: a line each."""

    findings: list[Finding]
    done: list[str] = []
    left: list[Finding] = []
    """What a second look found after a repair."""


def check(
    registry: Registry,
    remote_name: str = "",
    *,
    read_data: proofs.Ask | None = None,
    report: Report = silent,
    should_stop: Callable[[], bool] = lambda: False,
    storage: Storage | None = None,
) -> list[Finding]:
    """Heads, logs without gaps, names that fit their bytes, blobs of the right size, strange names; the worst first.

    ``read_data`` also reads blobs and tries their bytes. Nothing on the remote is changed.

    Raises :class:`HubError` when the remote can't be reached or is another one.
    """
    remote = find(registry, remote_name)
    place = open_remote(remote, storage)
    codec = codec_of(registry, remote)
    session = Session(registry, remote, place, report=report, should_stop=should_stop, codec=codec)
    return _look(session, read_data)


def check_and_repair(
    registry: Registry,
    remote_name: str = "",
    *,
    read_data: proofs.Ask | None = None,
    report: Report = silent,
    should_stop: Callable[[], bool] = lambda: False,
    storage: Storage | None = None,
) -> CheckResult:
    """As :func:`check`, then mend what can be mended from here and ask the others for the rest.

    Raises :class:`UsageError` for a remote that is only read, :class:`HubError` as :func:`check`.
    """
    with opened(registry, remote_name, report=report, should_stop=should_stop, storage=storage) as session:
        if session.remote.is_read_only:
            raise UsageError(f"{session.remote.name} is only read by this machine", "repair it where it is written")
        remotes.need_writable(session.storage, session.remote)
        findings = _look(session, read_data)
        mended = repair.repair(session, findings)
        # That bytes are wrong only reading them tells, and those that were sent just now are right.
        wrong = [one for one in findings if one.kind == "spoiled" and one.subject not in mended.sent]
        return CheckResult(findings=findings, done=mended.done, left=_look(session, None) + wrong)


def _look(session: Session, read_data: proofs.Ask | None) -> list[Finding]:
    remotes.check_is_same(session.storage, session.remote)
    survey = Survey(session)
    try:
        findings = [
            *survey.notes(),
            *log_findings(session, survey),
            *blob_findings(session, survey, read_data),
        ]
    finally:
        survey.close()
    return sorted(findings, key=lambda one: (_ORDER[one.level], one.about))
