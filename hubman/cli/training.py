"""``hubman train``: from a recipe, or from a folder of images and a preset."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from hubman import bases
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.work import conclude, follow
from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.train.recipe import Kind, Recipe
from registry.database import Registry
from registry.errors import NotFoundError, UsageError

PATH = click.Path(path_type=Path)
_WITH_RESUME = {"resume", "detach", "as_json"}


@click.command()
@click.argument("recipe", required=False, type=PATH)
@click.option("--dataset", "data", type=PATH, help="Folder of images with captions.")
@click.option(
    "--base", default=bases.EMBEDDED, show_default=True, help="The base model: a path, or tiny for the embedded one."
)
@click.option(
    "--preset", "kind", type=click.Choice(["style", "character", "concept"]), default="style", show_default=True
)
@click.option("--name", help="What to call the LoRA; by default the folder's name.")
@click.option("--trigger", default="", help="The word that calls it in a prompt.")
@click.option("--steps", type=click.IntRange(1), help="Optimizer steps, instead of the preset's.")
@click.option("--seed", type=click.IntRange(0), help="What everything random follows from; by default 0.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change a field, such as network.rank=8; repeatable.",
)
@click.option("--fields", is_flag=True, help="List every field of a recipe with its range and reason, and stop.")
@click.option("--from", "source", type=PATH, help="Repeat the training that made this LoRA: its recipe is inside.")
@click.option(
    "--continue", "further", is_flag=True, help="With --from: go on from its weights instead of from nothing."
)
@click.option("--dry-run", is_flag=True, help="Say what it would take of memory and time, and stop.")
@click.option("--force", is_flag=True, help="Train in spite of errors in the dataset; broken images are left out.")
@click.option("--detach", is_flag=True, help="Start the job and return at once.")
@click.option("--resume", is_flag=True, help="Go on with the last training that failed or was cancelled.")
@output.json_option
def train(
    recipe: Path | None,
    data: Path | None,
    settings: tuple[str, ...],
    fields: bool,
    source: Path | None,
    further: bool,
    dry_run: bool,
    force: bool,
    detach: bool,
    resume: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Train a LoRA: from RECIPE (a TOML file), from --dataset, --base and --preset, or --from a LoRA once more."""
    if fields:
        _list_fields(as_json)
        return
    from hubman.train.start import start

    with open_registry() as registry:
        if resume:
            names = {str(each.name) for each in click.get_current_context().command.params}
            _refuse_options(names - _WITH_RESUME, "--resume goes on with a training as it is")
            job = store.resume(registry, _last_unfinished(registry).id)
        else:
            given = [setting.partition("=")[0].strip() for setting in settings]
            chosen = _recipe(registry, recipe, data, source, further=further, given=given, **choices)
            chosen = _with_settings(chosen, settings, choices)
            bases.find(chosen.base)  # a recipe from elsewhere may name one that is not here
            if dry_run:
                _tell_forecast(chosen, as_json)
                return
            job = start(registry, chosen, force=force)
    if not as_json:
        output.say(f"job {job.id[-6:]}: {job.title}")
    if detach:
        if as_json:
            output.print_json(job)
        return
    ended = follow(job)
    conclude(ended)
    if as_json:
        output.print_json(ended.result or {})
    else:
        done = ended.result or {}
        output.say(f"trained {done.get('path')}")
        for warning in done.get("warnings", ()):
            output.say(f"warning: {warning}")


def _list_fields(as_json: bool) -> None:
    from hubman.train import recipe_fields

    fields = recipe_fields.fields().values()
    if as_json:
        rows = [{"field": each.path, "takes": each.takes, "reason": each.reason} for each in fields]
        output.print_json(rows)
    else:
        output.table([(each.path, each.takes, each.reason) for each in fields], ("field", "takes", "reason"))


def _recipe(
    registry: Registry,
    recipe: Path | None,
    data: Path | None,
    source: Path | None,
    *,
    further: bool,
    given: list[str],
    **choices: Any,
) -> Recipe:
    """The recipe that the command line names, in one of three ways."""
    from hubman.train.recipe import read_recipe

    if source is not None and recipe is None:
        _refuse_options(("kind",), "the LoRA has its recipe inside")
        return _again(registry, source, data, further=further, given=given, **choices)
    if further:
        raise UsageError("--continue goes on from a LoRA", "say which one: --from FILE.safetensors")
    if source is not None or (recipe is None) == (data is None):
        raise UsageError(
            "a training needs a recipe, a dataset or a LoRA",
            "hubman train RECIPE.toml, hubman train --dataset DIR, or hubman train --from FILE.safetensors",
        )
    if recipe is None:
        return _from_preset(data or Path(), **choices)
    _refuse_options(("kind",), f"{recipe.name} is a recipe already")
    found = read_recipe(recipe)
    base, name = _chosen_base(choices["base"]) or found.base, choices["name"] or found.output
    return msgspec.structs.replace(found, base=base, output=name)


def _is_given(name: str) -> bool:
    """Whether the command line itself says it."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _chosen_base(base: str) -> str:
    """The path of the base that the command line names; empty where it names none."""
    return str(bases.find(base)) if _is_given("base") else ""


def _refuse_options(names: Collection[str], what: str) -> None:
    """Raise UsageError where the command line says one of ``names``, which would not count."""
    for option in click.get_current_context().command.params:
        if option.name in names and _is_given(option.name):
            raise UsageError(what, f"leave {option.opts[0]} out")


def _again(
    registry: Registry,
    source: Path,
    data: Path | None,
    *,
    further: bool,
    given: list[str],
    base: str,
    name: str | None,
    **_: Any,
) -> Recipe:
    from hubman.train.again import differences_of_versions, recipe_of

    dataset = str(data.absolute()) if data is not None else ""
    found = recipe_of(registry, source, base=_chosen_base(base), dataset=dataset, further=further, given=given)
    for what, (then, now) in differences_of_versions(source).items():
        click.echo(output.clean(f"{what} was {then} then and is {now} now: the weights may differ"), err=True)
    return msgspec.structs.replace(found, output=name) if name else found


def _tell_forecast(recipe: Recipe, as_json: bool) -> None:
    from hubman.train.capacity.dry_run import dry_run

    forecast = dry_run(recipe)
    if as_json:
        output.print_json({**msgspec.to_builtins(forecast), "fits": forecast.fits, "total": forecast.need.total})
        return
    output.say(forecast.sentence())
    parts = msgspec.to_builtins(forecast.need)
    output.table([(name, output.size(value)) for name, value in parts.items()], ("what", "memory"))
    if not forecast.fits:
        output.say("it will not fit: lower images.resolutions, or free memory")


def _from_preset(data: Path, *, base: str, kind: Kind, name: str | None, **_: Any) -> Recipe:
    from hubman.train.data.dataset import training_files
    from hubman.train.presets import preset

    base_path = bases.find(base)
    count = len(training_files(data))
    folder = data.absolute()
    return preset(
        kind, bases.family(base_path), count, base=str(base_path), dataset=str(folder), output=name or folder.name
    )


def _with_settings(recipe: Recipe, settings: tuple[str, ...], choices: dict[str, Any]) -> Recipe:
    """The recipe with what the command line says of it, its paths from here; fewer steps than epochs make fewer epochs."""
    from hubman.train import recipe_fields
    from hubman.train.recipe import rooted

    values: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting!r} has no value", "write --set network.rank=8")
        values[path.strip()] = recipe_fields.parse(path.strip(), text)
    short = {"steps": "length.steps", "seed": "seed", "trigger": "trigger"}
    values |= {path: choices[name] for name, path in short.items() if choices.get(name) not in (None, "")}
    if "length.steps" in values:
        values.setdefault("length.epochs", min(recipe.length.epochs, values["length.steps"]))
    return rooted(recipe_fields.changed(recipe, values), Path.cwd())


def _last_unfinished(registry: Registry) -> Job:
    for job in store.latest(registry):
        if job.kind == "train" and job.state in {"failed", "cancelled"}:
            return job
    raise NotFoundError("no training failed or was cancelled", "hubman jobs lists them")
