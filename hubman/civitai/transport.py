"""HTTP with manners: honest identification, retries with backoff and jitter, the key only ever sent to its own site."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from hubman import __version__
from hubman.civitai import wire
from hubman.civitai.errors import AnswerLostError, CivitaiError, PostLimitError, UnavailableError, from_answer
from hubman.civitai.wire import Json

Sleep = Callable[[float], None]
_log = logging.getLogger(__name__)

# No browser words: the site answers browsers with pages and redirects to its login.
USER_AGENT = f"hubman/{__version__}"
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_TRIES = 5
_LONGEST_WAIT = 60.0


class Transport:
    """An HTTP client bound to one site and its key. Use as a context manager, or call :meth:`close`."""

    def __init__(self, site: str, token: str = "", *, sleep: Sleep = time.sleep, timeout: float = 30.0) -> None:
        self.site = site.rstrip("/")
        self._token = token
        self._sleep = sleep
        self._origin = _origin(self.site)
        limits = httpx.Limits(max_connections=8)
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=15.0),
            limits=limits,
            follow_redirects=False,
            headers={"User-Agent": USER_AGENT},
        )

    def close(self) -> None:
        self._http.close()

    @property
    def has_token(self) -> bool:
        return bool(self._token)

    def is_own(self, url: str) -> bool:
        """Whether ``url`` is the site's own, the only one that the key may go to."""
        try:
            return _origin(self._absolute(url)) == self._origin
        except CivitaiError:
            return False

    def wait(self, seconds: float) -> None:
        """Sleep through the injected clock."""
        self._sleep(seconds)

    def call(
        self,
        method: str,
        url: str,
        *,
        what: str,
        repeatable: bool = True,
        accept: frozenset[int] = frozenset({200}),
        headers: Mapping[str, str] | None = None,
        **options: Json,
    ) -> httpx.Response:
        """Send until an acceptable answer came; ``url`` may be a path of the site.

        ``repeatable=False`` is for calls that make something: they are sent again only where the first certainly
        did nothing (no connection, 429), and a lost answer raises :class:`AnswerLostError`. Every other status
        raises its :class:`CivitaiError`; ``what`` names the request in it.
        """
        for attempt in range(1, _TRIES + 1):
            last = attempt == _TRIES
            try:
                response = self._http.request(
                    method, self._absolute(url), headers=self._headers(url, headers), **options
                )
            except httpx.TransportError as error:
                self._after_failure(error, what=what, repeatable=repeatable, last=last)
                self._pause(attempt, what, str(error) or type(error).__name__, None)
                continue
            if response.status_code in accept:
                return response
            refusal = from_answer(response.status_code, said(response), what=what)
            if last or not _again(refusal, repeatable=repeatable):
                raise _lost(refusal, what) if refusal.status >= 500 and not repeatable else refusal
            self._pause(attempt, what, f"HTTP {response.status_code}", retry_after(response))
        raise AssertionError("unreachable")

    @contextmanager
    def stream(self, url: str, *, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """One GET whose body the caller reads in pieces; no retries, the key only to its own site."""
        with self._http.stream("GET", self._absolute(url), headers=self._headers(url, headers)) as response:
            yield response

    def _after_failure(self, error: httpx.TransportError, *, what: str, repeatable: bool, last: bool) -> None:
        never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
        reason = str(error) or type(error).__name__
        if isinstance(error, (httpx.UnsupportedProtocol, httpx.ProxyError)):
            raise CivitaiError(f"{self.site} can't be reached ({reason})", "check the address and the proxy") from error
        if not repeatable and not never_sent:
            raise AnswerLostError(f"the answer to {what} was lost ({reason})", "run the same command again") from error
        if last:
            raise UnavailableError(
                f"{_host(self.site)} can't be reached ({reason})", "check the network, then try again"
            ) from error

    def _headers(self, url: str, extra: Mapping[str, str] | None) -> dict[str, str]:
        headers = dict(extra or {})
        if self._token and self.is_own(url):
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _absolute(self, url: str) -> str:
        return web_address(self.site + url if url.startswith("/") else url)

    def _pause(self, attempt: int, what: str, reason: str, told: float | None) -> None:
        seconds = backoff(attempt) if told is None else min(told, _LONGEST_WAIT)
        _log.info("%s: %s, again in %.1f s", what, reason, seconds)
        self._sleep(seconds)


def web_address(url: str) -> str:
    """``url`` if a request can be sent there; raises :class:`CivitaiError` for anything else that a site may say."""
    try:
        parts = httpx.URL(url)
        if parts.scheme in {"http", "https"} and parts.host and (parts.port is None or parts.port < 1 << 16):
            return url
    except (httpx.InvalidURL, ValueError):
        pass
    raise CivitaiError(f"{url[:80]!r} is no web address", "try again later; if it stays so, open the page on the site")


def read_json(response: httpx.Response) -> Json:
    """The answer's body; raises :class:`UnavailableError` when it is no JSON, such as a page of a proxy."""
    try:
        return json.loads(response.content)
    except ValueError as error:
        raise UnavailableError("Civitai's answer is no JSON", "try again in a few minutes") from error


def said(response: httpx.Response) -> str:
    """The sentence of a refusal, out of a REST body or out of either tRPC encoding."""
    try:
        answer = wire.parse_answer(response.content)
    except wire.WireError:
        return response.text
    return answer.message if answer.failed and answer.message else response.text


def _again(error: CivitaiError, *, repeatable: bool) -> bool:
    if isinstance(error, PostLimitError):
        return False
    return error.status == 429 or (repeatable and error.status in _RETRIED)


def _lost(error: CivitaiError, what: str) -> CivitaiError:
    return AnswerLostError(
        f"{what} was answered with {error.status}", "run the same command again", status=error.status
    )


def backoff(attempt: int) -> float:
    """Seconds to wait after try number ``attempt``: 1, 2, 4 … 30, with a quarter of jitter either way."""
    return float(min(30, 2 ** (attempt - 1)) * random.uniform(0.75, 1.25))


def retry_after(response: httpx.Response) -> float | None:
    """The seconds in ``Retry-After``, given as a number or as a date; ``None`` when absent or unreadable."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return (parts.scheme, parts.hostname or "", parts.port or default)


def _host(url: str) -> str:
    return urlsplit(url).netloc
