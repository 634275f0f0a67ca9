"""The folders where other programs put the pictures that they draw."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from registry import roots
from registry.errors import UsageError
from registry.webui_settings import command_line, swarm_paths, text_of

_INSIDE = ("ComfyUI", "Data", "webui")


def outputs(preset: str, base: Path) -> list[Path]:
    """The folders of pictures of the program ``preset`` in ``base``; only those that exist, none inside another.

    Raises :class:`UsageError` for an unknown program and for a folder without any.
    """
    if preset not in PRESETS:
        raise UsageError(f"there is no preset {preset}", f"use one of {', '.join(PRESETS)}")
    full = roots.absolute(base)
    for candidate in (full, *(full / name for name in _INSIDE)):
        found = _outermost(PRESETS[preset](candidate))
        if found:
            return found
    raise UsageError(f"{base} has no folder of pictures of {preset}", "give the folder where it is installed")


def _outermost(wanted: Iterator[Path]) -> list[Path]:
    found: dict[str, Path] = {}
    for folder in wanted:
        path = roots.absolute(folder)
        if path.is_dir() and roots.is_text(str(path)):
            found.setdefault(os.path.realpath(path), path)
    inside = {real for real in found for other in found if real != other and real.startswith(f"{other.rstrip('/')}/")}
    return sorted(path for real, path in found.items() if real not in inside)


def _webui(base: Path) -> Iterator[Path]:
    data = [base, *(path for option, path in command_line(base) if option == "data-dir")]
    for folder in data:
        yield folder / "outputs"
        yield folder / "output"
        yield folder / "log" / "images"
        for stated in _stated(folder / "config.json"):
            yield folder / stated


_OUTDIRS = (
    "outdir_samples", "outdir_txt2img_samples", "outdir_img2img_samples", "outdir_extras_samples", "outdir_save",
)  # fmt: skip


def _stated(settings: Path) -> Iterator[str]:
    """What A1111's and Forge's ``config.json`` names; grids repeat pictures that are saved one by one as well."""
    try:
        content = msgspec.json.decode(text_of(settings) or "{}", type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return
    for name in _OUTDIRS:
        value = content.get(name)
        if isinstance(value, str) and value and "\0" not in value:
            yield value


def _comfyui(base: Path) -> Iterator[Path]:
    yield base / "output"


def _invokeai(base: Path) -> Iterator[Path]:
    match = re.search(r"^\s*outputs_dir:\s*['\"]?([^'\"\n#]+)", text_of(base / "invokeai.yaml"), re.MULTILINE)
    yield base / (match[1].strip().replace("\0", "") if match else "outputs") / "images"


def _stabilitymatrix(base: Path) -> Iterator[Path]:
    """Its own folder of pictures, and those of the programs that it installed."""
    yield base / "Images"
    packages = base / "Packages"
    try:
        names = sorted(os.listdir(packages))  # noqa: PTH208 - paths stay texts here
    except OSError:
        return
    for name in names:
        yield packages / name / "outputs"
        yield packages / name / "output"


def _swarmui(base: Path) -> Iterator[Path]:
    for folder in swarm_paths(base).get("OutputPath", ["Output"]):
        yield base / folder


PRESETS: dict[str, Callable[[Path], Iterator[Path]]] = {
    "a1111": _webui,
    "forge": _webui,
    "comfyui": _comfyui,
    "invokeai": _invokeai,
    "stabilitymatrix": _stabilitymatrix,
    "swarmui": _swarmui,
}
"""Program to what finds its folders of pictures below the folder where it is installed."""
