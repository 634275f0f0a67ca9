"""What must not be seen: keys and signatures, in logs, in tracebacks with their variables, and in what a site repeats."""

from __future__ import annotations

import logging
import re

_HIDDEN = "…"
_PATTERNS = (
    # The query of a foreign address may be its signature, and a name before @ a proxy's password.
    (re.compile(r"(?i)([?&](?:[\w-]*signature|[\w-]*credential|[\w-]*token|sig|key|policy|api_?key)=)[^&\s'\"<>)\]]+"), r"\1…"),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s@'\"]+@"), r"\1…@"),
    (re.compile(r"(?i)\b(bearer\s+)[^\s'\",)\]]+"), r"\1…"),
)  # fmt: skip
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")
_known: set[str] = set()


class Key(str):
    """A key that can be sent but does not show itself: tracebacks print variables by their ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Key(…)" if self else "Key()"


def remember(key: str) -> None:
    """From now on ``key`` is cut out of whatever :func:`scrub` sees."""
    if len(key) >= 6:
        _known.add(str(key))


def scrub(text: str) -> str:
    """``text`` without known keys, bearer tokens, signatures in addresses and passwords of proxies."""
    # The longer first, lest the end of one remain whose start is another.
    for key in sorted(_known, key=len, reverse=True):
        text = text.replace(key, _HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


class _Scrubbed(logging.Filter):
    """Rewrites a record before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            return True
        clean = scrub(text)
        if clean != text:
            record.msg, record.args = clean, ()
        return True


_filter = _Scrubbed()


def guard_logs() -> None:
    """The HTTP library logs addresses and headers: see that they are clean, whoever turns its log on."""
    for name in (*_LOGGERS, "hubman.civitai.transport"):
        # Adding the same filter twice does nothing.
        logging.getLogger(name).addFilter(_filter)
