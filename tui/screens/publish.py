"""Publish a version: one form, filled in from what is known, and every check before the first byte goes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from hubman.civitai.plan import PublishOptions
from tui import actions, formats, publishing
from tui.screens.base import HubScreen
from tui.widgets.columns import Column
from tui.widgets.picture import Picture
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from registry.records import ModelDetail, VersionRow
    from tui.publishing import Checked

FormLine = tuple[str, str, bool]
"""(field, value, whether a person chose it)"""


class FormList(RowList[FormLine]):
    """The fields of the form."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 24), Column("", 16, grow=True), Column("", 6, drop=1))
    HEADER: ClassVar[bool] = False

    def cells(self, item: FormLine) -> Sequence[Cell]:
        name, value, mine = item
        return (
            (name.replace("_", " "), "muted"),
            (formats.one_line(value) or "·", ""),
            ("yours" if mine else "", "good"),
        )


class PublishScreen(HubScreen):
    """Over the library; esc goes back to it, and a publication that was begun goes on as a job."""

    SCOPE = "publish"
    MODE = "library"
    CSS_PATH = "publish.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("publish")]
    AUTO_FOCUS = "#form"

    def __init__(self, model: ModelDetail, version: VersionRow) -> None:
        super().__init__()
        self._model, self._version = model, version
        self._options = PublishOptions()
        self._site: str | None = None
        self._checked: Checked | None = None
        self._problem = ""

    def body(self) -> Iterable[Widget]:
        yield Static("", id="heading", classes="title", markup=False)
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield FormList(id="form")
                yield Static("", id="help", markup=False)
            with VerticalScroll(id="right"):
                yield Static("", id="findings", markup=False)
                yield Picture(id="picture")

    def on_mount(self) -> None:
        from tui.pictures import of_version

        picture = self.query_one(Picture)
        picture.caption = "no preview: make one in Generate (V)"
        version = self._version.id
        self.in_thread(lambda registry: of_version(registry, version, self.hub.looks), picture.show, group="picture")
        self._show()
        self.do_check()

    @property
    def _site_name(self) -> str:
        from tui.civitai_search import site_name

        return site_name(self._site)

    def _show(self) -> None:
        plan = self._checked.plan if self._checked else None
        lines = []
        for name in publishing.FIELDS:
            mine = publishing.chosen(self._options, name)
            is_mine = getattr(self._options, name) != getattr(PublishOptions(), name)
            lines.append((name, mine or publishing.known(name, self._model, self._version, plan), is_mine))
        self.query_one(FormList).set_items(lines)
        self.query_one("#heading", Static).update(f"Publish {formats.one_line(self._model.name)} on {self._site_name}")
        self.query_one("#findings", Static).update(self._findings())
        self.refresh_actions()

    def _findings(self) -> Content:
        """What the checks said, and what goes out."""
        parts: list[Content | tuple[str, str]] = []
        if self._problem:
            parts.append((f"{self._problem}\n\n", "$text-error"))
        elif self._checked is None:
            parts.append(("Checking …\n\n", "$foreground-muted"))
        else:
            for finding in self._checked.findings:
                style, mark = ("$text-error", "✘") if finding.level == "error" else ("$text-warning", "!")
                parts += [
                    (f"{mark} {finding.message}\n", style),
                    (f"  {finding.hint}\n" if finding.hint else "", "$foreground-muted"),
                ]
            if self._checked.plan is not None:
                parts.append(("✔ ready: p publishes\n", "$text-success"))
            parts.append(("\n", ""))
        version = self._version
        file = version.files[0] if version.files else None
        rows = [
            ("file", f"{file.name} · {formats.size(file.size)}" if file else "none"),
            ("trigger", ", ".join(version.trigger_words) or "none"),
            ("strength", formats.strength(version.strength) or "not set"),
            ("tags", ", ".join(self._model.tags) or "none"),
            ("pictures", str(len(version.previews))),
        ]
        for name, value in rows:
            parts += [(f"{name:<10}", "$foreground-muted"), (f"{formats.one_line(value)}\n", "")]
        return Content.assemble(*parts)

    def lacks(self, need: str) -> str:
        if need == "checked" and (self._checked is None or self._checked.plan is None):
            return "a check stands in the way; c checks again"
        return ""

    # actions ------------------------------------------------------------------------------------------------------

    def do_check(self) -> None:
        version, options, site = self._version.id, self._options, self._site
        self._checked, self._problem = None, ""
        self._show()
        self.in_thread(
            lambda registry: publishing.check(registry, version, options, site),
            self._show_checked,
            group="check",
            failed=self._failed,
        )

    def _show_checked(self, found: Checked) -> None:
        self._checked = found
        self._show()

    def _failed(self, reason: str) -> None:
        self._problem = reason
        self._show()

    @on(RowList.Highlighted, "#form")
    def _line_chosen(self) -> None:
        line = self.query_one(FormList).current
        self.query_one("#help", Static).update(publishing.FIELDS[line[0]][1] if line else "")

    @on(RowList.Chosen, "#form")
    def _line_opened(self) -> None:
        self.do_edit()

    def do_edit(self) -> None:
        from tui.widgets.dialogs import Ask, AskText

        line = self.query_one(FormList).current
        if line is None:
            return
        name, value, _ = line
        kind, hint = publishing.FIELDS[name]

        def done(text: str | None) -> None:
            if text is not None:
                self._options = publishing.assign(self._options, name, text)
                self.do_check()

        if kind == "flag":
            done("no" if value == "yes" else "yes")
        elif kind == "long":
            self.app.push_screen(AskText(name, publishing.chosen(self._options, name)), done)
        else:
            check = lambda text: publishing.assign(self._options, name, text)  # noqa: E731 - shorter than a name for it
            self.app.push_screen(Ask(name.replace("_", " "), value, hint=hint, check=check), done)

    def do_site(self) -> None:
        self._site = None if self._site else "sandbox"
        self.do_check()

    def do_publish(self) -> None:
        from tui.widgets.dialogs import Confirm

        if self._options.draft:
            self._start()
            return

        def done(yes: bool | None) -> None:
            if yes:
                self._start()

        name = formats.one_line(self._model.name)
        text = f"{name} becomes public on {self._site_name}. An interrupted publication goes on where it stopped."
        self.app.push_screen(Confirm(f"Publish {name}?", text), done)

    def _start(self) -> None:
        request = publishing.request(self._version.id, self._options, self._site)
        self.start_job("publish", f"publish {formats.one_line(self._model.name)}", request, lambda _: self.dismiss())

    def do_back(self) -> None:
        self.dismiss()
