"""Sending to the Hugging Face Hub: what ``hubman publish --to hf`` does."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hubman.cli import output
from hubman.cli.publish_form import agreed_to, asked, is_asking, refusal_shown, show_check, show_findings

if TYPE_CHECKING:
    from hubman.civitai.form import PublishForm
    from registry.database import Registry

F = TypeVar("F", bound=Callable[..., Any])


def hub_options(command: F) -> F:
    """Add ``--to`` and ``--repo`` to a command."""
    repo = click.option("--repo", default="", help="On the Hugging Face Hub: the repository, NAME or OWNER/NAME.")
    places, said = click.Choice(["civitai", "hf"]), "Where: Civitai, or the Hugging Face Hub."
    return click.option("--to", type=places, default="civitai", help=said)(repo(command))


def publish_on_hub(
    registry: Registry,
    form: PublishForm,
    *,
    repo: str,
    draft: bool,
    dry_run: bool,
    only_check: bool,
    accept: Collection[str],
    ask: bool,
    as_json: bool,
) -> None:
    """Publish a form in one repository and print where; raises ``HubError``."""
    from hubman.civitai import acceptances, finding
    from hubman.civitai.finding import NONE
    from hubman.huggingface import publish as hub_publish
    from hubman.huggingface.client import Hub
    from hubman.progress import silent

    hub = Hub.from_environment()
    if NONE in accept:
        acceptances.take_back(registry, hub.site, form.version_ids)
    if only_check:
        _, found = hub_publish.check(registry, hub, form, repo=repo, draft=draft, report=silent)
        show_check(form, finding.accepted(found, accept), tuple, as_json=as_json)
        return
    with refusal_shown(as_json=as_json):
        if ask and not as_json:
            if is_asking(quiet=as_json):
                form = asked(form)
            target, found = hub_publish.check(registry, hub, form, repo=repo, report=silent)
            what = f"Make public {output.clean(form.name)} as {output.clean(target)} on {hub.site}"
            accept = (*accept, *agreed_to(finding.accepted(found, accept), what))
        with output.progress(quiet=as_json) as report:
            done = hub_publish.publish(
                registry, hub, form, accept=accept, repo=repo, draft=draft, dry_run=dry_run, report=report
            )
    if as_json:
        output.print_json(done)
        return
    show_findings(one for one in done.findings if not one.accepted)
    output.say(f"{done.status}: {done.url}")
    for name in done.files if dry_run else ():
        output.say(f"  {name}")
