"""What Civitai tells: models, versions, files and pictures, in its REST form and in its tRPC form."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hubman.civitai import auth, contract, downloads, lenient, wire
from hubman.civitai.downloads import Downloaded, Wish
from hubman.civitai.errors import MissingError, TokenError, UnavailableError
from hubman.civitai.records import Enums, HashMatch, Me, ModelPage, RemoteModel, RemoteVersion, Tag, model_from
from hubman.civitai.transport import Sleep, Transport, read_json
from hubman.civitai.wire import Json
from hubman.progress import Report, silent

LORA_TYPES = ("LORA", "LoCon", "DoRA")
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

    def search(
        self,
        query: str = "",
        *,
        types: tuple[str, ...] = LORA_TYPES,
        base_models: tuple[str, ...] = (),
        limit: int = 20,
        nsfw: bool = False,
        sort: str = "",
        next_page: str = "",
    ) -> ModelPage:
        """One page of at most ``limit`` (1 to 100) models.

        With ``next_page`` from the page before, everything else is ignored. Pages may be short or empty before the
        last one: the end is an empty ``next_page``, and :meth:`search_all` follows them.
        """
        params = [("limit", str(limit)), ("nsfw", "true" if nsfw else "false")]
        params += [("types", kind) for kind in types] + [("baseModels", name) for name in base_models]
        params += [(key, value) for key, value in (("query", query), ("sort", sort)) if value]
        raw = self._get(next_page) if next_page else self._get("/api/v1/models", what="models", params=params)
        return self._page(raw)

    def _page(self, raw: Json) -> ModelPage:
        metadata = raw.get("metadata") if isinstance(raw, Mapping) else None
        following = str(metadata.get("nextPage") or "") if isinstance(metadata, Mapping) else ""
        items = items_of(raw)
        models = (
            tuple(model_from(item) for item in items if isinstance(item, Mapping)) if isinstance(items, list) else ()
        )
        return ModelPage(items=models, next_page=self._own_page(following))

    def search_all(
        self, query: str = "", *, limit: int = 100, types: tuple[str, ...] = LORA_TYPES
    ) -> Iterator[RemoteModel]:
        """At most ``limit`` models, following pages as far as needed."""
        page = self.search(query, types=types, limit=min(limit, 100))
        left = limit
        while True:
            yield from page.items[:left]
            left -= len(page.items)
            if left <= 0 or not page.next_page:
                return
            page = self.search(next_page=page.next_page)

    def models(self, numbers: Sequence[int]) -> Iterator[RemoteModel]:
        """Those of these models that are public, in no order; a hundred a request."""
        for start in range(0, len(numbers), _MODELS_AT_ONCE):
            batch = numbers[start : start + _MODELS_AT_ONCE]
            params = [("ids", ",".join(map(str, batch))), ("nsfw", "true"), ("limit", str(_MODELS_AT_ONCE))]
            page = self._page(self._get("/api/v1/models", what="models", params=params))
            yield from page.items
            while page.next_page:
                page = self.search(next_page=page.next_page)
                yield from page.items

    def enums(self) -> Enums:
        """The site's lists at this moment; the bundled ones where it doesn't tell."""
        try:
            raw = self._get("/api/v1/enums", what="lists")
        except (MissingError, UnavailableError):
            raw = {}
        lists = raw if isinstance(raw, Mapping) else {}
        return Enums(
            active_base_models=_names(lists.get("ActiveBaseModel")) or contract.enum_values("ActiveBaseModel"),
            model_types=_names(lists.get("ModelType")) or contract.enum_values("ModelType"),
        )

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

    def _own_page(self, url: str) -> str:
        """``nextPage`` as the site gave it, if it leads to the site itself."""
        return url if url and self._transport.is_own(url) else ""


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


def _names(raw: Json) -> tuple[str, ...]:
    return tuple(str(name) for name in raw if isinstance(name, str)) if isinstance(raw, list) else ()
