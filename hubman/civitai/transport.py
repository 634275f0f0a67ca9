"""HTTP with manners: waits for its turn, retries with backoff and jitter, the key only ever sent where it belongs."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urljoin

import httpx

from hubman.civitai import auth, wire
from hubman.civitai.addresses import host_of, origin, web_address
from hubman.civitai.connection import USER_AGENT, Bearer, open_client
from hubman.civitai.errors import (
    AnswerLostError,
    CivitaiError,
    PageError,
    PostLimitError,
    UnavailableError,
    UnreachedError,
    from_answer,
)
from hubman.civitai.limiter import Permit, Unlimited
from hubman.civitai.limits import PATIENCE
from hubman.civitai.pace import backoff
from hubman.civitai.response import date, is_page, read_json, retry_after, said
from hubman.civitai.wire import Json
from hubman.secrecy import Key, guard_logs, remember, scrub

__all__ = ["USER_AGENT", "Sleep", "Transport", "backoff", "read_json", "retry_after", "said", "web_address"]

Sleep = Callable[[float], None]
T = TypeVar("T")
_log = logging.getLogger(__name__)

# From 520 on they are Cloudflare's: the site behind it did not answer.
_RETRIED = frozenset({408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_TRIES = 5
_REDIRECTS = 5
_LONGEST_WAIT = 60.0
_ONE_TRIAL = 16.0
_LOOK = 2.0


class Transport:
    """An HTTP client bound to one site and its key. Use as a context manager, or call :meth:`close`."""

    def __init__(
        self,
        site: str,
        token: str = "",
        *,
        sleep: Sleep = time.sleep,
        timeout: float = 30.0,
        limiter: Unlimited | None = None,
    ) -> None:
        self.site = web_address(site.rstrip("/"))
        self._token = Key(auth.clean_key(token))
        self._sleep = sleep
        self._own = frozenset(origin(address) for address in auth.family(self.site))
        self._limiter = limiter or Unlimited()
        self._patience = PATIENCE
        self._ahead = timedelta(0)
        remember(self._token)
        guard_logs()
        self._http = open_client(timeout)

    def close(self) -> None:
        self._http.close()

    @property
    def has_token(self) -> bool:
        return bool(self._token)

    def is_own(self, url: str) -> bool:
        """Whether ``url`` is the site's own, or Civitai's under its other name: the key goes nowhere else."""
        try:
            return origin(self._absolute(url)) in self._own
        except CivitaiError:
            return False

    def hurried(self) -> Transport:
        """The same connections for someone who only looks: a stream from a host that fails at present is refused at once."""
        other = copy.copy(self)
        other._patience = _LOOK
        return other

    def wait(self, seconds: float) -> None:
        """Sleep through the injected clock."""
        self._sleep(seconds)

    def now(self) -> datetime:
        """The time by the site's clock, to the second below; this machine's before the site told its own."""
        return datetime.now(UTC) + self._ahead

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
        """Send until an acceptable answer came; see :meth:`ask`."""
        return self.ask(
            method, url, lambda response: response, what=what, repeatable=repeatable, accept=accept,
            headers=headers, **options,
        )  # fmt: skip

    def ask(
        self,
        method: str,
        url: str,
        read: Callable[[httpx.Response], T],
        *,
        what: str,
        repeatable: bool = True,
        accept: frozenset[int] = frozenset({200}),
        headers: Mapping[str, str] | None = None,
        tries: int = _TRIES,
        patience: float = PATIENCE,
        **options: Json,
    ) -> T:
        """What ``read`` makes of an acceptable answer; ``url`` may be a path of the site.

        ``read`` raises :class:`UnavailableError` for an answer that can't be used, which counts as a failed try.
        ``repeatable=False`` is for calls that make something: they are sent again only where the first certainly
        did nothing (no connection, 429), and a lost answer raises :class:`AnswerLostError`. Every other status
        raises its :class:`CivitaiError`; ``what`` names the request in it. No turn comes for longer than
        ``patience`` seconds: :class:`hubman.civitai.errors.BusyError`.
        """
        for attempt in range(1, tries + 1):
            last = attempt == tries
            try:
                until_closed = _until_closed(method, attempt)
                response = self._send(method, url, headers, patience=patience, until_closed=until_closed, **options)
            except httpx.RequestError as error:
                self._after_failure(error, what=what, repeatable=repeatable, last=last)
                self._pause(attempt, what, _reason(error), None)
                continue
            refusal: CivitaiError
            try:
                if response.status_code in accept:
                    return read(_checked(response, what))
                refusal = self._refusal(response, what)
                happened, again = refusal.status >= 500, _again(refusal, repeatable=repeatable)
            except UnavailableError as error:
                # An answer came, but it can't be used.
                refusal, happened, again = error, True, repeatable
            told = retry_after(response)
            if last or not again or (told or 0) > _LONGEST_WAIT:
                raise _lost(refusal, what) if happened and not repeatable else refusal
            self._pause(attempt, what, f"HTTP {response.status_code}", told)
        raise AssertionError("unreachable")

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        *,
        patience: float,
        until_closed: float,
        **options: Json,
    ) -> httpx.Response:
        """One request and its answer; reads are followed to where the site moved them, but never to other sites."""
        url = self._absolute(url)
        for _ in range(_REDIRECTS):
            with self._limiter.request(url, patience=patience, until_closed=until_closed) as permit, _watched(permit):
                response = self._http.request(method, url, headers=headers, auth=self._auth(url), **options)
                permit.answered(response.status_code, told=retry_after(response), is_page=is_page(response))
            if self.is_own(url) and (told := date(response)) is not None:
                self._ahead = told - datetime.now(UTC)
            if response.status_code not in _REDIRECTED or method != "GET":
                return response
            # The parameters stand in the address already.
            options.pop("params", None)
            url = self._moved(str(response.url), response.headers.get("Location", ""))
        raise CivitaiError("the site sends every request on without end", "try again later")

    def _moved(self, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
        except ValueError:
            target = ""
        if not location or not self.is_own(target):
            # Not even its address is shown: it may be anything.
            raise PageError(f"{host_of(url)} sends the request to another site", "open the site in a browser")
        return target

    @contextmanager
    def stream(self, url: str, *, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """One GET whose body the caller reads in pieces; no retries, the key only to its own site."""
        url = self._absolute(url)
        with (
            self._limiter.request(url, patience=self._patience, until_closed=self._patience) as permit,
            _watched(permit),
            self._http.stream("GET", url, headers=headers, auth=self._auth(url)) as response,
        ):
            permit.answered(response.status_code, told=retry_after(response), is_page=is_page(response))
            yield response

    def _after_failure(self, error: httpx.RequestError, *, what: str, repeatable: bool, last: bool) -> None:
        never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
        reason = _reason(error)
        if isinstance(error, (httpx.UnsupportedProtocol, httpx.ProxyError)):
            raise UnavailableError(
                f"{host_of(self.site)} can't be reached ({reason})", "check the address and the proxy"
            ) from None
        if not repeatable and not never_sent:
            raise AnswerLostError(f"the answer to {what} was lost ({reason})", "run the same command again") from None
        if last:
            kind = UnreachedError if never_sent else UnavailableError
            raise kind(
                f"{host_of(self.site)} can't be reached ({reason})", "check the network, then try again"
            ) from None

    def _refusal(self, response: httpx.Response, what: str) -> CivitaiError:
        if is_page(response) and response.status_code in {403, 404, 429, 503}:
            return _page(response, what)
        if response.status_code == 404 and "/api/trpc/" in response.url.path and not wire.is_answer(response.content):
            # Whatever stands in front of the site knows nothing of what the site has.
            return _page(response, what)
        return from_answer(response.status_code, said(response), what=what)

    def _auth(self, url: str) -> httpx.Auth | None:
        return Bearer(self._token) if self._token and origin(url) in self._own else None

    def _absolute(self, url: str) -> str:
        return web_address(self.site + url if url.startswith("/") else url)

    def _pause(self, attempt: int, what: str, reason: str, told: float | None) -> None:
        seconds = backoff(attempt) if told is None else told
        _log.info("%s: %s, again in %.1f s", what, reason, seconds)
        self._sleep(seconds)


@contextmanager
def _watched(permit: Permit) -> Iterator[None]:
    try:
        yield
    except httpx.RequestError as error:
        permit.unreached(type(error).__name__)
        raise


def _checked(response: httpx.Response, what: str) -> httpx.Response:
    if is_page(response):
        raise _page(response, what)
    return response


def _page(response: httpx.Response, what: str) -> PageError:
    return PageError(
        f"a web page came in place of {what} (HTTP {response.status_code})",
        f"wait a few minutes; if it stays so, open {host_of(str(response.url))} in a browser",
        status=response.status_code,
    )


def _until_closed(method: str, attempt: int) -> float:
    """How long to wait while the site is not asked: work under way waits, whoever only looks is told at once."""
    if method != "GET":
        return PATIENCE
    return 0.0 if attempt == 1 else _ONE_TRIAL


def _again(error: CivitaiError, *, repeatable: bool) -> bool:
    if isinstance(error, PostLimitError):
        return False
    return error.status == 429 or (repeatable and error.status in _RETRIED)


def _lost(error: CivitaiError, what: str) -> CivitaiError:
    return AnswerLostError(
        f"{what} was answered with {error.status}", "run the same command again", status=error.status
    )


def _reason(error: httpx.RequestError) -> str:
    return scrub(str(error)) or type(error).__name__
