"""Sending to Civitai, and what a person does with a page afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.publishing_hub import hub_options, publish_on_hub
from hubman.cli.site import sandbox_option, site_of
from registry import library
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.civitai.client import Civitai
    from hubman.civitai.publish import Publication
    from registry.database import Registry


@click.command()
@click.argument("refs", metavar="REF...", nargs=-1, required=True)
@click.option("--draft", is_flag=True, help="Send everything, but leave it a draft that only you see.")
@click.option("--dry-run", is_flag=True, help="Only check, and print every request that would be sent.")
@click.option("--edit", is_flag=True, help="Change a page that was published, as far as you changed what it shows.")
@click.option("--unpublish", is_flag=True, help="Hide what was published; publishing it again shows it again.")
@click.option("--replace-file", is_flag=True, help="Send the file again, in the place of a broken one on the page.")
@click.option("--name", help="The model's name on the page.")
@click.option("--base-model", help="Civitai's exact name of the base model.")
@click.option("--category", help="Civitai's category, such as style or character.")
@click.option("--nsfw/--no-nsfw", default=None, help="Whether the model is for mature content.")
@click.option("--set", "assigned", metavar="FIELD=VALUE", multiple=True, help="Any field of the form; may be repeated.")
@click.option("--accept", metavar="CODE", multiple=True, help="Take responsibility for a warning; may be repeated.")
@click.option("--yes", is_flag=True, help="Publish without asking, accepting warnings that harm nobody else.")
@hub_options
@sandbox_option
@output.json_option
def publish(
    refs: tuple[str, ...], to: str, repo: str, draft: bool, dry_run: bool, edit: bool, unpublish: bool, replace_file: bool,
    assigned: tuple[str, ...], accept: tuple[str, ...], yes: bool, use_sandbox: bool, as_json: bool, **choices: Any,
) -> None:  # fmt: skip
    """Publish the models REF on Civitai as versions of one page; the same command goes on with a broken publication."""
    from hubman.civitai.finding import HARMLESS
    from hubman.civitai.form_edit import changed
    from hubman.civitai.form_fill import filled
    from hubman.civitai.publish import publish as publish_versions
    from hubman.civitai.session import connect

    if draft + dry_run + unpublish > 1 or (unpublish and (edit or replace_file)):
        raise UsageError("these options exclude each other", "say one of --draft, --dry-run, --unpublish")
    if to == "hf":
        if edit or unpublish or replace_file or use_sandbox:
            raise UsageError("the Hugging Face Hub has no such option", "publish again: what changed is sent")
        accepted = (*accept, *([HARMLESS] if yes else []))
        publish_on_hub(
            refs, _assignments(assigned, choices), repo=repo, draft=draft, dry_run=dry_run, accept=accepted, ask=not yes,
            as_json=as_json,
        )  # fmt: skip
        return
    with open_registry() as registry, connect(config.home(), site_of(use_sandbox)) as client:
        versions = [library.resolve(registry, ref)[1] for ref in refs]
        if unpublish:
            _unpublish(registry, client, versions, ask=not (yes or as_json), as_json=as_json)
            return
        form = changed(filled(registry, versions), _assignments(assigned, choices))
        if not (yes or draft or dry_run or as_json):
            what = "Change the page of" if edit or replace_file else "Make public"
            click.confirm(f"{what} {output.clean(form.name)} on {client.site}?", abort=True)
        with output.progress(quiet=as_json) as report:
            done = publish_versions(
                registry, client, form, accept=(*accept, *([HARMLESS] if yes else [])), draft=draft, dry_run=dry_run,
                edit=edit or replace_file, replace=replace_file, report=report,
            )  # fmt: skip
    _tell(done, as_json=as_json)


def _assignments(assigned: Sequence[str], choices: dict[str, Any]) -> dict[str, str]:
    found = {
        name: value if isinstance(value, str) else "yes" if value else "no"
        for name, value in choices.items()
        if value is not None
    }
    for text in assigned:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} sets nothing", "write --set field=value")
        found[name.strip().replace("-", "_")] = value
    return found


def _tell(done: Publication, *, as_json: bool) -> None:
    if as_json:
        output.print_json(done)
        return
    for request in done.requests:
        output.say(request.text())
    for finding in done.findings:
        if not finding.accepted:
            output.say(f"{finding.level}: {finding.message}: {finding.hint}")
    for difference in done.differences:
        output.say(f"the page says otherwise: {difference.field} is {difference.found}, sent was {difference.sent}")
    for note in done.notes:
        output.say(note)
    output.say(f"{done.status}: {done.url}")


def _unpublish(registry: Registry, client: Civitai, versions: Sequence[str], *, ask: bool, as_json: bool) -> None:
    from hubman.civitai.after import unpublish

    if ask:
        names = ", ".join(library.version(registry, version).name or version for version in versions)
        click.confirm(f"Hide {output.clean(names)} on {client.site}?", abort=True)
    done = unpublish(registry, client, versions)
    if as_json:
        output.print_json(done)
    else:
        output.say(f"unpublished: {done.url}")
