"""What all screens share: the two bars, work in threads, errors in one line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from registry.errors import HubError
from tui.acting import Acting
from tui.services.index_state import IndexState
from tui.services.watch import Snapshot
from tui.widgets.action_bar import ActionBar
from tui.widgets.mode_bar import ModeBar
from tui.work import begin

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from registry.database import Registry
    from tui.app import HubmanApp

Result = TypeVar("Result")
WIDTHS = [(0, "-tiny"), (60, "-narrow"), (80, "-medium"), (120, "-wide")]
HEIGHTS = [(0, "-flat"), (16, "-tall")]


class HubScreen(Screen[None], Acting):
    """A mode. Subclasses give their ``SCOPE``, their ``BINDINGS`` from it, and a ``body``."""

    SCOPE: ClassVar[str]
    MODE: ClassVar[str] = ""
    """The mode that it belongs to, if that is not its scope."""
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS

    def compose(self) -> ComposeResult:
        bar = ModeBar()
        bar.active = self.MODE or self.SCOPE
        yield bar
        yield from self.body()
        yield ActionBar(self.SCOPE)
        yield Static("hubman needs 60 columns\nand 16 lines.\nMake the window larger.", id="too-small")

    def body(self) -> Iterable[Widget]:
        return ()

    @property
    def hub(self) -> HubmanApp:
        return cast("HubmanApp", self.app)

    @property
    def registry(self) -> Registry:
        """The calling thread's registry."""
        return self.hub.data.registry

    def in_thread(
        self,
        work: Callable[[Registry], Result],
        done: Callable[[Result], object],
        *,
        group: str,
        failed: Callable[[str], object] | None = None,
        refused: Callable[[HubError], object] | None = None,
    ) -> None:
        """Do ``work`` in a thread and hand its result to ``done`` here.

        A later call of the same ``group`` replaces an earlier one: its result is then dropped. An error goes to
        ``failed`` as one line, or becomes a notification; one that hubman expects goes to ``refused`` as it is.
        """
        told = failed or self.complain
        begin(self, partial(self._in_thread, work, done, told, refused), group=group, exclusive=True)

    def change(self, work: Callable[[Registry], Result], done: Callable[[Result], object]) -> None:
        """Like :meth:`in_thread` for something that writes: it is never dropped for a later one."""
        begin(self, partial(self._in_thread, work, done, self.complain, None), group="change")

    async def _in_thread(
        self,
        work: Callable[[Registry], Result],
        done: Callable[[Result], object],
        failed: Callable[[str], object],
        refused: Callable[[HubError], object] | None,
    ) -> None:
        try:
            result = await asyncio.to_thread(partial(self._call, work))
        except HubError as error:
            if refused is not None:
                refused(error)
            else:
                failed(str(error))
        except Exception as error:
            failed(f"{type(error).__name__}: {error}")
        else:
            # At the end of the app a screen loses what is in it before its workers end.
            if self.is_running:
                done(result)

    def _call(self, work: Callable[[Registry], Result]) -> Result:
        return work(self.registry)

    def complain(self, reason: str) -> None:
        self.notify(reason, severity="error", timeout=8, markup=False)

    def say(self, text: str) -> None:
        self.notify(text, timeout=3, markup=False)

    # jobs ---------------------------------------------------------------------------------------------------------

    def start_job(
        self, kind: str, title: str, request: dict[str, object], done: Callable[[Job], object] | None = None
    ) -> None:
        """Start a job in its own process and say so."""

        def work(registry: Registry) -> Job:
            from hubman.jobs import store

            return store.start(registry, kind, title, request)

        def started(job: Job) -> None:
            self.say(f"started: {title}  (6 shows jobs)")
            self.hub.poll_soon()
            if done is not None:
                done(job)

        self.change(work, started)

    def on_screen_resume(self) -> None:
        self.hub.jobs_changed.subscribe(self, self._jobs_changed)
        self.hub.index_changed.subscribe(self, self.show_index)
        self.hub.registry_changed.subscribe(self, lambda _: self.show_changes())
        self._jobs_changed(self.hub.jobs)
        self.show_index(self.hub.index)

    def on_screen_suspend(self) -> None:
        for signal in (self.hub.jobs_changed, self.hub.index_changed, self.hub.registry_changed):
            signal.unsubscribe(self)

    def _jobs_changed(self, snapshot: Snapshot) -> None:
        self.query_one(ModeBar).news = _news(snapshot)
        self.show_jobs(snapshot)

    def show_jobs(self, snapshot: Snapshot) -> None:
        """Called when a job has moved while this screen is shown."""

    def show_index(self, state: IndexState) -> None:
        """Called when the folders were looked at while this screen is shown."""

    def show_changes(self) -> None:
        """Called when anybody, also another process, wrote to the registry while this screen is shown."""

    def refresh_actions(self) -> None:
        """To be called when what can be done has changed."""
        self.query_one(ActionBar).refresh()

    def why_not(self, action_id: str) -> str:
        return Acting.why_not(self, action_id)


def _news(snapshot: Snapshot) -> str:
    active = snapshot.active
    if not active:
        return ""
    first = active[0]
    share = f" {first.share:.0%}" if first.share is not None else ""
    return f"{first.job.kind}{share}" if len(active) == 1 else f"{len(active)} jobs, {first.job.kind}{share}"
