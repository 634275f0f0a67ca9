"""A publication as it goes: the steps of its journal, the bytes, and at the end the page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui import actions, formats, publish_steps, publishing
from tui.publish_steps import Begun, Transfer
from tui.screens.base import HubScreen
from tui.services.watch import JobView, Snapshot
from tui.widgets.publish_lists import StepList

if TYPE_CHECKING:
    from hubman.civitai.form import PublishForm
    from hubman.jobs.records import Job
    from registry.database import Registry
    from tui.publishing import Target


class PublishRunScreen(HubScreen):
    """The job goes on when this screen is left; ``wants_form`` says then that it is to be corrected."""

    wants_form: bool = False

    SCOPE = "publishing"
    CSS_PATH = "publish_run.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("publishing")]
    AUTO_FOCUS = "#steps"

    def __init__(self, job: str, form: PublishForm, target: Target) -> None:
        super().__init__()
        self._job, self._form, self._target = job, form, target
        self._view: JobView | None = None
        self._begun = Begun()
        self._transfer = Transfer()
        self._is_told = False

    def body(self) -> Iterable[Widget]:
        yield Static("", id="run-heading", classes="title", markup=False)
        with Vertical(id="run"):
            yield StepList(id="steps")
            yield Static("", id="bytes", markup=False)
            yield Static("", id="outcome", markup=False)

    def on_mount(self) -> None:
        self.query_one(StepList).empty = "Checking once more …"
        self._show()

    # what is known ------------------------------------------------------------------------------------------------

    def show_jobs(self, snapshot: Snapshot) -> None:
        view = snapshot.of(self._job)
        if view is None:
            return
        self._view = view
        self._transfer = publish_steps.transferred(self._transfer, view.progress, time.monotonic())
        self._show()
        versions, target = self._form.version_ids, self._target
        self.in_thread(
            lambda registry: publish_steps.begun(registry, versions, target),
            self._read,
            group="steps",
            failed=lambda _: None,
        )

    def show_changes(self) -> None:
        self.show_jobs(self.hub.jobs)

    def _read(self, begun: Begun) -> None:
        self._begun = begun
        self._show()

    @property
    def job(self) -> Job | None:
        return self._view.job if self._view else None

    @property
    def url(self) -> str:
        """The page, once it is there; a draft has one too."""
        job = self.job
        if job is None or job.state != "done" or not job.result:
            return ""
        return str(job.result.get("url") or "")

    # what is shown ------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        job = self.job
        name = formats.one_line(self._form.name)
        state = {"done": "published", "failed": "stopped", "cancelled": "cancelled"}.get(job.state if job else "", "")
        if job is not None and job.result:
            state = str(job.result.get("status") or state)
        where = publishing.place(self._target)
        self.query_one("#run-heading", Static).update(f"{name} on {where}  ·  {state or 'publishing …'}")
        ended = job is not None and job.state == "done"
        is_hub = self._target.where == "hf"
        if self._begun.steps or ended:
            steps = publish_steps.checklist(self._form, self._begun, hub=is_hub, draft=self._target.draft, ended=ended)
            self.query_one(StepList).set_items(steps)
        self.query_one("#bytes", Static).update(self._bytes())
        self.query_one("#outcome", Static).update(self._outcome())
        self.refresh_actions()
        if self.url and not self._is_told:
            self._is_told = True
            self._hand_over()

    def _bytes(self) -> str:
        job, sent = self.job, self._transfer
        if job is None or job.ended:
            return ""
        event = self._view.progress if self._view else None
        if event is None:
            return "waiting for its first word …"
        if event.stage == "upload" and sent.total:
            share = sent.done / sent.total
            parts = [f"{formats.bar(share, 20)} {share:4.0%}"]
            parts.append(f"{formats.size(round(sent.done))} of {formats.size(round(sent.total))}")
            if sent.rate:
                parts += [f"{formats.size(round(sent.rate))}/s", f"{formats.duration(sent.left)} left"]
            return f"{formats.one_line(sent.name)}\n{'  '.join(parts)}"
        # A step's name may have a picture's whole hash in it, and the list tells of it anyway.
        step = str(event.data.get("step", "")).partition(" ")[0]
        return formats.one_line(f"{event.stage}  {step or event.message}")

    def _outcome(self) -> Content:
        job = self.job
        if job is None:
            return Content("")
        if self.url:
            lines = [(f"{self.url}\n", "bold $text-success"), ("o", "bold $text-accent"), ("  opens it    ", "")]
            lines += [("y", "bold $text-accent"), ("  copies it again\n", "")]
            return Content.assemble(*lines, *[(f"{formats.one_line(one)}\n", "$text-warning") for one in _left(job)])
        if job.state in {"failed", "cancelled"}:
            why = formats.one_line(job.error or "It was cancelled; what was sent is kept.")
            style = "$text-error" if job.error else "$text-warning"
            keys = [("r", "bold $text-accent"), ("  goes on from here    ", "")]
            return Content.assemble((f"{why}\n", style), *keys, ("e", "bold $text-accent"), ("  corrects the form", ""))
        return Content("It goes on when you leave: 6 shows it among the jobs.")

    def _hand_over(self) -> None:
        """The link is on the clipboard without a key."""
        from tui.services import clipboard

        url = self.url
        self.app.copy_to_clipboard(url)
        self.in_thread(lambda _: clipboard.copy(url), lambda _: self.say(f"copied {url}"), group="copy")

    # actions ------------------------------------------------------------------------------------------------------

    def lacks(self, need: str) -> str:
        job = self.job
        if job is None:
            return "the job is still being read"
        lacking = {
            "running": "" if not job.ended else f"it is already {job.state}",
            "resumable": "" if job.state in {"failed", "cancelled"} else f"it is {job.state}",
            "page": "" if self.url else "there is no page yet",
        }
        return lacking[need]

    def do_cancel(self) -> None:
        self._tell("cancel", "stops at its next safe point; what was sent is kept")

    def do_resume(self) -> None:
        self._tell("resume", "goes on")

    def _tell(self, verb: str, said: str) -> None:
        job_id = self._job

        def work(registry: Registry) -> Job:
            from hubman.jobs import store

            return (store.cancel if verb == "cancel" else store.resume)(registry, job_id)

        def done(job: Job) -> None:
            del job
            self.say(said)
            self.hub.poll_soon()

        self.change(work, done)

    def do_copy(self) -> None:
        self._hand_over()

    def do_open(self) -> None:
        from tui.services import opening

        url = self.url

        def done(tool: str) -> None:
            self.say(f"{tool} opens {url}" if tool else f"nothing here opens it; it is on the clipboard: {url}")

        self.in_thread(lambda _: opening.launch(url), done, group="open")

    def do_edit(self) -> None:
        self.wants_form = True
        self.dismiss()

    def do_back(self) -> None:
        self.dismiss()


def _left(job: Job) -> list[str]:
    """What the site made another thing of, and what is left to a person."""
    result = job.result or {}
    told = [
        f"the page says {one.get('found')} for {one.get('field')}, sent was {one.get('sent')}"
        for one in result.get("differences", ())
    ]
    return [*told, *map(str, result.get("notes", ()))]


def of_job(job: Job) -> PublishRunScreen:
    """The screen of a job that publishes, whoever began it."""
    import msgspec

    from hubman.civitai.form import PublishForm

    request = job.request
    where: publishing.Where = "hf" if request.get("to") == "hf" else "sandbox" if request.get("site") else "civitai"
    target = publishing.Target(where, bool(request.get("draft")), str(request.get("repo") or ""))
    return PublishRunScreen(job.id, msgspec.convert(request["form"], PublishForm), target)


def running_job(snapshot: Snapshot, version_ids: Sequence[str]) -> str | None:
    """The job that publishes just these versions now, whoever began it."""
    for view in snapshot.active:
        if view.job.kind == "publish" and versions_of(view.job.request) == set(version_ids):
            return view.job.id
    return None


def versions_of(request: dict[str, object]) -> set[str]:
    """The versions that a publish job's request names."""
    form = request.get("form")
    parts = form.get("parts", []) if isinstance(form, dict) else []
    return {str(part.get("version_id", "")) for part in parts if isinstance(part, dict)}
