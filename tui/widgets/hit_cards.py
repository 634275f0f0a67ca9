"""Models of the site as cards with pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

from tui import civitai_search, formats
from tui.decoding import decoded
from tui.looks import looks_of
from tui.widgets.blocks import strips_of_source
from tui.widgets.cards import Cards, tile_strips
from tui.widgets.hit_list import MARKS

if TYPE_CHECKING:
    from tui.civitai_search import Hit

Fetch = Callable[[str, str], bytes | None]
"""(address, media type) to the bytes of a small picture, in a thread."""


class HitCards(Cards["Hit"]):
    """The mildest picture that may be shown of each model's newest version."""

    AT_ONCE: ClassVar[int] = 4
    """More than are decoded at a time: most of the time goes by waiting for the site."""

    def __init__(self, fetch: Fetch, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._fetch = fetch
        self._covered: dict[str, tuple[str, ...]] = {}
        self._kinds: dict[str, str] = {}

    def key(self, item: Hit) -> str:
        newest = item.model.versions[0] if item.model.versions else None
        looks = looks_of(self)
        if newest is None or not looks.has_pictures:
            return ""
        image = civitai_search.still(newest, looks.threshold)
        if image is not None:
            self._kinds[image.url] = image.type
            return image.url
        key = f"covered {item.model.id}"
        self._covered[key] = civitai_search.words(newest, looks.threshold)
        return key

    def heading(self, item: Hit) -> str:
        sign = MARKS[item.mark][0].strip()
        return f"{sign} {formats.one_line(item.model.name)}".strip() or f"model {item.model.id}"

    def facts(self, item: Hit) -> str:
        newest = item.model.versions[0] if item.model.versions else None
        base = formats.one_line(newest.base_model) if newest else ""
        return " · ".join(part for part in (base or "?", formats.one_line(item.model.creator)) if part)

    async def load(self, key: str, size: Size, shade: Style) -> list[Strip]:
        if key in self._covered:
            return tile_strips(self._covered[key], size, shade)
        if not key:
            return []
        data = await asyncio.to_thread(self._fetch, key, self._kinds.get(key, "image"))
        return await decoded(strips_of_source, data, *size) if data else []
