"""A small picture inside of a file's header."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

SIDE = 256
"""Longest side in pixels that the model specification allows."""
QUALITY = 85


def thumbnail(path: Path) -> str:
    """``data:image/jpeg;base64,...`` of the picture, without anything that its file says besides; "" if it can't be read."""
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
