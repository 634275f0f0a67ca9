"""Pages of a search, one after the other; while one is looked at, the following one is on its way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Thread

import msgspec

from hubman.civitai.records import ModelPage, RemoteModel
from hubman.civitai.sift import Sift, sifted

Ask = Callable[[str], ModelPage]
"""The page at an address; an empty one means the first."""

_EMPTY_IN_A_ROW = 10
"""Pages without anything that one call goes on over: the site filters after it has counted."""

_IN_VAIN = 100
"""Pages beyond one for each model found, after which a search is given up: there may be ten thousand more."""
_log = logging.getLogger(__name__)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one step found. ``above`` and ``others`` count what was left out for its level and for the rest.

    ``more`` says that there are further pages, ``looped`` that the site led back to one that was seen. ``as_of`` is when
    an answer of the cache was fetched, empty for a fresh one.
    """

    models: tuple[RemoteModel, ...] = ()
    above: int = 0
    others: int = 0
    more: bool = False
    looped: bool = False
    as_of: str = ""


class Pages:
    """Follows a search to its end; a model that comes again, as when the order shifts between pages, is left out.

    With ``ahead`` the following page is fetched by a thread of its own as soon as one is there. Not for several threads
    at once. ``asked`` counts the pages so far.
    """

    def __init__(self, ask: Ask, sift: Sift | None = None, *, ahead: bool = True) -> None:
        self._ask, self._sift, self._ahead = ask, sift or Sift(), ahead
        self._following: str | None = ""
        self._seen: set[str] = set()
        self._models: set[int] = set()
        self._coming: tuple[str, Future[ModelPage]] | None = None
        self.asked = 0

    @property
    def has_more(self) -> bool:
        return self._following is not None

    def next(self) -> Batch:
        """The next models: of one page, or of several where they are empty. Raises what ``ask`` raises, to try again."""
        batch = Batch()
        for _ in range(_EMPTY_IN_A_ROW):
            if self._following is None:
                break
            step = self._step(self._following)
            batch = msgspec.structs.replace(step, above=batch.above + step.above, others=batch.others + step.others)
            if batch.models:
                break
        return batch

    def _step(self, url: str) -> Batch:
        page = self._fetched(url)
        self.asked += 1
        self._seen.add(url)
        looped = bool(page.next_page) and page.next_page in self._seen
        self._following = page.next_page if page.next_page and not looped else None
        if self._following is not None and self._ahead:
            self._begin(self._following)
        new = [model for model in page.items if model.id not in self._models]
        self._models.update(model.id for model in new)
        left = sifted(new, self._sift)
        return Batch(
            models=left.models, above=left.above, others=left.others, more=self._following is not None, looped=looped,
            as_of=page.as_of,
        )  # fmt: skip

    def _fetched(self, url: str) -> ModelPage:
        coming, self._coming = self._coming, None
        if coming is not None and coming[0] == url:
            return coming[1].result()
        return self._ask(url)

    def _begin(self, url: str) -> None:
        future: Future[ModelPage] = Future()
        self._coming = (url, future)
        # A daemon, so that an answer that nobody waits for does not keep the program from ending.
        Thread(target=self._fill, args=(url, future), name="next page", daemon=True).start()

    def _fill(self, url: str, future: Future[ModelPage]) -> None:
        try:
            future.set_result(self._ask(url))
        except BaseException as error:
            future.set_exception(error)


def batches(pages: Pages, limit: int) -> Iterator[Batch]:
    """Steps until there are ``limit`` models, or no further page, or so many pages held so little that it is given up.

    Then ``pages.has_more`` still holds, and there are fewer models than ``limit``.
    """
    found = 0
    while found < limit and pages.has_more and pages.asked < _IN_VAIN + found:
        batch = pages.next()
        found += len(batch.models)
        yield batch


def every(pages: Pages, limit: int) -> Iterator[RemoteModel]:
    """At most ``limit`` models, following pages as far as :func:`batches` does."""
    left = limit
    for batch in batches(pages, limit):
        yield from batch.models[:left]
        left -= len(batch.models)
    if left > 0 and pages.has_more:
        _log.warning("given up after %d pages with %d models; there are more", pages.asked, limit - left)
