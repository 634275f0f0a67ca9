"""What the library screen changes: fields, tags, trigger words, strength, collections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from textual.widgets import Input

from registry.errors import UsageError
from tui import formats
from tui.screens.base import Result
from tui.screens.library_base import LibraryBase

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.edits import Planned, Target
    from registry.journal import Entry
    from registry.records import VersionRow
    from registry.triggers import Trigger

LONG = frozenset(("notes", "description", "changelog"))
HIGH = 0.9
"""Above this recommended strength a warning is shown."""
MANY = 500
"""Models of which a person should know that they are being written: each takes a millisecond or two."""
PLAN_LINES = 12
"""Lines of a plan that a question shows."""


class LibraryEdits(LibraryBase):
    """What is changed of one model, or of all that are marked."""

    def lacks(self, need: str) -> str:
        if need == "model" and self.detail is None:
            return "there is no model under the cursor"
        if need == "lora":
            return self._lacks_lora()
        return ""

    def _lacks_lora(self) -> str:
        if self.detail is None:
            return "there is no model under the cursor"
        if self.detail.kind != "lora":
            return f"{self.detail.name} is of kind {self.detail.kind}, and prompts name LoRAs only"
        return "" if self.version is not None else f"{self.detail.name} has no file"

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
            self._confirm_plan(plan, lambda: self._edit(targets, assignments))

        self.in_thread(look, ask, group="plan")

    def _confirm_plan(self, plan: Sequence[Planned], go: Callable[[], None]) -> None:
        lines = [
            f"{one.name}: {one.field.replace('_', ' ')} {one.before or '·'} → {one.after or '·'}"
            for one in plan[:PLAN_LINES]
        ]
        title = f"Edit {formats.count(len({one.model for one in plan}), 'model')}"
        self._confirm(title, lines, go, more=len(plan) - len(lines))

    def _confirm(self, title: str, lines: Sequence[str], go: Callable[[], None], *, more: int = 0) -> None:
        """Show a plan of some lines, of which ``more`` are left out, and go on if it is agreed to."""
        from tui.widgets.dialogs import Confirm

        if not lines:
            self.say("it was so already")
            return
        if self.hub.looks.is_private:
            lines, more = [f"{formats.count(len(lines) + more, 'change')}; privacy mode hides what they are"], 0
        shown = [formats.one_line(line) for line in lines] + ([f"… and {more:,} more"] if more else [])
        self.app.push_screen(Confirm(title, "\n".join(shown)), lambda agreed: go() if agreed else None)

    def _edit(self, targets: Sequence[Target], assignments: Mapping[str, str]) -> None:
        def work(registry: Registry) -> Entry | None:
            from registry import edits

            return edits.edit_all(registry, targets, assignments)

        self.change_many(len(targets), work, self._changed)

    def change_many(self, count: int, work: Callable[[Registry], Result], done: Callable[[Result], object]) -> None:
        """As :meth:`change`; says so first where so many models are written that it takes a while."""
        if count >= MANY:
            self.say(f"writing {formats.count(count, 'model')} …")
        self.change(work, done)

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
                self.in_thread(
                    lambda registry: _plan_tags(registry, models, add, remove),
                    lambda plan: self._confirm_plan(
                        plan,
                        lambda: self.change_many(
                            len(models), lambda registry: _tag(registry, models, add, remove), self._changed
                        ),
                    ),
                    group="plan",
                )

        hint = "Tags to add, with commas between them; one with - before it is removed."
        self.app.push_screen(Ask(f"tags of {formats.count(len(models), 'model')}", hint=hint), done)

    def do_words(self) -> None:
        from tui.screens.words import WordsScreen

        model, version = self.detail, self.version
        if model is None or version is None:
            return

        def done(said: list[Trigger] | None) -> None:
            if said is not None:
                self.change(lambda registry: _say_words(registry, version.id, said), self._changed)

        self.app.push_screen(WordsScreen(model, version), done)

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
            f"{formats.strength_bar(value, low, high)}\nThe recommended strength, such as 0.8; or lowest, recommended "
            "and highest: 0.5 0.8 1. Empty takes it back."
        )
        self.app.push_screen(Ask("strength", text, hint=hint, check=_check_strength, remark=_warn_strength), done)

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

        def go(path: str) -> None:
            self.change_many(len(models), lambda registry: _collect(registry, path, models), self._changed)

        def done(path: str | None) -> None:
            if not path:
                return
            if len(models) == 1:
                go(path)
                return
            into = f"out of {path[1:]}" if path.startswith("-") else f"into {path}"
            line = f"{formats.count(len(models), 'model')} go {into}"
            self._confirm("Collections", [line], lambda: go(path))

        title = f"put {formats.count(len(models), 'model')} into a collection"
        hint = "Its path, such as Clients/A; it is made if it is not there. A - before it takes them out of it."
        self.app.push_screen(Ask(title, hint=hint), done)

    def on_input_blurred(self, event: Input.Blurred) -> None:
        del event
        self.refresh_actions()


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


def _plan_tags(registry: Registry, models: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> list[Planned]:
    from registry import edits

    return edits.plan_tags(registry, models, add=add, remove=remove)


def _say_words(registry: Registry, version: str, said: Sequence[Trigger]) -> Entry | None:
    from registry import edits

    return edits.set_words(registry, version, said)


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


def _warn_strength(text: str) -> str:
    """What to think of before a strength is recommended that most LoRAs do not bear."""
    try:
        value = parse_strength(text).get("strength", "")
        high = float(value or 0) > HIGH
    except (UsageError, ValueError):
        return ""
    return f"Above {HIGH} most LoRAs overpower the prompt and burn the picture: T tests it first." if high else ""


def _check(name: str, text: str) -> None:
    from registry import fields

    if name in fields.FIELDS:
        fields.parse(fields.FIELDS[name], text)
