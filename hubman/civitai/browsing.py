"""What one browses the site by: searches for models, pictures with their prompts, creators, tags, lists of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from hubman.civitai import contract, image_search, lenient, search
from hubman.civitai.browse_records import CreatorPage, ListedCreator, ListedTag, TagPage
from hubman.civitai.errors import MissingError, RateLimitError, UnavailableError
from hubman.civitai.image_records import ImagePage, images_from
from hubman.civitai.image_search import ImageSearch
from hubman.civitai.pages import Pages, every
from hubman.civitai.reading import Reading, items_of
from hubman.civitai.records import Enums, ModelPage, RemoteModel
from hubman.civitai.search import ModelSearch
from hubman.civitai.search_names import Names, named
from hubman.civitai.wire import Json


class Browsing(Reading):
    """A session that also searches."""

    def search(self, asked: ModelSearch, *, next_page: str = "") -> ModelPage:
        """One page of models, before ``asked.sift`` is held against it.

        With ``next_page`` from the page before, everything else is ignored. Pages may be short or empty before the last
        one: the end is an empty ``next_page``. Raises :class:`registry.errors.UsageError` for what the site would refuse.
        """
        if not next_page:
            search.check(asked, has_token=self.has_token)
        return self._models_at(next_page or search.address(asked))

    def pages(self, asked: ModelSearch, *, ahead: bool = True) -> Pages:
        """All pages of a search, one after the other."""
        return Pages(lambda url: self.search(asked, next_page=url), asked.sift, ahead=ahead)

    def search_all(self, asked: ModelSearch, *, limit: int) -> Iterator[RemoteModel]:
        """At most ``limit`` models, following pages as far as needed."""
        return every(self.pages(asked, ahead=limit > asked.limit), limit)

    def images(self, asked: ImageSearch, *, next_page: str = "") -> ImagePage:
        """One page of pictures with their generation data."""
        url = next_page or image_search.address(asked)
        raw, as_of = self._get(url, what="pictures")
        return ImagePage(items=images_from(items_of(raw)), next_page=self._following(raw, url), as_of=as_of)

    def creators(self, query: str = "", *, limit: int = 20, next_page: str = "") -> CreatorPage:
        """Creators whose name holds ``query``."""
        url = next_page or _listing("creators", query, limit)
        raw, _ = self._get(url, what="creators")
        items = lenient.decode_list(ListedCreator, items_of(raw), "creator")
        return CreatorPage(items=items, total=_total(raw), next_page=self._following(raw, url))

    def tags(self, query: str = "", *, limit: int = 20, next_page: str = "") -> TagPage:
        """Tags whose name holds ``query``."""
        url = next_page or _listing("tags", query, limit)
        raw, _ = self._get(url, what="tags")
        items = lenient.decode_list(ListedTag, items_of(raw), "tag")
        return TagPage(items=items, total=_total(raw), next_page=self._following(raw, url))

    def enums(self) -> Enums:
        """The site's lists at this moment; the bundled ones where it doesn't tell."""
        try:
            raw, _ = self._get("/api/v1/enums", what="lists")
        except (MissingError, RateLimitError, UnavailableError):
            raw = {}
        lists = raw if isinstance(raw, Mapping) else {}
        return Enums(
            active_base_models=_names(lists, "ActiveBaseModel"),
            model_types=_names(lists, "ModelType"),
            base_models=_names(lists, "BaseModel"),
            model_file_types=_names(lists, "ModelFileType"),
            base_model_types=_names(lists, "BaseModelType"),
        )

    def names(self) -> Names:
        """The types and base models that a search line may name."""
        lists = self.enums()
        return named(lists.model_types, lists.active_base_models, lists.base_models)


def _listing(what: str, query: str, limit: int) -> str:
    return f"/api/v1/{what}?" + urlencode({"limit": limit, **({"query": query} if query else {})})


def _total(raw: Json) -> int:
    metadata = raw.get("metadata") if isinstance(raw, Mapping) else None
    total = metadata.get("totalItems") if isinstance(metadata, Mapping) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else 0


def _names(lists: Mapping[str, Json], name: str) -> tuple[str, ...]:
    """One of the lists, or the bundled one where the site's is no list of texts."""
    said = lists.get(name)
    found = tuple(lenient.clean_text(text) for text in said if isinstance(text, str)) if isinstance(said, list) else ()
    return found or contract.enum_values(name)
