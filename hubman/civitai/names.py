"""File names from outside, made harmless: a name never chooses its folder, and works on every file system."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

WEIGHTS = frozenset({".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".zip", ".onnx"})
_LONGEST = 180
"""Bytes of a stem: file systems take 255 for a name, and sidecars append to it."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safe_name(name: str, *, fallback: str) -> str:
    """``name`` as a bare file name with a suffix that model files have.

    Folders, control characters, what Windows forbids and leading dots are gone; without a known suffix it gets
    ``.safetensors``. ``fallback`` is the stem when nothing is left.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    path = PurePosixPath(name.rsplit("/", 1)[-1])
    suffix = path.suffix.lower() if path.suffix.lower() in WEIGHTS else ".safetensors"
    stem = path.name[: -len(path.suffix)] if path.suffix.lower() in WEIGHTS else path.name
    stem = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in stem).strip(" .")
    stem = stem.encode("utf-8", "ignore")[:_LONGEST].decode("utf-8", "ignore").strip(" .")
    if not stem or _RESERVED.fullmatch(stem):
        stem = fallback
    return stem + suffix
