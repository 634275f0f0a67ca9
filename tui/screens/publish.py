"""Publish: one form, filled in from what is known, and every check before the first byte goes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from registry.errors import HubError
from tui import actions, formats, publish_fixes, publishing
from tui.publish_steps import Begun
from tui.publishing import Draft, Target
from tui.screens.base import HubScreen
from tui.widgets.publish_lists import FindingList, FormList
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding
    from hubman.civitai.form import PublishForm
    from registry.database import Registry
    from tui.services.watch import Snapshot


class PublishScreen(HubScreen):
    """Over the library or a training; esc goes back, and a publication that was begun goes on as a job.

    Where everything is known already the question whether to publish comes up by itself.
    """

    SCOPE = "publish"
    CSS_PATH = "publish.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("publish")]
    AUTO_FOCUS = "#form"

    def __init__(self, version_ids: Sequence[str], name: str = "") -> None:
        super().__init__()
        self._version_ids, self._page_name = tuple(version_ids), name
        self.draft: Draft | None = None
        self._begun = Begun()
        self._problem = ""
        self._is_first = True
        self._drawing = ""
        """The job that draws pictures for the page, until they are here."""
        self._drawn = ""
        self._watched = ""
        """The job whose screen was opened: a look at the jobs may find it before its start has been told."""

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

    def on_mount(self) -> None:
        self.query_one(FormList).empty = "Reading what is known …"
        self.query_one(FindingList).empty = "Checking …"
        self._show()
        versions, name = self._version_ids, self._page_name
        self.in_thread(
            lambda registry: publishing.read(registry, versions, name), self._filled, group="read", failed=self._failed
        )

    def _filled(self, form: PublishForm) -> None:
        self.draft = Draft(form)
        self.do_check()

    def _failed(self, reason: str) -> None:
        self._problem = reason
        self._show()

    # what is shown ------------------------------------------------------------------------------------------------

    def _show(self, to: str = "") -> None:
        draft = self.draft
        self.query_one("#heading", Static).update(self._heading())
        rows, found = self.query_one(FormList), self.query_one(FindingList)
        if draft is None:
            rows.empty = self._problem or rows.empty
            found.empty = ""
        else:
            lines = publishing.lines(draft)
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
            return f"{draft.problem}\n\nc    checks again\nb    goes elsewhere"
        if not draft.is_checked:
            return "Checking …"
        return "Every check is passed.\n\np    publishes"

    @on(RowList.Highlighted, "#form")
    def _follow_row(self) -> None:
        """What was found of the row under the cursor is what ``a`` and ``f`` are about."""
        rows = self.query_one(FormList)
        line = rows.current if rows.has_focus else None
        found = publishing.of_field(self.draft, line) if self.draft and line else []
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
        if found is not None and self.draft is not None:
            parts.append((f"{formats.one_line(found.message)}\n", ""))
            if hint := publishing.hint(found):
                parts.append((f"{formats.one_line(hint)}\n", "$text-muted"))
            if _is_question(found.field):
                parts += [("y", "bold $text-accent"), ("  yes    ", ""), ("n", "bold $text-accent"), ("  no\n", "")]
            fix = publish_fixes.of(self.draft, found)
            if fix is not None:
                parts += [("f", "bold $text-accent"), (f"  {fix.label}\n", "")]
            if found.level == "warning":
                said = ("accepted\n", "$text-success") if found.accepted else ("  accept it as it is\n", "")
                parts += [said] if found.accepted else [("a", "bold $text-accent"), said]
            if publishing.line_of(self.draft, found):
                parts += [("enter", "bold $text-accent"), ("  goes to the field\n", "")]
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

    # checks -------------------------------------------------------------------------------------------------------

    def do_check(self) -> None:
        draft = self.draft
        if draft is None:
            return
        self.draft = replace(draft, is_checked=False, problem="")
        self._show()
        form, target = draft.form, draft.target

        def work(registry: Registry) -> tuple[tuple[Finding, ...], Begun]:
            from tui import publish_checks

            return publish_checks.run(registry, form, target)

        self.in_thread(work, self._checked, group="check", failed=self._unchecked)

    def _follow_drawing(self, snapshot: Snapshot) -> None:
        view = snapshot.of(self._drawing) if self._drawing else None
        if view is None:
            return
        self._drawn = f"drawing pictures {view.share or 0:.0%}"
        if view.job.ended:
            self._drawing = self._drawn = ""
            if view.job.error:
                self.complain(view.job.error)
            versions, name = self._version_ids, self._page_name
            self.in_thread(lambda registry: publishing.read(registry, versions, name), self._read_again, group="read")
        self.query_one("#heading", Static).update(self._heading())

    def _read_again(self, form: PublishForm) -> None:
        if self.draft is not None:
            self._changed(self.draft.with_new_pictures(form))

    def _checked(self, result: tuple[tuple[Finding, ...], Begun]) -> None:
        if self.draft is None:
            return
        found, self._begun = result
        self.draft = replace(self.draft, findings=found, is_checked=True)
        is_first, self._is_first = self._is_first, False
        self._show(self._missing() if is_first else "")
        if is_first and self.draft.is_ready and not self._begun.is_out and self.app.screen is self:
            self.do_publish()

    def _unchecked(self, reason: str) -> None:
        if self.draft is not None:
            self.draft = replace(self.draft, problem=reason)
            self._show()

    def _changed(self, draft: Draft) -> None:
        self._is_first = False
        self.draft = draft
        self.do_check()

    def _missing(self) -> str:
        """The first row that wants something."""
        return next((line.name for line in publishing.lines(self.draft) if line.state), "") if self.draft else ""

    def assign(self, name: str, text: str) -> None:
        """A field as it was typed."""
        if self.draft is None:
            return
        try:
            self._changed(self.draft.changed({name: text}))
        except HubError as error:
            self.complain(str(error))

    def show_jobs(self, snapshot: Snapshot) -> None:
        """A publication of these versions that another screen or terminal began as a job is shown instead."""
        from tui.screens import publish_run

        self._follow_drawing(snapshot)
        job = publish_run.running_job(snapshot, self._version_ids)
        if job is not None and self.draft is not None and self.app.screen is self:
            self._watch(job)

    # fields -------------------------------------------------------------------------------------------------------

    def _flag(self) -> str:
        """The name of the row under the cursor, or of the finding's, where it is a yes or no."""
        findings, line = self.query_one(FindingList), self.query_one(FormList).current
        name = line.name if line else ""
        if findings.has_focus and findings.current is not None and self.draft is not None:
            name = publishing.line_of(self.draft, findings.current)
        return name if name == "draft" or _is_question(name.rpartition(".")[2]) else ""

    def do_yes(self) -> None:
        self._answer("yes")

    def do_no(self) -> None:
        self._answer("no")

    def _answer(self, answer: str) -> None:
        name = self._flag()
        if name == "draft":
            self._go_to(draft=answer == "yes")
        elif name:
            self.assign(name, answer)
            self._show(self._missing())

    @on(RowList.Chosen, "#form")
    def _line_opened(self) -> None:
        self.do_edit()

    def do_edit(self) -> None:
        from tui.screens import publish_edit

        line = self.query_one(FormList).current
        if line is None or self.draft is None:
            return
        if line.name == "to":
            self.do_site()
        elif line.name == "draft":
            self.do_draft()
        elif line.name == "repo":
            publish_edit.ask_repo(self, self.draft.target, lambda repo: self._go_to(repo=repo))
        elif _is_question(line.field):
            self.assign(line.name, "no" if line.value == "yes" else "yes")
        else:
            publish_edit.ask(self, self.draft, line.name, self.assign, self._levelled)

    def _levelled(self, sha256: str, level: int) -> None:
        if self.draft is not None:
            self._changed(self.draft.with_level(sha256, level))

    # findings -----------------------------------------------------------------------------------------------------

    @on(RowList.Chosen, "#findings")
    def _finding_opened(self) -> None:
        found = self.query_one(FindingList).current
        name = publishing.line_of(self.draft, found) if found and self.draft else ""
        if name:
            self._show(name)
            self.query_one(FormList).focus()

    def do_accept(self) -> None:
        found = self.query_one(FindingList).current
        if found is not None:
            self._accept([found.code])

    def do_accept_all(self) -> None:
        draft = self.draft
        if draft is not None:
            self._accept([one.code for one in draft.told if one.level == "warning" and one.is_harmless])

    def _accept(self, codes: Sequence[str]) -> None:
        if self.draft is not None:
            self.draft = self.draft.accepting(codes)
            self._show()

    def do_fix(self) -> None:
        draft, found = self.draft, self.query_one(FindingList).current
        fix = publish_fixes.of(draft, found) if draft and found else None
        if draft is None or fix is None:
            return
        if fix.assignments:
            self._changed(draft.changed(fix.assignments))
        else:
            from tui.screens import publish_edit

            publish_edit.draw_examples(self, draft, found.version_id if found else "", self._drawing_begun)

    def _drawing_begun(self, job: str) -> None:
        self._drawing = job
        self.say("pictures are being drawn; they come into the form")
        self.hub.poll_soon()

    # where it goes ------------------------------------------------------------------------------------------------

    def do_site(self) -> None:
        if self.draft is not None:
            places = list(publishing.PLACES)
            self._go_to(where=places[(places.index(self.draft.target.where) + 1) % len(places)])

    def do_draft(self) -> None:
        if self.draft is not None:
            self._go_to(draft=not self.draft.target.draft)

    def _go_to(self, **changes: object) -> None:
        if self.draft is not None:
            target: Target = replace(self.draft.target, **changes)  # type: ignore[arg-type]
            self._changed(self.draft.going_to(target))

    def do_save(self) -> None:
        """The permissions as they are now are those of every model to come."""
        from hubman.civitai import form_defaults

        if self.draft is not None:
            permissions = self.draft.form.permissions
            self.change(
                lambda registry: form_defaults.save(registry, permissions),
                lambda path: self.say(f"these permissions are the default from now on ({path.name})"),
            )

    # publishing ---------------------------------------------------------------------------------------------------

    def do_publish(self) -> None:
        from tui.widgets.dialogs import Confirm

        draft = self.draft
        if draft is None:
            return

        def done(yes: bool | None) -> None:
            if yes:
                self._start(draft)

        name = formats.one_line(draft.form.name)
        verb = "Change the page of" if self._begun.is_out else "Publish"
        self.app.push_screen(Confirm(f"{verb} {name}?", _question(draft, is_out=self._begun.is_out)), done)

    def _start(self, draft: Draft) -> None:
        request = publishing.request(draft, edit=self._begun.is_out)
        title = f"publish {formats.one_line(draft.form.name)}"
        self.start_job("publish", title, request, lambda job: self._watch(job.id))

    def _watch(self, job: str) -> None:
        from tui.screens.publish_run import PublishRunScreen

        if self.draft is None or self._watched == job:
            return
        self._watched = job
        run = PublishRunScreen(job, self.draft.form, self.draft.target)

        def left(_: object) -> None:
            # To be corrected: back to the form. Else there is nothing more to say here.
            if run.wants_form:
                self.do_check()
            else:
                self.dismiss()

        self.app.push_screen(run, left)

    def do_back(self) -> None:
        self.dismiss()


def _is_question(field: str) -> bool:
    from hubman.civitai.form_fields import FIELDS

    return field in FIELDS and FIELDS[field].kind in {"answer", "flag"}


def _help(draft: Draft, line: publishing.Line) -> Content:
    from hubman.civitai.form_fields import FIELDS

    own = {
        "to": "where it is published; b changes it",
        "repo": "NAME or OWNER/NAME on the Hub",
        "draft": "a draft is seen by you only; publishing again goes on from it",
        "pictures": "which are shown and in which order; enter chooses",
    }
    text = own.get(line.field) or FIELDS[line.field].help
    found = [one.message for one in publishing.of_field(draft, line) if one.is_blocking]
    return Content.assemble(
        (text, "$text-muted"), *[(f"\n{formats.one_line(one)}", "$text-warning") for one in found[:1]]
    )


def _no_warning(found: Finding | None) -> str:
    if found is None:
        return "there is nothing to settle"
    return "" if found.level == "warning" else "errors can't be accepted; they are corrected"


def _question(draft: Draft, *, is_out: bool) -> str:
    """Everything that a person agrees to, in a few lines."""
    form, target = draft.form, draft.target
    size = sum(part.file.size for part in form.parts)
    pictures = sum(len(part.pictures) for part in form.parts)
    versions = f"{formats.count(len(form.parts), 'version')}, " if len(form.parts) > 1 else ""
    lines = [f"{versions}{formats.size(size)}, {formats.count(pictures, 'picture')}"]
    if is_out:
        lines.append(f"It is on {publishing.place(target)} already; what was changed since is sent.")
    elif target.draft:
        lines.append(f"It stays a draft on {publishing.place(target)}, seen by you only.")
    elif form.published_at and target.where != "hf":
        lines.append(f"It becomes public on {publishing.place(target)} at {form.published_at}.")
    else:
        lines.append(f"It becomes public on {publishing.place(target)}.")
    accepted = sum(1 for one in draft.told if one.accepted)
    if accepted:
        lines.append(f"Accepted: {formats.count(accepted, 'warning')}.")
    lines.append("An interrupted publication goes on where it stopped.")
    return "\n".join(lines)
