"""Whether a page says what was sent: read back from its owner's view and compared field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hubman.civitai import html_text, lenient
from hubman.civitai.owned import EditVersion, OwnedModel, Post
from hubman.civitai.planned import Plan, PlannedFile, PlannedVersion


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field in which the page is not what was sent: the site cleans texts, and may raise a rating."""

    field: str
    sent: str
    found: str


def of_model(plan: Plan, there: OwnedModel) -> Iterator[Difference]:
    """Of the page's own words."""
    found = there.fields()
    for name, value in plan.model.items():
        if name == "tagsOnModels":
            yield from _compare("tags", sorted(tag["name"].lower() for tag in value), sorted(there.tags))
        elif name in found and name not in {"uploadType", "status"}:
            yield from _compare(name, value, found[name])


def of_version(
    version: PlannedVersion, there: EditVersion, post: Post, images: tuple[int, ...]
) -> Iterator[Difference]:
    """Of one version with its files, its post and its pictures in their order."""
    found = there.fields()
    for name, value in version.fields.items():
        if name in found and name != "paidAccess":
            yield from _compare(f"{version.name}: {name}", value, found[name])
    for file in version.files:
        yield from _of_file(version, file, there)
    yield from _compare(f"{version.name}: post", version.post_title, post.title)
    shown = [image.id for image in sorted(post.images, key=lambda image: image.index) if image.id in images]
    yield from _compare(f"{version.name}: pictures", list(images), shown)


def _of_file(version: PlannedVersion, file: PlannedFile, there: EditVersion) -> Iterator[Difference]:
    where = f"{version.name}: {file.kind}"
    found = next((held for held in there.files if held.type == file.kind), None)
    if found is None:
        yield Difference(field=where, sent=file.name, found="no file")
        return
    yield from _compare(f"{where}: name", file.name, found.name)
    yield from _compare(f"{where}: bytes", file.size, round(found.size_kb * 1024))
    if found.sha256:
        yield from _compare(f"{where}: SHA-256", file.sha256, found.sha256)


def _compare(field: str, sent: Any, found: Any) -> Iterator[Difference]:
    if sent != found and _plain(field, sent) != _plain(field, found):
        yield Difference(field=field, sent=_shown(sent), found=_shown(found))


def _plain(field: str, value: Any) -> Any:
    """What counts of a value: of HTML its words, of a text what a terminal can show, of an object what is set in it."""
    if isinstance(value, str):
        text = html_text.to_text(value) if field.endswith("description") else lenient.clean_text(value)
        return " ".join(text.split())
    if isinstance(value, Mapping):
        return {key: item for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain("", item) for item in value]
    return value or (0 if value == 0 and value is not False and value is not None else None)


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "nothing" if value is None else str(value)[:200]
