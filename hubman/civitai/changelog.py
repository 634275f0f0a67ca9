"""What sets a new version apart from the one that is here."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hubman.civitai import facts
from hubman.civitai.records import RemoteModel, RemoteVersion
from registry import licence
from registry.records import ModelDetail, VersionRow

Names = tuple[str, ...]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of values is empty where both are the same or one is not known. Sizes are bytes of the main file."""

    base_model_before: str = ""
    base_model: str = ""
    words_added: Names = ()
    words_removed: Names = ()
    size_before: int = 0
    size: int = 0
    formats_before: Names = ()
    formats: Names = ()
    licence_before: str = ""
    licence: str = ""

    def lines(self) -> Iterator[tuple[str, str]]:
        """(what, how) for each thing that changed."""
        if self.base_model:
            yield "base", f"{self.base_model_before} → {self.base_model}"
        words = [f"+{word}" for word in self.words_added] + [f"-{word}" for word in self.words_removed]
        if words:
            yield "words", ", ".join(words)
        if self.size:
            yield "size", f"{self.size_before / 1e6:,.0f} → {self.size / 1e6:,.0f} MB"
        if self.formats:
            yield "files", f"{', '.join(self.formats_before)} → {', '.join(self.formats)}"
        if self.licence:
            yield "licence", f"{self.licence_before} → {self.licence}"


def compare(page: RemoteModel, new: RemoteVersion, model: ModelDetail | None, have: VersionRow | None) -> Changes:
    """``new`` beside what its page says of the version ``have``, else beside what the library knows of that.

    Civitai tells no rank, so none is compared.
    """
    if model is None or have is None:
        return Changes()
    old = next((one for one in page.versions if one.id == have.civitai_id), None)
    base = (old.base_model if old else "") or have.base_model or ""
    words = old.trained_words if old else have.trigger_words
    size = _size(old) or have.size
    now = licence.letters(facts.permissions(page) or {})
    before = licence.letters(model.permissions)
    formats = (_formats(old), _formats(new)) if old and _formats(old) and _formats(new) else ((), ())
    pairs = {
        "base_model": (base, new.base_model),
        # A few bytes of a header are no news.
        "size": (size, _size(new)) if abs(size - _size(new)) > 1e6 else (0, 0),
        "formats": formats,
        "licence": (before, now) if "?" not in before + now else ("", ""),
    }
    changed = {name: pair for name, pair in pairs.items() if all(pair) and pair[0] != pair[1]}
    values = {f"{name}_before": pair[0] for name, pair in changed.items()} | {n: pair[1] for n, pair in changed.items()}
    said = {"words_added": _without(new.trained_words, words), "words_removed": _without(words, new.trained_words)}
    return msgspec.convert({**values, **said}, Changes)


def _size(version: RemoteVersion | None) -> int:
    file = version.primary_file if version else None
    return file.size if file else 0


def _formats(version: RemoteVersion) -> Names:
    return tuple(sorted({file.metadata.format for file in version.files if file.metadata.format}))


def _without(words: Names, others: Names) -> Names:
    known = {_plain(word) for word in others}
    return tuple(dict.fromkeys(word.strip().rstrip(",") for word in words if _plain(word) not in known))


def _plain(word: str) -> str:
    return word.strip().rstrip(",").strip().casefold()
