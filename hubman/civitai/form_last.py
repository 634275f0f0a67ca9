"""What a person typed into an earlier form of the same publication, or of another version of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from hubman.civitai import form_defaults
from hubman.civitai.form import LAST, YOU, PublishForm, VersionPart
from registry import timestamps
from registry.database import Registry

_FORMS = """
SELECT json_extract(p.plan, '$.form'), p.version_id IN (SELECT value FROM json_each(?1)) AS same
FROM publications p JOIN versions v ON v.id = p.version_id
WHERE same OR v.model_id = ?2 ORDER BY same DESC, p.created_at DESC, p.id DESC
"""
_OF_MODEL = frozenset(
    {
        "name",
        "type",
        "category",
        "tags",
        "description",
        "nsfw",
        "poi",
        "minor",
        "sfw_only",
        "strip",
        *form_defaults.NAMES,
    }
)
"""What holds of a model's next version too. What costs money or gives something away has to be said each time."""


def as_last_time(registry: Registry, form: PublishForm) -> PublishForm:
    """With what was typed into the last form of any of these versions, else of another version of the model."""
    rows = registry.db.execute(_FORMS, (msgspec.json.encode(form.version_ids).decode(), form.model_id))
    found, is_same = next(((row[0], bool(row[1])) for row in rows if row[0]), ("", False))
    try:
        last = msgspec.json.decode(found, type=PublishForm)
    except msgspec.MsgspecError:
        # There is none, or it was written by another version of hubman: it has to be typed again.
        return form
    typed = [name for name in _typed(last.sources) if is_same or name in _OF_MODEL]
    return _with_typed(form, last, typed)


def _with_typed(form: PublishForm, last: PublishForm, typed: Sequence[str]) -> PublishForm:
    if "published_at" in typed and not _is_ahead(last.published_at):
        typed = [name for name in typed if name != "published_at"]
    changes: dict[str, Any] = {name: getattr(last, name) for name in typed if name not in form_defaults.NAMES}
    permissions = {name: getattr(last.permissions, name) for name in typed if name in form_defaults.NAMES}
    changes["permissions"] = msgspec.structs.replace(form.permissions, **permissions)
    parts = [_part_with_typed(part, last) for part in form.parts]
    said = {**form.sources, **dict.fromkeys(typed, LAST)}
    return msgspec.structs.replace(form, **changes, parts=tuple(parts), sources=said)


def _is_ahead(at: str | None) -> bool:
    return at is not None and timestamps.parse(at) > datetime.now(UTC)


def _part_with_typed(part: VersionPart, last: PublishForm) -> VersionPart:
    before = next((one for one in last.parts if one.version_id == part.version_id), None)
    if before is None:
        return part
    typed = _typed(before.sources)
    renamed = {"version_name": "name", "version_description": "description"}
    changes = {renamed.get(name, name): getattr(before, renamed.get(name, name)) for name in typed}
    if "pictures" in changes:
        offered = {picture.sha256: picture for picture in part.offered}
        kept = [one for one in before.pictures if one.sha256 in offered]
        changes["pictures"] = tuple(msgspec.structs.replace(offered[one.sha256], caption=one.caption) for one in kept)
    return msgspec.structs.replace(part, **changes, sources={**part.sources, **dict.fromkeys(typed, LAST)})


def _typed(sources: Mapping[str, str]) -> list[str]:
    return [name for name, source in sources.items() if source in {YOU, LAST}]
