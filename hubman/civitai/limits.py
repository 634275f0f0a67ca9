"""How fast the site is asked. Civitai tells no numbers: these are far below what a person in a browser causes."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import msgspec

from hubman.keys import LOOPBACK
from registry.errors import UsageError

RATE_VARIABLE = "HUBMAN_CIVITAI_RATE"

LEASE = 90.0
"""Seconds after which a request that nobody reported as ended (its process was killed) no longer counts as in flight."""
PATIENCE = 90.0
"""Seconds that a request waits for its turn before it gives up."""
LONGEST_PAUSE = 3600.0
"""Seconds of a ``Retry-After`` that are honoured at most."""
RECOVERY = 240.0
"""Seconds from a standstill to the full rate: after one halving it takes half of it, two minutes."""
LOWEST_SHARE = 1 / 16
"""The rate is halved after each wave of 429, down to this share of the full one."""
FAILURES = 5
"""So many failures in a row open the circuit."""
LONGEST_OPEN = 300.0
"""Seconds that the circuit stays open at most; it begins with :attr:`Limits.open_for` and doubles."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """For one host: requests a second, how many at once after a rest, how many in flight, the first open circuit's seconds."""

    rate: float = 2.0
    burst: float = 20.0
    in_flight: int = 4
    open_for: float = 15.0


_LOCAL = Limits(rate=500.0, burst=5000.0, in_flight=16, open_for=1.0)


def limits_for(host: str) -> Limits:
    """The limits of a host; ``$HUBMAN_CIVITAI_RATE`` overrides its rate. Raises :class:`UsageError` for a bad number."""
    limits = _LOCAL if is_loopback(host) else Limits()
    rate = _rate()
    return msgspec.structs.replace(limits, rate=rate, burst=max(1.0, 10 * rate)) if rate else limits


def is_loopback(host: str) -> bool:
    """Whether ``host``, with or without a port, is this machine."""
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK
    except ValueError:
        return False


def _rate() -> float:
    text = os.environ.get(RATE_VARIABLE, "").strip()
    if not text:
        return 0.0
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.01 <= rate <= 1000:
        raise UsageError(f"{RATE_VARIABLE} is not a number from 0.01 to 1000", "give requests a second, such as 2")
    return rate
