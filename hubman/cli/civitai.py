"""The commands that speak to Civitai, or to the sandbox in its place."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hubman import config
from hubman.cli import output
from hubman.cli.library import open_registry
from registry import library

sandbox_option = click.option(
    "--sandbox", "use_sandbox", is_flag=True, help="Speak to the local sandbox instead of the real site."
)


def _site(use_sandbox: bool) -> str | None:
    return "sandbox" if use_sandbox else None


@click.command()
@click.argument("text", nargs=-1, required=True)
@click.option("--type", "types", multiple=True, default=("LORA", "LoCon", "DoRA"), help="Model type; may be repeated.")
@click.option("--limit", default=20, type=click.IntRange(1, 100), help="How many models.")
@sandbox_option
@output.json_option
def search(text: tuple[str, ...], types: tuple[str, ...], limit: int, use_sandbox: bool, as_json: bool) -> None:
    """Find models on Civitai by name and tags."""
    from hubman.civitai.session import connect

    with connect(config.home(), _site(use_sandbox)) as client:
        found = list(client.search_all(" ".join(text), types=types, limit=limit))
    if as_json:
        output.print_json(found)
        return
    if not found:
        click.echo("nothing found", err=True)
    output.table(
        [(m.name, m.type, m.versions[0].base_model if m.versions else "", m.creator, m.id) for m in found],
        ("name", "type", "base", "creator", "id"),
    )


@click.command()
@click.argument("refs", nargs=-1, required=True)
@click.option("--into", type=click.Path(path_type=Path), help="Folder for the files; by default one that hubman keeps.")
@sandbox_option
@output.json_option
def pull(refs: tuple[str, ...], into: Path | None, use_sandbox: bool, as_json: bool) -> None:
    """Download REFS (a page's address, an AIR, a version id or a hash), verify them and add them to the library."""
    from hubman.civitai.pull import pull as pull_model
    from hubman.civitai.session import connect

    pulled = []
    with (
        open_registry() as registry,
        output.progress(quiet=as_json) as report,
        connect(config.home(), _site(use_sandbox)) as client,
    ):
        folder = into or registry.models_folder / "pulled"
        for ref in refs:
            pulled.append(pull_model(registry, client, ref, into=folder, report=report))
            if not as_json:
                said = "verified" if pulled[-1].verified else "Civitai has not scanned it yet"
                output.say(f"{pulled[-1].path} (sha256 {pulled[-1].sha256[:12]}, {said})")
    if as_json:
        output.print_json(
            [
                {"version_id": p.version_id, "path": str(p.path), "sha256": p.sha256, "verified": p.verified}
                for p in pulled
            ]
        )


@click.command()
@click.argument("ref")
@click.option("--draft", is_flag=True, help="Send everything, but leave it a draft that only you see.")
@click.option("--dry-run", is_flag=True, help="Only check, and show what would be sent.")
@click.option("--name", help="The model's name on the page.")
@click.option("--base-model", help="Civitai's exact name of the base model.")
@click.option("--category", help="Civitai's category, such as style or character.")
@click.option("--nsfw/--no-nsfw", default=False, help="Whether the model is for mature content.")
@click.option("--yes", is_flag=True, help="Publish without asking.")
@sandbox_option
@output.json_option
def publish(ref: str, draft: bool, dry_run: bool, yes: bool, use_sandbox: bool, as_json: bool, **choices: Any) -> None:
    """Publish the model REF on Civitai with its file, pictures and trigger words; the same command resumes a broken one."""
    from hubman.civitai.publish import PublishOptions
    from hubman.civitai.publish import publish as publish_version
    from hubman.civitai.session import connect

    chosen = {name: value for name, value in choices.items() if value is not None}
    options = PublishOptions(draft=draft, dry_run=dry_run, **chosen)
    with open_registry() as registry, connect(config.home(), _site(use_sandbox)) as client:
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


@click.command()
@sandbox_option
@output.json_option
def enrich(use_sandbox: bool, as_json: bool) -> None:
    """Ask Civitai about every file that is here; what you typed stays."""
    from hubman.civitai.enrich import enrich as enrich_all
    from hubman.civitai.session import connect

    with (
        open_registry() as registry,
        output.progress(quiet=as_json) as report,
        connect(config.home(), _site(use_sandbox)) as client,
    ):
        result = enrich_all(registry, client, report=report)
    if as_json:
        output.print_json(result)
    else:
        output.say(f"{result.found} found, {result.unknown} unknown to Civitai, {result.gone} gone from it")


@click.command()
@click.argument("refs", nargs=-1, metavar="[REF]...")
@output.json_option
def updates(refs: tuple[str, ...], as_json: bool) -> None:
    """List newer versions of what is here, or of the models REF."""
    from hubman.civitai.enrich import not_on_civitai
    from hubman.civitai.enrich import updates as find_updates
    from hubman.civitai.session import connect

    with open_registry() as registry, connect(config.home()) as client:
        models = {library.resolve(registry, ref)[0] for ref in refs}
        found = find_updates(registry, client, models or None)
        unknown = not_on_civitai(registry, models or None)
    if as_json:
        output.print_json(found)
        return
    if not found and len(unknown) < (len(models) or library.count(registry)):
        click.echo("everything that Civitai knows is at its newest version", err=True)
    if unknown:
        click.echo(f"not known on Civitai: {output.clean(_some(unknown))}", err=True)
    output.table(
        [(u.name, u.have, u.newest, u.base_model, u.ref) for u in found], ("name", "here", "newest", "base", "pull")
    )


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


@click.command()
def login() -> None:
    """Store a Civitai API key in the system's keyring, after asking the site whether it works."""
    from hubman.civitai import auth
    from hubman.civitai.client import Civitai

    page = f"{auth.site_url()}/user/account?addApiKey=1&name=hubman&scope=Creator"
    output.say(f"Make a key with the scope Creator on {page}")
    key = click.prompt("Key", hide_input=True).strip()
    with Civitai(auth.site_url(), key) as client:
        me = client.me()
    auth.store_api_key(key)
    output.say(f"hello {me.username}; the key is in the system's keyring")


@click.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where it keeps its data; by default beside yours.")
def sandbox(port: int, folder: Path | None) -> None:
    """Run a local Civitai until Ctrl-C: publish to it with --sandbox to rehearse."""
    from hubman.civitai.session import announce, sandbox_folder
    from hubman.sandbox import Sandbox

    home = sandbox_folder(config.home())
    with Sandbox(folder or home, port=port) as server:
        running = announce(home, server.url, server.token("creator"))
        output.say(f"listening on {server.url}; stop with Ctrl-C")
        try:
            while True:
                time.sleep(3600)
        finally:
            running.unlink(missing_ok=True)
