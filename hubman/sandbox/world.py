"""Everything that a request handler needs to reach: the store, the blobs, the switches, the two addresses."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, deque
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

from hubman.civitai.wire import iso
from hubman.sandbox import accounts, index_tables
from hubman.sandbox.settings import Settings
from hubman.sandbox.store import Doc, Store


class World:
    """One sandbox's state. ``site`` and ``storage`` are its two base addresses, known once it listens."""

    def __init__(self, data_dir: Path, settings: Settings) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.blobs = data_dir / "blobs"
        self.blobs.mkdir(exist_ok=True)
        self.store = Store(data_dir / "sandbox.db")
        index_tables.create(self.store)
        self.settings = settings
        self.site = ""
        self.storage = ""
        self.requests: deque[tuple[str, str, int]] = deque(maxlen=100_000)
        """Method, path and status of what was asked, oldest first; status 0 where the connection was reset."""
        self.arrivals: deque[float] = deque(maxlen=100_000)
        """When each request came, in seconds of the system's steady clock."""
        self.creators: dict[int, Doc] = {}
        """A copy of who was looked up so far."""
        self.tag_names: dict[int, str] = {}
        """A copy of the tags that were made so far; see :func:`hubman.sandbox.tags.names`."""
        self.struck: deque[tuple[str, str, str]] = deque(maxlen=100_000)
        """Kind, method and path of what went wrong on purpose, oldest first."""
        self.unknown_keys: deque[str] = deque(maxlen=100_000)
        """``call: key`` for what clients sent and the site drops without a word, oldest first."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lag: dict[tuple[str, int], int] = {}
        # Signs addresses of this process's own storage only; nothing depends on its being secret.
        self._signing_key = b"hubman sandbox"

    def close(self) -> None:
        self.store.close()

    def now(self) -> datetime:
        return self.settings.clock()

    def timestamp(self) -> str:
        return iso(self.now())

    def count(self, what: str, key: str) -> int:
        """Count one more of ``what`` under ``key``, such as a minute; returns how many there were."""
        self._counts[what, key] += 1
        return self._counts[what, key]

    def busiest(self, seconds: float) -> int:
        """The most requests that came within any ``seconds``, both hosts together."""
        times, most, first = list(self.arrivals), 0, 0
        for last, time in enumerate(times):
            while time - times[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    # -- replica lag -----------------------------------------------------------------------------------------------

    def made(self, kind: str, key: int) -> None:
        """Note that a thing is new, so that replicas may lag behind it."""
        if self.settings.replica_lag:
            self._lag[kind, key] = self.settings.replica_lag

    def lags(self, kind: str, key: int) -> bool:
        """Whether this read comes too early for a replica; counts the reads down."""
        left = self._lag.get((kind, key), 0)
        if left:
            self._lag[kind, key] = left - 1
        return left > 0

    # -- blobs and their addresses -----------------------------------------------------------------------------------

    def blob_path(self, key: str) -> Path:
        """Where the bytes of ``key`` lie; the key's text never becomes a path."""
        return self.blobs / hashlib.sha256(key.encode()).hexdigest()

    def signed(self, path: str, **query: str | int) -> str:
        """An address on the storage host that works without a key for a while."""
        expires = int((self.now() + timedelta(seconds=self.settings.signature_seconds)).timestamp())
        path = quote(path)
        fields = {**{key: str(value) for key, value in query.items()}, "X-Amz-Expires": str(expires)}
        fields["X-Amz-Signature"] = self._signature(path, fields)
        return f"{self.storage}{path}?{urlencode(fields)}"

    def signature_is_good(self, path: str, query: dict[str, str]) -> bool:
        """Whether ``query`` signs ``path`` (as it stood in the address) and has not expired."""
        fields = dict(query)
        given = fields.pop("X-Amz-Signature", "")
        expires = fields.get("X-Amz-Expires", "0")
        fresh = expires.isdigit() and int(expires) >= self.now().timestamp()
        return fresh and hmac.compare_digest(given, self._signature(path, fields))

    def _signature(self, path: str, fields: dict[str, str]) -> str:
        text = path + "?" + urlencode(sorted(fields.items()))
        return hmac.new(self._signing_key, text.encode(), hashlib.sha256).hexdigest()

    # -- relations that many handlers need -------------------------------------------------------------------------

    def creator(self, user_id: int) -> Doc:
        """``id``, ``username`` and ``image`` (an address or None) of whoever has this id."""
        if user_id not in self.creators:
            plain = {"id": user_id, "username": accounts.user(user_id).username, "image": None}
            self.creators[user_id] = self.store.get("user", user_id) or plain
        return self.creators[user_id]

    def holds(self) -> dict[str, int]:
        """How many models, versions, files and images there are, drafts included."""
        return {f"{kind}s": self.store.count(kind) for kind in ("model", "version", "file", "image")}

    def users(self) -> list[Doc]:
        """Everybody, as :meth:`creator` shows one."""
        return [self.creator(user_id) for user_id in accounts.USER_IDS] + self.store.every("user")

    def versions(self, model_id: int) -> list[Doc]:
        """Newest first, as the site shows them; deleted ones are gone."""
        return sorted(self.store.children("version", model_id), key=lambda v: -int(v["id"]))

    def files(self, version_id: int) -> list[Doc]:
        return self.store.children("file", version_id)

    def posts(self, version_id: int) -> list[Doc]:
        return self.store.children("post", version_id)

    def images(self, post_id: int) -> list[Doc]:
        return sorted(self.store.children("image", post_id), key=lambda image: (image["index"], image["id"]))
