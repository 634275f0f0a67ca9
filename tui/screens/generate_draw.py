"""The jobs that the Generate screen starts, and what is asked before a long one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from registry.errors import HubError
from tui import generate_jobs
from tui.generate_jobs import Planned
from tui.screens.generate_prompt import GeneratePrompt

if TYPE_CHECKING:
    from hubman.generate.guards import Plan
    from hubman.jobs.records import Job
    from registry.database import Registry
    from tui.remarks import Remark
    from tui.services.watch import Snapshot

_ASKS = ("many-cells", "too-long")


class GenerateDraw(GeneratePrompt):
    """Draw, sweep, pair, grid; a large grid is asked for, with a smaller one as the other answer."""

    def do_draw(self) -> None:
        self._start(lambda: generate_jobs.draw_job(self.setup))

    def do_sweep(self) -> None:
        at = self.stack.cursor
        names = [self.setup.stack[at].alias]
        self._ask_first(lambda registry: _sweep_plan(registry, self, names), self.do_sweep_now)

    def do_sweep_now(self) -> None:
        at = self.stack.cursor
        self._start(lambda: generate_jobs.sweep_job(self.setup, at))

    def do_combine(self) -> None:
        names = [item.alias for item in self.setup.stack[:2]]
        self._ask_first(
            lambda registry: _sweep_plan(registry, self, names),
            lambda: self._start(lambda: generate_jobs.pair_job(self.setup)),
        )

    def do_grid(self) -> None:
        from tui import generate_grid

        self._ask_first(
            lambda registry: generate_grid.plan_of(registry, self.setup, limit=self.limit),
            lambda: self._start(lambda: generate_grid.grid_job(self.setup)),
        )

    def _ask_first(self, plan: Callable[[Registry], Plan], start: Callable[[], None]) -> None:
        def look(registry: Registry) -> tuple[Plan, tuple[Remark, ...]]:
            from tui import generate_grid

            found = plan(registry)
            return found, tuple(one for one in generate_grid.remarks(found) if one.code in _ASKS)

        def planned(found: tuple[Plan, tuple[Remark, ...]]) -> None:
            asking = next(iter(found[1]), None)
            if asking is None:
                start()
            else:
                self._ask(asking, start)

        self.in_thread(look, planned, group="plan")

    def _ask(self, asking: Remark, start: Callable[[], None]) -> None:
        from tui.widgets.dialogs import Choose

        def done(answer: str | None) -> None:
            if answer == "all":
                start()
            elif answer == "fewer" and asking.mend is not None:
                self.become(asking.mend(self.setup))
                self.say("fewer points; the same key draws them")

        options = [
            ("fewer", asking.fix, "the same key then draws them"),
            ("all", "draw all of them", "what is finished stays"),
        ]
        self.app.push_screen(Choose(f"{asking.text}: {asking.reason}", options), done)

    def _start(self, plan: Callable[[], Planned]) -> None:
        wrong = next((remark for remark in self.remarks if remark.is_error), None)
        try:
            kind, title, request = plan()
        except HubError as error:
            self.complain(str(error))
            return
        if wrong is not None:
            self.complain(f"{wrong.text}: {wrong.reason}")
            return
        self.start_job(kind, title, request, self.show_job)

    def show_job(self, job: Job) -> None:
        """Show this job's grid from now on."""
        self.set_class(self.has_class("-narrow"), "-result")
        self.result.choose(job.id)

    def show_jobs(self, snapshot: Snapshot) -> None:
        self.result.show_jobs(snapshot)
        self.refresh_actions()

    def do_stop(self) -> None:
        job = self.result.job
        if job is None:
            return

        def work(registry: Registry) -> None:
            from hubman.jobs import store

            store.cancel(registry, job.id)

        self.change(work, lambda _: self.say("it stops between two steps; finished cells are kept"))

    def do_results(self) -> None:
        """Choose among what was drawn before."""
        from tui import formats
        from tui.screens.generate_result import KINDS
        from tui.widgets.dialogs import Choose

        views = [view for view in self.hub.jobs.views if view.job.kind in KINDS]
        options = [
            (view.job.id, view.job.title, f"{view.job.state} · {formats.age(view.job.created_at)}") for view in views
        ]

        def chosen(job_id: str | None) -> None:
            if job_id is not None:
                self.result.choose(job_id)

        shown = self.result.job
        self.app.push_screen(Choose("what was drawn", options, at=shown.id if shown else ""), chosen)


def _sweep_plan(registry: Registry, screen: GenerateDraw, names: list[str]) -> Plan:
    from tui import generate_grid

    return generate_grid.sweep_plan(registry, screen.setup, names, limit=screen.limit)
