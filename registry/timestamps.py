"""Times as the registry stores them: UTC, ISO 8601 with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    return of(datetime.now(UTC))


def of(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of_seconds(seconds: float) -> str:
    return of(datetime.fromtimestamp(seconds, UTC))


def parse(text: str) -> datetime:
    return datetime.fromisoformat(text)
