"""How long an answer may be shown without asking again, by its ``Cache-Control``."""

from __future__ import annotations

CEILING = 3600.0
"""Seconds that nothing is believed longer than, whatever the site says."""


def lifetime(cache_control: str) -> float:
    """Seconds from ``s-maxage``, else ``max-age``; 0 where the answer must be asked for again.

    ``s-maxage`` is meant for caches that many share. Civitai's own edge keeps the answer just as long, so that asking
    again sooner would bring the same.
    """
    words = [word.strip().lower() for word in cache_control.split(",")]
    if {"no-store", "no-cache", "private"} & set(words):
        return 0.0
    told = dict(word.partition("=")[::2] for word in words if "=" in word)
    value = told.get("s-maxage", told.get("max-age", "")).strip(' "')
    return min(CEILING, float(value)) if value.isascii() and value.isdigit() and len(value) < 12 else 0.0


def may_keep(cache_control: str) -> bool:
    """Whether an answer may be written to the disk at all."""
    return "no-store" not in cache_control.lower()
