"""Sending to the Hugging Face Hub: what ``hubman publish --to hf`` does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import click

from hubman.cli import output
from registry.database import Registry


def publish(
    registry: Registry,
    version_ids: Sequence[str],
    assignments: Mapping[str, str],
    *,
    repo: str,
    draft: bool,
    dry_run: bool,
    accept: Collection[str],
    ask: bool,
    as_json: bool,
) -> None:
    """Publish the versions in one repository and print where; raises ``HubError``."""
    from hubman.civitai import form_edit, form_fill
    from hubman.huggingface import publish as hub_publish
    from hubman.huggingface.client import Hub
    from hubman.progress import silent

    form = form_edit.changed(form_fill.filled(registry, version_ids), assignments)
    hub = Hub.from_environment()
    if ask and not (draft or dry_run or as_json):
        page, _ = hub_publish.prepare(registry, hub, form, repo=repo, report=silent)
        click.confirm(f"Make {output.clean(form.name)} public as {output.clean(page.repo)} on {hub.site}?", abort=True)
    with output.progress(quiet=as_json) as report:
        done = hub_publish.publish(
            registry, hub, form, accept=accept, repo=repo, draft=draft, dry_run=dry_run, report=report
        )
    if as_json:
        output.print_json(done)
        return
    for finding in done.findings:
        output.say(f"{finding.level}: {finding.message}{f': {finding.hint}' if finding.hint else ''}")
    output.say(f"{done.status}: {done.url}")
    for name in done.files if dry_run else ():
        output.say(f"  {name}")
