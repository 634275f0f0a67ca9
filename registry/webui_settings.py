"""Where other programs' own settings say that their models lie. What can't be read or understood says nothing."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 1 << 20

Sections = dict[str, dict[str, str]]


def command_line(folder: Path) -> Iterator[tuple[str, Path]]:
    """(option such as ``lora-dir``, folder) of the arguments that A1111 and Forge are started with.

    They stand in ``webui-user.sh`` as ``export COMMANDLINE_ARGS="…"`` and in ``webui-user.bat`` as
    ``set COMMANDLINE_ARGS=…``; the last line that is no comment counts.
    """
    for name in ("webui-user.sh", "webui-user.bat"):
        lines = [line.strip() for line in text_of(folder / name).splitlines()]
        given = [match[1] for line in lines if (match := _ARGUMENTS.match(line))]
        yield from _options(folder, given[-1] if given else "")


_ARGUMENTS = re.compile(r"(?:export|set)\s+\"?COMMANDLINE_ARGS=(.*)", re.IGNORECASE)


def _options(folder: Path, text: str) -> Iterator[tuple[str, Path]]:
    if text[:1] in {'"', "'"} and text.rstrip().endswith(text[0]):
        text = text.rstrip()[1:-1].replace('\\"', '"')
    try:
        words = shlex.split(text, posix=True)
    except ValueError:
        return
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if not name.startswith("--") or "-dir" not in name:
            continue
        value = value if equals else next(iter(words[at + 1 : at + 2]), "")
        if value and not value.startswith("--"):
            yield name.removeprefix("--"), folder / _expanded(value)


def extra_paths(file: Path) -> Iterator[tuple[str, Path]]:
    """(kind of ComfyUI such as ``loras``, folder) of an ``extra_model_paths.yaml``, as ComfyUI takes them."""
    for section in yaml_sections(text_of(file)).values():
        base = file.parent / _expanded(section.get("base_path", ""))
        for key, value in section.items():
            if key not in {"base_path", "is_default"}:
                yield from ((key, base / _expanded(line)) for line in value.splitlines() if line.strip())


def yaml_sections(text: str) -> Sections:
    """The part of YAML that such files use: sections of ``key: value``, quotes, comments, and blocks after ``|``."""
    found: Sections = {}
    section: dict[str, str] = {}
    key, key_indent, is_block = "", 0, False
    for line in text.expandtabs(4).splitlines():
        content = line.strip()
        indent = len(line) - len(line.lstrip())
        if is_block and content and indent > key_indent:
            section[key] += f"{content}\n"
            continue
        name, colon, value = content.partition(":")
        if not content or content.startswith("#") or not colon:
            continue
        is_block = False
        if indent == 0:
            section = found.setdefault(_scalar(name), {})
            continue
        key, key_indent = _scalar(name), indent
        is_block = value.strip()[:1] in {"|", ">"}
        section[key] = "" if is_block else _scalar(value)
    return found


def _scalar(text: str) -> str:
    text = text.strip()
    if text[:1] in {'"', "'"}:
        return text[1:].partition(text[0])[0]
    return re.split(r"\s#|^#", text, maxsplit=1)[0].strip()


def swarm_paths(folder: Path) -> dict[str, list[str]]:
    """The ``Paths`` of SwarmUI's ``Data/Settings.fds``: name to its folders, which a semicolon separates."""
    found: dict[str, list[str]] = {}
    for line in text_of(folder / "Data" / "Settings.fds").splitlines():
        match = _SWARM.match(line)
        if match:
            found[match[1]] = [part.strip() for part in match[2].split(";") if part.strip()]
    return found


_SWARM = re.compile(r"\s*(ModelRoot|OutputPath|SD\w+Folder)\s*:\s*(.*\S)")


def invoke_models(folder: Path) -> Path:
    """InvokeAI's folder of models: ``models_dir`` of its ``invokeai.yaml``, else ``models``."""
    match = re.search(r"^\s*models_dir:\s*(.+)$", text_of(folder / "invokeai.yaml"), re.MULTILINE)
    return folder / _expanded(_scalar(match[1]) if match else "models")


def text_of(path: Path) -> str:
    """The start of a settings file, or nothing."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError:
        return ""


def _expanded(text: str) -> str:
    """``~`` and ``$VARIABLE`` filled in, as the programs do; NUL would make every later call fail."""
    return os.path.expandvars(os.path.expanduser(text.strip())).replace("\0", "")  # noqa: PTH111 - a text stays a text
