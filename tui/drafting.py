"""The choices of a drafting of captions, as lines that are edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.train.captioning.drafts import DraftRequest

Option = tuple[str, str, str]
_ALL = ("interrogator", "tagger", "model")
_WHERE = "A folder, or OWNER/NAME from the local cache of Hugging Face; nothing is downloaded."


@dataclass(frozen=True)
class Field:
    """One choice: for which ``sources`` it counts, and what it may be."""

    name: str
    title: str
    hint: str
    sources: tuple[str, ...] = _ALL
    options: tuple[Option, ...] = ()
    empty: str = "·"
    """What stands where nothing is chosen."""


FIELDS = (
    Field(
        "source", "drafted by", "Who drafts.",
        options=(
            ("interrogator", "CLIP and word lists", "after the method of CLIP Interrogator"),
            ("tagger", "a tagger", "WD14-style: model.onnx and selected_tags.csv"),
            ("model", "a model that sees", "BLIP, Florence-2, a model to chat with"),
        ),
    ),
    Field("model", "model", _WHERE + " For CLIP: the model that says the first sentence; empty with the embedded CLIP."),
    Field("clip", "CLIP", _WHERE, ("interrogator",), empty="the embedded one, for the embedded base's shapes"),
    Field("terms", "word lists", "A folder of text files, or a JSON file.", ("interrogator",), empty="the embedded ones"),
    Field(
        "mode", "mode", "How the phrases are chosen.", ("interrogator",),
        (
            ("best", "best", "phrase by phrase what brings it closest"),
            ("fast", "fast", "the nearest phrases of all lists"),
            ("classic", "classic", "a medium, an artist, a place, a movement, three flavours"),
        ),
    ),
    Field("prompt", "prompt", "What it is asked, or how it begins.", ("model",), empty="what suits the model"),
    Field("general", "threshold", "From which probability on a tag is taken, 0 to 1.", ("tagger",)),
    Field("character", "for characters", "The same for the names of characters.", ("tagger",)),
    Field("trigger", "trigger", "The word that every draft begins with."),
    Field("prefix", "prefix", "What stands before each draft; end it with a comma where it is a tag."),
    Field("suffix", "suffix", "What stands after each draft."),
    Field("blacklist", "blacklist", "Tags that are left out, with commas between them."),
    Field(
        "redraft", "which pictures", "What a person typed or edited is never drafted over.",
        options=(("no", "those without a caption", ""), ("yes", "those that have a draft as well", "")),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class ChoiceLine:
    """A field and what it is now."""

    field: Field
    value: str
    """As it is edited."""
    shown: str


def lines(request: DraftRequest) -> list[ChoiceLine]:
    """The choices that count for the source."""
    return [_line(request, field) for field in FIELDS if request.source in field.sources]


def _line(request: DraftRequest, field: Field) -> ChoiceLine:
    value = _text(getattr(request, field.name))
    named = {key: title for key, title, _ in field.options}
    return ChoiceLine(field, value, named.get(value, value) or field.empty)


def _text(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case tuple():
            return ", ".join(map(str, value))
    return str(value)


def assign(request: DraftRequest, name: str, text: str) -> DraftRequest:
    """The request with a field changed. Raises UsageError for what makes no sense."""
    import msgspec

    value: object = " ".join(text.split())
    if name in {"general", "character"}:
        value = _share(text)
    elif name == "blacklist":
        value = _words(text.split(","))
    elif name == "redraft":
        value = text == "yes"
    return msgspec.structs.replace(request, **{name: value})


def _words(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in (" ".join(part.split()) for part in parts) if word)


def _share(text: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"{text!r} is no probability", "give a number from 0 to 1")
    return value
