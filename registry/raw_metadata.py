"""What a file's header says word for word, with embedded pictures told by their size only."""

from __future__ import annotations

from pathlib import Path

from registry.errors import DamagedFileError
from registry.headers import read_header
from registry.places import PRESENT
from registry.records import FileRow
from registry.scan_read import EMBEDDED_PICTURES

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_")
_LONG = 2_000
"""Characters above which a text without a space is taken for encoded bytes."""


def of_file(file: FileRow) -> list[tuple[str, str]]:
    """(name, value) pairs by name, from the file where it lies here, else as far as the registry has kept them."""
    return [(name, told(name, value)) for name, value in sorted(_metadata(file).items())]


def told(name: str, value: str) -> str:
    """A value as it may be shown: pictures and other encoded bytes as a remark."""
    if value and (name in EMBEDDED_PICTURES or value.startswith("data:image")):
        return f"a picture of {len(value):,} characters"
    if len(value) > _LONG and " " not in value[:_LONG] and _BASE64.issuperset(value[:_LONG]):
        return f"encoded bytes of {len(value):,} characters"
    return value


def _metadata(file: FileRow) -> dict[str, str]:
    if file.format == "safetensors":
        for place in file.places:
            if place.state == PRESENT:
                try:
                    return read_header(Path(place.path)).metadata
                except (OSError, DamagedFileError):
                    continue
    return file.metadata
