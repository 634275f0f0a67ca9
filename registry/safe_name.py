"""A file name that came from elsewhere, made harmless on every system."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

from registry.errors import HubError

ENDINGS = frozenset({".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin"})
MAX_BYTES = 120

_FORBIDDEN = frozenset('/\\:*?"<>|')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
)


def safe_name(name: str, *, fallback: str = "model") -> str:
    """``name`` without separators, controls, leading dots or dashes, trailing dots or spaces, reserved names.

    NFC, at most :data:`MAX_BYTES` bytes, with an ending out of :data:`ENDINGS` (``.bin`` is added where there is
    none). The result is never empty, and the same for the same name everywhere. ``safe_name(safe_name(x))`` is
    ``safe_name(x)``.
    """
    clean = _clean(name)
    ending = PurePosixPath(clean.strip(" .")).suffix.lower()
    stem = clean.strip(" .")[: -len(ending)] if ending in ENDINGS else clean
    ending = ending if ending in ENDINGS else ".bin"
    return (_stem(stem, MAX_BYTES - len(ending)) or fallback) + ending


def safe_part(name: str, *, fallback: str) -> str:
    """``name`` as the name of a folder, or of a file without its ending, by the same rules."""
    return _stem(_clean(name), MAX_BYTES) or fallback


def _clean(name: str) -> str:
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    return "".join("_" if char in _FORBIDDEN else char for char in text if _is_printable(char))


def _stem(text: str, size: int) -> str:
    stem = _cut(text.lstrip(" .-").rstrip(" ."), size).rstrip(" .")
    if stem.split(".", 1)[0].rstrip(" ").lower() in _RESERVED:
        stem = _cut("_" + stem, size).rstrip(" .")
    return stem


def with_suffix(name: str, suffix: str) -> str:
    """A safe name with ``-suffix`` before its ending, still within :data:`MAX_BYTES`."""
    path = PurePosixPath(name)
    return _cut(path.stem, MAX_BYTES - len(path.suffix) - len(suffix) - 1).rstrip(" .") + f"-{suffix}{path.suffix}"


def place_under(folder: Path, name: str) -> Path:
    """The path of ``name`` in ``folder``. Raises :class:`HubError` where that would be anywhere else."""
    path = folder / name
    if path.parent != folder or path.is_symlink():
        raise HubError(f"{name} can't be placed in {folder}", "is there a link of that name?")
    return path


def _is_printable(char: str) -> bool:
    return not unicodedata.category(char).startswith("C")


def _cut(text: str, size: int) -> str:
    return unicodedata.normalize("NFC", text.encode()[:size].decode("utf-8", "ignore"))
