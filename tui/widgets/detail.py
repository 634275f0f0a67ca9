"""A model in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap

from textual.content import Content

from registry.records import FileRow, ModelDetail, VersionRow
from tui import formats

_MUTED = "$foreground-muted"
NAME = 9
"""Cells of the names at the left."""


@dataclass(frozen=True)
class Row:
    """A name and a value; ``source`` is who said it."""

    name: str
    value: str
    source: str | None = None
    style: str = ""


def describe(model: ModelDetail, at: int = 0, width: int = 40) -> Content:
    """Everything worth reading of a model and its version number ``at`` (0 is the newest), for ``width`` cells."""
    version = model.versions[min(at, len(model.versions) - 1)] if model.versions else None
    parts: list[Content] = [*_head(model)]
    rows: list[Row | None] = [None]
    if version is not None:
        rows += _version(model, version, at)
    rows.append(Row("tags", ", ".join(model.tags) or "none: t adds some"))
    if model.collections:
        rows.append(Row("in", ", ".join(model.collections)))
    if version is not None:
        rows += [row for file in version.files for row in _file(file)]
    parts += [Content("") if row is None else drawn(row, width) for row in rows]
    for title, text in (("notes", model.notes), ("about", model.description)):
        if text:
            parts += [Content(""), Content.styled(title, _MUTED), Content(plain(text))]
    return Content("\n").join(parts)


def _head(model: ModelDetail) -> Iterable[Content]:
    rating = formats.stars(model.rating)
    yield Content.assemble((formats.one_line(model.name), "bold"), "  ", (rating, "$text-warning"))
    by = (
        f"by {formats.one_line(model.creator)}"
        if model.creator
        else {"trained": "trained here", "merged": "merged here"}.get(model.origin, "creator unknown")
    )
    yield Content.styled(f"{by} · added {formats.age(model.added_at)} ago".replace("now ago", "now"), _MUTED)
    if model.upstream_deleted:
        yield Content.styled("deleted from Civitai; kept here", "$text-warning")


def _version(model: ModelDetail, version: VersionRow, at: int) -> Iterable[Row]:
    if len(model.versions) > 1:
        name = formats.one_line(version.name) or version.id[:8]
        yield Row("version", f"{name}  ({at + 1} of {len(model.versions)}: h l)")
    family = f" · {version.architecture}" if version.architecture and version.architecture != version.base_model else ""
    yield Row("base", f"{version.base_model or 'unknown: e sets it'}{family}", source=version.sources.get("base_model"))
    kind = " · ".join(
        text
        for text in (
            version.network_type or model.kind,
            f"rank {version.rank}" if version.rank else "",
            f"alpha {version.alpha:g}" if version.alpha else "",
        )
        if text
    )
    yield Row("kind", kind)
    yield Row("trigger", formats.one_line(", ".join(version.trigger_words)) or "none known: w adds some")
    yield Row("strength", formats.strength_bar(version.strength, version.strength_min, version.strength_max))
    yield Row("alias", f"<lora:{model.alias}:{formats.strength(version.strength) or '0.8'}>")
    if version.published_url:
        yield Row("site", version.published_url)


def _file(file: FileRow) -> Iterable[Row | None]:
    yield None
    yield Row(
        "file",
        f"{formats.one_line(file.name)} · {formats.size(file.size)}" + (f" · {file.dtype}" if file.dtype else ""),
    )
    yield Row("hash", f"{file.autov2} {file.format}")
    if file.damage:
        yield Row("damage", file.damage, style="$text-error")
    if not file.places:
        yield Row("place", "on another machine; sync brings it here", style="$text-warning")
    for place in file.places:
        state = "" if place.state == "present" else f" ({place.state}: {place.problem or 'not there'})"
        style = "" if place.state == "present" else "$text-warning"
        yield Row("place", formats.one_line(place.path) + state, style=style)


def drawn(row: Row, width: int) -> Content:
    """The name, and the value beside it; what does not fit goes on under the value."""
    note = f"  ({row.source})" if row.source and row.source not in {"user", "file", "header"} else ""
    lines = wrap(row.value + note, max(8, width - NAME), break_on_hyphens=False) or [""]
    text = ("\n" + " " * NAME).join(lines)
    return Content.assemble((f"{row.name:<{NAME}}", _MUTED), (text, row.style) if row.style else text)


def plain(text: str) -> str:
    """A long text, which may come from outside, without markup of a web page or control characters."""
    import re
    from html import unescape

    spaced = re.sub(r"(?i)<(br|/p|/li|/h\d)[^>]*>", "\n", text)
    bare = unescape(re.sub(r"<[^>\n]{1,300}>", "", spaced))
    lines = (formats.one_line(line) for line in bare.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
