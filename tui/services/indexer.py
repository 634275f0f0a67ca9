"""The index kept live while the app is open: ``hubman watch`` in a process of its own, and what it tells."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tui.services.index_state import IndexState, told


class Indexer:
    """Owns the process. ``tell`` hears of every new state, in the app's loop."""

    def __init__(self, home: Path, tell: Callable[[IndexState], None]) -> None:
        self._home = home
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Watch until the process ends, which it does at once where another one watches already."""
        environment = {**os.environ, "HUBMAN_HOME": str(self._home)}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hubman.cli.main", "watch", "--json", "--until-eof",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=environment, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None, "it was asked for"  # noqa: S101 - for the type checker
        state = IndexState()
        async for line in self._process.stdout:
            state = told(state, line, time.monotonic())
            self._tell(state)

    async def stop(self) -> None:
        """End it by ending its input, and wait for that; what it was writing is finished or left for the next look."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ProcessLookupError, ConnectionError):
                self._process.stdin.close()
            await self._process.wait()
