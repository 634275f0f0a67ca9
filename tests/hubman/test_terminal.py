from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman import config, terminal

_KITTY = {"TERM": "xterm-kitty"}
_PLAIN = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("setting", "environ", "is_terminal", "columns", "method", "asks"),
    [
        ("auto", _KITTY, True, 120, "blocks", True),
        ("auto", _PLAIN, True, 120, "blocks", True),
        ("auto", _PLAIN, False, 120, "blocks", False),
        ("auto", {**_KITTY, "TMUX": "/tmp/tmux-1/default,1,0"}, True, 120, "blocks", False),  # noqa: S108
        ("auto", {"TERM": "screen-256color"}, True, 120, "blocks", False),
        ("auto", {**_PLAIN, "TERM_PROGRAM": "textual"}, True, 120, "blocks", False),
        ("auto", {"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, True, 120, "blocks", False),
        ("auto", {"TERM": "linux"}, True, 120, "blocks", False),
        ("auto", {"TERM": "dumb"}, True, 120, "off", False),
        ("auto", {}, True, 120, "off", False),
        ("auto", _KITTY, True, 40, "off", False),
        ("kitty", _PLAIN, True, 120, "kitty", False),
        ("sixel", _PLAIN, True, 120, "sixel", False),
        ("kitty", {**_PLAIN, "TMUX": "x"}, True, 120, "blocks", False),
        ("sixel", {**_PLAIN, "TERM_PROGRAM": "textual"}, True, 120, "blocks", False),
        ("kitty", _PLAIN, False, 120, "blocks", False),
        ("iterm", {**_PLAIN, "TERM_PROGRAM": "iTerm.app"}, True, 120, "blocks", False),
        ("blocks", _KITTY, True, 120, "blocks", False),
        ("off", _KITTY, True, 120, "off", False),
    ],
)
def test_the_protocol_follows_from_setting_and_environment(
    setting: str, environ: dict[str, str], is_terminal: bool, columns: int, method: str, asks: bool
) -> None:
    found = terminal.choose(setting, environ, is_terminal=is_terminal, columns=columns)
    assert (found.method, found.ask) == (method, asks)
    assert found.reason


def test_iterm_is_told_what_to_use_instead() -> None:
    found = terminal.choose("iterm", _PLAIN, is_terminal=True, columns=100)
    assert "iTerm2" in found.reason
    assert "sixel" in found.reason


@given(
    st.sampled_from(config.PICTURES),
    st.dictionaries(st.sampled_from(["TERM", "TERM_PROGRAM", "TMUX", "STY"]), st.text()),
)
def test_what_is_no_terminal_is_never_asked_and_gets_no_protocol(setting: str, environ: dict[str, str]) -> None:
    found = terminal.choose(setting, environ, is_terminal=False, columns=80)
    assert not found.ask
    assert found.method in {"off", "blocks"}


def test_textual_image_is_imported_for_a_protocol_only(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom hubman import terminal\nfrom tui.app import HubmanApp\n"
        "print([terminal.find(s).method for s in ('auto', 'blocks', 'iterm', 'off')], 'textual_image' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"


def test_settings_come_from_the_file_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / config.FILE).write_text('pictures = "off"\nnsfw = "r"\nprivacy = true\n')
    found, problems = config.settings(tmp_path, {"HUBMAN_NSFW": "XXX"})
    assert found == config.Settings(pictures="off", nsfw="xxx", privacy=True)
    assert problems == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pictures = 3", "pictures can't be 3"),
        ('nsfw = "pg-99"', "use one of pg, pg13"),
        ('pictres = "off"', "did you mean pictures?"),
        ("privacy = 'maybe'", "privacy can't be"),
        ("not toml", "can't be read"),
    ],
)
def test_a_wrong_setting_is_named_and_its_default_stands(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / config.FILE).write_text(text)
    found, problems = config.settings(tmp_path, {})
    assert found == config.Settings()
    assert len(problems) == 1
    assert said in problems[0]


@given(st.text())
def test_any_value_of_the_environment_gives_settings(text: str) -> None:
    found, problems = config.settings(Path("nowhere"), {"HUBMAN_PICTURES": text, "HUBMAN_PRIVACY": text})
    assert found.pictures in config.PICTURES
    assert len(problems) <= 2
