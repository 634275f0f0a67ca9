"""Put downloads into the queue that all terminals share, and have it worked off."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.database import Registry
    from registry.pull_queue import PullItem
    from tui.screens.base import HubScreen


def queue_pull(
    screen: HubScreen, ref: str, title: str, *, site: str | None = None, done: Callable[[], object] | None = None
) -> None:
    """Queue what ``ref`` names, of ``site`` as :func:`hubman.civitai.session.connect` takes it."""

    def work(registry: Registry) -> list[PullItem]:
        from hubman.civitai import queue

        found = queue.add(registry, [ref], site=site, into=None, titles={ref: title})
        queue.start(registry)
        return found

    def queued(items: list[PullItem]) -> None:
        if any(item.state == "paused" for item in items):
            screen.say(f"{title} is in the queue, and paused: Q in Civitai shows it", private="it is paused")
        else:
            screen.say(f"queued: {title}", private="queued")
        screen.hub.poll_soon()
        if done is not None:
            done()

    screen.change(work, queued)
