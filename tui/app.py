"""The app: modes, themes, keys. Everything else lives in screens and services."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.signal import Signal

from hubman import config, terminal
from tui import actions
from tui.acting import Acting
from tui.combo import Combo
from tui.data import Data
from tui.looks import Looks
from tui.services.civitai_link import Link
from tui.services.index_state import IndexState
from tui.services.watch import Snapshot, written
from tui.work import begin

if TYPE_CHECKING:
    from tui.services.indexer import Indexer


def _library() -> Screen[Any]:
    from tui.screens.library import LibraryScreen

    return LibraryScreen()


def _civitai() -> Screen[Any]:
    from tui.screens.civitai import CivitaiScreen

    return CivitaiScreen()


def _train() -> Screen[Any]:
    from tui.screens.train import TrainScreen

    return TrainScreen()


def _generate() -> Screen[Any]:
    from tui.screens.generate import GenerateScreen

    return GenerateScreen()


def _sync() -> Screen[Any]:
    from tui.screens.sync import SyncScreen

    return SyncScreen()


def _jobs() -> Screen[Any]:
    from tui.screens.jobs import JobsScreen

    return JobsScreen()


class HubmanApp(App[None], Acting):
    """hubman in the terminal. ``poll`` is the number of seconds between looks at the jobs; 0 never looks.

    With ``watch`` the index is kept live by a process of its own.
    """

    TITLE = "hubman"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "library": _library,
        "civitai": _civitai,
        "train": _train,
        "generate": _generate,
        "sync": _sync,
        "jobs": _jobs,
    }
    DEFAULT_MODE = "library"
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings("app"),
        # This one also while something is typed, or asked.
        Binding("f8", "act('app.privacy')", show=False, priority=True),
    ]

    def __init__(self, home: Path | None = None, *, poll: float = 0.2, watch: bool = False) -> None:
        super().__init__()
        self.data = Data(home or config.home())
        self.jobs = Snapshot()
        self.jobs_changed: Signal[Snapshot] = Signal(self, "jobs")
        self.registry_changed: Signal[None] = Signal(self, "registry")
        self._written: tuple[int, ...] = ()
        self.index = IndexState()
        self.index_changed: Signal[IndexState] = Signal(self, "index")
        self._watches = watch
        self._indexer: Indexer | None = None
        self.combo = Combo()
        self.link = Link(self.data.home)
        self.own_keys: dict[str, str] = {}
        self.settings, self._problems = config.settings(self.data.home)
        self.looks = Looks(is_private=self.settings.privacy)
        self.looks.show_up_to(self.settings.nsfw)
        self.looks_changed: Signal[Looks] = Signal(self, "looks")
        self._poll = poll
        self._polling = False
        self._quiet_ticks = 0

    @property
    def polls(self) -> bool:
        """Whether it looks at the jobs by itself; where it does not, nothing else moves by itself either."""
        return self._poll > 0

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """As Textual's; before it takes the terminal, that one is asked how it draws pictures."""
        if not kwargs.get("headless"):
            self.looks.pictures = terminal.find(self.settings.pictures)
        return super().run(*args, **kwargs)

    def on_mount(self) -> None:
        self._read_keys()
        for problem in self._problems:
            self.notify(problem, severity="warning", timeout=10, markup=False)
        self._written = written(self.data.home)
        if self._poll:
            self.set_interval(self._poll, self._tick)
        if self._watches:
            # After the first paint: another interpreter starts beside this one.
            self.call_after_refresh(lambda: begin(self, self._watch_folders, group="index"))

    def _read_keys(self) -> None:
        from tui import keymap

        self.own_keys, problems = keymap.read(self.data.home / "keys.toml")
        if self.own_keys:
            self.set_keymap(self.own_keys)
        for problem in problems:
            self.notify(problem, severity="warning", timeout=10, markup=False)

    async def _watch_folders(self) -> None:
        from tui.services.indexer import Indexer

        def tell(state: IndexState) -> None:
            self.index = state
            self.index_changed.publish(state)

        self._indexer = Indexer(self.data.home, tell)
        await self._indexer.run()

    async def on_unmount(self) -> None:
        self.link.close()
        if self._indexer is not None:
            await self._indexer.stop()

    # jobs ---------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Look often while something runs, else once in two seconds."""
        self._quiet_ticks += 1
        if self.jobs.active or self._quiet_ticks * self._poll >= 2:
            self.poll_soon()

    def poll_soon(self) -> None:
        """Look at the jobs now, unless a look is under way."""
        if not self._polling:
            self._polling = True
            self._quiet_ticks = 0
            begin(self, self._look, group="jobs")

    async def _look(self) -> None:
        try:
            found, now = await asyncio.to_thread(self._poll_registry)
        except Exception as error:
            self.log.error(f"jobs: {error}")
        else:
            if found != self.jobs:
                self.jobs = found
                self.jobs_changed.publish(found)
            if now != self._written:
                self._written = now
                self.registry_changed.publish(None)
        finally:
            self._polling = False

    def _poll_registry(self) -> tuple[Snapshot, tuple[int, ...]]:
        """The jobs, and what differs after anybody wrote to the registry."""
        from tui.services import watch

        return watch.poll(self.data.registry, self.jobs), written(self.data.home)

    # actions ------------------------------------------------------------------------------------------------------

    def do_library(self) -> None:
        self.switch_mode("library")

    def do_civitai(self) -> None:
        self.switch_mode("civitai")

    def do_train(self) -> None:
        self.switch_mode("train")

    def do_generate(self) -> None:
        self.switch_mode("generate")

    def do_sync(self) -> None:
        self.switch_mode("sync")

    def do_jobs(self) -> None:
        self.switch_mode("jobs")

    def do_privacy(self) -> None:
        """At once: what is asked or shown over the screens is closed, and they hide what is private themselves."""
        self.looks.is_private = not self.looks.is_private
        if self.looks.is_private:
            self.clear_notifications()
            while isinstance(self.screen, ModalScreen):
                self.pop_screen()
        self.looks_changed.publish(self.looks)

    def do_palette(self) -> None:
        self.action_command_palette()

    def do_theme(self) -> None:
        self.action_change_theme()

    def do_leave(self) -> None:
        leave: Callable[[], bool] | None = getattr(self.screen, "leave", None)
        if leave is None or not leave():
            self.exit()

    def do_quit(self) -> None:
        self.exit()

    def do_help(self) -> None:
        from tui.screens.help import HelpScreen

        scope = getattr(self.screen, "SCOPE", "")
        if scope:
            self.push_screen(HelpScreen(scope))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every action that is possible now, then Textual's own."""
        scope = getattr(screen, "SCOPE", "")
        for action in actions.of_scope(scope):
            target = screen
            if action.palette and isinstance(target, Acting) and not target.why_not(action.id):
                yield _command(self, scope.title(), action, target)
        for action in actions.of_scope("app"):
            if action.palette:
                yield _command(self, "Hubman", action, self)


def _command(app: HubmanApp, group: str, action: actions.Action, target: Acting) -> SystemCommand:
    """``Library: edit the tags``, with its keys."""
    from tui.keymap import shown_keys

    title = f"{group}: {action.description[0].lower()}{action.description[1:]}"
    return SystemCommand(title, f"key {' '.join(shown_keys(app, action))}", _caller(target, action.id))


def _caller(target: Acting, action_id: str) -> Callable[[], Awaitable[None]]:
    return lambda: target.action_act(action_id)
