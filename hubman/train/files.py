"""Replacing a file in one step, so that a reader or a crash sees the old or the new one, never half."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from registry.errors import HubError


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` by a synced temporary file in the same folder, which is made if missing."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise HubError(f"cannot write {path} ({error.strerror})", "check the permissions and the free space") from error
