"""What the archive holds of a model, printed."""

from __future__ import annotations

import click

from hubman.civitai.archived import Archived, ArchivedVersion, archived
from hubman.cli import output
from registry import library
from registry.database import Registry
from registry.errors import NotFoundError


def show_archive(registry: Registry, ref: str, *, as_json: bool) -> None:
    """Print the page of the model ``ref`` as it was last seen. Raises :class:`NotFoundError` where none was."""
    model = library.show(registry, library.resolve(registry, ref)[0])
    found = archived(registry, model.civitai_id) if model.civitai_id is not None else None
    if found is None:
        raise NotFoundError(f"no page of {model.name} was seen", "hubman enrich keeps those that Civitai has")
    if as_json:
        output.print_json(found)
        return
    _print_page(found)
    for version in found.versions:
        _print_version(version)


def _print_page(page: Archived) -> None:
    state = f"gone since {page.gone_at[:10]}" if page.gone_at else {"TakenDown": "taken down"}.get(page.mode, page.mode)
    facts = (
        ("name", page.name), ("creator", page.creator), ("type", page.type), ("civitai", page.number),
        ("seen", page.seen_at[:10]), ("page", state.lower()), ("licence", page.licence), ("tags", ", ".join(page.tags)),
    )  # fmt: skip
    for name, value in facts:
        if value:
            output.say(f"{name:<10} {value}")
    _print_text(page.description, indent="")


def _print_version(version: ArchivedVersion) -> None:
    gone = ", no longer on the page" if version.is_gone else ""
    output.say(f"version    {version.name} ({version.number}): {version.base_model}, {version.published_at[:10]}{gone}")
    if version.trigger_words:
        output.say(f"  triggers {', '.join(version.trigger_words)}")
    for file in version.files:
        sha256 = file.hashes.get("SHA256", "").lower()
        output.say(
            f"  file     {file.name}  {output.size(file.size)}  {f'sha256 {sha256}' if sha256 else 'not hashed'}"
        )
    _print_text(version.changelog, indent="  ")
    for example in version.examples:
        if example.prompt:
            output.say(f"  example  {example.prompt}")
            if example.negative_prompt:
                output.say(f"  without  {example.negative_prompt}")


def _print_text(text: str, *, indent: str) -> None:
    for line in text.splitlines():
        click.echo(indent + output.clean(line))
