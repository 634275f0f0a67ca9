"""Where hubman keeps its data."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """``$HUBMAN_HOME``, or the platform's folder for user data."""
    chosen = os.environ.get("HUBMAN_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("hubman")
