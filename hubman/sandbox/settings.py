"""The sandbox's switches: what a test or a rehearsal wants to happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hubman.sandbox.faults.rules import Rule


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Fault:
    """Something that goes wrong at a request whose path contains ``path``, ``times`` times.

    ``status`` answers in place of the site. ``after`` lets the site do its work first, so that only the answer is lost.
    ``drop`` cuts the connection instead of answering; with ``drop_after`` bytes of the true body.
    """

    path: str
    method: str = ""
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"error":"made to fail"}'
    times: int = 1
    after: bool = False
    drop: bool = False
    drop_after: int = 0
    skip: int = 0
    """So many matching requests pass before the first that fails."""

    def strikes(self, method: str, path: str) -> bool:
        """Whether this request is hit; counts down."""
        if self.times <= 0 or self.path not in path or (self.method and self.method != method):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Settings:
    """May be changed while the sandbox runs."""

    chunk_size: int = 25 * 1024 * 1024
    """Bytes of an upload part, doubled until there are at most 1000 parts."""
    scan_delay: float = 0.0
    """Seconds from registering a file, or adding an image, to its scan's result."""
    devalue: bool = False
    """Answer tRPC in the devalue encoding."""
    replica_lag: int = 0
    """So many reads of a thing after its making answer as if it were not there."""
    posts_per_day: int | None = None
    """Overrides what the account's age and score allow."""
    commercial_use_as_text: bool = False
    """Write ``allowCommercialUse`` as a Postgres literal, as live samples show it."""
    signature_seconds: float = 12 * 3600.0
    """Life of presigned addresses."""
    clock: Callable[[], datetime] = utc_now
    downloads_per_user: int | None = None
    """After so many downloads a user (everybody without a key is one) is refused as downloading too much."""
    faults: list[Fault] = field(default_factory=list)
    """What goes wrong at the next requests, one by one."""
    rules: list[Rule] = field(default_factory=list)
    """What goes wrong by probability, by count or by path."""
    seed: int = 0
    """Decides which requests the rules strike."""
