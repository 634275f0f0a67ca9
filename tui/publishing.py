"""The publish form: what would be told, who says so, what is missing, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding
    from hubman.civitai.form import FormPicture, PublishForm
    from registry.database import Registry

Where = Literal["civitai", "sandbox", "hf"]
PLACES: Mapping[Where, str] = {
    "civitai": "Civitai",
    "sandbox": "the local sandbox, a rehearsal",
    "hf": "the Hugging Face Hub",
}
_OF_CIVITAI = frozenset(
    (
        "type",
        "sfw_only",
        "attach_training_data",
        "published_at",
        "early_access_days",
        "early_access_price",
        "civitai_model_id",
    )
)
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
class Target:
    """Where it goes. A ``draft`` is seen by its owner only; ``repo`` is the Hub's, empty for one made from the name."""

    where: Where = "civitai"
    draft: bool = False
    repo: str = ""

    @property
    def site(self) -> str | None:
        """As :func:`hubman.civitai.session.connect` takes it."""
        return "sandbox" if self.where == "sandbox" else None


@dataclass(frozen=True)
class Draft:
    """What is about to be published, as far as it is known: the form, the checks of it, and what was accepted."""

    form: PublishForm
    target: Target = Target()
    accepted: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    is_checked: bool = False
    """Whether the findings are of the form as it is now; until then those of the fields that did not change are shown."""
    problem: str = ""
    """Why the checks could not be made."""

    @property
    def told(self) -> tuple[Finding, ...]:
        """The findings with what was accepted, those that stand in the way first."""
        from hubman.civitai import finding

        told = finding.accepted(self.findings, self.accepted)
        return tuple(sorted(told, key=lambda one: (not one.is_blocking, one.level != "error")))

    @property
    def blocking(self) -> int:
        return sum(1 for one in self.told if one.is_blocking)

    @property
    def is_ready(self) -> bool:
        return self.is_checked and not self.problem and not self.blocking

    def changed(self, assignments: Mapping[str, str]) -> Draft:
        """With fields as they were typed. Raises ``UsageError``."""
        from hubman.civitai import form_edit

        fields = {name.rpartition(".")[2] for name in assignments}
        left = tuple(one for one in self.findings if one.field not in fields)
        form = form_edit.changed(self.form, assignments)
        return replace(self, form=form, findings=left, is_checked=False, problem="")

    def going_to(self, target: Target) -> Draft:
        return replace(self, target=target, is_checked=False, problem="")

    def accepting(self, codes: Sequence[str]) -> Draft:
        return replace(self, accepted=self.accepted | set(codes))

    def with_level(self, sha256: str, level: int) -> Draft:
        """With a picture's level as a person has just said it to the library."""
        return replace(
            self, form=_with_pictures(self.form, lambda one: _levelled(one, sha256, level)), is_checked=False
        )

    def with_new_pictures(self, fresh: PublishForm) -> Draft:
        """With what the library has got since: new pictures are offered, and shown where nobody chose any."""
        import msgspec

        parts = []
        for part, now in zip(self.form.parts, fresh.parts, strict=True):
            chosen = part.pictures if part.sources.get("pictures") == "you" else now.pictures
            parts.append(msgspec.structs.replace(part, offered=now.offered, pictures=chosen))
        return replace(self, form=msgspec.structs.replace(self.form, parts=tuple(parts)), is_checked=False)


def _with_pictures(form: PublishForm, change: Callable[[FormPicture], FormPicture]) -> PublishForm:
    import msgspec

    parts = [
        msgspec.structs.replace(
            part, pictures=tuple(map(change, part.pictures)), offered=tuple(map(change, part.offered))
        )
        for part in form.parts
    ]
    return msgspec.structs.replace(form, parts=tuple(parts))


def _levelled(picture: FormPicture, sha256: str, level: int) -> FormPicture:
    import msgspec

    return msgspec.structs.replace(picture, nsfw_level=level) if picture.sha256 == sha256 else picture


@dataclass(frozen=True)
class Line:
    """A row of the form. ``name`` is what :func:`hubman.civitai.form_edit.changed` takes, or ``to``, ``repo``, ``draft``."""

    name: str
    label: str
    value: str
    source: str = ""
    state: Literal["", "missing", "warning"] = ""
    choices: tuple[str, ...] = field(default=(), compare=False)

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


def _problems(draft: Draft) -> dict[tuple[str, str], str]:
    """The worst that was found of each field, by its name and the version that it is of (empty: the model's)."""
    found: dict[tuple[str, str], str] = {}
    for one in reversed(draft.told):
        if one.field and one.is_blocking:
            found[one.field, one.version_id] = "missing" if one.level == "error" else "warning"
    return found


def _line(form: PublishForm, name: str, problems: Mapping[tuple[str, str], str]) -> Line:
    from hubman.civitai import form_edit

    number, _, plain = name.rpartition(".")
    version = form.parts[int(number) - 1].version_id if number else ""
    state = problems.get((plain, version)) or problems.get((plain, "")) or ""
    if not number:
        state = state or next((worst for (of, _), worst in problems.items() if of == plain), "")
    label = label_of(plain)
    if number:
        label = f"{form.parts[int(number) - 1].name}: {label}"
    return Line(name, label, value(form, name), form_edit.source_of(form, name), _known_state(state))


def label_of(field_name: str) -> str:
    """What a field is called on the screen."""
    return _LABELS.get(field_name, field_name.replace("_", " "))


def place(target: Target) -> str:
    """Where it goes, as a person reads it: a site of another address than Civitai's own by that."""
    if target.where != "civitai":
        return PLACES[target.where]
    from tui.civitai_search import site_name

    return site_name(None)


def _known_state(state: str) -> Literal["", "missing", "warning"]:
    return "missing" if state == "missing" else "warning" if state else ""


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
    number, _, plain = line.name.rpartition(".")
    version = draft.form.parts[int(number) - 1].version_id if number else ""
    return [one for one in draft.told if one.field == plain and (not number or one.version_id in {"", version})]


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


def read(registry: Registry, version_ids: Sequence[str], name: str) -> PublishForm:
    """The form as far as it can be filled in; for a thread. Raises ``HubError``."""
    import importlib

    from hubman.civitai import contract, form_fill

    # Some megabytes of JSON, and what asks for fields: loaded here, so that no key press waits for them.
    contract.base_models()
    for module in ("widgets.picking", "screens.publish_edit", "screens.publish_pictures", "screens.publish_text"):
        importlib.import_module(f"tui.{module}")
    return form_fill.filled(registry, version_ids, name=name)


def site_of(registry: Registry, target: Target) -> str:
    """The address of the site: what the journal knows publications by. Raises ``HubError``."""
    if target.where == "hf":
        from hubman.huggingface import auth

        return auth.endpoint()
    from hubman.civitai import auth as civitai_auth
    from hubman.civitai import session
    from registry.errors import HubError

    if target.where == "civitai":
        return civitai_auth.site_url()
    running = session.read_running(session.sandbox_folder(registry.home))
    if running is None:
        raise HubError("no sandbox is running", "start one in another terminal with: hubman sandbox")
    return running.url


def request(draft: Draft, *, edit: bool = False) -> dict[str, Any]:
    """The ``publish`` job's request: everything that a person has seen and agreed to. ``edit`` changes a page that is out."""
    import msgspec

    return {
        "form": msgspec.to_builtins(draft.form),
        "accept": sorted(draft.accepted),
        "to": "hf" if draft.target.where == "hf" else "civitai",
        "site": draft.target.site,
        "repo": draft.target.repo,
        "draft": draft.target.draft,
        "edit": edit,
    }
