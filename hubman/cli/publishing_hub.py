"""Sending to the Hugging Face Hub: what ``hubman publish --to hf`` does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import click

from hubman.cli import output
from hubman.cli.library import open_registry
from registry import library

F = TypeVar("F", bound=Callable[..., Any])


def hub_options(command: F) -> F:
    """Add ``--to`` and ``--repo`` to a command."""
    repo = click.option("--repo", default="", help="On the Hugging Face Hub: the repository, NAME or OWNER/NAME.")
    places, said = click.Choice(["civitai", "hf"]), "Where: Civitai, or the Hugging Face Hub."
    return click.option("--to", type=places, default="civitai", help=said)(repo(command))


def publish_on_hub(
    refs: Sequence[str],
    assignments: Mapping[str, str],
    *,
    repo: str,
    draft: bool,
    dry_run: bool,
    accept: Collection[str],
    ask: bool,
    as_json: bool,
) -> None:
    """Publish the models in one repository and print where; raises ``HubError``."""
    from hubman.civitai import form_edit, form_fill
    from hubman.huggingface import publish as hub_publish
    from hubman.huggingface.client import Hub
    from hubman.progress import silent

    hub = Hub.from_environment()
    with open_registry() as registry:
        versions = [library.resolve(registry, ref)[1] for ref in refs]
        form = form_edit.changed(form_fill.filled(registry, versions), assignments)
        if ask and not (draft or dry_run or as_json):
            page, _ = hub_publish.prepare(registry, hub, form, repo=repo, report=silent)
            click.confirm(
                f"Make {output.clean(form.name)} public as {output.clean(page.repo)} on {hub.site}?", abort=True
            )
        with output.progress(quiet=as_json) as report:
            done = hub_publish.publish(
                registry, hub, form, accept=accept, repo=repo, draft=draft, dry_run=dry_run, report=report
            )
    if as_json:
        output.print_json(done)
        return
    for finding in done.findings:
        if not finding.accepted:
            output.say(f"{finding.level}: {finding.message}{f': {finding.hint}' if finding.hint else ''}")
    output.say(f"{done.status}: {done.url}")
    for name in done.files if dry_run else ():
        output.say(f"  {name}")
