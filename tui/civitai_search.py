"""What the Civitai screen asks for, in threads: pages of models, what of them is here already, a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubman.civitai.records import RemoteImage, RemoteModel, RemoteVersion
    from registry.database import Registry


@dataclass(frozen=True)
class Hit:
    """A model of the site; ``held`` are the ids of its versions that are in the library."""

    model: RemoteModel
    held: frozenset[int]


@dataclass(frozen=True)
class Page:
    """Hits and where the following ones are; an empty ``following`` is the end. ``site`` is the address asked."""

    hits: tuple[Hit, ...]
    following: str
    site: str


def site_name(site: str | None) -> str:
    """The site as a person knows it, without its scheme."""
    from hubman.civitai import auth
    from registry.errors import HubError

    try:
        return "the local sandbox" if site == "sandbox" else (site or auth.site_url()).partition("://")[2]
    except HubError:
        return "no site"


def search(registry: Registry, text: str, site: str | None, following: str = "") -> Page:
    """One page. Raises ``HubError`` when the site does not answer usefully."""
    from hubman.civitai.session import connect

    with connect(registry.home, site) as client:
        page = client.search(text, limit=40, next_page=following)
        address = client.site
    return Page(tuple(Hit(model, held(registry, model)) for model in page.items), page.next_page, address)


def held(registry: Registry, model: RemoteModel) -> frozenset[int]:
    from registry import library

    return frozenset(
        version.id
        for version in model.versions
        if any(file.sha256 and library.file_by_hash(registry, file.sha256) for file in version.files)
    )


def still(version: RemoteVersion, threshold: int) -> RemoteImage | None:
    """A version's first still picture of a level up to ``threshold``."""
    from registry.levels import is_covered
    from registry.listing import highest_bit

    stills = (image for image in version.images if image.type == "image" and image.url)
    return next((image for image in stills if not is_covered(highest_bit(image.nsfw_level), threshold)), None)


def words(version: RemoteVersion, threshold: int) -> tuple[str, ...]:
    """What stands in the place of the picture where all are above ``threshold``: the mildest one's level."""
    from registry.levels import name_of
    from registry.listing import highest_bit

    levels = [highest_bit(image.nsfw_level) for image in version.images if image.type == "image" and image.url]
    return (name_of(min(levels)), "covered") if levels and min(levels) > threshold else ()


def picture(registry: Registry, version: RemoteVersion, site: str | None, threshold: int) -> bytes | None:
    """The bytes of :func:`still`, in a small size; None when there is none to be had."""
    from hubman.civitai.errors import CivitaiError
    from hubman.civitai.session import connect

    image = still(version, threshold)
    if image is None:
        return None
    try:
        with connect(registry.home, site) as client:
            return client.media(re.sub(r"/original=true/", "/width=450/", image.url))
    except CivitaiError:
        return None
