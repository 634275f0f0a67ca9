"""How a person wants to pull, out of the settings and of what an item of the queue keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from hubman import config, rate
from hubman.civitai.choosing import Choice, Preference
from hubman.civitai.pull import Terms
from hubman.civitai.transfer import Tuning
from hubman.rate import Limit
from registry.database import Registry


def folder(registry: Registry) -> Path:
    """Where pulled files go unless told otherwise."""
    chosen = config.settings(registry.home)[0].pull_into
    return Path(chosen).expanduser().absolute() if chosen else registry.models_folder / "pulled"


def preference(home: Path) -> Preference:
    set_ = config.settings(home)[0]
    return Preference(format=set_.pull_format, size=set_.pull_size, fp=set_.pull_fp, quant=set_.pull_quant)


def of(home: Path, kept: dict[str, Any], shared: Limit, tuning: Tuning, site: str | None) -> Terms:
    """The terms of an item that keeps ``kept``; ``shared`` is the one limit of all, set anew here.

    Raises :class:`registry.errors.UsageError` for a rate that is none.
    """
    set_ = config.settings(home)[0]
    choice = msgspec.convert(kept, Choice)
    if not choice.path and set_.pull_path:
        choice = msgspec.structs.replace(choice, path=set_.pull_path)
    shared.rate = choice.rate or rate.parse(set_.pull_rate)
    tuning = msgspec.structs.replace(tuning, connections=int(set_.pull_connections))
    return Terms(choice=choice, prefer=preference(home), tuning=tuning, limit=shared, site=site)
