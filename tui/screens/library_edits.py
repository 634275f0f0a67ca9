"""What the library screen changes: fields, tags, strength, trash; and how it takes them back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from textual.widgets import Input

from registry.errors import UsageError
from tui import formats
from tui.screens.base import HubScreen
from tui.services.undo import UndoStack
from tui.widgets.model_list import ModelOrder

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.records import ModelDetail, ModelRow, VersionRow
    from tui.services.undo import Change

LONG = frozenset(("notes", "description", "changelog"))


class LibraryEdits(HubScreen):
    """The changing half of the library screen; the showing half is :class:`tui.screens.library.LibraryScreen`."""

    order: ModelOrder
    detail: ModelDetail | None
    version_at: int

    def __init__(self) -> None:
        super().__init__()
        self.undone = UndoStack()

    def reload(self, *, facets: bool = False, to: str | None = None) -> None:
        raise NotImplementedError

    @property
    def current(self) -> ModelRow | None:
        raise NotImplementedError

    def lacks(self, need: str) -> str:
        if need == "model" and self.detail is None:
            return "there is no model under the cursor"
        if need == "undo" and not len(self.undone):
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
        """Write fields of the model under the cursor, so that they can be undone."""
        model, version = self.detail, self.version
        if model is None or version is None:
            return

        def work(registry: Registry) -> Change:
            from tui.services import edits

            return edits.edit(registry, model.id, version.id, assignments)

        self.change(work, self._changed)

    def _changed(self, change: Change) -> None:
        self.undone.push(change)
        self.reload(facets=True)
        self.say(f"saved {change.label}  (z undoes)")

    def do_edit(self) -> None:
        model, version = self.detail, self.version
        if model is None or version is None:
            return
        from registry import fields
        from tui.services.edits import shown
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
        if self.detail is not None:
            self._ask_field("tags", ", ".join(self.detail.tags), "Tags, with commas between them.")

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

        def work(registry: Registry) -> Change:
            from tui.services import edits

            return (edits.restore if back else edits.trash)(
                registry, models, f"{one} {'into' if back else 'out of'} the trash"
            )

        def done(change: Change) -> None:
            self.undone.push(change)
            self.order.marks.clear()
            self.reload(facets=True)
            self.say(said)

        self.change(work, done)

    def do_undo(self) -> None:
        change = self.undone.pop()
        if change is None:
            return

        def done(_: None) -> None:
            self.reload(facets=True)
            self.say(f"undone: {change.label}")

        self.change(change.undo, done)

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
