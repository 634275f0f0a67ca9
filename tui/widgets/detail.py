"""A model in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap
from typing import NamedTuple

from textual.content import Content

from hubman.sync.policies.holders import Holders
from registry import levels, licence, prompt_name
from registry.civitai_stats import Counts
from registry.lineage import Lineage
from registry.records import FileRow, ModelDetail, Place, Replaced, VersionRow
from registry.usage_profile import Profile
from tui import formats

_MUTED = "$foreground-muted"
NAME = 11
"""Cells of the names at the left, with the letter of who says it and a gap."""
WIDE = 44
"""Cells from which rows are told in full."""
_REPLACED = 3
"""Earlier contents of a file that are listed."""

LETTERS = {"user": "u", "training": "t", "civitai": "c", "sidecar": "s", "header": "h", "file": "f", "guess": "g"}
LEGEND = "who says so: u you  t training  c Civitai  s sidecar  h header  f file  g guess"


_MODES = {
    "TakenDown": "taken down by Civitai; kept here",
    "Archived": "archived on Civitai: its files are gone there",
}


@dataclass(frozen=True)
class Row:
    """A name and a value; ``source`` is who said it, shown as a letter."""

    name: str
    value: str
    source: str | None = None
    style: str = ""


class About(NamedTuple):
    """What the detail shows: a model, which of its versions (0 is the newest), and where that one comes from."""

    model: ModelDetail
    at: int = 0
    lineage: Lineage = Lineage()
    level: str = ""
    """The highest level of pictures that are shown, in words."""
    picture: str = ""
    """Which picture is shown, such as ``2 of 3 · R``."""
    usage: Profile = Profile()
    disputed: tuple[str, ...] = ()
    """The fields on which sidecars and other sources disagree."""
    counts: tuple[Counts, ...] = ()
    """What Civitai counted of those of its versions that were published from here."""
    holders: Holders = Holders()
    """Who has its weights."""


def describe(about: About, width: int = 40) -> Content:
    """Everything worth reading of a version and its model, for ``width`` cells."""
    model, at = about.model, about.at
    version = model.versions[min(at, len(model.versions) - 1)] if model.versions else None
    parts: list[Content] = [*_head(model)]
    rows: list[Row | None] = [None]
    if version is not None:
        rows += _version(model, version, at, width)
    rows.append(Row("tags", formats.one_line(", ".join(model.tags)) or "none: t adds some"))
    if model.collections:
        rows.append(Row("in", formats.one_line(", ".join(model.collections))))
    rows.append(_licence(model))
    rows.append(_nsfw(model, about))
    rows += [
        Row("counted", f"{one.words()}, {formats.age(one.read_at)} ago".replace("now ago", "now"), "civitai")
        for one in about.counts
        if version is not None and one.version_id == version.id
    ]
    rows += _usage(about.usage)
    if about.disputed:
        said = ", ".join(name.replace("_", " ") for name in about.disputed)
        rows.append(Row("disputed", f"{said}: hubman sidecar show tells who says what", style="$text-warning"))
    if version is not None:
        rows += _lineage(version, about.lineage)
        rows += _holders(about.holders)
        rows += [row for file in version.files for row in _file(file)]
        rows += _history(version.history)
    parts += [Content("") if row is None else drawn(row, width) for row in rows]
    for title, text in (("notes", model.notes), ("about", model.description)):
        if text:
            parts += [Content(""), Content.styled(title, _MUTED), Content(plain(text))]
    parts += [Content(""), *(Content.styled(line, _MUTED) for line in wrap(LEGEND, max(8, width)))]
    return Content("\n").join(parts)


def _head(model: ModelDetail) -> Iterable[Content]:
    rating = formats.stars(model.rating)
    name = (f" {_letter(model.sources.get('name', 'file'))}", "$text-accent")
    yield Content.assemble((formats.one_line(model.name), "bold"), name, "  ", (rating, "$text-warning"))
    by = (
        f"by {formats.one_line(model.creator)}"
        if model.creator
        else {one: f"{one} here" for one in ("trained", "merged", "resized", "extracted", "converted")}.get(
            model.origin, "creator unknown"
        )
    )
    said = _letter(model.sources.get("creator")).strip()
    by += f" {said}" if said else ""
    yield Content.styled(f"{by} · added {formats.age(model.added_at)} ago".replace("now ago", "now"), _MUTED)
    if model.upstream_deleted:
        yield Content.styled("deleted from Civitai; kept here", "$text-warning")
    elif mode := _MODES.get(model.upstream_mode or ""):
        yield Content.styled(mode, "$text-warning")


def _version(model: ModelDetail, version: VersionRow, at: int, width: int) -> Iterable[Row]:
    sources = version.sources
    if len(model.versions) > 1:
        name = formats.one_line(version.name) or version.id[:8]
        yield Row("version", f"{name}  ({at + 1} of {len(model.versions)}: h l)", sources.get("version_name"))
    family = f" · {version.architecture}" if version.architecture and version.architecture != version.base_model else ""
    yield Row("base", f"{version.base_model or 'unknown: e sets it'}{family}", sources.get("base_model"))
    kind = " · ".join(
        text
        for text in (
            version.network_type or model.kind,
            f"rank {version.rank}" if version.rank else "",
            f"alpha {version.alpha:g}" if version.alpha else "",
        )
        if text
    )
    yield Row("kind", kind, "header" if version.network_type else model.sources.get("kind"))
    yield Row("trigger", formats.one_line(", ".join(version.trigger_words)) or "none known: w adds some")
    bar = formats.strength_bar(version.strength, version.strength_min, version.strength_max, 16 if width >= WIDE else 8)
    yield Row("strength", bar, sources.get("strength"))
    if model.alias:
        tag = formats.lora_tag(formats.one_line(prompt_name.of(model, version)), version.strength)
        yield Row("alias", tag, "user" if prompt_name.is_alias(model, version) else "file")
    if version.published_url:
        yield Row("site", formats.one_line(version.published_url), sources.get("published_url"))
    if version.hub_url:
        yield Row("hub", formats.one_line(version.hub_url), sources.get("hub_url"))


def _licence(model: ModelDetail) -> Row:
    letters = licence.letters(model.permissions)
    return Row("licence", f"{letters}  {licence.words(model.permissions)}", model.sources.get("permissions"))


def _nsfw(model: ModelDetail, about: About) -> Row:
    told = f"model {levels.name_of(model.nsfw_level) or 'unknown'}"
    shown = f" · shown up to {about.level}: L" if about.level else ""
    picture = f" · picture {about.picture}" if about.picture else ""
    return Row("nsfw", told + picture + shown, model.sources.get("nsfw_level"))


def _usage(usage: Profile) -> Iterable[Row]:
    """How pictures used it, whoever drew them."""
    if not usage.times:
        yield Row("used", "in no picture that is known here")
        return
    last = f", last {formats.age(usage.last_at)} ago".replace("now ago", "now") if usage.last_at else ""
    yield Row("used", f"in {formats.count(usage.times, 'picture')}{last}")
    if usage.strengths is not None and usage.strengths.high > usage.strengths.low:
        found = usage.strengths
        yield Row("at", f"{found.low:g} to {found.high:g}, mostly {found.median:g}")
    if usage.together:
        yield Row("with", formats.one_line(", ".join(f"{one.name} ({one.times})" for one in usage.together[:3])))


def _lineage(version: VersionRow, lineage: Lineage) -> Iterable[Row]:
    said = [
        formats.one_line(lineage.run),
        lineage.trained_at,
        f"{lineage.steps:,} steps" if lineage.steps else "",
        f"epoch {lineage.epoch}" if lineage.epoch is not None else "",
    ]
    if any(said):
        yield Row("trained", " · ".join(part for part in said if part))
    if lineage.dataset or lineage.dataset_path:
        yield Row("images", formats.one_line(" · ".join(p for p in (lineage.dataset_path, lineage.dataset) if p)))
    if lineage.base:
        yield Row("on", formats.one_line(lineage.base))
    if lineage.merged_from:
        yield Row("merged", formats.one_line("from " + ", ".join(lineage.merged_words)))
    if lineage.epochs:
        names = [
            ("▸" if one.version_id == version.id else "")
            + (str(one.epoch) if one.epoch is not None else formats.one_line(one.name))
            for one in lineage.epochs
        ]
        yield Row("epochs", f"{', '.join(names)}  ({len(names)} here)")
    if lineage.replaced_by is not None:
        yield Row("replaced", f"by {formats.one_line(lineage.replaced_by.name)}", style="$text-warning")


def _holders(holders: Holders) -> Iterable[Row]:
    """On which machines and remotes it is, where there are any but this one."""
    if not holders.is_shared:
        return
    names = ["this machine"] if holders.is_here else []
    names += [formats.one_line(name) for name in holders.others]
    names += [f"remote {name}" for name in holders.remotes]
    yield Row(
        "is on", ", ".join(names) or "no machine that is known of", style="" if holders.is_here else "$text-warning"
    )
    if holders.is_pinned:
        yield Row("kept", "here, whatever the policy says: K ends it", style="$text-success")


def _file(file: FileRow) -> Iterable[Row | None]:
    yield None
    yield Row(
        "file",
        f"{formats.one_line(file.name)} · {formats.size(file.size)}" + (f" · {file.dtype}" if file.dtype else ""),
    )
    yield Row("hash", f"{file.autov2 or 'not yet: it is read when there is time'} {file.format}")
    if file.damage:
        yield Row("damage", formats.one_line(file.damage), style="$text-error")
    if not file.places:
        yield Row("place", "not on this machine: B fetches it", style="$text-warning")
    for place in file.places:
        yield from _place(place)


def _place(place: Place) -> Iterable[Row]:
    """Where it lies, what state it is in, and what verifying it found."""
    is_here = place.state == "present"
    state = "" if is_here else f" ({place.state}{f': {place.problem}' if place.problem else ''})"
    yield Row("place", formats.one_line(place.path + state), style="" if is_here else "$text-warning")
    if is_here and place.problem:
        yield Row("found", formats.one_line(place.problem), style="$text-error")
    if place.verified_at:
        yield Row("verified", f"{formats.age(place.verified_at)} ago".replace("now ago", "now"))


def _history(history: tuple[Replaced, ...]) -> Iterable[Row]:
    """What lay in its place before it."""
    for old in history[:_REPLACED]:
        yield Row("before", f"{old.sha256[:10]}, replaced {formats.age(old.at)} ago".replace("now ago", "now"))
    if len(history) > _REPLACED:
        yield Row("", f"and {len(history) - _REPLACED} before that")


def _letter(source: str | None) -> str:
    return LETTERS.get(source or "", " ")


def drawn(row: Row, width: int) -> Content:
    """The name, the letter of who said it, and the value beside them; what does not fit goes on under the value."""
    lines = wrap(row.value, max(8, width - NAME), break_on_hyphens=False) or [""]
    text = ("\n" + " " * NAME).join(lines)
    letter = _letter(row.source)
    return Content.assemble(
        (f"{row.name:<{NAME - 2}}", _MUTED), (f"{letter} ", "$text-accent"), (text, row.style) if row.style else text
    )


def plain(text: str) -> str:
    """A long text, which may come from outside, without markup of a web page or control characters."""
    import re
    from html import unescape

    spaced = re.sub(r"(?i)<(br|/p|/li|/h\d)[^>]*>", "\n", text)
    bare = unescape(re.sub(r"<[^>\n]{1,300}>", "", spaced))
    lines = (formats.one_line(line) for line in bare.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
