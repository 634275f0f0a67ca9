"""Publish: one form, filled in from what is known, and every check before the first byte goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.widgets import Static

from registry.errors import HubError
from tui import actions, formats, publish_fixes, publish_rows, publish_steps, publishing
from tui.publish_steps import Begun
from tui.publishing import Draft, Target
from tui.screens.publish_view import PublishView
from tui.widgets.publish_lists import FindingList, FormList
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding
    from hubman.civitai.form import PublishForm
    from registry.database import Registry
    from tui.services.watch import Snapshot


class PublishScreen(PublishView):
    """Over the library or a training; esc goes back, and a publication that was begun goes on as a job.

    Where everything is known already the question whether to publish comes up by itself.
    """

    SCOPE = "publish"
    CSS_PATH = "publish.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("publish")]
    AUTO_FOCUS = "#form"

    def __init__(self, version_ids: Sequence[str], name: str = "") -> None:
        super().__init__(version_ids, name)
        self._is_first = True
        self._drawing = ""
        """The job that draws pictures for the page, until they are here."""
        self._watched = ""
        """The job whose screen was opened: a look at the jobs may find it before its start has been told."""

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
        return next((line.name for line in publish_rows.lines(self.draft) if line.state), "") if self.draft else ""

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

    def show_changes(self) -> None:
        """How far a publication came that another terminal is sending."""
        draft = self.draft
        if draft is None or not draft.is_checked:
            return
        versions, target = draft.form.version_ids, draft.target

        def read(registry: Registry) -> Begun:
            return publish_steps.begun(registry, versions, target)

        self.in_thread(read, self._went_on, group="begun", failed=lambda _: None)

    def _went_on(self, begun: Begun) -> None:
        if begun != self._begun:
            self._begun = begun
            self._show()

    # fields -------------------------------------------------------------------------------------------------------

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
        elif publish_rows.is_question(line.field):
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
        name = publish_rows.line_of(self.draft, found) if found and self.draft else ""
        if name:
            self._show(name)
            self.query_one(FormList).focus()

    def do_accept(self) -> None:
        found, draft = self.query_one(FindingList).current, self.draft
        if found is None or draft is None:
            return
        self._accept([one for one in draft.told if one.code == found.code], taken_back=found.accepted)

    def do_accept_all(self) -> None:
        draft = self.draft
        if draft is not None:
            self._accept([one for one in draft.told if one.level == "warning" and one.is_harmless])

    def _accept(self, found: Sequence[Finding], *, taken_back: bool = False) -> None:
        draft = self.draft
        if draft is None:
            return
        self.draft = draft.taking_back(found) if taken_back else draft.accepting(found)
        self.change(lambda registry: publishing.accept(registry, draft, found, taken_back=taken_back), lambda _: None)
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
