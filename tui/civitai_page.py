"""What a model's page asks for, in threads, and how a picture's settings read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from tui import formats, remote_words
from tui.widgets.detail import Row, drawn

if TYPE_CHECKING:
    from hubman.civitai.image_records import SharedImage
    from hubman.civitai.records import RemoteModel, RemoteVersion
    from tui.remote_words import Texts
    from tui.services.civitai_link import Link

PICTURES = 30
"""Pictures of a version that are fetched."""


@dataclass(frozen=True)
class VersionPage:
    """A version with what only its own endpoint tells, its texts, and pictures up to the level that is shown."""

    version: RemoteVersion
    texts: Texts
    images: tuple[SharedImage, ...] = ()
    above: int = 0
    as_of: str = ""


def read(link: Link, site: str | None, model: RemoteModel, version: RemoteVersion, threshold: int) -> VersionPage:
    """Raises ``HubError`` when the site has no answer and none was kept."""
    from hubman.civitai.errors import CivitaiError
    from hubman.civitai.example_images import of_version

    client = link.client(site)
    found = of_version(client, version.id, up_to=threshold, limit=PICTURES)
    try:
        told = client.model_version(version.id)
    except CivitaiError:
        # The list told the most of it already.
        told = version
    return VersionPage(
        _together(version, told), remote_words.texts(model, version, remote_words.LONG), found.images, found.above,
        found.as_of,
    )  # fmt: skip


def _together(listed: RemoteVersion, told: RemoteVersion) -> RemoteVersion:
    """What the list told, with what only the version's own endpoint does."""
    from msgspec.structs import replace

    return replace(
        listed,
        usage_control=told.usage_control,
        licensing_fee=told.licensing_fee,
        paid_access=told.paid_access or listed.paid_access,
        files=told.files or listed.files,
    )


def picture(link: Link, site: str | None, image: SharedImage) -> bytes | None:
    from tui import civitai_search

    return civitai_search.picture(link, site, image.url, image.type)


def prompt(image: SharedImage) -> str:
    """What a picture was drawn from; empty where nobody told."""
    from hubman.civitai import image_settings

    return image_settings.text(image.settings, "prompt")


def described(image: SharedImage, width: int, *, remarks: Sequence[str]) -> Content:
    """Who made a picture, and with what."""
    from hubman.civitai import image_settings
    from registry.levels import name_of

    by = f"by {formats.one_line(image.username)}" if image.username else "maker unknown"
    size = f"{image.width}x{image.height}" if image.width and image.height else ""
    kind = "" if image.type == "image" else image.type
    liked = f"{image.stats.reactions:,} likes" if image.stats.reactions else ""
    head = [by, kind, size, name_of(image.level) or "level unknown", liked]
    parts = [
        Content.styled(" · ".join(part for part in remarks if part), "$foreground-muted"),
        Content.styled(" · ".join(part for part in head if part), "$foreground-muted"),
    ]
    for title, name in (("prompt", "prompt"), ("negative", "negative")):
        if text := image_settings.text(image.settings, name):
            parts += [Content(""), Content.styled(title, "$foreground-muted"), Content(formats.one_line(text))]
    facts = image_settings.facts(image.settings)
    if facts:
        parts.append(Content(""))
    parts += [drawn(Row(name, formats.one_line(value)), width) for name, value in facts]
    if not image.settings:
        parts += [Content(""), Content.styled("It tells nothing of how it was made.", "$foreground-muted")]
    return Content("\n").join(parts)
