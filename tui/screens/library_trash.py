"""``d``, ``z`` and ``Z`` of the library screen: into the trash and out of it, and taking back what was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from registry.errors import HubError, UsageError
from tui import formats
from tui.screens.library_edits import LibraryEdits

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.journal import Entry
    from registry.undo import Undone
    from tui.actions import Action


class _Load(NamedTuple):
    """What would go into the trash: the files, and the names of models of which every copy would go."""

    files: list[str]
    last: list[str]
    problem: str = ""
    """Why the files can't go."""


class LibraryTrash(LibraryEdits):
    """Nothing here deletes for ever; only ``hubman trash purge`` does."""

    def lacks(self, need: str) -> str:
        if need == "undo" and not (self.is_loaded and _can_undo(self.registry)):
            return "nothing to undo"
        return super().lacks(need)

    def label_of(self, action: Action) -> str:
        is_out = action.id == "library.trash" and self.detail is not None and self.detail.deleted_at is not None
        return "bring back" if is_out else super().label_of(action)

    def do_trash(self) -> None:
        """Into the trash, with files or without; of models that are in it, out of it."""
        models = self.targets()
        if not models or self.detail is None:
            return
        one = self.detail.name if len(models) == 1 else formats.count(len(models), "model")
        if self.detail.deleted_at is not None:
            self._trash(lambda registry: _restore(registry, models), f"{one} is out of the trash  (z undoes)")
        else:
            self.in_thread(
                lambda registry: _load(registry, models), lambda load: self._ask_trash(models, one, load), group="plan"
            )

    def _ask_trash(self, models: Sequence[str], one: str, load: _Load) -> None:
        from tui.widgets.dialogs import Choose

        options = [("hide", "hide it from every list", "its files stay where they are")]
        if load.files:
            remark = f"{formats.count(len(load.files), 'file')}, all that is beside it too"
            options.append(("files", "move its files into the trash too", remark))
        elif load.problem:
            options.append(("hide", "its files can't be moved", load.problem))

        def chosen(key: str | None) -> None:
            if key == "hide":
                said = f"{one} is in the trash, files untouched  (z undoes)"
                self._trash(lambda registry: _hide(registry, models), said)
            elif key == "files":
                self._ask_last(models, one, load)

        self.app.push_screen(Choose(f"Put {formats.one_line(one)} into the trash", options), chosen)

    def _ask_last(self, models: Sequence[str], one: str, load: _Load) -> None:
        """The last copy of a duplicate goes only where its model's name is typed."""
        from tui.widgets.dialogs import Ask

        def go() -> None:
            said = f"{one} and {formats.count(len(load.files), 'file')} are in the trash  (z undoes)"
            self._trash(lambda registry: _trash_files(registry, models), said)

        if not load.last:
            go()
            return
        name = load.last[0]

        def check(text: str) -> None:
            if text.strip() != name.strip():
                raise UsageError("that is not its name", "esc leaves all where it is")

        others = f" (and {len(load.last) - 1} more)" if len(load.last) > 1 else ""
        hint = f"This takes every copy of {formats.one_line(name)}{others} away. Type its name to go on."
        self.app.push_screen(
            Ask("the last copy", hint=hint, check=check), lambda text: go() if text is not None else None
        )

    def _trash(self, work: Callable[[Registry], Entry | None], said: str) -> None:
        def done(_: Entry | None) -> None:
            self.order.marks.clear()
            self.reload(facets=True)
            self.say(said)

        self.change_many(len(self.targets()), work, done)

    # undo ---------------------------------------------------------------------------------------------------------

    def do_undo(self) -> None:
        self._undo(None)

    def _undo(self, number: int | None) -> None:
        def work(registry: Registry) -> Undone:
            from registry import undo

            return undo.undo(registry, number)

        self.change(work, self._undone)

    def _undone(self, undone: Undone) -> None:
        self.reload(facets=True)
        what = "undone" if undone.entry.is_undo else "done again"
        self.say(f"{what}: {undone.entry.label}", private=f"one change {what}")
        if undone.kept:
            first, others = undone.kept[0], len(undone.kept) - 1
            more = f", and {formats.count(others, 'other field')}" if others else ""
            self.complain(f"{first.field} of {first.name} {first.reason} and stays{more}")

    def do_journal(self) -> None:
        """What was done, the newest first; choosing an entry takes it back, choosing an undo does it again."""

        def read(registry: Registry) -> list[Entry]:
            from registry import journal

            return journal.entries(registry)

        self.in_thread(read, self._show_journal, group="journal")

    def _show_journal(self, entries: list[Entry]) -> None:
        from tui.widgets.dialogs import Choose

        if not entries:
            self.say("nothing was done here yet")
            return

        def chosen(number: str | None) -> None:
            if number is not None:
                self._undo(int(number))

        options = [
            (str(entry.id), f"{entry.verb}: {formats.one_line(entry.label)}", _remark(entry)) for entry in entries
        ]
        self.app.push_screen(Choose("Journal: enter undoes, or does again", options), chosen)


def _can_undo(registry: Registry) -> bool:
    from registry import journal

    return journal.last(registry) is not None


def _load(registry: Registry, models: Sequence[str]) -> _Load:
    from registry import trash

    try:
        return _Load(trash.files_of(registry, models), trash.last_copies(registry, models))
    except HubError as error:
        # On a drive that is away it can be hidden all the same.
        return _Load([], [], str(error))


def _hide(registry: Registry, models: Sequence[str]) -> Entry | None:
    from registry import edits

    return edits.trash(registry, *models)


def _trash_files(registry: Registry, models: Sequence[str]) -> Entry | None:
    from registry import trash

    return trash.trash_files(registry, models)


def _restore(registry: Registry, models: Sequence[str]) -> Entry | None:
    from registry import trash

    return trash.restore(registry, models)


def _remark(entry: Entry) -> str:
    age = f"{formats.age(entry.at)} ago".replace("now ago", "now")
    return f"{age} · undone by {entry.undone_by}" if entry.undone_by else age
