"""What Civitai tells: models, versions, files and pictures, in its REST form and in its tRPC form."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from hubman.civitai import auth, downloads, lenient, wire
from hubman.civitai.downloads import Downloaded, Wish
from hubman.civitai.errors import TokenError, UnavailableError
from hubman.civitai.paging import following
from hubman.civitai.records import HashMatch, Me, ModelPage, RemoteModel, RemoteVersion, Tag, model_from
from hubman.civitai.transport import Sleep, Transport, read_json
from hubman.civitai.wire import Json
from hubman.progress import Report, silent

_HASHES_AT_ONCE = 1000
_MODELS_AT_ONCE = 100
Params = Sequence[tuple[str, str]]


class Reading:
    """A session with one site. ``token`` may be empty for public reads. Closes its connections as a context manager.

    Every method raises a :class:`hubman.civitai.errors.CivitaiError` (or :class:`registry.errors.HubError`) that says
    what to do.
    """

    def __init__(
        self, site: str = auth.SITE, token: str = "", *, sleep: Sleep = time.sleep, is_rehearsal: bool = False
    ) -> None:
        """``is_rehearsal`` says that the site's numbers mean nothing elsewhere: the library must not keep them."""
        self.site, self.is_rehearsal = site.rstrip("/"), is_rehearsal
        self._transport = Transport(self.site, token, sleep=sleep)

    @classmethod
    def from_environment(cls) -> Self:
        """The site of ``$HUBMAN_CIVITAI_URL`` with the key of ``$CIVITAI_API_KEY`` or the keyring."""
        return cls(auth.site_url(), auth.api_key())

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def has_token(self) -> bool:
        return self._transport.has_token

    def wait(self, seconds: float) -> None:
        """Sleep through the injected clock."""
        self._transport.wait(seconds)

    def me(self) -> Me:
        """Whose key this is; raises :class:`TokenError` when the site doesn't accept it."""
        if not self.has_token:
            raise TokenError("no Civitai key is set", "make one in your Civitai account and set CIVITAI_API_KEY")
        return lenient.decode(Me, self._get("/api/v1/me", what="the account"), "me")

    def model(self, model_id: int) -> RemoteModel:
        return model_from(self._get(f"/api/v1/models/{model_id}", what=f"model {model_id}"))

    def model_version(self, version_id: int) -> RemoteVersion:
        raw = self._get(f"/api/v1/model-versions/{version_id}", what=f"version {version_id}")
        return lenient.decode(RemoteVersion, raw, "version")

    def model_version_now(self, version_id: int) -> RemoteVersion:
        """As :meth:`model_version`, but never out of a cache: for what contradicts what was told before."""
        response = self._transport.call("GET", f"/api/v1/model-versions/{version_id}", what=f"version {version_id}")
        return lenient.decode(RemoteVersion, read_json(response), "version")

    def collection(self, number: int) -> Json:
        """What the site tells of a collection, in whatever shape: only the name of this endpoint is documented."""
        return read_json(self._transport.call("GET", f"/api/v1/collections/{number}", what=f"collection {number}"))

    def by_hash(self, file_hash: str) -> RemoteVersion:
        """The version that holds a file with this hash, of any kind that Civitai computes."""
        raw = self._get(f"/api/v1/model-versions/by-hash/{file_hash}", what=f"file with hash {file_hash}")
        return lenient.decode(RemoteVersion, raw, "version")

    def by_hash_ids(self, sha256s: list[str]) -> tuple[HashMatch, ...]:
        """Which of these SHA-256 hashes Civitai knows; any number of them, in no order."""
        found: list[HashMatch] = []
        for start in range(0, len(sha256s), _HASHES_AT_ONCE):
            batch = [value.upper() for value in sha256s[start : start + _HASHES_AT_ONCE]]
            response = self._transport.call("POST", "/api/v1/model-versions/by-hash/ids", what="hashes", json=batch)
            found.extend(lenient.decode_list(HashMatch, read_json(response), "hashes"))
        return tuple(found)

    def models(self, numbers: Sequence[int]) -> Iterator[RemoteModel]:
        """Those of these models that are public, in no order; a hundred a request."""
        for start in range(0, len(numbers), _MODELS_AT_ONCE):
            batch = numbers[start : start + _MODELS_AT_ONCE]
            wanted = {"ids": ",".join(map(str, batch)), "nsfw": "true", "limit": _MODELS_AT_ONCE}
            page = self._models_at("/api/v1/models?" + urlencode(wanted))
            yield from page.items
            while page.next_page:
                page = self._models_at(page.next_page)
                yield from page.items

    def media(self, url: str, *, limit: int = 64 << 20) -> bytes:
        """The bytes of a picture; the key is not sent unless the site itself serves it.

        Raises :class:`CivitaiError` for one larger than ``limit`` bytes.
        """
        return downloads.fetch_small(self._transport, url, limit=limit)

    def download(
        self, version_id: int, dest: Path, *, file_id: int = 0, sha256: str = "", size: int = 0, report: Report = silent
    ) -> Downloaded:
        """A version's file to ``dest``: resumed, and verified when ``sha256`` is known. See :func:`downloads.fetching`."""
        url = download_url(version_id, file_id)
        return downloads.fetch(self._transport, Wish(url=url, dest=dest, sha256=sha256, size=size), report)

    def downloading(self, wish: Wish, report: Report) -> AbstractContextManager[Downloaded]:
        """See :func:`downloads.fetching`."""
        return downloads.fetching(self._transport, wish, report)

    def categories(self) -> tuple[Tag, ...]:
        """The category tags; a model has exactly one."""
        query = {"categories": True, "entityType": ["Model"], "unlisted": False, "sort": "Most Models", "limit": 100}
        return lenient.decode_list(Tag, items_of(self.query("tag.getAll", query)), "tag")

    def query(self, procedure: str, value: Mapping[str, Any]) -> Json:
        """Call a reading procedure; returns its decoded data."""
        params = {"input": json.dumps(wire.envelope(value))}
        response = self._transport.call("GET", f"/api/trpc/{procedure}", what=procedure, params=params)
        return trpc_data(response.content, procedure)

    def _get(self, url: str, *, what: str = "the next page", params: Params = ()) -> Json:
        return read_json(self._transport.call("GET", url, what=what, params=list(params) or None))

    def _models_at(self, url: str) -> ModelPage:
        raw = self._get(url, what="models")
        items = items_of(raw)
        models = (
            tuple(model_from(item) for item in items if isinstance(item, Mapping)) if isinstance(items, list) else ()
        )
        return ModelPage(items=models, next_page=self._following(raw, url))

    def _following(self, raw: Json, asked: str) -> str:
        return following(raw, asked, self._transport.is_own)


def trpc_data(body: bytes, procedure: str) -> Json:
    """What an answer of ``procedure`` holds; raises :class:`UnavailableError` for one that can't be read."""
    try:
        return wire.parse_answer(body).data
    except wire.WireError as error:
        raise UnavailableError(f"Civitai's answer to {procedure} can't be read ({error})", "try again later") from error


def download_url(version_id: int, file_id: int = 0) -> str:
    """The path of a version's file, the site's choice unless ``file_id`` names one."""
    return f"/api/download/models/{version_id}" + (f"?fileId={file_id}" if file_id else "")


def items_of(raw: Json) -> Json:
    """The list in an answer that may wrap it."""
    return raw.get("items") if isinstance(raw, Mapping) else raw
