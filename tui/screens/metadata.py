"""What a file says of itself, every name and value of its header; and who says what of its model. To be searched and read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Static

from tui import actions, formats
from tui.screens.base import HubScreen
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.records import FileRow
    from registry.sidecar_view import Saying

Pair = tuple[str, str]
CUT = 400
"""Characters of a value that a line looks at; trainers write tables of a megabyte."""
WHOLE = 200_000
"""Characters of a value that are shown when it is opened."""


class PairList(RowList[Pair]):
    """Names and the beginnings of their values."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Name", 30),
        Column("Value", 20, grow=True),
        Column("Length", 9, drop=1, right=True),
    )

    def cells(self, item: Pair) -> Sequence[Cell]:
        name, value = item
        return (
            (formats.one_line(name[:CUT]), "accent"),
            (formats.one_line(value[:CUT]), ""),
            (f"{len(value):,}", "muted"),
        )


class MetadataScreen(HubScreen):
    """Over the library; ``enter`` opens a value, with tables of tags laid out."""

    SCOPE = "metadata"
    MODE = "library"
    CSS_PATH = "metadata.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("metadata")]
    AUTO_FOCUS = "PairList"

    def __init__(self, file: FileRow, model: str) -> None:
        super().__init__()
        self._file = file
        self._model = model
        self._shows_sources = False
        self._all: list[Pair] = []

    def body(self) -> Iterable[Widget]:
        yield Static("", id="heading", classes="title", markup=False)
        with Horizontal(id="search-row"):
            yield Static("/", id="slash")
            yield Input(placeholder="search names and values", id="search")
            yield Static("", id="count")
        yield PairList()

    def on_mount(self) -> None:
        self._read()

    def _read(self) -> None:
        file, model = self._file, self._model
        said = "who says what (i: the file)" if self._shows_sources else "what the file says (i: who says what)"
        self.query_one("#heading", Static).update(f"{formats.one_line(file.name)}: {said}")
        self.query_one(PairList).empty = "Reading …"
        read = (lambda registry: _sources(registry, model)) if self._shows_sources else (lambda _: _header(file))
        self.in_thread(read, self._show_all, group="read")

    def do_sources(self) -> None:
        self._shows_sources = not self._shows_sources
        self._read()

    def _show_all(self, pairs: list[Pair]) -> None:
        self._all = pairs
        self._search(self.query_one("#search", Input).value)

    @on(Input.Changed, "#search")
    def _changed(self, event: Input.Changed) -> None:
        self._search(event.value)

    @on(Input.Submitted, "#search")
    def _done(self) -> None:
        self.query_one(PairList).focus()

    def _search(self, text: str) -> None:
        wanted, pairs = text.casefold().strip(), self._all

        def show(found: list[Pair]) -> None:
            rows = self.query_one(PairList)
            rows.empty = "Nothing matches." if self._all else "Nobody says anything."
            rows.set_items(found, cursor=0)
            some = f"{len(found):,} of " if len(found) != len(self._all) else ""
            self.query_one("#count", Static).update(
                some + formats.count(len(self._all), "entry").replace("entrys", "entries")
            )
            self.refresh_actions()

        if not wanted:
            show(pairs)
            return
        # Values may be megabytes, so they are searched beside the keys.
        self.in_thread(
            lambda _: [pair for pair in pairs if wanted in pair[0].casefold() or wanted in pair[1].casefold()],
            show,
            group="search",
        )

    def lacks(self, need: str) -> str:
        return "there is no entry under the cursor" if need == "value" and self._current is None else ""

    @property
    def _current(self) -> Pair | None:
        return self.query_one(PairList).current

    def do_filter(self) -> None:
        self.query_one("#search", Input).focus()

    @on(RowList.Chosen)
    def _open(self) -> None:
        from tui.widgets.dialogs import Show

        if self._current is not None:
            name, value = self._current
            self.in_thread(lambda _: laid_out(value), lambda text: self.app.push_screen(Show(name, text)), group="open")

    def do_copy(self) -> None:
        if self._current is not None:
            name, value = self._current
            self.app.copy_to_clipboard(value[:WHOLE])
            self.say(f"copied {formats.one_line(name)} to the terminal's clipboard")

    def do_back(self) -> None:
        if self.query_one("#search", Input).has_focus:
            self.query_one(PairList).focus()
        elif self.query_one("#search", Input).value:
            self.query_one("#search", Input).value = ""
        else:
            self.dismiss(None)


def laid_out(value: str) -> str:
    """A value to be read: JSON indented, control characters gone, the end of a very long one cut."""
    text = value
    if value[:1] in {"{", "["} and len(value) <= WHOLE:
        try:
            text = json.dumps(json.loads(value), indent=2, ensure_ascii=False)
        except ValueError:
            text = value
    shown = "".join(char if char.isprintable() or char == "\n" else " " for char in text[:WHOLE])
    return shown + (f"\n… {len(text) - WHOLE:,} characters more" if len(text) > WHOLE else "")


def _header(file: FileRow) -> list[Pair]:
    from registry import raw_metadata

    return raw_metadata.of_file(file)


def _sources(registry: Registry, model: str) -> list[Pair]:
    """A line a saying: ``▸`` before the value that is shown, ``≠`` after a field on which the sources disagree."""
    from registry import sidecar_view

    found = sidecar_view.provenance(registry, model)
    lines = [
        (f"{one.field.replace('_', ' ')}{' ≠' if one in found.conflicts else ''}", _saying(saying))
        for one in found.fields
        for saying in one.sayings
    ]
    return lines + [(Path(row.path).name, f"can't be understood: {row.problem}") for row in found.broken]


def _saying(saying: Saying) -> str:
    value = saying.value if isinstance(saying.value, str) else json.dumps(saying.value, ensure_ascii=False)
    where = f"{saying.dialect} {Path(saying.path).name}" if saying.dialect else saying.source
    return f"{'▸' if saying.is_shown else ' '} {where}: {value}" + (f"  ({saying.note})" if saying.note else "")
