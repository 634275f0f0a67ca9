"""``hubman sidecar``: who said what of a model, and the files of other programs read again and written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.progress import Progress
from registry import library, sidecar_store
from registry.database import Registry
from registry.errors import UsageError
from registry.sidecar_view import FieldView, Saying

_QUERY = {"ignore_unknown_options": True, "help_option_names": ["--help"]}


@click.group()
def sidecar() -> None:
    """What other programs noted beside the model files. They are read unless switched off, and written only when asked."""


@sidecar.command("show")
@click.argument("ref")
@output.json_option
def show(ref: str, as_json: bool) -> None:
    """Every field of the model REF with everyone who says something of it; ``*`` marks what is shown."""
    from registry import sidecar_view

    with open_registry() as registry:
        found = sidecar_view.provenance(registry, library.resolve(registry, ref)[0])
    if as_json:
        output.print_json(found)
        return
    _print(found.fields)
    for row in found.broken:
        output.say(f"{row.path} {row.problem}")


@sidecar.command("conflicts", context_settings=_QUERY)
@click.argument("query", nargs=-1, type=click.UNPROCESSED)
@output.json_option
def conflicts(query: tuple[str, ...], as_json: bool) -> None:
    """The models that match QUERY whose sources disagree, unless a person said what holds: ``hubman edit`` says so."""
    from registry import sidecar_view

    with open_registry() as registry:
        found = sidecar_view.conflicts(registry, library.model_ids(registry, output.query_line(query)))
    if as_json:
        output.print_json([{"model": one.model, "name": one.name, "fields": one.conflicts} for one in found])
        return
    for one in found:
        output.say(f"{one.name} ({one.model[:8]})")
        _print(one.conflicts)
    output.say(f"{len(found)} models with sources that disagree")


def _print(fields: Sequence[FieldView]) -> None:
    for field in fields:
        mark = " (disagree)" if field.is_conflict else ""
        output.say(f"{field.field.replace('_', ' ')}{mark}")
        for one in field.sayings:
            output.say(f"  {'*' if one.is_shown else ' '} {_text(one.value)}  [{_who(one)}]")


def _who(one: Saying) -> str:
    source = "a sidecar that is not here" if one.source == "sidecar" and not one.dialect else one.source
    parts = (source if one.source != "sidecar" or not one.dialect else "", one.dialect, one.path, one.note)
    return ", ".join(part for part in parts if part)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


@sidecar.command("read", context_settings=_QUERY)
@click.argument("query", nargs=-1, type=click.UNPROCESSED)
@output.json_option
def read(query: tuple[str, ...], as_json: bool) -> None:
    """Read the sidecars of the models that match QUERY again, or of all; the model files themselves are not read."""
    from registry import sidecar_reread

    with open_registry() as registry, output.progress(quiet=as_json) as report:
        found = sidecar_reread.reread(
            registry,
            library.model_ids(registry, output.query_line(query)),
            lambda done, total: report(Progress(stage="reading", done=done, total=total, unit="files")),
        )
    if as_json:
        output.print_json(found)
        return
    for problem in found.problems:
        output.say(f"{problem.path} {problem.reason}")
    output.say(f"{found.sidecars} sidecars of {found.files} files read, news of {found.models}")


@sidecar.command("write")
@click.argument("ref", required=False)
@click.option("--query", help="Write those of all models that this query finds, instead of one REF.")
@click.option("--dialect", "dialects", multiple=True, metavar="NAME", help="Write this dialect; may be repeated.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and write nothing.")
@output.json_option
def write(
    ref: str | None, query: str | None, dialects: tuple[str, ...], yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Write what is known of the model REF into sidecars beside its files, in the dialects given or set to be written.

    The plan is shown first. Of a file that is there only empty places are filled and what a person decided in hubman is
    changed; everything else in it stays. ``hubman undo`` puts back what was there, to the byte.
    """
    from registry import sidecar_write

    with open_registry() as registry:
        plan = sidecar_write.plan(registry, _models(registry, ref, query), dialects)
        if as_json:
            output.print_json([_without_content(line) for line in plan])
        else:
            output.table(
                [
                    (line.path, line.dialect, _ACTIONS[line.action], line.reason or ", ".join(line.keys))
                    for line in plan
                ],
                ("file", "dialect", "", "keys, or why not"),
            )
        count = sum(line.action in {"create", "change"} for line in plan)
        if dry_run or not count or not output.agreed(f"Write {count} files?", yes=yes):
            return
        entry = sidecar_write.carry_out(registry, plan)
    if entry and not as_json:
        output.say(f"{entry.label}; hubman undo takes them back")


_ACTIONS = {"create": "new", "change": "changed", "none": "as it is", "refuse": "left alone"}


def _without_content(line: msgspec.Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(line).items() if name != "content"}


def _models(registry: Registry, ref: str | None, query: str | None) -> list[str]:
    if (ref is None) == (query is None):
        raise UsageError("which models?", "give one REF, or --query QUERY")
    return library.model_ids(registry, query) if query is not None else [library.resolve(registry, ref or "")[0]]


@sidecar.command("dialects")
@click.argument("choices", nargs=-1, metavar="[NAME=off|read|write]...")
@output.json_option
def dialects(choices: tuple[str, ...], as_json: bool) -> None:
    """Show what is done with each dialect, or choose it: ``hubman sidecar dialects metadata.json=write txt=off``."""
    pairs = [choice.partition("=") for choice in choices]
    wrong = next((choice for choice, pair in zip(choices, pairs, strict=True) if not pair[1]), None)
    if wrong is not None:
        raise UsageError(f"{wrong!r} is not NAME=MODE", "write for example metadata.json=write")
    with open_registry() as registry:
        if pairs:
            with registry.transaction() as db:
                sidecar_store.choose(db, {name: mode.strip().replace("read+write", "write") for name, _, mode in pairs})
        found = sidecar_store.dialects(registry.db)
    if as_json:
        output.print_json(found)
    else:
        output.table(
            [(name, {"write": "read and write"}.get(mode, mode)) for name, mode in found.items()], ("dialect", "")
        )
