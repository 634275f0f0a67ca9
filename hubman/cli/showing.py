"""The command that tells everything known of a model: show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
import msgspec

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import civitai_stats, fingerprints, levels, library, licence, lineage, triggers, usage_profile
from registry.civitai_stats import Counts
from registry.database import Registry
from registry.fingerprints import Standing
from registry.lineage import Lineage
from registry.records import FileRow, ModelDetail, Place, VersionRow
from registry.usage_profile import Profile


@click.command()
@click.argument("ref")
@click.option("--archive", is_flag=True, help="Its page on Civitai as it was last seen, also if it is gone.")
@output.json_option
def show(ref: str, archive: bool, as_json: bool) -> None:
    """Everything known of the model REF: an id, a name, an alias, a hash or a path.

    A word in brackets says who said something: user, sweep, training, civitai, sidecar, header, file or guess.
    """
    with open_registry() as registry:
        if archive:
            from hubman.cli.archived import show_archive

            show_archive(registry, ref, as_json=as_json)
            return
        model = library.show(registry, library.resolve(registry, ref)[0])
        found = {version.id: lineage.of(registry, version) for version in model.versions}
        weights = {version.id: _standing(registry, version) for version in model.versions}
        elsewhere = {version.id: _elsewhere(registry, version) for version in model.versions}
        used = usage_profile.profile(registry, model.id)
        counted = civitai_stats.of_model(registry, model.id)
    if as_json:
        told = msgspec.to_builtins(model)
        for version in told["versions"]:
            version["lineage"] = msgspec.to_builtins(found[version["id"]])
            version["weights"] = msgspec.to_builtins(weights[version["id"]])
        usage = msgspec.to_builtins(used)
        output.print_json({**told, "licence": licence.answers(model.permissions), "usage": usage, "counts": counted})
        return
    _print_model(model)
    for version in model.versions:
        _print_version(version, found[version.id], weights[version.id], elsewhere[version.id])
    _print_counts(counted)
    _print_usage(used)


def _standing(registry: Registry, version: VersionRow) -> Standing | None:
    found = (fingerprints.standing(registry, file.sha256) for file in version.files)
    return next((one for one in found if one is not None), None)


def _print_counts(counted: Sequence[Counts]) -> None:
    for one in counted:
        output.say(f"on Civitai {one.name}: {one.words()} ({one.read_at[:10]})")


def _print_model(model: ModelDetail) -> None:
    facts: list[tuple[str, object, str]] = [
        ("name", model.name, "name"), ("kind", model.kind, "kind"), ("creator", model.creator, "creator"),
        ("alias", model.alias, "alias"), ("tags", ", ".join(model.tags), ""), ("rating", "★" * model.rating, "rating"),
        ("origin", model.origin, "origin"), ("civitai", model.civitai_id, "civitai_model_id"), ("notes", model.notes, ""),
        ("licence", f"{licence.letters(model.permissions)}  {licence.words(model.permissions)}", "permissions"),
        ("upstream", _upstream(model), "upstream_mode"), ("nsfw", levels.name_of(model.nsfw_level), "nsfw_level"), ("id", model.id, ""),
    ]  # fmt: skip
    for name, value, field in facts:
        if value:
            source = model.sources.get(field)
            output.say(f"{name:<10} {value}" + (f" ({source})" if source else ""))


def _upstream(model: ModelDetail) -> str:
    """What became of its page on Civitai, if anything did."""
    if model.upstream_deleted:
        return "deleted from Civitai; --archive shows its page"
    return {"TakenDown": "taken down by Civitai", "Archived": "archived by its creator"}.get(
        model.upstream_mode or "", ""
    )


def _elsewhere(registry: Registry, version: VersionRow) -> str:
    """Who has the weights of a version of which nothing is here; empty where something is, or nobody has it."""
    from hubman.sync.policies import holders

    if not version.files or any(place.state != "missing" for file in version.files for place in file.places):
        return ""
    found = holders.of_version(registry, version.id)
    names = [*found.others, *(f"the remote {name}" for name in found.remotes)]
    return f"on {', '.join(names)}: hubman fetch {version.id[:8]}" if names and not found.is_here else ""


def _print_version(version: VersionRow, found: Lineage, weights: Standing | None, elsewhere: str) -> None:
    output.say(f"version    {version.name or version.id[:8]}: {', '.join(_known(version))}")
    if version.trigger_words:
        output.say(f"  triggers {', '.join(version.trigger_words)}")
    if version.negative_prompt:
        output.say(f"  negative {version.negative_prompt}")
    if version.trigger_groups:
        output.say(f"  groups   {triggers.shown(version.trigger_groups)}")
    if version.strength is not None:
        output.say(f"  strength {version.strength:g}{_range(version)}")
    if version.published_url:
        output.say(f"  page     {version.published_url}")
    if version.hub_url:
        output.say(f"  hub      {version.hub_url}")
    _print_lineage(found)
    if weights is not None:
        than = f", more than {weights.less} of {weights.others} others do" if weights.others else ""
        output.say(f"  weights  moved by {weights.norm:.3g}{than}")
    _print_files(version, elsewhere)
    for old in version.history:
        output.say(f"  replaced {old.path}  sha256 {old.sha256[:12]}  {old.at[:10]}")


def _print_files(version: VersionRow, elsewhere: str) -> None:
    for file in version.files:
        output.say(f"  file     {file.name}  {output.size(file.size)}  {_hash(file)}")
        if file.damage:
            output.say(f"           damaged: {file.damage}")
        for place in file.places:
            output.say(f"           {place.path} ({_state(place)})")
    if elsewhere:
        output.say(f"           {elsewhere}")


def _known(version: VersionRow) -> Iterator[str]:
    """What is known of a version, and why that is all."""
    base, source = version.base_model or "unknown base", version.sources.get("base_model")
    yield f"{base} ({source})" if source else base
    if version.network_type:
        yield version.network_type
    if version.rank is not None:
        yield f"rank {version.rank}"
    file = version.files[0] if version.files else None
    if file is not None and file.format == "pickle":
        yield "a pickle, which is never opened"
    elif file is not None and file.damage:
        yield "its header can't be read"


def _hash(file: FileRow) -> str:
    return f"sha256 {file.sha256[:12]}" if file.sha256 else "not hashed yet"


def _print_usage(used: Profile) -> None:
    if not used.times:
        output.say("used       never")
        return
    output.say(f"used       in {used.times} pictures, last on {(used.last_at or '')[:10]}")
    if used.strengths:
        found = used.strengths
        output.say(f"  strength {found.low:g} to {found.high:g}, median {found.median:g}")
    for label, companions in (("with", used.together), ("on", used.bases)):
        if companions:
            output.say(f"  {label:<8} {', '.join(f'{one.name} ({one.times})' for one in companions)}")
    for prompt in used.prompts:
        output.say(f"  prompt   {prompt[:200]}")


def _range(version: VersionRow) -> str:
    if version.strength_min is None or version.strength_max is None:
        return ""
    return f" ({version.strength_min:g} to {version.strength_max:g})"


def _state(place: Place) -> str:
    verified = f", verified {place.verified_at[:10]}" if place.verified_at else ""
    return f"{place.problem or place.state}{verified}"


def _print_lineage(found: Lineage) -> None:
    if found.run:
        steps = f", {found.steps} steps" if found.steps else ""
        epoch = f", epoch {found.epoch}" if found.epoch is not None else ""
        output.say(f"  trained  {found.run}  {found.trained_at}{steps}{epoch}")
    if found.dataset or found.dataset_path:
        output.say(f"  images   {'  '.join(part for part in (found.dataset_path, found.dataset) if part)}")
    if found.base:
        output.say(f"  on       {found.base}")
    if found.merged_from:
        output.say(f"  merged   from {', '.join(found.merged_words)}")
    if found.epochs:
        names = [f"{one.name} ({one.version_id[:8]})" for one in found.epochs]
        output.say(f"  epochs   {', '.join(names)}")
    if found.replaced_by is not None:
        output.say(f"  replaced by {found.replaced_by.name} ({found.replaced_by.version_id[:8]})")
