"""Which hubman a process is of: one of another version or with other code must not draw for this one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import hubman

_DRAWS = ("generate", "lora", "train/architectures")
"""Folders of the package whose code decides what is drawn, or how that is asked for."""


@dataclass(frozen=True)
class Identity:
    version: str
    build: str


@cache
def own() -> Identity:
    """Of the process that asks. Code that was edited since an engine began counts as another build."""
    package = Path(hubman.__file__).parent
    files = sorted(file for folder in _DRAWS for file in (package / folder).rglob("*.py"))
    told = [f"{file.relative_to(package)} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    digest = hashlib.sha256("\n".join([str(package), *told]).encode())
    return Identity(hubman.__version__, digest.hexdigest()[:16])
