"""Write what is known of models into sidecars of other programs' dialects: the plan first, nothing foreign touched.

A file that is there is changed only where it says nothing, or where a person decided otherwise in hubman. It is left
alone if it is of another shape, does not parse, speaks of another file, or was changed since hubman read it.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from registry import edits, library, places, sidecar_reread, sidecar_store, written
from registry.database import Registry
from registry.errors import HubError, UsageError
from registry.journal import Entry
from registry.records import FileRow, ModelDetail, Place, VersionRow
from registry.sidecar_dialects import DIALECTS
from registry.sidecar_document import parse, render
from registry.sidecar_form import Known, changed_keys
from registry.sidecar_forms import WRITERS
from registry.sidecar_names import may_be_preview, preview_of, stem_of
from registry.sidecar_store import Row, cut
from registry.sidecar_values import Document
from registry.sidecars import is_hash

Action = Literal["create", "change", "none", "refuse"]


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One sidecar: made, changed in ``keys``, left as it is because it says so already, or not touched for ``reason``."""

    model: str
    name: str
    path: str
    dialect: str
    action: Action
    keys: tuple[str, ...] = ()
    reason: str = ""
    content: bytes | None = None
    """What the file would hold."""


def plan(registry: Registry, models: Sequence[str], dialects: Sequence[str] = ()) -> list[Planned]:
    """What would be written beside the files of these models, in these dialects or in those set to be written.

    Raises :class:`UsageError` for a dialect that can't be written, or if none is set.
    """
    chosen = _chosen(registry, dialects)
    lines = [
        line
        for model in (library.show(registry, one) for one in models)
        for version in model.versions
        for file in version.files
        for place in file.places
        if place.state == places.PRESENT
        for line in _beside(registry, model, version, file, place, chosen)
    ]
    counts = Counter(line.path for line in lines)
    return [_unless_shared(line, counts[line.path]) for line in lines]


def carry_out(registry: Registry, lines: Sequence[Planned]) -> Entry | None:
    """Write what is planned, as one entry of the journal; None if there is nothing to write. Raises :class:`HubError`."""
    writes = [(line.path, line.content) for line in lines if line.action in {"create", "change"}]
    if not writes:
        return None
    models = list(dict.fromkeys(line.model for line in lines if line.content is not None))
    label = f"{len(writes)} sidecars of {edits.names_of(registry, models)} written"
    entry = written.carry_out(registry, "write", label, models, writes)
    sidecar_reread.note_written(registry, [path for path, _ in writes])
    return entry


def _chosen(registry: Registry, dialects: Sequence[str]) -> list[str]:
    wrong = next((name for name in dialects if name not in WRITERS), None)
    if wrong:
        raise UsageError(f"{wrong} can't be written", f"use one of {', '.join(WRITERS)}")
    modes = sidecar_store.dialects(registry.db)
    chosen = list(dialects) or [name for name in WRITERS if modes[name] == "write"]
    if not chosen:
        raise UsageError(
            "no dialect is set to be written",
            "name one with --dialect, or choose for all time: hubman sidecar dialects metadata.json=write",
        )
    return chosen


def _unless_shared(line: Planned, count: int) -> Planned:
    if count < 2 or line.action == "refuse":
        return line
    return msgspec.structs.replace(
        line, action="refuse", keys=(), content=None, reason="it lies beside two files of this name"
    )


def _beside(
    registry: Registry, model: ModelDetail, version: VersionRow, file: FileRow, place: Place, chosen: Sequence[str]
) -> Iterator[Planned]:
    rows = sidecar_store.rows_of(registry.db, version.id)
    known = _known(model, version, file, Path(place.path), rows)
    for dialect in DIALECTS:
        if dialect.name not in chosen:
            continue
        folder, name = os.path.split(place.path)
        path = f"{folder.rstrip('/')}/{name if dialect.of_file else stem_of(name)}{dialect.ending}"
        line = Planned(model=model.id, name=model.name, path=path, dialect=dialect.name, action="refuse")
        if not is_hash(file.sha256):
            yield msgspec.structs.replace(line, reason="the model file is not hashed yet: hubman scan does that")
        elif known is None:
            yield msgspec.structs.replace(line, reason="the model file can't be looked at")
        else:
            yield _planned(line, known, next((row for row in rows if row.path == path), None))


def _known(model: ModelDetail, version: VersionRow, file: FileRow, path: Path, rows: Sequence[Row]) -> Known | None:
    try:
        status = path.stat()
        names = os.listdir(path.parent)  # noqa: PTH208 - paths stay texts here
    except OSError:
        return None
    decided = {
        name
        for item in (model, version)
        for name, source in item.sources.items()
        if source in {"user", "training", "sweep"}
    }
    for name, text in (("notes", model.notes), ("description", model.description)):
        if text and all(row.said.get(name) != cut(text) for row in rows):
            decided.add(name)
    preview = preview_of(path.name, {one.lower(): one for one in names if may_be_preview(one)})
    return Known(
        model=model,
        version=version,
        file=file,
        path=path,
        size=status.st_size,
        modified=status.st_mtime,
        preview=path.parent / preview if preview else None,
        decided=frozenset(decided),
    )


def _planned(line: Planned, known: Known, row: Row | None) -> Planned:
    form = WRITERS[line.dialect]
    try:
        before = written.content_of(line.path)
    except HubError as error:
        return msgspec.structs.replace(line, reason=error.message.removeprefix(f"{line.path} "))
    if before is None:
        if reason := form.lacking(known):
            return msgspec.structs.replace(line, reason=reason)
        doc: dict[str, Any] = form.fresh(known)
        content = render(None, doc, indent=form.indent)
        return msgspec.structs.replace(line, action="create", keys=tuple(doc), content=content)
    reason, found = _document(before, form.refusal, row)
    if reason:
        return msgspec.structs.replace(line, reason=reason)
    changed = changed_keys(form, known, found)
    if not changed:
        return msgspec.structs.replace(line, action="none")
    content = render(before, changed, indent=form.indent)
    return msgspec.structs.replace(line, action="change", keys=tuple(changed), content=content)


def _document(content: bytes, refusal: Callable[[Document], str], row: Row | None) -> tuple[str, Document]:
    """(why a file that is there must be left alone, or nothing; what it holds)."""
    try:
        parse(content)
    except ValueError as error:
        return f"it does not parse ({' '.join(str(error).split())[:120]})", {}
    doc: dict[str, Any] = msgspec.json.decode(content)
    if reason := refusal(doc):
        return reason, doc
    if row is None or row.digest != hashlib.sha256(content).hexdigest():
        return "it was changed since hubman read it: hubman sidecar read takes it in", doc
    return ("it speaks of another file", doc) if row.is_of_other else ("", doc)
