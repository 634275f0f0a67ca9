"""Answers as they came, for what keeps them whole. Never from the cache: what they say counts as the site's word now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx

from hubman.civitai.errors import MissingError
from hubman.civitai.reading import MODELS_AT_ONCE, PAGES_OF_IDS, Reading, items_of
from hubman.civitai.transport import read_json
from hubman.civitai.wire import Json

Raw = Mapping[str, Any]
"""An answer as it came."""

_PAGES_OF_CREATOR = 20
"""As :data:`PAGES_OF_IDS`."""


class Whole(Reading):
    """A session that also hands out whole answers."""

    def models_raw(self, numbers: Sequence[int]) -> Iterator[Raw]:
        """Those of these models that are public, in no order; a hundred a request."""
        for start in range(0, len(numbers), MODELS_AT_ONCE):
            batch = numbers[start : start + MODELS_AT_ONCE]
            wanted = {"ids": ",".join(map(str, batch)), "nsfw": "true", "limit": MODELS_AT_ONCE}
            yield from self._models_raw(wanted, most=PAGES_OF_IDS)

    def models_of_raw(self, creator: str) -> Iterator[Raw]:
        """The public models of a creator, the newest first; a hundred a request."""
        wanted = {"username": creator, "sort": "Newest", "nsfw": "true", "limit": MODELS_AT_ONCE}
        yield from self._models_raw(wanted, most=_PAGES_OF_CREATOR)

    def _models_raw(self, wanted: Mapping[str, object], *, most: int) -> Iterator[Raw]:
        url = "/api/v1/models?" + urlencode(wanted)
        for _ in range(most):
            raw = self._now(url, what="models")
            yield from _records(items_of(raw))
            url = self._following(raw, url)
            if not url:
                return

    def model_raw(self, model_id: int) -> Raw:
        """As :meth:`model`. Raises :class:`MissingError` only where the site itself says, in JSON, that it has none.

        A page of whatever stands in front of it says nothing: :class:`hubman.civitai.errors.UnavailableError`.
        """
        what, url = f"model {model_id}", f"/api/v1/models/{model_id}"

        def read(response: httpx.Response) -> Raw:
            told = _record(read_json(response))
            if response.status_code == 404:
                raise MissingError(f"Civitai has no {what}", "its creator or Civitai removed it", status=404)
            return told

        return self._transport.ask("GET", url, read, what=what, accept=frozenset({200, 404}))

    def version_raw(self, version_id: int) -> Raw:
        """As :meth:`model_version`."""
        return _record(self._now(f"/api/v1/model-versions/{version_id}", what=f"version {version_id}"))

    def versions_by_hash_raw(self, sha256s: Sequence[str]) -> list[Raw]:
        """The versions that hold these at most 100 files.

        In no order, those that are not found left out, and the address of the download wrong (the contract, 2.6): a
        version is recognised by its files' hashes, and its file fetched by its number.
        """
        batch = [value.upper() for value in sha256s]
        path = "/api/v1/model-versions/by-hash"
        return _records(self._transport.ask("POST", path, read_json, what="hashes", json=batch))

    def _now(self, url: str, *, what: str) -> Json:
        return self._transport.ask("GET", url, read_json, what=what)


def _record(raw: Json) -> Raw:
    return raw if isinstance(raw, Mapping) else {}


def _records(raw: Json) -> list[Raw]:
    """The objects in a list that may hold anything, such as ``null``."""
    return [item for item in raw if isinstance(item, Mapping)] if isinstance(raw, list) else []
