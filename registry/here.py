"""Where the content of a file of the library lies on this machine now."""

from __future__ import annotations

from pathlib import Path

from registry.records import FileRow, VersionRow


def place_of(file: FileRow) -> Path | None:
    """The first place that has it: what was there at the last scan and still is. None where none has."""
    places = (Path(place.path) for place in file.places if place.state == "present")
    return next((place for place in places if place.is_file()), None)


def file_of(version: VersionRow) -> tuple[FileRow, Path] | None:
    """The first of a version's files that is here, and where."""
    return next(((file, place) for file in version.files if (place := place_of(file))), None)
