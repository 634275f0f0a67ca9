"""What the screens of Civitai share: the sessions with the site, the strip of downloads, queueing one."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from tui import formats, pulls
from tui.pulls import Pulls
from tui.screens import handing, level_menu, queueing
from tui.screens.base import HubScreen
from tui.widgets.queue_strip import QueueStrip

if TYPE_CHECKING:
    from textual.timer import Timer

    from registry.pull_queue import PullItem
    from tui.services.civitai_link import Link

_OFTEN = 0.5
"""Seconds between looks at the queue while something moves in it."""


class CivitaiBase(HubScreen):
    """Over a site: None is the configured one, ``sandbox`` the local one."""

    site: str | None = None
    pulls: Pulls = Pulls()
    _timer: Timer | None = None

    @property
    def link(self) -> Link:
        return self.hub.link

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.look_at_pulls()
        if self.hub.polls:
            self._timer = self.set_interval(_OFTEN, self._tick)

    def on_screen_suspend(self) -> None:
        super().on_screen_suspend()
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _tick(self) -> None:
        if self.pulls.is_busy:
            self.look_at_pulls()

    def show_changes(self) -> None:
        self.look_at_pulls()

    # the queue ----------------------------------------------------------------------------------------------------

    def look_at_pulls(self) -> None:
        self.in_thread(pulls.read, self._show_pulls, group="pulls")

    def _show_pulls(self, items: Sequence[PullItem]) -> None:
        before = self.pulls
        self.pulls = before.then(items, monotonic())
        for strip in self.query(QueueStrip):
            strip.pulls = self.pulls
        done = {item.id for item in before.items if item.state == "done"}
        self.show_pulls()
        if before.at and any(item.state == "done" and item.id not in done for item in items):
            self.show_arrivals()

    def show_pulls(self) -> None:
        """Called when the queue was looked at."""

    def show_arrivals(self) -> None:
        """Called when a download has ended well."""

    def queue_pull(self, ref: str, title: str) -> None:
        """Put a download into the queue, and make sure that somebody works it off."""
        queueing.queue_pull(self, ref, title, site=self.site, done=self.look_at_pulls)

    def do_queue(self) -> None:
        from tui.screens.civitai_queue import QueueScreen

        self.app.push_screen(QueueScreen(), lambda _: self.look_at_pulls())

    # handing on ---------------------------------------------------------------------------------------------------

    async def copy_address(self, address: str) -> None:
        await handing.copy_text(self, address)

    def open_address(self, address: str) -> None:
        handing.open_target(self, address)

    def do_level(self) -> None:
        level_menu.choose(self)


def page_address(site: str, model: int, version: int = 0) -> str:
    """The address of a model's page, at a version of it."""
    return f"{site}/models/{model}" + (f"?modelVersionId={version}" if version else "")


def called(name: str, number: int) -> str:
    """A name of the site's on one line; its number where it has none."""
    return formats.one_line(name) or f"model {number}"
