"""Sending to Civitai, and what a person does with a page afterwards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.publish_form import (
    agreed_to,
    asked,
    assignments,
    form_options,
    is_asking,
    refusal_shown,
    show_check,
    show_reveals,
    versions_of,
)
from hubman.cli.publish_pictures import make_pictures as draw_pictures
from hubman.cli.publishing_hub import hub_options, publish_on_hub
from hubman.cli.site import sandbox_option, site_of
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.civitai.client import Civitai
    from hubman.civitai.form import PublishForm
    from hubman.civitai.publish import Publication
    from registry.database import Registry


@click.command()
@click.argument("refs", metavar="REF...", nargs=-1)
@click.option("--draft", is_flag=True, help="Send everything, but leave it a draft that only you see.")
@click.option("--dry-run", is_flag=True, help="Only check, and print every request that would be sent.")
@click.option("--edit", is_flag=True, help="Change a page that was published, as far as you changed what it shows.")
@click.option("--unpublish", is_flag=True, help="Hide what was published; publishing it again shows it again.")
@click.option("--replace-file", is_flag=True, help="Send the file again, in the place of a broken one on the page.")
@click.option("--query", default="", help="Also every model that this query finds, such as collection:Inks.")
@click.option("--all-epochs", "epochs", is_flag=True, help="Every epoch of the training as a version of its own.")
@click.option(
    "--check", "only_check", is_flag=True, help="Show the form, where each field comes from, and what the checks find."
)
@click.option("--reveals", is_flag=True, help="Show what the file's header tells of you and your machine.")
@click.option("--make-pictures", type=click.IntRange(0, 20), is_flag=False, flag_value=4, default=0, metavar="COUNT",
              help="Draw pictures for the page at the recommended strength.")  # fmt: skip
@click.option("--base", default="", metavar="PATH", help="With --make-pictures: the base model, unless it is known.")
@click.option("--save-permissions", is_flag=True, help="Publish with these permissions from now on.")
@form_options
@click.option("--accept", metavar="CODE", multiple=True,
              help="Take responsibility for a warning, also the next time; none takes it back. May be repeated.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Publish without asking, accepting warnings that harm nobody else.")
@hub_options
@sandbox_option
@output.json_option
def publish(
    refs: tuple[str, ...], query: str, epochs: bool, to: str, repo: str, draft: bool, dry_run: bool, edit: bool,
    unpublish: bool, replace_file: bool, only_check: bool, reveals: bool, make_pictures: int, base: str,
    save_permissions: bool, assigned: tuple[str, ...], accept: tuple[str, ...], yes: bool, use_sandbox: bool,
    as_json: bool, **choices: Any,
) -> None:  # fmt: skip
    """Publish the models REF on Civitai as versions of one page; the same command goes on with a broken publication."""
    from hubman.civitai import acceptances, form_defaults, form_edit, form_fill
    from hubman.civitai.finding import HARMLESS, NONE
    from hubman.civitai.session import connect

    if draft + dry_run + unpublish > 1 or (unpublish and (edit or replace_file)):
        raise UsageError("these options exclude each other", "say one of --draft, --dry-run, --unpublish")
    if unpublish and (only_check or reveals or make_pictures or save_permissions):
        raise UsageError("--unpublish hides the page, and does nothing else", "say it alone")
    if repo and to != "hf":
        raise UsageError("--repo names a repository on the Hugging Face Hub", "say --to hf with it")
    typed = assignments(assigned, choices)
    accepted = (*accept, *([HARMLESS] if yes or draft or dry_run else []))
    if to == "hf" and (edit or unpublish or replace_file or use_sandbox):
        raise UsageError("the Hugging Face Hub has no such option", "publish again: what changed is sent")
    with open_registry() as registry:
        versions = versions_of(registry, refs, query, epochs=epochs)
        form = form_edit.changed(form_fill.filled(registry, versions), typed) if not unpublish else None
        if form is not None and save_permissions:
            form_defaults.save(registry, form.permissions)
        if form is not None and reveals:
            show_reveals(form, as_json=as_json)
            return
        if form is not None and make_pictures:
            draw_pictures(registry, form, make_pictures, base, as_json=as_json)
            return
        if form is not None and to == "hf":
            publish_on_hub(
                registry, form, repo=repo, draft=draft, dry_run=dry_run, only_check=only_check, accept=accepted,
                ask=not (yes or draft or dry_run), as_json=as_json,
            )  # fmt: skip
            return
        with connect(config.home(), site_of(use_sandbox)) as client:
            if NONE in accept:
                acceptances.take_back(registry, client.site, versions)
            if form is None:
                _unpublish(registry, client, versions, ask=not (yes or as_json), as_json=as_json)
            elif only_check:
                _check(registry, client, form, accepted, as_json=as_json)
            else:
                ways = Ways(draft=draft, dry_run=dry_run, edit=edit or replace_file, replace=replace_file)
                _publish(registry, client, form, accepted, ways, ask=not (yes or draft or dry_run), as_json=as_json)


class Ways(NamedTuple):
    """How it is published: see :func:`hubman.civitai.publish.publish`."""

    draft: bool
    dry_run: bool
    edit: bool
    replace: bool


def _check(registry: Registry, client: Civitai, form: PublishForm, accept: Collection[str], *, as_json: bool) -> None:
    from hubman.civitai import categories, preflight

    with output.progress(quiet=as_json) as report:
        found = preflight.findings(registry, client, form, accept=accept, report=report)
    words = [*form.tags, *(word for part in form.parts for word in part.trained_words)]
    show_check(form, found, lambda: categories.suggested(client, words, taken=form.tags), as_json=as_json)


def _publish(
    registry: Registry,
    client: Civitai,
    form: PublishForm,
    accept: Collection[str],
    ways: Ways,
    *,
    ask: bool,
    as_json: bool,
) -> None:
    from hubman.civitai import preflight
    from hubman.civitai.publish import publish as publish_form

    with refusal_shown(as_json=as_json):
        if ask and not as_json:
            if is_asking(quiet=as_json):
                form = asked(form)
            preflight.check_account(client)
            found = preflight.findings(registry, client, form, accept=accept, is_there=ways.edit)
            what = "Change the page of" if ways.edit else "Make public"
            accept = (*accept, *agreed_to(found, f"{what} {output.clean(form.name)} on {client.site}"))
        with output.progress(quiet=as_json) as report:
            done = publish_form(registry, client, form, accept=accept, **ways._asdict(), report=report)
    _tell(done, as_json=as_json)


def _tell(done: Publication, *, as_json: bool) -> None:
    if as_json:
        output.print_json(done)
        return
    for request in done.requests:
        output.say(request.text())
    for difference in done.differences:
        output.say(f"the page says otherwise: {difference.field} is {difference.found}, sent was {difference.sent}")
    for note in done.notes:
        output.say(note)
    output.say(f"{done.status}: {done.url}")


def _unpublish(registry: Registry, client: Civitai, versions: Sequence[str], *, ask: bool, as_json: bool) -> None:
    from hubman.civitai.after import called, unpublish

    if ask:
        names = ", ".join(called(registry, version) for version in versions)
        click.confirm(f"Hide {output.clean(names)} on {client.site}?", abort=True)
    done = unpublish(registry, client, versions)
    if as_json:
        output.print_json(done)
    else:
        output.say(f"unpublished: {done.url}")
