"""The first frame of a video, taken by PyAV or ffmpeg in a child process that can neither hang nor eat the memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from registry import pictures
from registry.errors import DamagedFileError, MissingExtraError

CONTAINERS = {".mp4": "mov", ".webm": "matroska"}
"""By the suffix: the only container that a decoder may take the file for."""

MAX_BYTES = 2 << 30
PATIENCE = 8.0
"""Seconds of the parent's clock; the child's own limit, of working time, ends it sooner unless it only waits."""


def decoder() -> str | None:
    """``av``, or the path of an ffmpeg; None where neither is installed. Neither is loaded."""
    return "av" if find_spec("av") else shutil.which("ffmpeg")


def shrink(path: Path, name: str, target: Path, side: int) -> None:
    """Write the first frame as a JPEG of at most ``side`` pixels a side, replacing ``target`` at once.

    ``name`` is what the video is called, which tells its container. Raises :class:`MissingExtraError` where nothing can
    decode it, and :class:`DamagedFileError`.
    """
    found = decoder()
    if found is None:
        raise MissingExtraError(f"{name} is a video", "pip install 'hubman[video]' shows its first frame")
    if path.stat().st_size > MAX_BYTES:
        raise DamagedFileError(f"{name} is larger than {MAX_BYTES >> 30} GiB", "use a shorter video")
    container = CONTAINERS[Path(name).suffix.lower()]
    with tempfile.TemporaryDirectory(prefix="hubman-frame-") as folder:
        frame = Path(folder) / "frame.jpg"
        _run(found, path.absolute(), container, side, frame, name)
        pictures.shrink(frame, target, side)


def _run(found: str, path: Path, container: str, side: int, frame: Path, name: str) -> None:
    script = Path(__file__).with_name("video_frame.py")
    # -P: beside the script lie modules with the names of others' modules.
    command = [sys.executable, "-P", str(script), found, str(path), container, str(side), str(frame)]
    kept = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT}
    try:
        done = subprocess.run(
            command,
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DamagedFileError(f"{name} takes too long to decode", "make it anew") from None
    if done.returncode or not frame.is_file():
        raise DamagedFileError(f"{name} is no video that can be read", "use MP4 or WebM")


_ENVIRONMENT = frozenset(
    ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "SYSTEMROOT", "TEMP", "TMPDIR")
)
