"""Where hubman keeps its data, and what a person set in ``config.toml`` there or in the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

PICTURES = ("auto", "blocks", "kitty", "sixel", "iterm", "off")
NSFW = ("pg", "pg13", "r", "x", "xxx")
DEVICES = ("auto", "cpu", "cuda", "mps")
FILE = "config.toml"


def home() -> Path:
    """``$HUBMAN_HOME``, or the platform's folder for user data."""
    chosen = os.environ.get("HUBMAN_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("hubman")


@dataclass(frozen=True)
class Settings:
    """Each can be set by ``name = value`` in ``config.toml``, and for one start by ``$HUBMAN_NAME``."""

    pictures: str = "auto"
    """How pictures are drawn: one of :data:`PICTURES`."""
    nsfw: str = "pg13"
    """The highest level of pictures that are shown uncovered: one of :data:`NSFW`."""
    privacy: bool = False
    """Whether the TUI starts in privacy mode."""
    pull_into: str = ""
    """The folder for what is pulled; by default one that hubman keeps."""
    pull_path: str = ""
    """The path below it, a template such as ``{base}/{creator}/{name}``; by default the site's name of the file."""
    sync_into: str = ""
    """The folder for weights that sync fetches; by default one that hubman keeps."""
    sync_path: str = ""
    """The path below it, a template such as ``{base}/{type}/{name}``; by default the file's name."""
    pull_format: str = "SafeTensor"
    """The format of files that is taken where a version has several; so are size, precision and quantisation."""
    pull_size: str = "pruned"
    pull_fp: str = "fp16"
    pull_quant: str = "Q4_K_M"
    pull_rate: str = "0"
    """Bytes a second that downloads take at most, such as ``5M``; 0 for no limit."""
    pull_connections: str = "4"
    """Connections that one download opens at most."""
    trainings: str = "1"
    """How many trainings run at once; the others wait for their turn."""
    grid_seconds: str = "0"
    """How long a grid may take before hubman asks whether to draw it; 0 for no limit."""
    engine_idle: str = "600"
    """Seconds that the engine stays without work before it ends; 0 for ever."""
    device: str = "auto"
    """What the engine draws with: one of :data:`DEVICES`."""
    compile: bool = False
    """Whether the engine compiles the denoiser: some minutes for the first picture of a size, then faster ones."""
    archive_images: bool = False
    """Whether ``enrich`` keeps the example pictures of every version, also where there are pictures already."""


_CHOICES = {
    "pictures": PICTURES, "nsfw": NSFW, "device": DEVICES, "pull_size": ("pruned", "full"),
    "pull_connections": tuple(str(number) for number in range(1, 9)),
    "trainings": tuple(str(number) for number in range(1, 17)),
}  # fmt: skip
_TEXTS = frozenset(
    {"pull_into", "pull_path", "sync_into", "sync_path", "pull_format", "pull_fp", "pull_quant", "pull_rate"}
)
_SECONDS = frozenset({"engine_idle", "grid_seconds"})
_TRUTH = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}


def settings(folder: Path, environ: Mapping[str, str] | None = None) -> tuple[Settings, list[str]]:
    """The settings, and what is wrong with them, a line each; the default stands where something is."""
    values, problems = _file(folder / FILE)
    names = [field.name for field in fields(Settings)]
    told = {name: (value, FILE) for name, value in values.items()}
    for name in names:
        variable = f"HUBMAN_{name.upper()}"
        text = (os.environ if environ is None else environ).get(variable, "").strip()
        if text:
            told[name] = (text, f"${variable}")
    values_of: dict[str, Any] = {}
    for name, (value, where) in told.items():
        if name not in names:
            near = get_close_matches(name, names, 1)
            problems.append(
                f"{where}: there is no setting {name}: " + (f"did you mean {near[0]}?" if near else "remove it")
            )
            continue
        parsed = _parsed(name, value)
        if parsed is None:
            choices = ("a text",) if name in _TEXTS else _CHOICES.get(name, ("true", "false"))
            choices = ("a number of seconds",) if name in _SECONDS else choices
            problems.append(f"{where}: {name} can't be {value!r}: use one of {', '.join(choices)}")
        else:
            values_of[name] = parsed
    return Settings(**values_of), problems


def is_set(folder: Path, name: str) -> bool:
    """Whether a person chose the setting ``name``, rather than its default standing."""
    return bool(os.environ.get(f"HUBMAN_{name.upper()}", "").strip()) or name in _file(folder / FILE)[0]


def _file(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        return tomllib.loads(path.read_text()), []
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return {}, [f"{path.name} can't be read ({error}): mend it; the defaults apply"]


def _parsed(name: str, value: object) -> str | bool | None:
    if name in _CHOICES:
        text = str(value).lower()
        return text if text in _CHOICES[name] else None
    if name in _SECONDS:
        text = str(value)
        return text if text.isascii() and text.isdigit() else None
    if name in _TEXTS:
        return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    return value if isinstance(value, bool) else _TRUTH.get(str(value).lower())
