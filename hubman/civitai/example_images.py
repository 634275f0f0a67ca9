"""Pictures that show a version, with what they were drawn with, up to a level."""

from __future__ import annotations

import msgspec

from hubman.civitai.client import Civitai
from hubman.civitai.image_records import SharedImage
from hubman.civitai.image_search import ImageSearch
from hubman.civitai.refs import parse_ref
from hubman.civitai.resolving import resolve
from registry.levels import is_covered

_PAGES = 5
"""Pages that are followed where they are short."""


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures, and how many of those that were looked at lie above the level."""

    images: tuple[SharedImage, ...] = ()
    above: int = 0
    as_of: str = ""


def of_version(client: Civitai, version_id: int, *, up_to: int, limit: int = 30, with_prompt: bool = False) -> Examples:
    """At most ``limit`` pictures of a version, the best liked first. ``up_to`` is a bit of a browsing level."""
    return _gathered(client, ImageSearch(version_id=version_id, limit=limit, with_prompt=with_prompt), up_to, limit)


def of_ref(client: Civitai, text: str, *, up_to: int, limit: int = 30, with_prompt: bool = False) -> Examples:
    """The same for what a person names. Raises :class:`UsageError` or a :class:`CivitaiError`."""
    ref = parse_ref(text, site=client.site)
    # A version's number needs no question of its own.
    version_id = ref.version_id or next(version.id for _model, version in resolve(client, ref))
    return of_version(client, version_id, up_to=up_to, limit=limit, with_prompt=with_prompt)


def _gathered(client: Civitai, asked: ImageSearch, up_to: int, limit: int) -> Examples:
    found: list[SharedImage] = []
    above, following, as_of = 0, "", ""
    seen: set[str] = set()
    for _ in range(_PAGES):
        page = client.images(asked, next_page=following)
        shown = [image for image in page.items if not is_covered(image.level, up_to)]
        found += shown
        above += len(page.items) - len(shown)
        seen.add(following)
        following, as_of = page.next_page, as_of or page.as_of
        if len(found) >= limit or not following or following in seen:
            break
    return Examples(images=tuple(found[:limit]), above=above, as_of=as_of)
