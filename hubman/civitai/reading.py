"""What Civitai tells: models, versions, files and pictures, in its REST form and in its tRPC form."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from hubman.civitai import auth, downloads, lenient, wire
from hubman.civitai.answers import Answer, NoAnswers
from hubman.civitai.downloads import Downloaded, Wish
from hubman.civitai.errors import CivitaiError, RateLimitError, TokenError, UnavailableError
from hubman.civitai.media_cache import NoMedia
from hubman.civitai.paging import following
from hubman.civitai.records import HashMatch, Me, ModelPage, RemoteModel, RemoteVersion, Tag, model_from, version_from
from hubman.civitai.shared import Shared
from hubman.civitai.small import is_media
from hubman.civitai.transport import Sleep, Transport, read_json
from hubman.civitai.wire import Json
from hubman.progress import Report, silent

HASHES_AT_ONCE = 2500
"""Of the 10,000 that by-hash/ids takes: a larger request is slow to answer, and a lost one is asked again whole."""
MODELS_AT_ONCE = 100
PAGES_OF_IDS = 3
"""Pages that are followed at most: a site that ignores what was asked for would have a million models to tell of."""
Params = Sequence[tuple[str, str]]


class Reading:
    """A session with one site. ``token`` may be empty for public reads. Closes its connections as a context manager.

    Every method raises a :class:`hubman.civitai.errors.CivitaiError` (or :class:`registry.errors.HubError`) that says
    what to do.
    """

    def __init__(
        self,
        site: str = auth.SITE,
        token: str = "",
        *,
        sleep: Sleep = time.sleep,
        is_rehearsal: bool = False,
        shared: Shared | None = None,
    ) -> None:
        """``is_rehearsal`` says that the site's numbers mean nothing elsewhere: the library must not keep them.

        ``shared`` is what all processes of a home have in common: without it nothing is limited and nothing is kept.
        """
        self.site, self.is_rehearsal, self._shared = site.rstrip("/"), is_rehearsal, shared
        limiter = shared.limiter(self.site, sleep) if shared else None
        self._transport = Transport(self.site, token, sleep=sleep, limiter=limiter)
        self._answers = shared.answers(self.site, token) if shared else NoAnswers()
        self._media = shared.media(self.site) if shared else NoMedia()

    @classmethod
    def from_environment(cls, shared: Shared | None = None) -> Self:
        """The site of ``$HUBMAN_CIVITAI_URL`` with the key of ``$CIVITAI_API_KEY`` or the keyring."""
        return cls(auth.site_url(), auth.api_key(), shared=shared)

    def close(self) -> None:
        self._transport.close()
        if self._shared:
            self._shared.close()

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

    def now(self) -> datetime:
        """The time by the site's clock, as it last told it."""
        return self._transport.now()

    def me(self) -> Me:
        """Whose key this is; raises :class:`TokenError` when the site doesn't accept it."""
        if not self.has_token:
            raise TokenError("no Civitai key is set", "hubman login stores one, or set CIVITAI_API_KEY")
        # Never from the cache: the answer says whether the key works now.
        raw = self._transport.ask("GET", "/api/v1/me", read_json, what="the account")
        return lenient.decode(Me, raw, "me")

    def model(self, model_id: int) -> RemoteModel:
        raw, as_of = self._get(f"/api/v1/models/{model_id}", what=f"model {model_id}")
        return model_from(raw, as_of=as_of)

    def model_version(self, version_id: int) -> RemoteVersion:
        raw, as_of = self._get(f"/api/v1/model-versions/{version_id}", what=f"version {version_id}")
        return version_from(raw, as_of=as_of)

    def collection(self, number: int) -> Json:
        """What the site tells of a collection, in whatever shape: only the name of this endpoint is documented."""
        return read_json(self._transport.call("GET", f"/api/v1/collections/{number}", what=f"collection {number}"))

    def by_hash(self, file_hash: str) -> RemoteVersion:
        """The version that holds a file with this hash, of any kind that Civitai computes."""
        raw, as_of = self._get(f"/api/v1/model-versions/by-hash/{file_hash}", what=f"file with hash {file_hash}")
        return version_from(raw, as_of=as_of)

    def by_hash_ids(self, sha256s: list[str]) -> tuple[HashMatch, ...]:
        """Which of these SHA-256 hashes Civitai knows; any number of them, in no order.

        What the site tells of one may be incomplete, even without its hash. Raises :class:`UnavailableError` for an
        answer that is no list, for it says of no hash that it is unknown.
        """
        found: list[HashMatch] = []
        for start in range(0, len(sha256s), HASHES_AT_ONCE):
            batch = [value.upper() for value in sha256s[start : start + HASHES_AT_ONCE]]
            path = "/api/v1/model-versions/by-hash/ids"
            raw = self._transport.ask("POST", path, read_json, what="hashes", json=batch)
            if not isinstance(raw, list):
                raise UnavailableError("Civitai's answer about hashes is no list", "try again in a few minutes")
            found.extend(lenient.decode(HashMatch, item if isinstance(item, Mapping) else {}, "hashes") for item in raw)
        return tuple(found)

    def models(self, numbers: Sequence[int]) -> Iterator[RemoteModel]:
        """Those of these models that are public, in no order; a hundred a request."""
        for start in range(0, len(numbers), MODELS_AT_ONCE):
            batch = numbers[start : start + MODELS_AT_ONCE]
            wanted = {"ids": ",".join(map(str, batch)), "nsfw": "true", "limit": MODELS_AT_ONCE}
            url = "/api/v1/models?" + urlencode(wanted)
            for _ in range(PAGES_OF_IDS):
                page = self._models_at(url)
                yield from page.items
                url = page.next_page
                if not url:
                    break

    def media(self, url: str, *, limit: int = 64 << 20) -> bytes:
        """The bytes of a picture; the key is not sent unless the site itself serves it. Seen once, it is kept.

        What is no picture by its first bytes is handed out and not kept: the host may have meant to send another.
        Raises :class:`CivitaiError` for one larger than ``limit`` bytes, and for a web page in its place.
        """
        kept = self._media.find(url)
        if kept is not None and not is_media(kept):
            kept = None
        if kept is not None and self._media.is_lasting and len(kept) <= limit:
            return kept
        try:
            content = downloads.fetch_small(self._transport.hurried(), url, limit=limit)
        except CivitaiError:
            if kept is None or len(kept) > limit:
                raise
            return kept
        if is_media(content):
            self._media.keep(url, content)
        return content

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
        return self._transport.ask(
            "GET", f"/api/trpc/{procedure}", lambda response: trpc_data(response.content, procedure),
            what=procedure, params=params,
        )  # fmt: skip

    def _get(self, url: str, *, what: str = "the next page", params: Params = ()) -> tuple[Json, str]:
        """What the site says, and since when if that is its last good answer because it can't be asked now."""
        name = f"{url}?{urlencode(params)}" if params else url
        kept = self._answers.find(name)
        if kept is not None and kept.is_fresh:
            return json.loads(kept.body), ""
        try:
            return self._ask(url, name, kept, what=what, params=params), ""
        except (UnavailableError, RateLimitError):
            if kept is None:
                raise
            return json.loads(kept.body), kept.as_of

    def _ask(self, url: str, name: str, kept: Answer | None, *, what: str, params: Params) -> Json:
        def read(response: httpx.Response) -> Json:
            control = response.headers.get("Cache-Control", "")
            if response.status_code == 304 and kept is not None:
                self._answers.confirm(name, cache_control=control)
                return json.loads(kept.body)
            told = read_json(response)
            self._answers.keep(name, response.content, etag=response.headers.get("ETag", ""), cache_control=control)
            return told

        has_tag = kept is not None and bool(kept.etag)
        # Whoever has an answer to show need not wait long for a better one.
        hurry: dict[str, Any] = {"tries": 2, "patience": 5.0, "timeout": 6.0} if kept is not None else {}
        return self._transport.ask(
            "GET", url, read, what=what, params=list(params) or None,
            accept=frozenset({200, 304}) if has_tag else frozenset({200}),
            headers={"If-None-Match": kept.etag} if kept is not None and has_tag else None, **hurry,
        )  # fmt: skip

    def _models_at(self, url: str) -> ModelPage:
        raw, as_of = self._get(url, what="models")
        items = items_of(raw)
        found = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
        models = tuple(model_from(item, as_of=as_of) for item in found)
        return ModelPage(items=models, next_page=self._following(raw, url), as_of=as_of)

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
