"""What the publish form shows: its rows, the findings, and what can be done about the one under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui import formats, publish_fixes, publish_rows, publishing
from tui.publish_steps import Begun
from tui.publishing import Draft
from tui.screens.base import HubScreen
from tui.widgets.publish_lists import FindingList, FormList
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding

_KEY = "bold $text-accent"


class PublishView(HubScreen):
    """The state of :class:`tui.screens.publish.PublishScreen`, and how it looks."""

    def __init__(self, version_ids: Sequence[str], name: str = "") -> None:
        super().__init__()
        self._version_ids, self._page_name = tuple(version_ids), name
        self.draft: Draft | None = None
        self._begun = Begun()
        self._problem = ""
        self._drawn = ""
        """How far the pictures are that are being drawn for the page; empty when none are."""

    def body(self) -> Iterable[Widget]:
        yield Static("", id="heading", classes="title", markup=False)
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield FormList(id="form")
                yield Static("", id="help", markup=False)
            with Vertical(id="right"):
                yield FindingList(id="findings")
                with VerticalScroll(id="told"):
                    yield Static("", id="what", markup=False)

    def _show(self, to: str = "") -> None:
        draft = self.draft
        self.query_one("#heading", Static).update(self._heading())
        rows, found = self.query_one(FormList), self.query_one(FindingList)
        if draft is None:
            rows.empty = self._problem or rows.empty
            found.empty = ""
        else:
            lines = publish_rows.lines(draft)
            names = [line.name for line in lines]
            to = to or (rows.current.name if rows.current else "")
            rows.set_items(lines, cursor=names.index(to) if to in names else None)
            found.empty = self._nothing_found(draft)
            found.set_items(draft.told)
        self._explain()
        self.refresh_actions()

    def _heading(self) -> Content:
        draft = self.draft
        if draft is None:
            return Content("Publish")
        name = formats.one_line(draft.form.name) or "a model without a name"
        versions = f" in {len(draft.form.parts)} versions" if len(draft.form.parts) > 1 else ""
        title = f"Publish {name}{versions} on {publishing.place(draft.target)}  "
        return Content.assemble(title, self._state(draft), (f"  {self._drawn}", "$text-accent"))

    def _state(self, draft: Draft) -> tuple[str, str]:
        if draft.problem:
            return "can't be checked", "$text-error"
        if not draft.is_checked:
            return "checking …", "$text-muted"
        if draft.blocking:
            return f"{formats.count(draft.blocking, 'thing')} to settle", "$text-warning"
        return "published: p sends what was changed" if self._begun.is_out else "ready: p publishes", "$text-success"

    def _nothing_found(self, draft: Draft) -> str:
        if draft.problem:
            return "It could not be checked."
        if not draft.is_checked:
            return "Checking …"
        return "Every check is passed.\n\np    publishes"

    @on(RowList.Highlighted, "#form")
    def _follow_row(self) -> None:
        """What was found of the row under the cursor is what ``a`` and ``f`` are about."""
        rows = self.query_one(FormList)
        line = rows.current if rows.has_focus else None
        found = publish_rows.of_field(self.draft, line) if self.draft and line else []
        if found and self.draft is not None:
            self.query_one(FindingList).cursor = self.draft.told.index(found[0])

    @on(RowList.Highlighted)
    def _explain(self) -> None:
        """What the row under the cursor is, and what to do about the finding under the other."""
        draft = self.draft
        line = self.query_one(FormList).current
        self.query_one("#help", Static).update(_help(draft, line) if draft and line else "")
        self.query_one("#what", Static).update(self._what() if draft else "")
        self.refresh_actions()

    def _what(self) -> Content:
        found = self.query_one(FindingList).current
        parts: list[Content | tuple[str, str]] = []
        if self.draft is not None and self.draft.problem:
            parts += [
                (f"{formats.one_line(self.draft.problem)}\n", "$text-error"),
                ("c", _KEY),
                ("  checks again    ", ""),
            ]
            return Content.assemble(*parts, ("b", _KEY), ("  goes elsewhere\n", ""))
        if found is not None and self.draft is not None:
            parts.append((f"{formats.one_line(found.message)}\n", ""))
            if hint := publish_rows.hint(found):
                parts.append((f"{formats.one_line(hint)}\n", "$text-muted"))
            if publish_rows.is_question(found.field):
                parts += [("y", _KEY), ("  yes    ", ""), ("n", _KEY), ("  no\n", "")]
            fix = publish_fixes.of(self.draft, found)
            if fix is not None:
                parts += [("f", _KEY), (f"  {fix.label}\n", "")]
            if found.level == "warning":
                said = (
                    ("  accepted; take it back\n", "$text-success")
                    if found.accepted
                    else ("  accept it as it is\n", "")
                )
                parts += [("a", _KEY), said]
            if publish_rows.line_of(self.draft, found):
                parts += [("enter", _KEY), ("  goes to the field\n", "")]
        if self._begun.is_cut_off:
            done = sum(1 for _, state in self._begun.steps if state == "done")
            age = formats.age(self._begun.begun_at)
            when = "just now" if age == "now" else f"{age} ago"
            parts.append((f"\nIt was begun {when}: {formats.count(done, 'step')} done; p goes on.\n", "$text-accent"))
        return Content.assemble(*parts)

    def lacks(self, need: str) -> str:
        draft = self.draft
        if draft is None:
            return self._problem or "what is known is still being read"
        found = self.query_one(FindingList).current
        lacking = {
            "form": "",
            "ready": "" if draft.is_ready else self._why_not_ready(draft),
            "flag": "" if self._flag() else "this is no question that yes or no answers",
            "finding": "" if found else "there is nothing to settle",
            "warning": _no_warning(found),
            "fix": "" if found and publish_fixes.of(draft, found) else "no fix is offered for this",
        }
        return lacking[need]

    def _why_not_ready(self, draft: Draft) -> str:
        if draft.problem or not draft.is_checked:
            return "it is not checked yet; c checks again"
        return f"{formats.count(draft.blocking, 'thing')} to settle first: errors are corrected, warnings accepted (a)"

    def _flag(self) -> str:
        """The name of the row under the cursor, or of the finding's, where it is a yes or no."""
        findings, line = self.query_one(FindingList), self.query_one(FormList).current
        name = line.name if line else ""
        if findings.has_focus and findings.current is not None and self.draft is not None:
            name = publish_rows.line_of(self.draft, findings.current)
        return name if name == "draft" or publish_rows.is_question(name.rpartition(".")[2]) else ""


def _help(draft: Draft, line: publish_rows.Line) -> Content:
    found = [one.message for one in publish_rows.of_field(draft, line) if one.is_blocking][:1]
    parts = [(f"\n{formats.one_line(one)}", "$text-warning") for one in found]
    return Content.assemble((publish_rows.help_of(line), "$text-muted"), *parts)


def _no_warning(found: Finding | None) -> str:
    if found is None:
        return "there is nothing to settle"
    return "" if found.level == "warning" else "errors can't be accepted; they are corrected"
