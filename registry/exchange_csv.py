"""A table for spreadsheets: one row a version, with what is shown of it; taking it in changes only what differs.

A text that a spreadsheet would take for a formula gets a quote before it, which is taken off again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from registry import edits, exchange_match, fields, library
from registry.database import Registry
from registry.edits import Planned, Target
from registry.errors import UsageError
from registry.exchange import FileLine, file_line
from registry.exchange_import import Unmatched
from registry.journal import Entry
from registry.records import ModelDetail, VersionRow

IDENTITY = ("version", "sha256", "autov3", "civitai_version_id", "file", "size", "paths")
SHOWN = ("collections",)
"""Told and not taken in again: collections are edited by their own commands."""

_FIRST = ("name", "version_name", "base_model")
EDITABLE = (*_FIRST, *(name for name in fields.editable_names() if name not in _FIRST))
COLUMNS = (*EDITABLE, *SHOWN, *IDENTITY)
_FORMULA = "=+-@\t\r"
_LONGEST = 1 << 24


class Row(msgspec.Struct, frozen=True):
    """What one row changes: texts as a person would type them."""

    line: int
    target: Target
    assignments: dict[str, str]


class Plan(msgspec.Struct, frozen=True):
    """``changes`` is what :func:`carry_out` would do with ``rows``; ``ignored`` are columns that are not known."""

    rows: tuple[Row, ...]
    changes: tuple[Planned, ...]
    unmatched: tuple[Unmatched, ...]
    ignored: tuple[str, ...]


def guarded(text: str) -> str:
    """``text`` with a quote before it where a spreadsheet would compute it, or where it begins with such a quote."""
    return f"'{text}" if text[:1] and text[0] in _FORMULA + "'" and not _is_number(text) else text


def unguarded(text: str) -> str:
    """The text that :func:`guarded` was given."""
    return text[1:] if len(text) > 1 and text[0] == "'" and text[1] in _FORMULA + "'" else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-\d+(\.\d+)?", text) is not None


def table(registry: Registry, models: Sequence[str]) -> Iterator[str]:
    """The lines of the table, the first with the names of the columns."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    for row in [list(COLUMNS), *_rows(registry, models)]:
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _rows(registry: Registry, models: Sequence[str]) -> Iterator[list[str]]:
    for model in models:
        detail = library.show(registry, model)
        for version in detail.versions:
            yield [guarded(value) for value in _values(detail, version).values()]


def _values(model: ModelDetail, version: VersionRow) -> dict[str, str]:
    file = version.files[0]
    return {
        **{name: edits.shown(name, model, version) for name in EDITABLE},
        "collections": "; ".join(model.collections),
        "version": version.id,
        "sha256": file_line(file).sha256,
        "autov3": file.autov3 or "",
        "civitai_version_id": str(version.civitai_id or ""),
        "file": file.name,
        "size": str(file.size),
        "paths": "; ".join(file_line(file).paths),
    }


def plan(registry: Registry, text: str) -> Plan:
    """What a table changes here: the columns that are there and known, where a cell differs from what is shown.

    Raises :class:`UsageError` for a table without a column by which files are found.
    """
    header, lines = _parsed(text)
    if not {"version", "sha256", "autov3", "civitai_version_id", "file"} & set(header):
        raise UsageError("the table has no column that tells which files it is about", "keep the column sha256")
    rows: list[Row] = []
    changes: list[Planned] = []
    unmatched: list[Unmatched] = []
    for number, cells in lines:
        values = {name: unguarded(cell) for name, cell in zip(header, cells, strict=False)}
        name = values.get("name", "") or values.get("file", "") or values.get("sha256", "")[:12] or f"row {number}"
        version_id = _version_of(registry, values)
        if version_id is None:
            reason = "no file here is this one: scan its folder, then import again"
            unmatched.append(Unmatched(line=number, name=name, reason=reason))
            continue
        target = (library.version(registry, version_id).model_id, version_id)
        try:
            row = Row(number, target, _differing(registry, target, values))
            changes += edits.plan_edit(registry, [target], row.assignments)
            rows.append(row)
        except UsageError as error:
            unmatched.append(Unmatched(line=number, name=name, reason=str(error)))
    ignored = tuple(name for name in header if name not in COLUMNS)
    return Plan(tuple(row for row in rows if row.assignments), tuple(changes), tuple(unmatched), ignored)


def carry_out(registry: Registry, found: Plan, label: str) -> Entry | None:
    """Change what is planned, as one entry of the journal; None if there is nothing to change."""
    return edits.edit_each(registry, [(row.target, row.assignments) for row in found.rows], label)


def _parsed(text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """(names of columns, (line, cells)), by the delimiter that gives the most names that are known."""
    csv.field_size_limit(_LONGEST)
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=lambda one: len(set(COLUMNS) & {name.strip() for name in first.strip("\r").split(one)}))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise UsageError(f"line {reader.line_num} is no line of a table ({error})", "save it as CSV again") from error
    header = [name.strip().strip('"') for name in rows[0][1]] if rows else []
    return header, rows[1:]


def _version_of(registry: Registry, values: Mapping[str, str]) -> str | None:
    number = values.get("civitai_version_id", "")
    size = values.get("size", "")
    file = FileLine(
        sha256=values.get("sha256", ""),
        autov3=values.get("autov3") or None,
        name=values.get("file", ""),
        size=int(size) if size.isascii() and size.isdigit() and len(size) < 19 else 0,
    )
    civitai = int(number) if number.isascii() and number.isdigit() and len(number) < 16 else None
    found = exchange_match.version_of(registry.db, [file], civitai)
    if found is None and values.get("version"):
        row = registry.db.execute("SELECT id FROM versions WHERE id = ?", (values["version"],)).fetchone()
        return row[0] if row else None
    return found


def _differing(registry: Registry, target: Target, values: Mapping[str, str]) -> dict[str, str]:
    model = library.show(registry, target[0])
    version = next(one for one in model.versions if one.id == target[1])
    found = {}
    for name in EDITABLE:
        if name in values:
            before = edits.shown(name, model, version)
            if _lines(values[name]) != _lines(before):
                found[name] = values[name]
    return found


def _lines(text: str) -> str:
    """A spreadsheet writes line breaks in its own way, and none at the ends of a cell."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
