"""The command ``runs``: the trainings that were, and in what two of them differ."""

from __future__ import annotations

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry.records import RunRow


class _RunsGroup(click.Group):
    """``hubman runs REF`` is short for ``hubman runs show REF``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        words = args if args[0] in self.commands else ["show", *args]
        return super().resolve_command(ctx, words)


@click.group(cls=_RunsGroup, invoke_without_command=True)
@click.pass_context
def runs(ctx: click.Context) -> None:
    """Trainings: alone the list, ``runs REF`` one of them with its epochs, ``runs diff A B`` two beside each other."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(runs_ls)


@runs.command("ls")
@output.json_option
def runs_ls(as_json: bool = False) -> None:
    """Every training that is known, the newest first."""
    from hubman.train import history

    with open_registry() as registry:
        found = history.runs(registry)
    if as_json:
        output.print_json(found)
        return
    if not found:
        click.echo("no training yet", err=True)
    rows = [(run.name, run.id[:8], (run.finished_at or "")[:16], run.steps, _minutes(run), _loss(run)) for run in found]
    output.table(rows, ("name", "id", "finished", "steps", "took", "loss"))


@runs.command("show")
@click.argument("ref")
@output.json_option
def runs_show(ref: str, as_json: bool) -> None:
    """The training that made REF, with its epochs and the one that is proposed."""
    from hubman.train import history

    with open_registry() as registry:
        run = history.run_of(registry, ref)
    if as_json:
        output.print_json(run)
        return
    output.say(f"{run.name}: {run.steps} steps on {run.images} images of {run.base or 'a base'} in {_minutes(run)}")
    rows = [
        (
            f"{each.epoch}{' *' if each.epoch == run.best else ''}",
            each.step,
            "" if each.validation is None else f"{each.validation:.4f}",
            len(each.samples),
            each.version_id[:8],
        )
        for each in run.epochs
    ]
    output.table(rows, ("epoch", "step", "validation", "samples", "version"))
    if run.best is not None:
        output.say(f"proposed: epoch {run.best}, {run.reason}")


@runs.command("diff")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@output.json_option
def runs_diff(first: str, second: str, as_json: bool) -> None:
    """In what the trainings of A and B differ: recipe, data, versions, and what came of it."""
    from hubman.train import history

    with open_registry() as registry:
        found = history.differences(history.run_of(registry, first), history.run_of(registry, second))
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.say("no difference")
        return
    rows = [(each.field, _shown(each.first), _shown(each.second)) for each in found]
    output.table(rows, ("what", first, second))


def _shown(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _minutes(run: RunRow) -> str:
    return f"{run.seconds:.0f} s" if run.seconds < 120 else f"{run.seconds / 60:.0f} min"


def _loss(run: RunRow) -> str:
    return "" if run.final_loss is None else f"{run.final_loss:.4f}"
