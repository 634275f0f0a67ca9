"""The log of a home: ``logs/hubman.log``, readable by its owner alone, without secrets, never larger than 2 MB."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from hubman.secrecy import scrub

LEVEL_VARIABLE = "HUBMAN_LOG"
_LARGEST = 1 << 20
_NAMES = ("hubman", "httpx", "httpcore")


def log_path(home: Path) -> Path:
    return home / "logs" / "hubman.log"


def keep(home: Path) -> None:
    """From now on write what is worth knowing into the log of ``home``.

    ``$HUBMAN_LOG`` chooses from which level on: ``debug`` (with every step of the HTTP library), ``info``, or
    ``warning``, the default.
    """
    level = {"debug": logging.DEBUG, "info": logging.INFO}.get(
        os.environ.get(LEVEL_VARIABLE, "").lower(), logging.WARNING
    )
    handler = _File(log_path(home))
    for name in _NAMES:
        logger = logging.getLogger(name)
        for old in [known for known in logger.handlers if isinstance(known, _File)]:
            logger.removeHandler(old)
        logger.addHandler(handler)
        if level < logger.getEffectiveLevel():
            logger.setLevel(level)


class _File(logging.Handler):
    """Opens the file for each line: several processes write it, and lines are rare."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = scrub(self.format(record)).replace("\n", "\n  ") + "\n"
        except (TypeError, ValueError):
            self.handleError(record)
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._path.exists() and self._path.stat().st_size > _LARGEST:
                self._path.replace(self._path.with_suffix(".log.1"))
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, line.encode(errors="replace"))
            finally:
                os.close(handle)
