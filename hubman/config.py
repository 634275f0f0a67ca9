"""Where hubman keeps its data, and which Civitai it talks to."""

from __future__ import annotations

import os
from pathlib import Path

REAL_SITE = "https://civitai.com"


def home() -> Path:
    """``$HUBMAN_HOME``, or the platform's folder for user data."""
    chosen = os.environ.get("HUBMAN_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("hubman")


def civitai_url() -> str:
    """``$HUBMAN_CIVITAI_URL`` without a trailing slash, or the real site."""
    return (os.environ.get("HUBMAN_CIVITAI_URL") or REAL_SITE).rstrip("/")
