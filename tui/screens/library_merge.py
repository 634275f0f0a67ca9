"""Merging the marked LoRAs: one line with each at its ratio, then a job."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from registry.errors import UsageError
from tui import formats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.database import Registry
    from tui.screens.base import HubScreen

HINT = 'Each LoRA and its ratio: ink:0.7 "paper wash":0.5. Up to rank 128 the sum is exact; negative ratios take away.'


def offer(screen: HubScreen, models: Sequence[str]) -> None:
    """Ask for the ratios of ``models``."""
    if len(models) < 2:
        screen.complain("mark the LoRAs to merge with space, two at least")
        return
    screen.in_thread(lambda registry: _line(registry, models), lambda line: _ask(screen, line), group="merge")


def _line(registry: Registry, models: Sequence[str]) -> str:
    """The models at ratio 1, each by a word that means it alone."""
    from registry import library

    return " ".join(shlex.quote(f"{library.word_for(registry, model)}:1") for model in models)


def _ask(screen: HubScreen, line: str) -> None:
    from tui.widgets.dialogs import Ask

    def done(text: str | None) -> None:
        if text:
            _start(screen, _words(text))

    screen.app.push_screen(Ask("merge", line, hint=HINT, check=_words), done)


def _words(text: str) -> list[str]:
    """Raises ``UsageError`` for a line without words or with a quote that is not closed."""
    from hubman.lora.derive.parents import split_ratio

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{text} can't be read ({error})", "close the quotes") from error
    if not words:
        raise UsageError("nothing is named to be merged", "name LoRAs, or leave with esc")
    for word in words:
        split_ratio(word)
    return words


def _start(screen: HubScreen, words: Sequence[str]) -> None:
    def work(registry: Registry) -> tuple[str, dict[str, object]]:
        import msgspec

        from hubman.lora.derive import planning

        request, known = planning.merge(registry, words, None, None, (), {})
        return " + ".join(one.parent.name for one in known), msgspec.to_builtins(request)

    def planned(found: tuple[str, dict[str, object]]) -> None:
        screen.start_job("merge", f"merge {formats.one_line(found[0])}", found[1])

    screen.in_thread(work, planned, group="merge")
