"""``hubman import`` and ``hubman export``: a library from elsewhere, and what was said of models as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from hubman.cli import output
from hubman.cli.arguments import GivenPath
from hubman.cli.library import open_registry
from hubman.progress import Progress
from registry import exchange, exchange_csv, exchange_import, library, program_import
from registry.database import Registry
from registry.errors import HubError, UsageError


@click.command("export", context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("query", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), help="jsonl loses nothing, csv is for spreadsheets."
)
@click.option("-o", "--output", "target", type=GivenPath(), help="Write FILE instead.")
@output.json_option
def export(query: tuple[str, ...], form: str | None, target: Path | None, as_json: bool) -> None:
    """Write everything that a person can edit of the models that match QUERY, or of all, with what their files are known by.

    Without a format the ending of FILE says it, else it is JSON Lines. ``hubman import FILE`` takes it in, here or in
    another registry, before its files are scanned there or after.
    """
    form = form or ("csv" if target and target.suffix.lower() == ".csv" else "jsonl")
    line = output.query_line(query)
    with open_registry() as registry:
        if form == "csv":
            lines = [row.encode() for row in exchange_csv.table(registry, library.model_ids(registry, line))]
            # Spreadsheets take a file without a mark for one in the system's old encoding.
            mark, count = b"\xef\xbb\xbf" if target else b"", len(lines) - 1
        else:
            lines = list(exchange.encode(exchange.lines(registry, line or None)))
            mark, count = b"", len(lines)
    content = mark + b"".join(lines)
    if target is None:
        click.echo(content, nl=False)
        return
    if not target.parent.is_dir():
        raise HubError(f"{target.parent} is no folder", "make it, or name a file in one that is there")
    if target.is_dir():
        raise HubError(f"{target} is a folder", "name a file in it")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    if as_json:
        output.print_json({"file": target, "format": form, "lines": count})
    else:
        output.say(f"{count} lines written to {target}")


@click.command("import")
@click.argument("path", type=GivenPath())
@click.option("--yes", is_flag=True, help="Carry the plan out without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would be taken, and take nothing.")
@output.json_option
def import_(path: Path, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Take over PATH: the folder of A1111, Forge, ComfyUI, InvokeAI, StabilityMatrix or SwarmUI, or a file of ``hubman export``.

    Of a program its model folders are indexed, all sidecars read and its pictures watched; nothing in it is changed. That
    is no entry of the journal: ``hubman root rm`` and ``hubman images rm`` end it. A file's plan is shown
    first; ``hubman undo`` takes it back. Exit status 1 if a line finds no file here: those of JSON Lines wait until a
    scan finds it.
    """
    if path.is_dir():
        return _program(path, dry_run=dry_run, as_json=as_json)
    if not path.is_file():
        raise UsageError(f"there is no {path}", "give a folder, or a file of hubman export")
    with open_registry() as registry:
        if path.suffix.lower() == ".csv":
            return _table(registry, path, yes=yes, dry_run=dry_run, as_json=as_json)
        return _lines(registry, path, yes=yes, dry_run=dry_run, as_json=as_json)


def _lines(registry: Registry, path: Path, *, yes: bool, dry_run: bool, as_json: bool) -> int:
    with path.open("rb") as content:
        plan = exchange_import.plan(registry, content)
    exchange_import.refuse(plan)
    rows: list[tuple[object, ...]] = [
        *(("collection", "", "", one) for one in plan.collections),
        *((f"@{name}", "view", "", query) for name, query in plan.views.items()),
        *((one.name, one.field, _short(one.before), _short(one.after)) for one in plan.changes),
        *((library.show(registry, model).name, "collections", "", one) for one, model in plan.memberships),
    ]
    if as_json:
        output.print_json(
            {"changes": plan.changes, "collections": plan.collections, "memberships": plan.memberships, "views": plan.views,
             "unmatched": plan.unmatched}
        )  # fmt: skip
    else:
        _print(rows, plan.unmatched)
    is_empty = plan.is_empty and not plan.waiting
    if not dry_run and not is_empty and output.agreed(f"Change {len(rows)} fields?", yes=yes):
        exchange_import.carry_out(registry, plan, f"import of {path.name}")
        if not as_json:
            output.say(f"{len(rows)} fields taken in; hubman undo takes them back")
    return 1 if plan.unmatched else 0


def _table(registry: Registry, path: Path, *, yes: bool, dry_run: bool, as_json: bool) -> int:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HubError(f"{path} is not UTF-8 text", "save it as CSV in UTF-8") from error
    plan = exchange_csv.plan(registry, text)
    if as_json:
        output.print_json({"changes": plan.changes, "unmatched": plan.unmatched, "ignored": plan.ignored})
    else:
        _print([(one.name, one.field, one.before, one.after) for one in plan.changes], plan.unmatched)
        if plan.ignored:
            output.say(f"columns that are not known: {', '.join(plan.ignored)}")
    if plan.changes and not dry_run and output.agreed(f"Change {len(plan.changes)} fields?", yes=yes):
        exchange_csv.carry_out(registry, plan, f"import of {path.name}")
        if not as_json:
            output.say(f"{len(plan.changes)} fields taken in; hubman undo takes them back")
    return 1 if plan.unmatched else 0


def _print(rows: list[tuple[Any, ...]], unmatched: Any) -> None:
    if rows:
        output.table(rows, ("model", "field", "from", "to"))
    for one in unmatched:
        output.say(f"line {one.line}: {one.name or 'not understood'}: {one.reason}")


def _short(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)[:200]


def _program(base: Path, *, dry_run: bool, as_json: bool) -> int:
    if dry_run:
        found = program_import.look(base)
    else:
        with open_registry() as registry, output.progress(quiet=as_json) as report:
            found = program_import.take_over(
                registry,
                base,
                lambda stage, done, total: report(Progress(stage=stage, done=done, total=total, unit="files")),
            )
    if as_json:
        output.print_json(found)
        return 0
    models = "" if found.models is None else f", {found.models} models"
    output.say(f"{found.program} in {found.base}: {found.files} model files{models}, in {len(found.folders)} folders")
    for folder in found.folders:
        output.say(f"  {folder.path}" + (f" ({folder.kind})" if folder.kind != "any" else ""))
    for pictures in found.pictures:
        output.say(f"  {pictures} (pictures{'' if found.is_plan else '; hubman images scan looks at them'})")
    for dialect in found.dialects:
        fields = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in dialect.fields.items())
        output.say(f"{dialect.dialect}: {dialect.files} read ({fields or 'they say nothing'})")
    for conflict in found.conflicts:
        output.say(f"disagree: {conflict.name}: {', '.join(conflict.fields).replace('_', ' ')}")
    for problem in found.broken:
        output.say(f"broken: {problem.path} {problem.reason}")
    for left in found.left_out:
        output.say(f"not taken: {left.count} {left.what}: {left.reason}")
    if found.scanned:
        output.say(f"{found.scanned.new} new, {found.scanned.unchanged} known before, {found.scanned.damaged} damaged")
        output.say("hubman undo does not take this back: hubman root rm and hubman images rm end it, folder by folder")
    return 0
