"""The publish form in a command: its fields as options, the versions that it is about, its questions, and how it is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hubman.civitai.form_fields import ANSWERS, FIELDS, FormField
from hubman.cli import output
from registry import library, lineage
from registry.database import Registry
from registry.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding
    from hubman.civitai.form import PublishForm

F = TypeVar("F", bound=Callable[..., Any])
_PREFIX = "field_"


def form_options(command: F) -> F:
    """Add an option for every field of the form, and ``--set FIELD=VALUE`` for a field of one version."""
    for field in reversed(FIELDS.values()):
        command = _option(field)(command)
    told = "Any field of the form; 2.strength is the second version's. May be repeated."
    return click.option("--set", "assigned", metavar="FIELD=VALUE", multiple=True, help=told)(command)


def _option(field: FormField) -> Callable[[F], F]:
    name, target, told = field.name.replace("_", "-"), _PREFIX + field.name, f"{field.help[0].upper()}{field.help[1:]}."
    if field.name.startswith("no_"):
        return click.option(f"--{name}", target, is_flag=True, default=None, help=told)
    if field.kind in {"answer", "flag"}:
        return click.option(f"--{name}/--no-{name}", target, default=None, help=told)
    return click.option(f"--{name}", target, metavar=_METAVARS.get(field.kind, "TEXT"), help=told)


_METAVARS = {"number": "NUMBER", "count": "NUMBER", "words": "A,B", "when": "TIME"}


def assignments(assigned: Sequence[str], choices: Mapping[str, Any]) -> dict[str, str]:
    """What the options say of the form, for :func:`hubman.civitai.form_edit.changed`. Raises :class:`UsageError`."""
    found = {
        name.removeprefix(_PREFIX): value if isinstance(value, str) else "yes" if value else "no"
        for name, value in choices.items()
        if name.startswith(_PREFIX) and value is not None
    }
    for text in assigned:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} sets nothing", "write --set field=value")
        found[name.strip().replace("-", "_")] = value
    return found


def versions_of(registry: Registry, refs: Sequence[str], query: str, *, epochs: bool) -> list[str]:
    """The versions to publish as one page, in the order in which they are sent.

    Of each model that ``refs`` or the ``query`` name the newest, or with ``epochs`` all epochs of its training.
    """
    found = [library.resolve(registry, ref)[1] for ref in refs]
    if query:
        found += [row.version_id for row in library.list_models(registry, query)]
    if not found:
        raise UsageError("nothing is named to be published", "give a REF, or --query with what finds some")
    if epochs:
        found = [epoch for version in found for epoch in _epochs(registry, version)]
    return list(dict.fromkeys(found))


def _epochs(registry: Registry, version_id: str) -> list[str]:
    version = library.version(registry, version_id)
    states = lineage.of(registry, version).epochs
    if not states:
        raise NotFoundError(f"no other epochs of {version.name or version_id} are here", "leave --all-epochs out")
    return [state.version_id for state in states]


def is_asking(*, quiet: bool) -> bool:
    """Whether a person sits at the terminal and may be asked."""
    return not quiet and sys.stdin.isatty() and sys.stdout.isatty()


def asked(form: PublishForm) -> PublishForm:
    """The form with the answers that only a person has, asked for at the terminal: the open questions, a guessed base."""
    from hubman.civitai import form_base, form_edit
    from hubman.civitai.form import GUESS

    for name in ANSWERS:
        if getattr(form, name) is None:
            said = click.confirm(FIELDS[name].help.capitalize(), default=None)
            form = form_edit.changed(form, {name: "yes" if said else "no"})
    for number, part in enumerate(form.parts, 1):
        if part.sources.get("base_model") == GUESS or not part.base_model:
            choices = form_base.candidates(part.file.architecture)
            if choices:
                output.say(f"base models of {part.file.architecture}: {', '.join(choices)}")
            question = f"Civitai's name of the base model of {output.clean(part.name)}"
            told = click.prompt(question, default=part.base_model or (choices[0] if len(choices) == 1 else None))
            form = form_edit.changed(form, {f"{number}.base_model": told})
    return form


def show_form(form: PublishForm, suggested: Iterable[str] = ()) -> None:
    """Every field with its value and where it comes from; of several versions each."""
    from hubman.civitai import form_edit

    rows: list[tuple[str, str, str]] = []
    for field in FIELDS.values():
        names = [field.name]
        if field.level == "version" and len(form.parts) > 1:
            names = [f"{number}.{field.name}" for number in range(1, len(form.parts) + 1)]
        for name in names:
            text = (
                form_edit.text_of(form, name) if field.kind != "long" else _first_line(form_edit.value_of(form, name))
            )
            rows.append((name, text or ("?" if field.name in ANSWERS else "-"), form_edit.source_of(form, name)))
    output.table(rows, ("field", "value", "source"))
    if tags := ", ".join(suggested):
        output.say(f"Civitai also has the tags {tags}")


def _first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[0] + (f" … ({len(lines)} lines)" if len(lines) > 1 else "") if lines else ""


def show_findings(findings: Iterable[Finding]) -> None:
    """One line each: what it is, and what to do."""
    for one in findings:
        mark = "accepted" if one.accepted else one.level
        output.say(f"{mark} {one.code}: {one.message}: {one.hint}")


@contextmanager
def refusal_shown(*, as_json: bool) -> Iterator[None]:
    """Print every finding of a :class:`PreflightError` before it goes on."""
    from hubman.civitai.finding import PreflightError

    try:
        yield
    except PreflightError as problem:
        if as_json:
            output.print_json({"status": "refused", "findings": problem.findings})
        else:
            show_findings(problem.findings)
        raise


def show_check(
    form: PublishForm, findings: Sequence[Finding], suggested: Callable[[], Iterable[str]], *, as_json: bool
) -> None:
    """The form and what the checks found. Exit status 1 when something stands in the way."""
    from hubman.civitai import finding

    if as_json:
        output.print_json({"form": form, "findings": findings})
    else:
        show_form(form, suggested())
        show_findings(findings)
    if finding.blocking(findings):
        click.get_current_context().exit(1)


def agreed_to(findings: Sequence[Finding], what: str) -> list[str]:
    """Ask whether to do ``what``; returns the marks of the harmless warnings that a person accepts with it.

    Raises :class:`PreflightError` where more stands in the way, and :class:`click.Abort` for a no.
    """
    from hubman.civitai import finding

    if standing := finding.blocking(finding.accepted(findings, (finding.HARMLESS,))):
        raise finding.PreflightError(standing)
    show_findings(findings)
    asked_for = [one.mark for one in findings if not one.accepted]
    if not output.agreed(f"{what}{' in spite of these warnings' if asked_for else ''}?", yes=False):
        raise click.Abort
    return asked_for


def show_reveals(form: PublishForm, *, as_json: bool) -> None:
    """What the headers of the form's files tell of their owner."""
    from pathlib import Path

    from hubman.civitai import checks_file, reveal
    from registry.headers import read_header

    rows = [
        (part.file.name, found.name, found.kind, found.shown, "stripped" if found.kind in reveal.STRIPPED else "kept")
        for part in form.parts
        for found in reveal.of(read_header(Path(part.file.path)).metadata, public=checks_file.prompts(part))
    ]
    if as_json:
        names = ("file", "entry", "kind", "shown", "strip")
        output.print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif rows:
        output.table(rows, ("file", "entry", "tells", "such as", "with --strip"))
    else:
        output.say("the header tells nothing of you or your machine")
