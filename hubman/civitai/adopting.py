"""A page that was published from another machine: its journal is written anew from what the site shows its owner."""

from __future__ import annotations

from typing import Any

from hubman.civitai import blurhash, form_plan, journal, send_files
from hubman.civitai.client import Civitai
from hubman.civitai.errors import MissingError, NotOwnerError
from hubman.civitai.form import FormPicture, PublishForm, VersionPart
from hubman.civitai.journal import Journal, fingerprint
from hubman.civitai.owned import EditVersion, OwnedModel, Post, PostImage
from hubman.civitai.send_page import MODEL, VERSION
from hubman.civitai.send_post import ADD, POST
from registry import library
from registry.database import Registry
from registry.errors import HubError


def adopt(registry: Registry, client: Civitai, form: PublishForm, version_id: str) -> None:
    """Know the page of a version, so that it can be changed from here. What was begun here is known already.

    Raises :class:`HubError` where the library knows no page of it, or it is somebody else's.
    """
    if journal.begun(registry, version_id, client.site):
        return
    part, number = form.part(version_id), library.version(registry, version_id).civitai_id
    if not number or client.is_rehearsal:
        raise HubError(f"{part.name} is not published on {client.site}", "publish it first, without --edit")
    try:
        there = client.edit_version(number)
        model = client.owned_model(there.model_id)
    except (NotOwnerError, MissingError) as error:
        raise HubError(f"version {number} on {client.site} is not yours", "only its owner can change it") from error
    log = Journal(registry, version_id, client.site)
    with registry.transaction():
        _write(log, MODEL, model.id, _known(form_plan.model_fields(form), model.fields()))
        fields = {**form_plan.version_fields(form, part), "modelId": model.id}
        _write(log, VERSION, number, _known(fields, {**there.fields(), "status": "Draft", "modelId": model.id}))
        _files(log, there)
    _showcase(client, log, part, model, number)


def _known(sent: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What the page says of the fields that are sent: what else stands there is the owner's own and stays."""
    return {key: found.get(key, value) for key, value in sent.items()}


def _files(log: Journal, there: EditVersion) -> None:
    for file in there.files:
        _, name = send_files.step_names(file.type)
        if log.step(name) is None:
            raw: dict[str, Any] = next((one for one in there.raw.get("files") or () if one.get("id") == file.id), {})
            facts = {"name": file.name, "sha256": file.sha256, "metadata": raw.get("metadata") or {},
                     "visibility": raw.get("visibility") or "Public"}  # fmt: skip
            _write(log, name, file.id, facts)


def _showcase(client: Civitai, log: Journal, part: VersionPart, model: OwnedModel, number: int) -> None:
    """The owner's first post is the showcase; its pictures are told apart by name, size and BlurHash."""
    version = model.version(number)
    if version is None or not version.posts:
        return
    post: Post = client.post(version.posts[0].id)
    _write(log, POST, post.id, {"title": post.title})
    shown = {_look(image): image for image in post.images}
    for picture in part.pictures:
        image = shown.get(_mark(picture))
        if image is not None:
            log.begin(f"image {picture.sha256}", {}, inputs=fingerprint(picture.sha256))
            log.finish(f"image {picture.sha256}", {"key": image.url, "size": image.metadata.get("size", 0)})
            _write(log, ADD + picture.sha256, image.id, {"meta": image.meta or None})


def _look(image: PostImage) -> tuple[str, int, int, str]:
    return image.name, image.width, image.height, image.hash


def _mark(picture: FormPicture) -> tuple[str, int, int, str]:
    from PIL import Image

    with Image.open(picture.path) as image:
        return picture.name, picture.width, picture.height, blurhash.encode(image)


def _write(log: Journal, name: str, made: int, sent: dict[str, Any]) -> None:
    log.begin(name, {}, inputs=fingerprint(sent))
    log.finish(name, {"id": made, "sent": sent})
