"""How the terminal can draw a picture: by blocks everywhere, one large picture by a real protocol where it has one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Method = Literal["off", "blocks", "kitty", "sixel"]
NARROW = 60
"""Columns below which nothing is drawn."""


@dataclass(frozen=True)
class Pictures:
    """``method`` is how, ``reason`` why. ``ask``: only the terminal knows, :func:`find` asks it."""

    method: Method
    reason: str
    ask: bool = False


def choose(setting: str, environ: Mapping[str, str], *, is_terminal: bool, columns: int) -> Pictures:
    """What ``setting`` (one of :data:`hubman.config.PICTURES`) comes to in this environment, without asking anyone."""
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    told = _plain(setting, term, columns if is_terminal else NARROW, is_terminal=is_terminal)
    if told is not None:
        return told
    unfit = _unfit(environ, term, program, is_terminal=is_terminal)
    if unfit:
        return Pictures("blocks", unfit)
    if setting in {"kitty", "sixel"}:
        return Pictures("kitty" if setting == "kitty" else "sixel", "as set")
    known = _without(environ, term, program)
    return Pictures("blocks", f"{known} has no picture protocol") if known else Pictures("blocks", "asked", ask=True)


def _plain(setting: str, term: str, columns: int, *, is_terminal: bool) -> Pictures | None:
    """Where the setting or the size settles it."""
    if setting == "off":
        return Pictures("off", "switched off")
    if is_terminal and term in {"", "dumb", "unknown"}:
        return Pictures("off", f"TERM is {term or 'not set'}")
    if columns < NARROW:
        return Pictures("off", f"{columns} columns are too few")
    if setting == "blocks":
        return Pictures("blocks", "as set")
    if setting == "iterm":
        return Pictures("blocks", "textual-image does not speak iTerm2's protocol; iTerm2 also takes pictures = sixel")
    return None


def _unfit(environ: Mapping[str, str], term: str, program: str, *, is_terminal: bool) -> str:
    """Why no protocol would come through, if so."""
    if program == "textual":
        return "a browser shows blocks"
    if environ.get("TMUX") or environ.get("STY") or term.startswith(("tmux", "screen")):
        return "tmux and screen pass no pictures on"
    return "" if is_terminal else "the output is no terminal"


def _without(environ: Mapping[str, str], term: str, program: str) -> str:
    """The name of a terminal that is known to have no protocol: it need not be asked, which takes up to 0.3 s."""
    if program == "Apple_Terminal" or term.startswith("alacritty"):
        return program or term
    if environ.get("TERMINAL_EMULATOR", "").startswith("JetBrains"):
        return "JetBrains' terminal"
    if term in {"linux", "vt100", "vt220", "ansi", "cygwin"}:
        return term
    return ""


def find(setting: str) -> Pictures:
    """:func:`choose` for this process; asks the terminal where only it knows. Call it before the TUI takes the terminal.

    textual-image asks when it is imported, so that it is imported here and only for a protocol.
    """
    stdout = sys.__stdout__
    is_terminal = stdout is not None and stdout.isatty()
    columns = os.get_terminal_size(stdout.fileno()).columns if stdout is not None and is_terminal else 80
    found = choose(setting, os.environ, is_terminal=is_terminal, columns=columns or 80)
    if not found.ask and found.method not in {"kitty", "sixel"}:
        return found
    # The widgets' module measures the cells, which the terminal also has to be asked for.
    from textual_image import renderable
    from textual_image import widget as _  # noqa: F401

    if not found.ask:
        return found
    if renderable.Image is renderable.SixelImage:
        return Pictures("sixel", "the terminal says that it has it")
    if renderable.Image is renderable.TGPImage:
        return Pictures("kitty", "the terminal says that it has it")
    return Pictures("blocks", "the terminal names no picture protocol")
