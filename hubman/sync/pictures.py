"""Where previews and samples lie on this machine: by content, under ``blobs``."""

from __future__ import annotations

from pathlib import Path

from registry.database import Registry


def picture_path(registry: Registry, sha256: str) -> Path:
    return registry.blobs / sha256[:2] / sha256
