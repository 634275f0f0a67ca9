"""The checks of a publish form, for a thread: what was found, and what was begun already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui import publish_steps

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding
    from hubman.civitai.form import PublishForm
    from registry.database import Registry
    from tui.publish_steps import Begun
    from tui.publishing import Target


def run(registry: Registry, form: PublishForm, target: Target) -> tuple[tuple[Finding, ...], Begun]:
    """Every check; nothing is sent. Raises ``HubError`` when the site can't be asked."""
    known = publish_steps.begun(registry, form.version_ids, target)
    if target.where == "hf":
        return _of_hub(registry, form, target), known
    from hubman.civitai import preflight
    from hubman.civitai.session import connect

    with connect(registry.home, target.site) as client:
        return preflight.findings(registry, client, form), known


def _of_hub(registry: Registry, form: PublishForm, target: Target) -> tuple[Finding, ...]:
    from hubman.huggingface import publish
    from hubman.huggingface.client import Hub
    from hubman.progress import silent

    hub = Hub.from_environment()
    _, found = publish.check(registry, hub, form, repo=target.repo, draft=target.draft, report=silent)
    return tuple(found)
