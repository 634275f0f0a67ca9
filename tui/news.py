"""An update in words: what a line of the list and the pane beside it say. All texts come from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content

from registry import timestamps
from tui import formats
from tui.widgets.detail import Row, drawn

if TYPE_CHECKING:
    from hubman.civitai.updates import Update

_MUTED = "$foreground-muted"
LONGEST = 20_000
"""Characters of a changelog that are laid out."""

_WHY = {"newer": "", "followed model": "followed", "followed creator": "followed"}


def versions(update: Update) -> str:
    """``v1 → v2``; of a model that is not here the newest alone."""
    newest = formats.one_line(update.newest) or str(update.version)
    return f"{formats.one_line(update.have) or '?'} → {newest}" if update.model_id else newest


def early(update: Update) -> str:
    """That one can't have it freely yet, and until when."""
    if update.early_until > timestamps.of(formats.now()):
        return "early access" + ("" if update.early_until.startswith("9999") else f" until {update.early_until[:10]}")
    return "has to be bought" if update.is_paid else ""


def note(update: Update, state: str) -> tuple[str, str]:
    """(what stands at the end of the line, the style of the cell): the download's state, else what sets it apart."""
    if state:
        return state, {"done": "good", "failed": "bad"}.get(state, "accent")
    if said := early(update):
        return (f"E {update.early_until[:10]}" if "until" in said else said), "warn"
    return _WHY[update.why], "muted"


def describe(update: Update, width: int) -> Content:
    """Everything worth reading before pulling."""
    parts = [Content.styled(formats.one_line(update.name) or f"model {update.number}", "bold")]
    parts += [drawn(row, width) for row in _rows(update)]
    parts += [Content(""), Content.styled("changes", _MUTED)]
    parts.append(Content(update.changelog[:LONGEST] or "Its creator wrote nothing about it."))
    return Content("\n").join(parts)


def _rows(update: Update) -> Iterable[Row]:
    yield Row("version", versions(update))
    if said := early(update):
        yield Row("", said, style="$text-warning")
    if update.between:
        yield Row("between", formats.one_line(", ".join(update.between)))
    by = formats.one_line(update.creator) or "unknown"
    yield Row("creator", by + (" (followed)" if update.why == "followed creator" else ""))
    yield Row("published", f"{update.published_at[:10]}  {formats.age(update.published_at)}".strip() or "unknown")
    changed = [(name, formats.one_line(how)) for name, how in update.changes.lines()]
    if "base" not in dict(changed):
        yield Row("base", formats.one_line(update.base_model) or "unknown")
    for name, how in changed:
        yield Row(name, how, style="$text-accent")


def told(result: Mapping[str, Any]) -> str:
    """What came of asking for updates, and of which models Civitai knows nothing."""
    count, asked, unknown = len(result.get("updates", ())), result.get("asked", 0), result.get("unknown", 0)
    parts = []
    if count:
        parts.append(f"{formats.count(count, 'model')} with a newer version")
    elif asked:
        parts.append("all that Civitai knows are at the newest version that it has")
    if unknown:
        names = [formats.one_line(name) for name in result.get("names", ())]
        more = f" and {unknown - len(names):,} more" if unknown > len(names) else ""
        parts.append(f"not known on Civitai: {', '.join(names)}{more}")
    return "; ".join(parts) or "there is no model to ask for"


def enriched(result: Mapping[str, Any]) -> str:
    """What came of asking what Civitai knows of files."""
    counts = [
        (result.get("found", 0), "known to Civitai"), (result.get("unknown", 0), "unknown"),
        (result.get("gone", 0), "gone from it"), (result.get("unhashed", 0), "not hashed yet"),
        (result.get("waiting", 0), "wait for tomorrow"),
    ]  # fmt: skip
    parts = [f"{number:,} {words}" for number, words in counts if number]
    pictures = result.get("pictures", 0)
    return (
        ", ".join([*parts, *([formats.count(pictures, "picture")] if pictures else [])])
        or "there is no file to ask for"
    )
