"""The lists of mode 5: remotes, machines, what waits, conflicts, files under way, findings, properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from tui import formats, sync_words
from tui.sync_conflicts import Conflict
from tui.sync_properties import Property
from tui.sync_rows import WaitLine
from tui.sync_state import Found
from tui.sync_transfers import Moving
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from hubman.sync.care.devices import Device
    from hubman.sync.pending import Pending
    from hubman.sync.remote import Remote

BAR = 10
_LEVELS = {"missing": ("✘", "bad"), "repairable": ("!", "warn"), "note": ("·", "muted"), "done": ("✔", "good")}


class RemoteList(RowList["Remote"]):
    """Remotes: where they are, what waits, when they were last synced with and how they are."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Remote", 8, grow=True),
        Column("Kind", 6, drop=3),
        Column("Place", 12, grow=True),
        Column("Waits", 11, drop=1),
        Column("Synced", 6, right=True),
        Column("State", 11, drop=2),
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.states: Mapping[str, Cell] = {}
        """How a remote is, by name."""
        self.waiting: Mapping[str, Pending] = {}

    def cells(self, item: Remote) -> Sequence[Cell]:
        return (
            (item.name, ""),
            (sync_words.kind(item), "muted"),
            (sync_words.place(item), "muted"),
            (sync_words.arrows(self.waiting.get(item.name)), "warn"),
            (formats.age(item.synced_at) if item.synced_at else "never", "muted" if item.synced_at else "warn"),
            self.states.get(item.name, ("", "")),
        )


class DeviceList(RowList["Device"]):
    """The machines that share the collection: when each was heard of, what it keeps, what lies there."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Machine", 18),
        Column("Seen", 6, right=True),
        Column("Keeps", 14, grow=True),
        Column("Models", 6, right=True, drop=2),
        Column("Holds", 8, right=True, drop=1),
    )

    warned: frozenset[str] = frozenset()
    """Names of machines that a person has to see to."""

    def cells(self, item: Device) -> Sequence[Cell]:
        style = "muted" if item.retired else "warn" if item.name in self.warned else ""
        return (
            (sync_words.called(item), style),
            (sync_words.seen(item), "muted"),
            (sync_words.keeps(item.policy), style or "accent"),
            (f"{item.models_here:,}", "muted"),
            (formats.size(item.bytes_here), "muted"),
        )


class WaitingList(RowList[WaitLine]):
    """What goes up and what comes in, before any of it goes."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 1), Column("", 20, grow=True), Column("", 8, right=True))
    HEADER: ClassVar[bool] = False

    def cells(self, item: WaitLine) -> Sequence[Cell]:
        mark = item.style if item.mark == "!" else "accent"
        return (item.mark, mark), (item.text, item.style), (item.size, "muted")


class ConflictList(RowList[Conflict]):
    """Fields that two machines said something else of at once."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Model", 14, grow=True),
        Column("Field", 11),
        Column("Mine", 14, grow=True),
        Column("Theirs", 14, grow=True),
        Column("On", 10, drop=1),
    )

    def cells(self, item: Conflict) -> Sequence[Cell]:
        return (
            (formats.one_line(item.name), ""),
            (item.field.replace("_", " "), "muted"),
            (item.shown("mine"), "good" if item.shows == "mine" else "muted"),
            (item.shown("theirs"), "good" if item.shows == "theirs" else "muted"),
            (formats.one_line(item.theirs_by), "muted"),
        )


class TransferList(RowList[Moving]):
    """Files on their way, with rate and time left; then those that are through."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("File", 16, grow=True),
        Column("", BAR + 5),
        Column("Size", 8, right=True, drop=1),
        Column("Rate", 11, right=True),
        Column("Left", 8, right=True),
    )

    def cells(self, item: Moving) -> Sequence[Cell]:
        share = item.done / item.total if item.total else 0.0
        style = "accent" if item.is_under_way else "warn" if item.is_halted else "muted"
        ends = "done" if item.is_done else "waits" if item.is_halted else ""
        return (
            (item.way, style),
            (formats.one_line(item.name), "muted" if item.is_done else ""),
            (f"{formats.bar(share, BAR)} {share:4.0%}", style),
            (formats.size(int(item.total)), "muted"),
            (f"{formats.size(int(item.rate))}/s" if item.rate and not item.is_done else "", ""),
            (ends or (formats.duration(item.left) if item.left else ""), "muted"),
        )


class FindingList(RowList[Found]):
    """What the last check of a remote found, what is missing first."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 1), Column("About", 24, grow=True), Column("", 24, grow=True))
    HEADER: ClassVar[bool] = False

    def cells(self, item: Found) -> Sequence[Cell]:
        mark, style = _LEVELS.get(item.level, ("·", "muted"))
        return (mark, style), (formats.one_line(item.about), style), (formats.one_line(item.message), "muted")


class PropertyList(RowList[Property]):
    """Names and values of a form."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 16), Column("", 20, grow=True))
    HEADER: ClassVar[bool] = False

    def cells(self, item: Property) -> Sequence[Cell]:
        return (item.title, "muted"), (formats.one_line(item.shown), "" if item.value else "muted")
