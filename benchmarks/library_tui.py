"""One measure of the TUI in a process of its own, printed as JSON: python benchmarks/library_tui.py MEASURE HOME.

``start`` is the moment (``time.monotonic``) when the list shows rows, ``empty`` that when an empty Textual app is
painted; ``cursor`` the milliseconds from each of 60 key presses to the next model's picture; ``memory`` the most
bytes that were resident (``VmHWM``) while the list was walked through, filtered and searched, ``bare`` that of an
empty app.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

sys.path.insert(0, str(Path(__file__).parent.parent))

from textual import events
from textual.app import App
from textual.message import Message
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.widgets import Input

SIZE = (120, 40)
PRESSES = 60
_PATIENCE_S = 5.0


class Rows:
    """Tells when the library's list shows rows."""

    def __init__(self) -> None:
        self.shown = asyncio.Event()

    def hook(self, message: Message) -> None:
        from tui.widgets.rows import RowList

        if isinstance(message, RowList.Highlighted) and message.rows.id == "models" and message.rows.row_count:
            self.shown.set()


async def _painted(app: App[Any]) -> None:
    done = asyncio.Event()
    app.call_after_refresh(done.set)
    await done.wait()


async def _until(condition: Callable[[], bool]) -> bool:
    end = perf_counter() + _PATIENCE_S
    while not condition():
        if perf_counter() > end:
            return False
        await asyncio.sleep(0.002)
    return True


async def _empty(work: Callable[[App[Any]], Awaitable[object]]) -> None:
    app: App[None] = App()
    async with app.run_test(size=SIZE):
        await _painted(app)
        _tell(await work(app))


def _tell(found: object) -> NoReturn:
    """Print and end at once: how long it takes to close is not measured."""
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


async def _now(_app: App[Any]) -> float:
    return monotonic()


async def _peak_memory(_app: App[Any]) -> dict[str, int]:
    return peak_memory()


async def _opened(home: Path, work: Callable[[App[Any]], Awaitable[object]]) -> None:
    from tui.app import HubmanApp

    app, rows = HubmanApp(home), Rows()
    async with app.run_test(size=SIZE, message_hook=rows.hook):
        await rows.shown.wait()
        await _painted(app)
        _tell(await work(app))


async def _follow(app: App[Any]) -> list[float]:
    await _query(app, "has:preview")
    picture = app.screen.query_one("#picture")
    await _until(lambda: _look(picture) != [])
    await asyncio.sleep(0.5)
    times = []
    for _ in range(PRESSES):
        before, begin = _look(picture), perf_counter()
        app.post_message(events.Key("j", "j"))
        await _until(partial(_has_changed, picture, before))
        await _painted(app)
        times.append((perf_counter() - begin) * 1000)
        # A person looks before the next press; what the last one began must not count for it.
        await asyncio.sleep(0.1)
    return times


def _look(picture: Widget) -> list[Any]:
    """What the middle line of the picture shows; no picture is nothing."""
    line = picture.render_line(picture.size.height // 2)
    return [(segment.text, segment.style) for segment in line] if len({one.style for one in line}) > 3 else []


def _has_changed(picture: Widget, before: list[Any]) -> bool:
    return _look(picture) != before


def _query_line(app: App[Any]) -> Input:
    # Imported here: the widgets take long, and the empty app that is the reference does without.
    from textual.widgets import Input

    return app.screen.query_one("#query", Input)


async def _query(app: App[Any], text: str) -> None:
    hits = app.screen.query_one("#hits")
    before = str(hits.render())
    _query_line(app).value = text
    await _until(lambda: (now := str(hits.render())) != before and "+" not in now)
    app.screen.query_one("#models").focus()
    await _painted(app)


async def _walk_through(app: App[Any]) -> object:
    """What a person does in some minutes: to the end, back by pages, a few queries, all facets, some pictures."""
    for query in ("", "has:preview", "base:sdxl sort:-size", "ink", ""):
        if query or _query_line(app).value:
            await _query(app, query)
        for key in ("G", *["pageup"] * 20, "g", *["j"] * 40):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
            await asyncio.sleep(0.03)
        await asyncio.sleep(0.5)
    return peak_memory()


def peak_memory() -> dict[str, int]:
    """Bytes: the peak of what was resident, and of what is resident now the anonymous part and that of files."""
    text = Path("/proc/self/status").read_text()
    found = {name: int(kilobytes) << 10 for name, kilobytes in re.findall(r"(VmHWM|RssAnon|RssFile):\s+(\d+) kB", text)}
    return {"peak": found["VmHWM"], "anonymous": found["RssAnon"], "files": found["RssFile"]}


MEASURES: dict[str, Callable[[Path], Awaitable[None]]] = {
    "empty": lambda _home: _empty(_now),
    "bare": lambda _home: _empty(_peak_memory),
    "start": lambda home: _opened(home, _now),
    "cursor": lambda home: _opened(home, _follow),
    "memory": lambda home: _opened(home, _walk_through),
}


async def _main(name: str, home: Path) -> None:
    await MEASURES[name](home)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))
