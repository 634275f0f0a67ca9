"""What the Civitai screens ask for, in threads: pages of models, what of them is here already, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubman.civitai.held import State
    from hubman.civitai.pages import Pages
    from hubman.civitai.records import RemoteImage, RemoteModel, RemoteVersion
    from hubman.civitai.search_names import Names
    from registry.database import Registry
    from tui.services.civitai_link import Link


@dataclass(frozen=True)
class Hit:
    """A model of the site, and what the library has of it by the numbers of its versions."""

    model: RemoteModel
    held: Mapping[int, State]

    @property
    def mark(self) -> str:
        """``here`` if the newest version is, ``older`` if another one is, ``known`` if only the library knows one."""
        states = [self.held.get(version.id) for version in self.model.versions]
        if not any(states):
            return ""
        return "here" if states[0] == "here" else "older" if "here" in states else "known"


@dataclass(frozen=True)
class Asked:
    """A search under way: where it was asked, up to which level, and its pages."""

    site: str | None
    address: str
    is_rehearsal: bool
    up_to: int
    pages: Pages


@dataclass(frozen=True)
class Found:
    """What one step of a search brought; see :class:`hubman.civitai.pages.Batch`."""

    asked: Asked
    hits: tuple[Hit, ...]
    above: int = 0
    others: int = 0
    looped: bool = False
    as_of: str = ""

    @property
    def more(self) -> bool:
        return self.asked.pages.has_more


@dataclass
class Lists:
    """The types and base models that a line may name: the site's own once it was asked for them."""

    names: dict[str | None, Names] = field(default_factory=dict)

    def of(self, link: Link, site: str | None) -> Names:
        """Asks the site once; for a thread."""
        if site not in self.names:
            self.names[site] = link.client(site).names()
        return self.names[site]


def site_name(site: str | None) -> str:
    """The site as a person knows it, without its scheme."""
    from hubman.civitai import auth
    from registry.errors import HubError

    try:
        return "the local sandbox" if site == "sandbox" else (site or auth.site_url()).partition("://")[2]
    except HubError:
        return "no site"


def allowance(registry: Registry, address: str) -> str:
    """How many more requests this machine may send now, or how long it waits and why; for a thread."""
    from hubman.civitai import budget

    left = budget.read(registry.home, address)
    if left.paused_for:
        return f"waits {left.paused_for:.0f} s ({left.why})" if left.why else f"waits {left.paused_for:.0f} s"
    return f"{left.left:,} of {left.limit:,} requests left"


def begin(registry: Registry, link: Link, lists: Lists, line: str, site: str | None, threshold: int) -> Found:
    """The first page of a search. Raises ``HubError`` when the line or the site makes no sense of it."""
    from hubman.civitai.search_line import UnknownNameInLineError, parse

    names = lists.names.get(site)
    try:
        asked = parse(line, names, up_to=threshold)
    except UnknownNameInLineError:
        if names is not None:
            raise
        asked = parse(line, lists.of(link, site), up_to=threshold)
    client = link.client(site)
    return step(registry, Asked(site, client.site, client.is_rehearsal, asked.sift.up_to, client.pages(asked)))


def step(registry: Registry, asked: Asked) -> Found:
    """The next page of a search."""
    batch = asked.pages.next()
    hits = look(registry, batch.models, is_rehearsal=asked.is_rehearsal)
    return Found(asked, hits, batch.above, batch.others, batch.looped, batch.as_of)


def look(registry: Registry, models: Sequence[RemoteModel], *, is_rehearsal: bool) -> tuple[Hit, ...]:
    """What of these models is here, by one look into the library."""
    from hubman.civitai.held import held

    states = held(registry, models, by_number=not is_rehearsal)
    return tuple(Hit(model, {one.id: states[one.id] for one in model.versions if one.id in states}) for model in models)


def pictures(version: RemoteVersion) -> list[RemoteImage]:
    """What can be shown of a version: pictures, and videos by their first frame."""
    return [image for image in version.images if image.type in {"image", "video"} and image.url]


def level(image: RemoteImage) -> int:
    """The bit of a picture's level, 0 where nobody told."""
    from registry.listing import highest_bit

    return highest_bit(image.nsfw_level)


def still(version: RemoteVersion, threshold: int) -> RemoteImage | None:
    """A version's first picture of a level up to ``threshold``."""
    from registry.levels import is_covered

    return next((image for image in pictures(version) if not is_covered(level(image), threshold)), None)


def words(version: RemoteVersion, threshold: int) -> tuple[str, ...]:
    """What stands in the place of the picture where all are above ``threshold``: the mildest one's level."""
    from registry.levels import name_of

    levels = [level(image) for image in pictures(version)]
    return (name_of(min(levels)), "covered") if levels and min(levels) > threshold else ()


def picture(link: Link, site: str | None, url: str, kind: str = "image") -> bytes | None:
    """The bytes of a picture in a small size; None when there is none to be had."""
    from hubman.civitai.media_urls import still as still_url
    from registry.errors import HubError

    address = still_url(url, kind)
    if not address:
        return None
    try:
        return link.client(site).media(address)
    except HubError:
        return None
