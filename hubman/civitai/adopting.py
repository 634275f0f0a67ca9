"""A page that was published from another machine: its journal is written anew from what the site shows its owner.

First everything is read, then, once the checks have passed, all of it is written: half of a journal would make the other
half a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai import alike, checks_pictures, form_plan, journal, links, send_files
from hubman.civitai.client import Civitai
from hubman.civitai.errors import UnavailableError
from hubman.civitai.form import PublishForm
from hubman.civitai.journal import Journal, fingerprint
from hubman.civitai.owned import EditVersion, PostImage
from hubman.civitai.send_page import MODEL, VERSION
from hubman.civitai.send_post import ADD, POST
from registry.database import Registry
from registry.errors import HubError


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was taken elsewhere: what came of it, and the fingerprint of what it sent."""

    name: str
    answer: dict[str, Any]
    inputs: str


def look(registry: Registry, client: Civitai, form: PublishForm, version_id: str) -> tuple[Known, ...]:
    """What was taken of a publication elsewhere. What was begun here is known already: nothing.

    Raises :class:`HubError` where the library knows no page of it, or it is somebody else's.
    """
    if journal.begun(registry, version_id, client.site):
        return ()
    part, number = form.part(version_id), links.number(registry, client, version_id)
    if not number:
        raise HubError(f"{part.name} is not published on {client.site}", "publish it first, without --edit")
    there = links.own(client, number)
    if there is None:
        raise HubError(f"version {number} on {client.site} is not yours", "only its owner can change it")
    model = client.owned_model(there.model_id)
    version = model.version(number)
    if version is None:
        raise UnavailableError(f"Civitai does not show version {number} of its own page", "try again in a few minutes")
    # The owner's first post is the showcase.
    post = client.post(version.posts[0].id) if version.posts else None
    fields = {**form_plan.version_fields(form, part), "modelId": model.id}
    found = [
        _made(MODEL, model.id, _known(form_plan.model_fields(form), model.fields())),
        _made(VERSION, number, _known(fields, {**there.fields(), "status": "Draft", "modelId": model.id})),
        *_files(there),
    ]
    if post is not None:
        found.append(_made(POST, post.id, {"title": post.title}))
        pictures = checks_pictures.usable(part)
        paths = {picture.sha256: Path(picture.path) for picture in pictures}
        for sha256, image in alike.shown(pictures, post, paths).items():
            found += _picture(sha256, image)
    return tuple(found)


def adopt(registry: Registry, version_id: str, site: str, known: Sequence[Known]) -> None:
    """Write down what :func:`look` found, unless the version was begun from here meanwhile."""
    with registry.transaction():
        if known and not journal.begun(registry, version_id, site):
            write(Journal(registry, version_id, site), known)


def write(log: Journal, known: Sequence[Known]) -> None:
    """Into a journal that has nothing of it."""
    for step in known:
        log.record(step.name, step.answer, inputs=step.inputs)


def _known(sent: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What the page says of the fields that are sent: what else stands there is the owner's own and stays."""
    return {key: found.get(key, value) for key, value in sent.items()}


def _files(there: EditVersion) -> Iterator[Known]:
    """The first file of each kind."""
    for kind in dict.fromkeys(file.type for file in there.files):
        file = next(one for one in there.files if one.type == kind)
        raw: dict[str, Any] = next((one for one in there.raw.get("files") or () if one.get("id") == file.id), {})
        facts = {"name": file.name, "sha256": file.sha256, "metadata": raw.get("metadata") or {},
                 "visibility": raw.get("visibility") or "Public"}  # fmt: skip
        yield _made(send_files.step_names(kind)[1], file.id, facts)


def _picture(sha256: str, image: PostImage) -> Iterator[Known]:
    sent = {"key": image.url, "size": image.metadata.get("size", 0)}
    yield Known(name=f"image {sha256}", answer=sent, inputs=fingerprint(sha256))
    yield _made(ADD + sha256, image.id, {"meta": image.meta or None})


def _made(name: str, made: int, sent: dict[str, Any]) -> Known:
    return Known(name=name, answer={"id": made, "sent": sent}, inputs=fingerprint(sent))
