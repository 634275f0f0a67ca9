"""What ``hubman publish REF --make-pictures`` does: draw what the page lacks, as a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubman.cli import output
from hubman.cli.work import conclude, follow
from registry.database import Registry

if TYPE_CHECKING:
    from hubman.civitai.form import PublishForm


def make_pictures(registry: Registry, form: PublishForm, count: int, base: str, *, as_json: bool) -> None:
    """Draw ``count`` pictures of each version, one version after the other, and show them with it."""
    from hubman.civitai import showcase

    made: dict[str, list[str]] = {}
    for part in form.parts:
        job = showcase.start(registry, part, count=count, base=base)
        if not as_json:
            output.say(f"job {job.id[-6:]}: {job.title}")
        ended = follow(job)
        if ended.state != "done":
            conclude(ended)
        made[part.version_id] = list((ended.result or {}).get("previews", []))
    if as_json:
        output.print_json(made)
    else:
        output.say(f"{sum(map(len, made.values()))} pictures; publish it now, or look at them first: hubman")
