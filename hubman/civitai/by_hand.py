"""What a person did in a browser after the site refused a step: taken for ours, so that the same command does not double it.

Looked for only where the step was not begun here and its version is no longer new: nobody is so quick.
"""

from __future__ import annotations

from typing import Any

from hubman.civitai import alike
from hubman.civitai.errors import MissingError, NotOwnerError
from hubman.civitai.journal import fingerprint
from hubman.civitai.owned import Post
from hubman.civitai.planned import PlannedFile, PlannedVersion
from hubman.civitai.steps import Steps
from registry import previews
from registry.database import Registry
from registry.errors import HubError


def take_file(steps: Steps, name: str, file: PlannedFile, version_id: int, facts: dict[str, Any]) -> None:
    """Let a file of the version be what step ``name`` made. Raises :class:`HubError` where it is another one."""
    if steps.log.step(name) is not None or steps.is_fresh("version"):
        return
    there = [held for held in steps.client.edit_version(version_id).files if held.type == file.kind]
    if not there:
        return
    same = (held for held in there if (held.sha256 or file.sha256) == file.sha256 and held.bytes == file.size)
    found = next(same, None)
    if found is None:
        raise HubError(
            f"the draft has a file {there[0].name} that was not sent from here", "take it out of the draft on the site"
        )
    steps.log.record(name, {"id": found.id, "sent": facts}, inputs=fingerprint(facts))


def take_post(
    steps: Steps, registry: Registry, version: PlannedVersion, model_id: int, version_id: int, *, post: str, add: str
) -> None:
    """Let a post of the version, with those of its pictures that are the plan's, be what step ``post`` made."""
    if steps.log.step(post) is not None or steps.is_fresh("version"):
        return
    found = _own_post(steps, model_id, version_id)
    if found is None:
        return
    paths = {picture.sha256: previews.blob_path(registry, picture.sha256) for picture in version.pictures}
    title = {"title": found.title}
    for sha256, image in alike.shown(version.pictures, found, paths).items():
        meta = {"meta": image.meta or None}
        steps.log.record(add + sha256, {"id": image.id, "sent": meta}, inputs=fingerprint(meta))
    steps.log.record(post, {"id": found.id, "sent": title}, inputs=fingerprint(title))


def _own_post(steps: Steps, model_id: int, version_id: int) -> Post | None:
    """The first of the version's posts that is the account's own: others may show it too."""
    there = steps.client.owned_model(model_id).version(version_id)
    for one in there.posts if there is not None else ():
        try:
            return steps.client.post(one.id)
        except (NotOwnerError, MissingError):
            continue
    return None
