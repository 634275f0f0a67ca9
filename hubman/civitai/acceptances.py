"""Which warnings a person has accepted for a publication: kept for the next time, as long as they are about the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from hubman.civitai.finding import Finding
from hubman.civitai.journal import addresses
from registry import timestamps
from registry.database import Registry


def remember(registry: Registry, site: str, version_ids: Sequence[str], findings: Iterable[Finding]) -> None:
    """Keep that a person accepted these warnings about the versions: those of one version with that one alone."""
    rows = [
        (version, site, one.mark, one.code, timestamps.now())
        for one in findings
        for version in _meant(one, version_ids)
        if one.level == "warning"
    ]
    if rows:
        with registry.transaction() as db:
            db.executemany("INSERT OR IGNORE INTO accepted_findings VALUES (?, ?, ?, ?, ?)", rows)


def take_back(
    registry: Registry, site: str, version_ids: Sequence[str], findings: Iterable[Finding] | None = None
) -> None:
    """Forget that these warnings were accepted; without ``findings`` all that were."""
    sql = """DELETE FROM accepted_findings WHERE version_id = ? AND site IN (SELECT value FROM json_each(?))
        AND (? IS NULL OR mark = ?)"""
    marks = [None] if findings is None else [one.mark for one in findings]
    rows = [(version, addresses(site), mark, mark) for version in version_ids for mark in marks]
    with registry.transaction() as db:
        db.executemany(sql, rows)


def applied(
    registry: Registry, site: str, version_ids: Sequence[str], findings: Iterable[Finding]
) -> tuple[Finding, ...]:
    """The findings, accepted where each version that they are about was accepted with them."""
    sql = """SELECT version_id, mark FROM accepted_findings WHERE version_id IN (SELECT value FROM json_each(?))
        AND site IN (SELECT value FROM json_each(?))"""
    versions = msgspec.json.encode(list(version_ids)).decode()
    known = {(row[0], row[1]) for row in registry.db.execute(sql, (versions, addresses(site)))}
    return tuple(
        msgspec.structs.replace(one, accepted=True)
        if one.level == "warning" and all((version, one.mark) in known for version in _meant(one, version_ids))
        else one
        for one in findings
    )


def _meant(one: Finding, version_ids: Sequence[str]) -> Sequence[str]:
    return [one.version_id] if one.version_id else version_ids
