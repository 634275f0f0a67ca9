"""The rows of the publish form: what would be told, who says so, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tui.publishing import Draft, place

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding
    from hubman.civitai.form import PublishForm, VersionPart

State = Literal["", "missing", "warning"]
_OF_CIVITAI = frozenset({
    "type", "sfw_only", "attach_training_data", "published_at", "early_access_days", "early_access_price", "civitai_model_id",
})  # fmt: skip
"""Fields that the Hub has no place for."""

_LABELS = {
    "nsfw": "mature content", "poi": "a real person", "minor": "somebody under age", "sfw_only": "for safe content only",
    "trained_words": "trigger words", "no_trigger_words": "needs no words", "allow_no_credit": "use without credit",
    "allow_derivatives": "merges", "allow_different_license": "other terms", "commercial_use": "earning with it",
    "version_description": "what is new", "attach_training_data": "attach training data", "strip": "strip the header",
    "civitai_model_id": "add to model", "published_at": "public from",
}  # fmt: skip
"""Fields by other names than their own, where those say little."""


@dataclass(frozen=True)
class Line:
    """A row of the form. ``name`` is what :func:`hubman.civitai.form_edit.changed` takes, or ``to``, ``repo``, ``draft``."""

    name: str
    label: str
    value: str
    source: str = ""
    state: State = ""

    @property
    def field(self) -> str:
        return self.name.rpartition(".")[2]


def lines(draft: Draft) -> list[Line]:
    """Every row: where it goes, then what is missing, then the rest in the order of the page."""
    problems = _problems(draft)
    rows = [_line(draft.form, name, problems) for name in _names(draft)]
    order = {"missing": 0, "warning": 1, "": 2}
    return [*_target_lines(draft), *sorted(rows, key=lambda row: order[row.state])]


def _target_lines(draft: Draft) -> list[Line]:
    target = draft.target
    rows = [Line("to", "destination", place(target))]
    if target.where == "hf":
        rows.append(
            Line("repo", "repository", target.repo or "made from the name", "you" if target.repo else "default")
        )
    return [*rows, Line("draft", "draft", "yes: only you see it" if target.draft else "no")]


def _names(draft: Draft) -> list[str]:
    from hubman.civitai.form_fields import FIELDS

    several = len(draft.form.parts) > 1
    names = []
    for name, one in FIELDS.items():
        if draft.target.where == "hf" and name in _OF_CIVITAI:
            continue
        if one.level == "version" and several:
            names += [f"{number}.{name}" for number in range(1, len(draft.form.parts) + 1)]
        else:
            names.append(name)
    return names


def _problems(draft: Draft) -> dict[tuple[str, str], State]:
    """The worst that was found of each field, by its name and the version that it is of (empty: the model's)."""
    found: dict[tuple[str, str], State] = {}
    for one in reversed(draft.told):
        if one.field and one.is_blocking:
            found[one.field, one.version_id] = "missing" if one.level == "error" else "warning"
    return found


def _line(form: PublishForm, name: str, problems: Mapping[tuple[str, str], State]) -> Line:
    from hubman.civitai import form_edit

    number, _, plain = name.rpartition(".")
    part = form.parts[int(number) - 1] if number else None
    mine = [worst for (of, version), worst in problems.items() if of == plain and _is_of(version, part)]
    state: State = "missing" if "missing" in mine else "warning" if mine else ""
    label = f"{part.name}: {label_of(plain)}" if part else label_of(plain)
    return Line(name, label, value(form, name), form_edit.source_of(form, name), state)


def _is_of(version_id: str, part: VersionPart | None) -> bool:
    """Whether what is said of a version (empty: of the model) is said of a row; one without a version is of all."""
    return part is None or version_id in {"", part.version_id}


def label_of(field_name: str) -> str:
    """What a field is called on the screen."""
    return _LABELS.get(field_name, field_name.replace("_", " "))


def value(form: PublishForm, name: str) -> str:
    """A field as the form shows it: of a text its beginning, of pictures how many."""
    from hubman.civitai import form_edit

    number, _, plain = name.rpartition(".")
    if plain == "pictures":
        parts = [form.parts[int(number) - 1]] if number else form.parts
        shown, offered = sum(len(part.pictures) for part in parts), sum(len(part.offered) for part in parts)
        return f"{shown} of {offered}"
    if plain == "published_at" and form.published_at is None:
        return "at once"
    return " ".join(form_edit.text_of(form, name).split())


def of_field(draft: Draft, line: Line) -> list[Finding]:
    """What was found of a row."""
    number = line.name.rpartition(".")[0]
    part = draft.form.parts[int(number) - 1] if number else None
    return [one for one in draft.told if one.field == line.field and _is_of(one.version_id, part)]


def line_of(draft: Draft, found: Finding) -> str:
    """The name of the row that a finding is of; empty where it is of none."""
    names = _names(draft)
    for number, part in enumerate(draft.form.parts, 1):
        if part.version_id == found.version_id and f"{number}.{found.field}" in names:
            return f"{number}.{found.field}"
    return found.field if found.field in names else next((n for n in names if n.endswith(f".{found.field}")), "")


def hint(found: Finding) -> str:
    """What to do about a finding, where that is not an option of the command line."""
    return "" if "--" in found.hint else found.hint


def choices(draft: Draft, name: str) -> tuple[str, ...]:
    """What a field may be, the likely ones first; empty for one that is written freely."""
    from hubman.civitai import categories, form_base, form_fields

    plain = name.rpartition(".")[2]
    if plain == "category":
        return categories.FALLBACK
    if plain == "base_model":
        number = name.rpartition(".")[0]
        architecture = draft.form.parts[int(number) - 1 if number else 0].file.architecture
        likely = form_base.candidates(architecture)
        return tuple(dict.fromkeys((*likely, *form_fields.FIELDS[plain].choices())))
    one = form_fields.FIELDS[plain]
    return one.choices() if one.kind == "choice" else ()


def is_question(field_name: str) -> bool:
    """Whether yes or no answers it."""
    from hubman.civitai.form_fields import FIELDS

    return field_name in FIELDS and FIELDS[field_name].kind in {"answer", "flag"}


def help_of(line: Line) -> str:
    """What a row is, in a few words."""
    from hubman.civitai.form_fields import FIELDS

    own = {
        "to": "where it is published; b changes it",
        "repo": "NAME or OWNER/NAME on the Hub",
        "draft": "a draft is seen by you only; publishing again goes on from it",
        "pictures": "which are shown and in which order; enter chooses",
    }
    return own.get(line.field) or FIELDS[line.field].help
