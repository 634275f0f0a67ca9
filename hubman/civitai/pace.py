"""When the next request to one host may be sent: a token bucket, pauses, a rate that halves and recovers, a circuit.

Everything here is a function of a :class:`Lane` and the time in seconds since 1970; :mod:`hubman.civitai.limiter` keeps
lanes where all processes of the machine see them.
"""

from __future__ import annotations

import random

import msgspec

from hubman.civitai.limits import FAILURES, LEASE, LONGEST_OPEN, LONGEST_PAUSE, LOWEST_SHARE, RECOVERY, Limits

_POLL = 0.05


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one host. ``share`` is the part of the full rate that is used at present."""

    tokens: float | None = None
    """None before the first request: the bucket is full."""
    refilled_at: float = 0.0
    share: float = 1.0
    slowed_at: float = 0.0
    refusals: int = 0
    """Waves of 429 in a row."""
    paused_until: float = 0.0
    why: str = ""
    failures: int = 0
    """Failures in a row."""
    opened: int = 0
    """How often the circuit opened in a row."""
    open_until: float = 0.0
    """0 while the circuit is closed."""
    probe_until: float = 0.0
    """Until then a trial request is under way, and no second is sent."""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, and for what: ``rate``, ``busy``, ``pause`` or ``circuit``."""

    seconds: float
    reason: str


def backoff(attempt: int) -> float:
    """Seconds to wait after try number ``attempt``: 1, 2, 4 … 30, with a quarter of jitter either way."""
    return float(min(30, 2 ** min(attempt - 1, 10)) * random.uniform(0.75, 1.25))


def refilled(lane: Lane, limits: Limits, now: float) -> Lane:
    """The lane as it is at ``now``: tokens came in, the rate recovered. A clock that was set back does no harm."""
    paused_until = min(lane.paused_until, now + LONGEST_PAUSE)
    open_until = min(lane.open_until, now + LONGEST_OPEN)
    since = lane.refilled_at if lane.refilled_at <= max(now, paused_until) else now
    elapsed = max(0.0, now - since)
    share = min(1.0, lane.share + elapsed / RECOVERY)
    capacity = max(1.0, limits.burst * share)
    tokens = capacity if lane.tokens is None else min(capacity, lane.tokens + elapsed * limits.rate * share)
    return msgspec.structs.replace(
        lane, tokens=tokens, share=share, refilled_at=max(since, now), paused_until=paused_until, open_until=open_until
    )


def obstacle(lane: Lane, limits: Limits | None, now: float, in_flight: int) -> Wait | None:
    """What keeps a request from being sent at ``now``. Without ``limits`` only pauses and the circuit count."""
    if lane.open_until > now:
        return Wait(seconds=lane.open_until - now, reason="circuit")
    if lane.paused_until > now:
        return Wait(seconds=lane.paused_until - now, reason="pause")
    if lane.open_until and now < lane.probe_until <= now + LEASE:
        return Wait(seconds=min(1.0, lane.probe_until - now), reason="busy")
    if limits is None:
        return None
    if in_flight >= limits.in_flight:
        return Wait(seconds=_POLL, reason="busy")
    missing = 1.0 - (limits.burst if lane.tokens is None else lane.tokens)
    # A millionth is what adding up rates may lose.
    return Wait(seconds=missing / (limits.rate * lane.share), reason="rate") if missing > 1e-6 else None


def taken(lane: Lane, limits: Limits | None, now: float) -> Lane:
    """A request is sent; behind an open circuit it is the trial."""
    tokens = lane.tokens if limits is None else (limits.burst if lane.tokens is None else lane.tokens) - 1.0
    return msgspec.structs.replace(lane, tokens=tokens, probe_until=now + LEASE if lane.open_until else 0.0)


def released(lane: Lane, sent_at: float) -> Lane:
    """The request of ``sent_at`` is over: if it was the trial, another may be sent, whatever became of this one."""
    return msgspec.structs.replace(lane, probe_until=0.0) if lane.probe_until == sent_at + LEASE else lane


def succeeded(lane: Lane) -> Lane:
    """The site answered usefully, which a refusal such as 404 is too: the circuit closes."""
    return msgspec.structs.replace(lane, failures=0, refusals=0, opened=0, open_until=0.0, probe_until=0.0)


def refused(lane: Lane, now: float, *, told: float | None, sent_at: float) -> Lane:
    """429: everyone pauses, and the rate is halved once for all that were sent before anyone knew."""
    is_new = sent_at >= lane.slowed_at
    refusals = lane.refusals + 1 if is_new else max(1, lane.refusals)
    pause = min(LONGEST_PAUSE, backoff(refusals) if told is None else told)
    until = max(lane.paused_until, now + pause)
    return msgspec.structs.replace(
        lane, tokens=0.0, refilled_at=until, paused_until=until, refusals=refusals, why="too many requests",
        share=max(LOWEST_SHARE, lane.share / 2) if is_new else lane.share,
        slowed_at=now if is_new else lane.slowed_at,
    )  # fmt: skip


def failed(
    lane: Lane, limits: Limits, now: float, *, why: str, told: float | None = None, reached: bool = True
) -> Lane:
    """5xx, a page in place of data, or (``reached`` false) no connection: several in a row open the circuit."""
    if told is not None:
        until = max(lane.paused_until, now + min(told, LONGEST_PAUSE))
        lane = msgspec.structs.replace(lane, paused_until=until, why=why)
    failures = lane.failures + 1
    if failures < FAILURES or lane.open_until > now:
        return msgspec.structs.replace(lane, failures=failures)
    # A network that is down comes back at once: no growing waits for that.
    opened = lane.opened + 1 if reached else 1
    open_for = min(LONGEST_OPEN, limits.open_for * 2 ** min(opened - 1, 10))
    return msgspec.structs.replace(
        lane, failures=failures, opened=opened, open_until=now + open_for, probe_until=0.0, why=why
    )
