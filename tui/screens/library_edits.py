"""What the library screen changes: fields, tags, strength, trash; and how it takes them back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from textual.widgets import Input

from registry.errors import UsageError
from tui import formats
from tui.screens.base import HubScreen
from tui.widgets.model_list import ModelOrder

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.edits import Planned, Target
    from registry.journal import Entry
    from registry.records import ModelDetail, ModelRow, VersionRow
    from registry.undo import Undone

LONG = frozenset(("notes", "description", "changelog"))
PLAN_LINES = 12
"""Lines of a plan that a question shows."""


class LibraryEdits(HubScreen):
    """The changing half of the library screen; the showing half is :class:`tui.screens.library.LibraryScreen`."""

    order: ModelOrder
    detail: ModelDetail | None
    version_at: int
    is_loaded: bool = False
    """Whether the list was read: before that nothing here may open the registry, for the first paint's sake."""

    def reload(self, *, facets: bool = False, to: str | None = None) -> None:
        raise NotImplementedError

    @property
    def current(self) -> ModelRow | None:
        raise NotImplementedError

    def lacks(self, need: str) -> str:
        if need == "model" and self.detail is None:
            return "there is no model under the cursor"
        if need == "undo" and not (self.is_loaded and _can_undo(self.registry)):
            return "nothing to undo"
        return ""

    @property
    def version(self) -> VersionRow | None:
        if self.detail is None or not self.detail.versions:
            return None
        return self.detail.versions[min(self.version_at, len(self.detail.versions) - 1)]

    def targets(self) -> list[str]:
        """The marked models, or the one under the cursor."""
        if self.order.marks:
            return [model for model in self.order.ids if model in self.order.marks]
        return [self.current.id] if self.current else []

    # fields -------------------------------------------------------------------------------------------------------

    def assign(self, assignments: Mapping[str, str]) -> None:
        """Write fields of the model under the cursor, or after a look at the plan those of the marked models."""
        model, version = self.detail, self.version
        if self.order.marks:
            self._assign_marked(assignments)
        elif model is not None and version is not None:
            target = (model.id, version.id)
            self._edit([target], assignments)

    def _assign_marked(self, assignments: Mapping[str, str]) -> None:
        models = self.targets()

        def look(registry: Registry) -> tuple[list[Target], list[Planned]]:
            from registry import edits

            targets = edits.newest_of(registry, models)
            return targets, edits.plan_edit(registry, targets, assignments)

        def ask(found: tuple[list[Target], list[Planned]]) -> None:
            targets, plan = found
            lines = [
                f"{one.name}: {one.field.replace('_', ' ')} {one.before or '·'} → {one.after or '·'}" for one in plan
            ]
            self._confirm(
                f"Edit {formats.count(len(targets), 'model')}", lines, lambda: self._edit(targets, assignments)
            )

        self.in_thread(look, ask, group="plan")

    def _confirm(self, title: str, lines: Sequence[str], go: Callable[[], None]) -> None:
        """Show a plan of some lines and go on if it is agreed to."""
        from tui.widgets.dialogs import Confirm

        if not lines:
            self.say("it was so already")
            return
        if self.hub.looks.is_private:
            lines = [f"{formats.count(len(lines), 'change')}; privacy mode hides what they are"]
        shown = [formats.one_line(line) for line in lines[:PLAN_LINES]]
        more = [f"… and {len(lines) - PLAN_LINES:,} more"] if len(lines) > PLAN_LINES else []
        self.app.push_screen(Confirm(title, "\n".join(shown + more)), lambda agreed: go() if agreed else None)

    def _edit(self, targets: Sequence[Target], assignments: Mapping[str, str]) -> None:
        def work(registry: Registry) -> Entry | None:
            from registry import edits

            return edits.edit_all(registry, targets, assignments)

        self.change(work, self._changed)

    def _changed(self, entry: Entry | None) -> None:
        self.reload(facets=True)
        self.say(f"saved {entry.label}  (z undoes)" if entry else "it was so already")

    def do_edit(self) -> None:
        model, version = self.detail, self.version
        if model is None or version is None:
            return
        from registry import fields
        from registry.edits import shown
        from tui.widgets.dialogs import Choose

        def row(name: str) -> tuple[str, str, str]:
            value = formats.one_line(shown(name, model, version))
            source = {**version.sources, **model.sources}.get(name, "")
            note = f"  ({source})" if source and source != "user" else ""
            return name, name.replace("_", " "), (value or "·") + note

        def chosen(name: str | None) -> None:
            if name is not None:
                self._ask_field(name, shown(name, model, version))

        self.app.push_screen(Choose(f"Edit {model.name}", [row(name) for name in fields.editable_names()]), chosen)

    def _ask_field(self, name: str, value: str, hint: str = "") -> None:
        from tui.widgets.dialogs import Ask, AskText

        title = name.replace("_", " ")

        def done(text: str | None) -> None:
            if text is not None and text.strip() != value.strip():
                self.assign({name: text})

        if name in LONG:
            self.app.push_screen(AskText(title, value), done)
        else:
            hint = hint or "Empty takes your value back; what a file or Civitai says then shows again."
            self.app.push_screen(Ask(title, value, hint=hint, check=lambda text: _check(name, text)), done)

    def do_tags(self) -> None:
        if self.order.marks:
            self._tag_marked()
        elif self.detail is not None:
            self._ask_field("tags", ", ".join(self.detail.tags), "Tags, with commas between them.")

    def _tag_marked(self) -> None:
        """Of many models tags are added and removed: one list for all would wipe out what each has."""
        from tui.widgets.dialogs import Ask

        models = self.targets()

        def done(text: str | None) -> None:
            words = [word.strip().lower() for word in (text or "").split(",") if word.strip(" -")]
            remove = [word[1:].strip() for word in words if word.startswith("-")]
            add = [word for word in words if not word.startswith("-")]
            if words:
                self.change(lambda registry: _tag(registry, models, add, remove), self._changed)

        hint = "Tags to add, with commas between them; one with - before it is removed."
        self.app.push_screen(Ask(f"tags of {formats.count(len(models), 'model')}", hint=hint), done)

    def do_words(self) -> None:
        if self.version is not None:
            words = ", ".join(self.version.trigger_words)
            self._ask_field("trigger_words", words, "Trigger words, with commas between them.")

    def do_strength(self) -> None:
        version = self.version
        if version is None:
            return
        from tui.widgets.dialogs import Ask

        low, value, high = version.strength_min, version.strength, version.strength_max
        text = (
            formats.strength(value)
            if low is None and high is None
            else " ".join(map(formats.strength, (low, value, high)))
        )

        def done(answer: str | None) -> None:
            if answer is not None:
                self.assign(parse_strength(answer))

        hint = (
            "The recommended strength, such as 0.8; or lowest, recommended and highest: 0.5 0.8 1. Empty takes it back."
        )
        self.app.push_screen(Ask("strength", text, hint=hint, check=_check_strength), done)

    def do_favourite(self) -> None:
        if self.detail is not None:
            self.assign({"favourite": "" if self.detail.favourite else "yes"})

    def do_rate_up(self) -> None:
        self._rate(1)

    def do_rate_down(self) -> None:
        self._rate(-1)

    def _rate(self, by: int) -> None:
        if self.detail is not None:
            rating = max(0, min(5, self.detail.rating + by))
            if rating != self.detail.rating:
                self.assign({"rating": str(rating) if rating else ""})

    def do_collect(self) -> None:
        from tui.widgets.dialogs import Ask

        models = self.targets()

        def done(path: str | None) -> None:
            if path:
                self.change(lambda registry: _collect(registry, path, models), self._changed)

        title = f"put {formats.count(len(models), 'model')} into a collection"
        hint = "Its path, such as Clients/A; it is made if it is not there. A - before it takes them out of it."
        self.app.push_screen(Ask(title, hint=hint), done)

    # trash and undo -----------------------------------------------------------------------------------------------

    def do_trash(self) -> None:
        """Into the trash; of models that are in it, out of it."""
        models = self.targets()
        if not models or self.detail is None:
            return
        one = self.detail.name if len(models) == 1 else formats.count(len(models), "model")
        back = self.detail.deleted_at is not None
        said = (
            f"{one} is out of the trash  (z undoes)" if back else f"{one} is in the trash, files untouched  (z undoes)"
        )

        def work(registry: Registry) -> Entry | None:
            from registry import edits, trash

            return trash.restore(registry, models) if back else edits.trash(registry, *models)

        def done(_: Entry | None) -> None:
            self.order.marks.clear()
            self.reload(facets=True)
            self.say(said)

        self.change(work, done)

    def do_undo(self) -> None:
        self._undo(None)

    def _undo(self, number: int | None) -> None:
        def work(registry: Registry) -> Undone:
            from registry import undo

            return undo.undo(registry, number)

        self.change(work, self._undone)

    def _undone(self, undone: Undone) -> None:
        self.reload(facets=True)
        self.say(f"{'undone' if undone.entry.is_undo else 'done again'}: {undone.entry.label}")
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

    # elsewhere ----------------------------------------------------------------------------------------------------

    async def do_copy(self) -> None:
        await self._copy(with_words=False)

    async def do_copy_words(self) -> None:
        await self._copy(with_words=True)

    async def _copy(self, *, with_words: bool) -> None:
        if self.detail is None or self.version is None:
            return
        from tui.services import clipboard

        tag = f"<lora:{self.detail.alias}:{formats.strength(self.version.strength) or '0.8'}>"
        text = ", ".join([*self.version.trigger_words, tag]) if with_words else tag
        self.app.copy_to_clipboard(text)
        tool = await asyncio.to_thread(clipboard.copy, text)
        self.say(f"copied {text} to the terminal's clipboard" + (f" and with {tool}" if tool else ""))

    def do_metadata(self) -> None:
        from tui.widgets.dialogs import Show

        for file in self.version.files[:1] if self.version else ():
            lines = [f"{name}: {value}" for name, value in sorted(file.metadata.items())]
            self.app.push_screen(Show(file.name, "\n".join(lines) or "The file says nothing of itself."))

    async def do_test(self) -> None:
        from tui.screens.generate import GenerateScreen

        models = self.targets()
        await self.app.switch_mode("generate")
        if isinstance(self.app.screen, GenerateScreen):
            self.app.screen.take_models(models)

    def do_publish(self) -> None:
        from tui.screens.publish import PublishScreen

        if self.detail is not None and self.version is not None:
            self.app.push_screen(PublishScreen(self.detail, self.version), lambda _: self.reload())

    def do_rescan(self) -> None:
        self.start_job("scan", "look for new and changed files", {"folders": []})

    def do_add_folder(self) -> None:
        from tui.screens import library_folders

        library_folders.offer(self)

    def do_pull(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(text: str | None) -> None:
            if text:
                self.start_job("pull", f"pull {text.strip()}", {"ref": text.strip(), "site": None})

        hint = "A page's address, an AIR (urn:air:…), a version's number, or a hash."
        self.app.push_screen(Ask("pull from Civitai", hint=hint, check=_check_ref), done)

    def on_input_blurred(self, event: Input.Blurred) -> None:
        del event
        self.refresh_actions()


def _can_undo(registry: Registry) -> bool:
    from registry import journal

    return journal.last(registry) is not None


def _collect(registry: Registry, path: str, models: Sequence[str]) -> Entry | None:
    from registry import collecting

    if path.startswith("-"):
        return collecting.take_out(registry, path[1:], models)
    if not collecting.exists(registry, path):
        collecting.create(registry, path)
    return collecting.put(registry, path, models)


def _tag(registry: Registry, models: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> Entry | None:
    from registry import edits

    return edits.tag(registry, models, add=add, remove=remove)


def _remark(entry: Entry) -> str:
    age = f"{formats.age(entry.at)} ago".replace("now ago", "now")
    return f"{age} · undone by {entry.undone_by}" if entry.undone_by else age


def parse_strength(text: str) -> dict[str, str]:
    """``0.8``, or lowest, recommended and highest, as assignments. Raises ``UsageError``."""
    names = {0: (), 1: ("strength",), 3: ("strength_min", "strength", "strength_max")}
    parts = text.replace(",", " ").split()
    if len(parts) not in names:
        raise UsageError("give one number, or three", "lowest, recommended, highest")
    if not parts:
        return {"strength": "", "strength_min": "", "strength_max": ""}
    return dict(zip(names[len(parts)], parts, strict=True))


def _check_strength(text: str) -> None:
    found = parse_strength(text)
    for name, value in found.items():
        _check(name, value)
    if len(found) == 3 and found["strength"]:
        low, middle, high = (float(found[name]) for name in ("strength_min", "strength", "strength_max"))
        if not low <= middle <= high:
            raise UsageError("the three numbers must rise", "lowest, recommended, highest")


def _check(name: str, text: str) -> None:
    from registry import fields

    if name in fields.FIELDS:
        fields.parse(fields.FIELDS[name], text)


def _check_ref(text: str) -> Callable[[], None] | None:
    from hubman.civitai.refs import parse_ref

    parse_ref(text)
    return None
