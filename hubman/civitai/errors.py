"""Civitai's refusals, each with the advice that a person can act on."""

from __future__ import annotations

import json
from collections.abc import Callable

from hubman.civitai.lenient import clean_text
from hubman.secrecy import scrub
from registry.errors import HubError, NotFoundError

KEY_PAGE = "https://civitai.com/user/account?addApiKey=1&name=hubman&scope=Creator"


class CivitaiError(HubError):
    """An answer other than the hoped-for one. ``status`` is the HTTP status, 0 when no answer came."""

    def __init__(self, message: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class TokenError(CivitaiError):
    """The key is missing, mistyped, expired or revoked, or its user is banned."""


class NotOwnerError(CivitaiError):
    """The thing belongs to someone else, or was made a moment ago and the site has not noticed yet."""


class ScopeError(CivitaiError):
    """The key lacks a permission."""


class AccountError(CivitaiError):
    """The account may not do this: not onboarded, muted or banned."""


class ForbiddenError(CivitaiError):
    """Refused for another reason, such as early access."""


class MissingError(CivitaiError, NotFoundError):
    """Civitai has no such thing, or does not show it."""


class RejectedError(CivitaiError):
    """The request broke a rule of the site; the message is the site's own."""


class GoneError(CivitaiError):
    """Archived or taken down."""


class UploadLostError(CivitaiError):
    """The upload can't be finished any more and has to start over (409, 422)."""


class RateLimitError(CivitaiError):
    """Too many requests."""


class BusyError(RateLimitError):
    """The limiter of this machine lets no further request out for ``wait`` seconds: it was never sent."""

    def __init__(self, message: str, hint: str = "", *, wait: float = 0.0) -> None:
        super().__init__(message, hint)
        self.wait = wait


class PostLimitError(RateLimitError):
    """The account's number of posts for today is used up."""


class RegionError(CivitaiError):
    """The country is blocked."""


class UnavailableError(CivitaiError):
    """The site did not answer usefully, also after retries."""


class CircuitOpenError(UnavailableError):
    """The site failed several times in a row and is not asked for ``wait`` seconds: the request was never sent."""

    def __init__(self, message: str, hint: str = "", *, wait: float = 0.0) -> None:
        super().__init__(message, hint)
        self.wait = wait


class UnreachedError(UnavailableError):
    """No connection came about: nothing was sent."""


class PageError(UnavailableError):
    """A web page came in place of data: something in front of the site refuses programs, or it is down."""


class AnswerLostError(UnavailableError):
    """A call that changes something was sent, and its answer never came: it may or may not have happened."""


def from_answer(status: int, body: str, *, what: str) -> CivitaiError:
    """The error for an HTTP answer. ``body`` is its text, ``what`` names the request for the message."""
    message = _message(body)
    said = message or f"HTTP {status}"
    if status in _BY_STATUS:
        return _BY_STATUS[status](said)
    if status == 404 and message.startswith("No procedure found"):
        # It says nothing of the thing that was asked for.
        return CivitaiError(f"Civitai has no {what} any more ({message})", "update hubman", status=404)
    if status == 404:
        return MissingError(message or f"Civitai has no {what}", "check the id or the hash", status=404)
    if status >= 500:
        return UnavailableError(f"Civitai failed at {what} ({said})", "try again in a few minutes", status=status)
    return CivitaiError(f"Civitai answered {status} to {what}: {said}", status=status)


def _rejected(message: str) -> CivitaiError:
    return RejectedError(f"Civitai refused it: {message}", "change that and try again", status=400)


def _unauthorised(message: str) -> CivitaiError:
    if "not authorized" in message:
        return NotOwnerError(
            message, "it belongs to another account, or was just made: try again in a minute", status=401
        )
    if "disabled downloads" in message:
        return ForbiddenError(message, "it can only be used on Civitai's own generator", status=401)
    if "logged in" in message:
        return TokenError(message, f"set CIVITAI_API_KEY; make a key at {KEY_PAGE}", status=401)
    return TokenError(
        "Civitai does not accept the API key (missing, mistyped, expired or revoked)",
        f"make a new one at {KEY_PAGE} and set CIVITAI_API_KEY",
        status=401,
    )


def _forbidden(message: str) -> CivitaiError:
    if "scope" in message:
        return ScopeError("the API key may not do this", f"make one with the Creator preset: {KEY_PAGE}", status=403)
    if "onboarding" in message:
        return AccountError("the account has not finished Civitai's onboarding", "log in on the site once", status=403)
    if "restricted" in message or "banned" in message:
        return AccountError(message, "ask Civitai's support", status=403)
    if "Early Access" in message:
        return ForbiddenError(message, "buy it on the site, or wait until it is free", status=403)
    return ForbiddenError(message, "open the page in a browser to see why", status=403)


def _too_many(message: str) -> CivitaiError:
    if "posts" in message or "posting" in message:
        return PostLimitError(message, "the draft is kept: run the same command again tomorrow", status=429)
    return RateLimitError(f"too many requests ({message})", "wait a few minutes", status=429)


_BY_STATUS: dict[int, Callable[[str], CivitaiError]] = {
    400: _rejected,
    401: _unauthorised,
    403: _forbidden,
    409: lambda said: UploadLostError(said, "start the upload again", status=409),
    410: lambda said: GoneError(said, "the creator archived it", status=410),
    422: lambda said: UploadLostError(said, "start the upload again", status=422),
    429: _too_many,
    451: lambda said: RegionError(said, "Civitai does not serve this country", status=451),
}


def _message(body: str) -> str:
    """The sentence inside an error body, whichever of Civitai's shapes it has, without keys; HTML counts as no sentence."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return "" if "<" in body else scrub(clean_text(" ".join(body.split())))[:300]
    return scrub(clean_text(flatten(data)))[:500]


_DEEPEST = 8


def flatten(data: object, depth: int = 0) -> str:
    """Error content as one line: a text, ``{error, message}``, or a list of schema issues with their paths."""
    if isinstance(data, str):
        return " ".join(data.split())
    if depth >= _DEEPEST:
        return ""
    if isinstance(data, list):
        return "; ".join(filter(None, (_issue(item, depth + 1) for item in data)))
    if isinstance(data, dict):
        texts = [flatten(data[key], depth + 1) for key in ("error", "message") if data.get(key)]
        return ": ".join(dict.fromkeys(filter(None, texts))) or (_issue(data, depth + 1) if "path" in data else "")
    return ""


def _issue(item: object, depth: int) -> str:
    if not isinstance(item, dict):
        return flatten(item, depth)
    steps = item.get("path")
    path = ".".join(str(step) for step in steps if isinstance(step, (str, int))) if isinstance(steps, list) else ""
    message = flatten(item.get("message", item.get("code")), depth)
    return f"{path}: {message}" if path else message
