"""The index kept live while the app is open: ``hubman watch`` in a process of its own, and what it tells."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from registry import locks
from tui.services.index_state import IndexState, told

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 120.0
_LONGEST_PROBLEM = 200


class Indexer:
    """Owns the process. ``tell`` hears of every new state, in the app's loop."""

    def __init__(self, home: Path, tell: Callable[[IndexState], None]) -> None:
        self._home = home
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Watch until :meth:`stop`. A process that ends before, as one does where another watches, is started again."""
        pause = _FIRST_PAUSE_S
        while not self._stopped.is_set():
            state, said = await self._watch()
            if self._stopped.is_set():
                return
            if state.checked_at is not None:
                pause = _FIRST_PAUSE_S
            self._tell(replace(state, stage="", problem="" if locks.WATCHED in said else said))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _watch(self) -> tuple[IndexState, str]:
        """One process from its start to its end: (the last state that it told, the last line of its errors)."""
        environment = {**os.environ, "HUBMAN_HOME": str(self._home)}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hubman.cli.main", "watch", "--json", "--until-eof",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=environment, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None, "it was asked for"  # noqa: S101 - for the type checker
        assert self._process.stderr is not None, "it was asked for"  # noqa: S101 - for the type checker
        errors = asyncio.create_task(_last_line(self._process.stderr))
        state = IndexState()
        async for line in self._process.stdout:
            state = told(state, line, time.monotonic())
            self._tell(state)
        await self._process.wait()
        return state, await errors

    async def stop(self) -> None:
        """End it by ending its input, and wait for that; what it was writing is finished or left for the next look."""
        self._stopped.set()
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ProcessLookupError, ConnectionError):
                self._process.stdin.close()
            await self._process.wait()


async def _last_line(stream: asyncio.StreamReader) -> str:
    last = b""
    while chunk := await stream.read(1 << 16):
        last = (last + chunk)[-(1 << 16) :]
    lines = last.decode(errors="replace").split("\n")
    return next((line.strip()[:_LONGEST_PROBLEM] for line in reversed(lines) if line.strip()), "")
