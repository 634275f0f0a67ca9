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
from tui.actions import MODES
from tui.looks import Looks
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
HEIGHTS = [(0, "-flat"), (16, "-tall"), (36, "-high")]


class HubScreen(Screen[None], Acting):
    """A mode. Subclasses give their ``SCOPE``, their ``BINDINGS`` from it, and a ``body``."""

    SCOPE: ClassVar[str]
    MODE: ClassVar[str] = ""
    """The mode that it belongs to, if that is neither its scope nor wherever it was opened."""
    HIDES_ITSELF: ClassVar[bool] = False
    """Whether it hides by itself what is private; else privacy mode covers it."""
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS

    def compose(self) -> ComposeResult:
        bar = ModeBar()
        bar.active = self.MODE or (self.SCOPE if self.SCOPE in MODES else self.hub.current_mode)
        yield bar
        yield from self.body()
        yield ActionBar(self.SCOPE)
        yield Static("Privacy mode is on.\n\nX shows this screen again.", id="private")
        yield Static("hubman needs 60 columns\nand 16 lines.\nMake the window larger.", id="too-small")

    def on_mount(self) -> None:
        self.hub.looks_changed.subscribe(self, self._looks_changed)
        self._looks_changed(self.hub.looks)

    def _looks_changed(self, looks: Looks) -> None:
        self.query_one(ModeBar).private = looks.is_private
        self.set_class(looks.is_private and not self.HIDES_ITSELF, "-covered")
        self.show_looks(looks)
        self.refresh_actions()

    def show_looks(self, looks: Looks) -> None:
        """Called when other pictures, or fewer words, are to be shown than before; also at the start."""

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

    def change(
        self,
        work: Callable[[Registry], Result],
        done: Callable[[Result], object],
        *,
        failed: Callable[[str], object] | None = None,
    ) -> None:
        """Like :meth:`in_thread` for something that writes: it is never dropped for a later one."""
        begin(self, partial(self._in_thread, work, done, failed or self.complain, None), group="change")

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

    def leave(self) -> bool:
        """Go one step back; False where there is none, which ends the app."""
        if len(self.app.screen_stack) < 2:
            return False
        self.dismiss(None)
        return True

    def complain(self, reason: str) -> None:
        if self.hub.looks.is_private:
            reason = "that did not work; without privacy mode (X) it says why"
        self.notify(reason, severity="error", timeout=8, markup=False)

    def say(self, text: str, *, private: str = "done") -> None:
        """Tell what was done; ``private`` takes its place in privacy mode, and may hold no name."""
        self.notify(private if self.hub.looks.is_private else text, timeout=3, markup=False)

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
        self.hub.index_changed.subscribe(self, lambda _: self.show_index())
        self.hub.registry_changed.subscribe(self, lambda _: self.show_changes())
        self._jobs_changed(self.hub.jobs)
        self.show_index()

    def on_screen_suspend(self) -> None:
        for signal in (self.hub.jobs_changed, self.hub.index_changed, self.hub.registry_changed):
            signal.unsubscribe(self)

    def _jobs_changed(self, snapshot: Snapshot) -> None:
        self.query_one(ModeBar).news = _news(snapshot)
        self.show_jobs(snapshot)

    def show_jobs(self, snapshot: Snapshot) -> None:
        """Called when a job has moved while this screen is shown."""

    def show_index(self) -> None:
        """Called when the folders were looked at while this screen is shown."""

    def show_changes(self) -> None:
        """Called when anybody, also another process, wrote to the registry while this screen is shown."""

    def put(self, where: str, text: str, *, grows: bool = False) -> None:
        """Write ``text`` into the line or pane ``where``; one that ``grows`` with it lays the screen out anew, or is gone."""
        shown = self.query_one(where, Static)
        if shown.content != text:
            shown.update(text, layout=grows)
        if grows:
            shown.display = bool(text)

    def refresh_actions(self) -> None:
        """To be called when what can be done has changed."""
        self.query_one(ActionBar).refresh()

    def why_not(self, action_id: str) -> str:
        if self.hub.looks.refuses(action_id):
            return "privacy mode hides what this shows; X ends it"
        return Acting.why_not(self, action_id)


def _news(snapshot: Snapshot) -> str:
    active = snapshot.active
    if not active:
        return ""
    first = active[0]
    share = f" {first.share:.0%}" if first.share is not None else ""
    return f"{first.job.kind}{share}" if len(active) == 1 else f"{len(active)} jobs, {first.job.kind}{share}"
