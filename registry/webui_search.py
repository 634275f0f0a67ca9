"""Find the programs with model folders that are installed on this machine, by what their folders hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from registry.errors import UsageError
from registry.webui_settings import text_of
from registry.webuis import ModelFolder, folders


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """A program that was found, with its model folders."""

    preset: str
    base: Path
    folders: tuple[ModelFolder, ...]


_USUAL = (
    "", "Documents", "Desktop", "Downloads", "AI", "ai", "Apps", "apps", "Applications", "Games", "Programs", "bin", "code",
    "dev", "git", "github", "projects", "repos", "src", "tools", "workspace", "pinokio/api", ".config", ".local/share",
    "AppData/Roaming", "Library/Application Support",
)  # fmt: skip
_SHARED = ("/opt", "/srv", "/workspace", "/data", "/mnt", "/media", "/Applications")
_MOST = 500
"""Folders looked at in one place: more than that is no place where programs are installed."""

_MARKS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    ("forge", (("webui.py", "modules_forge"),)),
    ("a1111", (("webui.py", "modules", "models"), ("webui-user.sh", "models"), ("webui-user.bat", "models"))),
    ("comfyui", (("folder_paths.py", "comfy"), ("custom_nodes", "models"), ("extra_models_config.yaml",))),
    ("invokeai", (("invokeai.yaml",), ("databases", "models"))),
    ("stabilitymatrix", (("Models", "Packages"),)),
    ("swarmui", (("Models", "src", "launchtools"), ("Models", "Data/Settings.fds"))),
)
"""Program to what its folder holds, any one of the alternatives; the first program that fits is meant."""


def find(home: Path) -> list[Installation]:
    """The programs in the usual places of this machine and of the person whose folder is ``home``; sorted by folder."""
    found: dict[str, Installation] = {}
    for base in _candidates(home):
        preset = program_in(base)
        real = os.path.realpath(base)
        if preset is None or real in found:
            continue
        try:
            found[real] = Installation(preset=preset, base=base, folders=tuple(folders(preset, base)))
        except UsageError:
            continue
    return sorted(found.values(), key=lambda one: str(one.base))


def program_in(base: Path) -> str | None:
    """The preset of the program that is installed in ``base``, if one is."""
    for preset, alternatives in _MARKS:
        if any(all((base / name).exists() for name in marks) for marks in alternatives):
            return preset
    return None


def _candidates(home: Path) -> Iterator[Path]:
    for place in [*(home / name for name in _USUAL), *map(Path, _SHARED)]:
        for child in _folders_in(place):
            yield child
            yield from (child / name for name in ("ComfyUI", "Data", "webui"))
            if place in {Path("/mnt"), Path("/media")}:
                # A drive, or a person's drives.
                yield from _folders_in(child)
    for settings in (home / ".config", home / "AppData" / "Roaming"):
        library = _library(settings / "StabilityMatrix" / "library.json")
        if library is not None:
            yield library


def _folders_in(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as listing:
            return sorted(Path(entry.path) for entry, _ in zip(listing, range(_MOST), strict=False) if entry.is_dir())
    except OSError:
        return []


def _library(file: Path) -> Path | None:
    """Where StabilityMatrix was told to keep its data."""
    try:
        content = msgspec.json.decode(text_of(file) or "{}", type=dict[str, object])
    except msgspec.DecodeError:
        return None
    path = content.get("LibraryPath")
    return Path(path) if isinstance(path, str) and path and "\0" not in path else None
