"""Sending to Civitai."""

from __future__ import annotations

from typing import Any

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from hubman.cli.site import sandbox_option, site_of
from registry import library


@click.command()
@click.argument("ref")
@click.option("--draft", is_flag=True, help="Send everything, but leave it a draft that only you see.")
@click.option("--dry-run", is_flag=True, help="Only check, and show what would be sent.")
@click.option("--name", help="The model's name on the page.")
@click.option("--base-model", help="Civitai's exact name of the base model.")
@click.option("--category", help="Civitai's category, such as style or character.")
@click.option("--nsfw/--no-nsfw", default=False, help="Whether the model is for mature content.")
@click.option("--yes", is_flag=True, help="Publish without asking.")
@click.option(
    "--to", type=click.Choice(["civitai", "hf"]), default="civitai", help="Where: Civitai, or the Hugging Face Hub."
)
@click.option("--repo", default="", help="On the Hugging Face Hub: the repository, NAME or OWNER/NAME.")
@sandbox_option
@output.json_option
def publish(
    ref: str,
    draft: bool,
    dry_run: bool,
    yes: bool,
    to: str,
    repo: str,
    use_sandbox: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Publish the model REF on Civitai with its file, pictures and trigger words; the same command resumes a broken one."""
    from hubman.civitai.publish import PublishOptions
    from hubman.civitai.publish import publish as publish_version
    from hubman.civitai.session import connect

    chosen = {name: value for name, value in choices.items() if value is not None}
    if to == "hf":
        from hubman.civitai.finding import HARMLESS
        from hubman.cli import publishing_hub

        told = {name: value if isinstance(value, str) else "yes" if value else "no" for name, value in chosen.items()}
        with open_registry() as registry:
            publishing_hub.publish(
                registry,
                [library.resolve(registry, ref)[1]],
                told,
                repo=repo,
                draft=draft,
                dry_run=dry_run,
                accept=(HARMLESS,) if yes else (),
                ask=not yes,
                as_json=as_json,
            )
        return
    options = PublishOptions(draft=draft, dry_run=dry_run, **chosen)
    with open_registry() as registry, connect(config.home(), site_of(use_sandbox)) as client:
        model, version = library.resolve(registry, ref)
        name = library.show(registry, model).name
        if not (yes or draft or dry_run or as_json):
            click.confirm(f"Make {output.clean(name)} public on {client.site}?", abort=True)
        with output.progress(quiet=as_json) as report:
            done = publish_version(registry, client, version, options=options, report=report)
    if as_json:
        output.print_json(done)
    else:
        output.say(f"{done.status}: {done.url}")
