"""The showcase of a version: its pictures' bytes, its post, and the pictures in it in their order."""

from __future__ import annotations

from typing import Any

import msgspec

from hubman.civitai import blurhash, image_clean, image_meta
from hubman.civitai.errors import MissingError, RejectedError
from hubman.civitai.journal import fingerprint
from hubman.civitai.planned import Picture, PlannedVersion
from hubman.civitai.steps import LOOKS, Answer, Steps
from registry import previews
from registry.database import Registry

POST = "post"
ADD = "add "
ORDER = "order"


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """A picture's bytes as they were sent. ``key`` is the site's media key; ``size`` counts bytes."""

    key: str
    size: int = 0
    mime: str = "image/png"


def send_image(steps: Steps, registry: Registry, version: PlannedVersion, picture: Picture, number: int) -> Uploaded:
    """Send a picture's bytes: of its metadata only how it was made, with a link to version ``number``.

    Sent twice it would only leave bytes that nobody sees; but under another key the post would show it twice, so what
    was sent stays, also where a person says other things of it later.
    """

    def send() -> Answer:
        told = image_meta.infotext(_meta(version, picture, number) or {})
        data = image_clean.cleaned(previews.blob_path(registry, picture.sha256).read_bytes(), told)
        mime = image_clean.mime_type(data) or "image/png"
        key = steps.client.upload_image(data, name=picture.name, mime_type=mime)
        return {"key": key, "size": len(data), "mime": mime}

    return msgspec.convert(steps.once(f"image {picture.sha256}", picture.sha256, send), Uploaded)


def send_post(steps: Steps, version: PlannedVersion, model_id: int, version_id: int, *, fresh: bool) -> int:
    """The id of the version's post: a draft until it is published."""
    title = version.post_title

    def listed(_: str) -> list[int]:
        there = steps.client.owned_model(model_id).version(version_id)
        if there is None:
            raise MissingError(f"Civitai does not show version {version_id} of its own page")
        return [post.id for post in there.posts]

    post_id = steps.make(
        POST,
        inputs={"title": title},
        call=lambda: _create(steps, model_id, version_id, title, fresh=fresh),
        listed=listed,
    )
    steps.update(POST, {"title": title}, lambda changed: steps.client.update_post(post_id, changed, fresh=False))
    return post_id


def _create(steps: Steps, model_id: int, version_id: int, title: str, *, fresh: bool) -> int:
    """Make the post once the site's replicas know its version: also a call that is refused counts against the limit."""
    for wait in LOOKS if fresh else ():
        try:
            if steps.client.owned_model(model_id).version(version_id) is not None:
                break
        except MissingError:
            pass
        steps.client.wait(wait)
    return steps.client.create_post(version_id=version_id, title=title, fresh=fresh)


def send_pictures(
    steps: Steps, registry: Registry, version: PlannedVersion, post_id: int, version_id: int, keys: dict[str, Uploaded]
) -> list[int]:
    """Every picture in the post, in the plan's order; returns their ids."""
    found = [
        _send_picture(steps, registry, version, picture, index, post_id, version_id, keys)
        for index, picture in enumerate(version.pictures)
    ]
    _reorder(steps, version, post_id, found)
    return found


def left_over(steps: Steps, version: PlannedVersion) -> list[int]:
    """The ids of pictures that were shown and are not in the plan any more: a key can't take them out of a post."""
    wanted = {*version.absent, *(picture.sha256 for picture in version.pictures)}
    added = {name.removeprefix(ADD): step for name, step in steps.log.steps().items() if name.startswith(ADD)}
    return [int(step.answer["id"]) for sha256, step in added.items() if sha256 not in wanted and step.is_done]


def _send_picture(
    steps: Steps,
    registry: Registry,
    version: PlannedVersion,
    picture: Picture,
    index: int,
    post_id: int,
    version_id: int,
    keys: dict[str, Uploaded],
) -> int:
    name = ADD + picture.sha256
    meta = _meta(version, picture, version_id)
    step = steps.log.step(name)
    if step is not None and step.is_done:
        image_id = int(step.answer["id"])
        steps.update(name, {"meta": meta}, lambda _: steps.client.update_image(image_id, meta))
        return image_id

    begun_with = step.inputs if step is not None else ""

    def send() -> Answer:
        def add(sent: Uploaded) -> int:
            fields = _image_fields(registry, picture, sent, index)
            fields |= {"postId": post_id, "modelVersionId": version_id, "meta": meta}
            return steps.client.add_image(fields, fresh=steps.is_fresh(POST))

        try:
            image_id = add(keys[picture.sha256])
        except RejectedError:
            # Under another key a picture that a lost first try put there would be shown twice.
            key, shown = keys[picture.sha256].key, steps.client.post(post_id).images
            image_id = next((image.id for image in shown if image.url == key), 0)
            if not image_id:
                # The site may have thrown the bytes away, with a picture that was deleted or because nobody used them.
                steps.log.forget(f"image {picture.sha256}")
                image_id = add(send_image(steps, registry, version, picture, version_id))
        if begun_with not in {"", fingerprint({"meta": meta})}:
            # If the lost first try arrived, the site has its words still: adding the same picture changes nothing.
            steps.client.update_image(image_id, meta)
        return {"id": image_id, "sent": {"meta": meta}}

    return int(steps.once(name, {"meta": meta}, send)["id"])


def _meta(version: PlannedVersion, picture: Picture, version_id: int) -> dict[str, Any] | None:
    strength = picture.strength
    if strength is None:
        strength = (version.fields.get("settings") or {}).get("strength")
    return image_meta.linked(picture.meta, version_id, strength) or None


def _image_fields(registry: Registry, picture: Picture, sent: Uploaded, index: int) -> dict[str, Any]:
    from PIL import Image

    path = previews.blob_path(registry, picture.sha256)
    with Image.open(path) as image:
        code = blurhash.encode(image)
    # An older hubman noted no size, and sent the picture as it is.
    size = sent.size or path.stat().st_size
    return {
        "url": sent.key,
        "name": picture.name,
        "index": index,
        "type": "image",
        "mimeType": sent.mime,
        "width": picture.width,
        "height": picture.height,
        "sizeKB": round(size / 1024),
        "hash": code,
        "metadata": {"size": size, "width": picture.width, "height": picture.height, "hash": code},
    }


def _reorder(steps: Steps, version: PlannedVersion, post_id: int, found: list[int]) -> None:
    """Put the pictures into the plan's order, unless they stand in it: those that were taken out come last.

    What else the post shows keeps its place: somebody put it there elsewhere, or this machine lacks the picture.
    """
    wanted = [*found, *left_over(steps, version)]

    def put() -> Answer:
        there = _shown(steps, post_id)
        if (placed := _placed(there, wanted)) != there:
            steps.client.reorder_images(post_id, placed)
        return {"ids": wanted}

    steps.once(ORDER, wanted, put)


def _shown(steps: Steps, post_id: int) -> list[int]:
    return [image.id for image in sorted(steps.client.post(post_id).images, key=lambda image: image.index)]


def _placed(there: list[int], wanted: list[int]) -> list[int]:
    """``wanted`` in its order on the places that its members have in ``there``; the others stay where they are."""
    ours, left = set(wanted), iter(wanted)
    return [*(next(left) if number in ours else number for number in there), *left]
