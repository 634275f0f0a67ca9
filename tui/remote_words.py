"""A model of the site in words. All texts come from outside: no markup, no control characters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from tui import formats
from tui.widgets.detail import Row, drawn

if TYPE_CHECKING:
    from hubman.civitai.held import State
    from hubman.civitai.records import RemoteFile, RemoteModel, RemoteVersion, Stats

_MUTED = "$foreground-muted"
_HELD = {
    "here": Row("here", "✔ in the library", style="$text-success"),
    "known": Row("here", "○ known to the library, its file is not on this machine", style="$text-warning"),
}


def is_early(version: RemoteVersion) -> bool:
    return bool(version.early_access_deadline) or version.availability == "EarlyAccess"


def flags(model: RemoteModel, version: RemoteVersion | None) -> str:
    """Letters for what keeps one from having it freely: Early access, $ paid, Archived, taken Down, only on the Site."""
    found = {"Archived": "A", "TakenDown": "D"}.get(model.mode, "")
    if version is not None:
        found += "E" if is_early(version) else ""
        found += "$" if version.paid_access is not None else ""
        found += "S" if _only_on_site(version) else ""
    return found


def _only_on_site(version: RemoteVersion) -> bool:
    return bool(version.usage_control) and version.usage_control != "Download"


def obstacles(model: RemoteModel, version: RemoteVersion | None) -> list[str]:
    """The same in words."""
    found = {"Archived": ["archived: its files are gone"], "TakenDown": ["taken down by the site"]}.get(model.mode, [])
    if version is None:
        return found
    paid = version.paid_access
    if is_early(version):
        until = version.early_access_deadline[:10]
        found = [*found, (f"early access until {until}" if until else "early access") + (", paid" if paid else "")]
    elif paid is not None:
        until = "" if paid.permanent else paid.ends_at[:10]
        found = [*found, f"has to be bought until {until}" if until else "has to be bought"]
    if _only_on_site(version):
        found = [*found, "only for use on the site: it can't be downloaded"]
    return found


SHORT, LONG = 2_000, 8_000
"""Characters of a text in the pane, and on a page of its own: laying out 20,000 takes the screen 25 ms and more."""

Texts = Sequence[tuple[str, str]]
"""(title, text)"""


def texts(model: RemoteModel, version: RemoteVersion | None, longest: int = SHORT) -> Texts:
    """What its creator wrote, out of HTML. A long page takes its time: for a thread."""
    from hubman.civitai.html_text import to_text

    said = [("changes", version.description if version is not None else ""), ("about", model.description)]
    found = [(title, to_text(html)) for title, html in said if html]
    return [(title, _short(text, longest)) for title, text in found if text]


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest].rstrip() + " …"


def describe(
    model: RemoteModel,
    version: RemoteVersion | None,
    held: Mapping[int, State],
    width: int,
    *,
    texts: Texts = (),
    in_full: bool = False,
) -> Content:
    """What is worth reading before pulling; ``in_full`` with every file and its scans."""
    parts = [
        Content.styled(_short(formats.one_line(model.name), 3 * width) or f"model {model.id}", "bold"),
        Content.styled(f"by {formats.one_line(model.creator) or 'unknown'} · {_counts(model.stats)}", _MUTED),
    ]
    parts += [Content.styled(text, "$text-warning") for text in obstacles(model, version)]
    parts.append(Content(""))
    rows: list[Row] = []
    if version is not None:
        rows += _version(model, version, held)
        rows += _files(version) if in_full else _one_file(version)
    rows += _model(model)
    if version is not None and in_full:
        rows += _on_site(version)
    parts += [drawn(row, width) for row in rows]
    for title, text in texts:
        parts += [Content(""), Content.styled(title, _MUTED), Content(text)]
    return Content("\n").join(parts)


def _counts(stats: Stats) -> str:
    counts = [
        (stats.download_count, "downloads"), (stats.thumbs_up_count, "likes"), (stats.comment_count, "comments"),
    ]  # fmt: skip
    known = [f"{number:,} {name}" for number, name in counts if number is not None]
    return " · ".join(known) or "its creator hides the counts"


def _version(model: RemoteModel, version: RemoteVersion, held: Mapping[int, State]) -> Iterable[Row]:
    number = next((at for at, one in enumerate(model.versions, 1) if one.id == version.id), 1)
    place = f"  ({number} of {len(model.versions)}: h l)" if len(model.versions) > 1 else ""
    date = f" · {version.published_at[:10]}" if version.published_at else ""
    yield Row("version", (formats.one_line(version.name) or str(version.id)) + date + place)
    kind = version.base_model_type if version.base_model_type not in {"", "Standard"} else ""
    base = " · ".join(formats.one_line(part) for part in (version.base_model, kind, model.type) if part)
    yield Row("base", base or "unknown")
    yield Row("trigger", formats.one_line(", ".join(version.trained_words)) or "none")
    state = held.get(version.id)
    if state is not None:
        yield _HELD[state]
    others = sum(1 for one in model.versions if one.id in held and one.id != version.id)
    if others:
        yield Row("" if state else "here", f"{formats.count(others, 'other version')} of it", style="$text-warning")


def _one_file(version: RemoteVersion) -> Iterable[Row]:
    file = version.primary_file
    more = len(version.files) - 1
    yield Row("file", _file_words(file) + (f"  (+ {more} more)" if more > 0 else "") if file else "none")


def _files(version: RemoteVersion) -> Iterable[Row]:
    if not version.files:
        yield Row("files", "none")
    primary = version.primary_file
    for at, file in enumerate(version.files):
        sign = "▸ " if file is primary and len(version.files) > 1 else ""
        yield Row("files" if at == 0 else "", sign + _file_words(file))
        scan, is_bad = _scans(file)
        yield Row("", scan, style="$text-error" if is_bad else _MUTED)


def _file_words(file: RemoteFile) -> str:
    about = file.metadata
    kind = "" if file.type in {"", "Model"} else file.type
    words = [file.name, kind, about.format, about.size, about.fp, about.quant_type]
    said = [formats.one_line(word) for word in words if word]
    return " · ".join([*said, formats.size(file.size)])


def _scans(file: RemoteFile) -> tuple[str, bool]:
    """What the site's scans say, and whether it is bad."""
    results = {"virus": file.virus_scan_result, "pickle": file.pickle_scan_result}
    bad = {name: result for name, result in results.items() if result in {"Danger", "Error"}}
    if bad:
        said = [f"{name} scan: {result.lower()}" for name, result in bad.items()]
        messages = [text for text in (file.virus_scan_message, file.pickle_scan_message) if text]
        return formats.one_line(" · ".join([*said, *messages])), True
    hashed = f" · sha256 {file.sha256[:10]}" if file.sha256 else ""
    if all(result == "Success" for result in results.values()):
        return f"scanned, nothing found{hashed}", False
    return f"not scanned yet{hashed}", False


def _model(model: RemoteModel) -> Iterable[Row]:
    yield Row("tags", formats.one_line(", ".join(model.tags)) or "none")
    yield Row("licence", licence(model))
    if model.nsfw_level or model.nsfw:
        from registry.levels import name_of

        said = [f"up to {name_of(model.nsfw_level)}" if name_of(model.nsfw_level) else ""]
        said += ["its creator calls it adult" if model.nsfw else "", "a real person" if model.poi else ""]
        yield Row("nsfw", " · ".join(part for part in said if part))
    elif model.poi:
        yield Row("shows", "a real person")


def _on_site(version: RemoteVersion) -> Iterable[Row]:
    """What the site itself does with it."""
    if version.on_site_generator is not None:
        fee = f", for a fee of {version.licensing_fee:g}" if version.licensing_fee else ""
        yield Row("on site", f"its generator can use it{fee}" if version.on_site_generator else "not in its generator")


def licence(model: RemoteModel) -> str:
    """What the creator allows: the five letters, and in words."""
    from hubman.civitai.facts import permissions
    from registry.licence import letters, words

    told = permissions(model) or {}
    return f"{letters(told)}  {words(told)}"
