"""What the Hub refused, in one line with what to do; never a token, never the signature of an address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from hubman.secrecy import scrub
from registry.errors import CancelledError, HubError, UsageError

_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?\S*")
_TOKEN = re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{4,}")
_LONGEST = 300
_NO_ROOM = ("quota", "storage limit", "storage exceeded")
_GO_ON = "the same command goes on from here"


class HubRefusedError(HubError):
    """The Hub said no. ``status`` is HTTP's, 0 where it could not be reached."""

    def __init__(self, message: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


@contextmanager
def translated(site: str, what: str) -> Iterator[None]:
    """Raise what the library raises while it does ``what`` as a :class:`HubError`."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except HubError:
        raise
    except RuntimeError as error:
        # The library wraps what stopped the upload of a file.
        cause = error.__cause__
        if isinstance(cause, CancelledError):
            raise cause from None
        if cause is None:
            raise
        raise _translated(cause, site, what) from None
    except (httpx2.HTTPError, errors.HFValidationError, errors.LocalTokenNotFoundError, ValueError, OSError) as error:
        raise _translated(error, site, what) from None


def _translated(error: BaseException, site: str, what: str) -> HubError:
    """A refusal by its status. The library's own text is not shown: it names signed addresses."""
    import httpx2
    from huggingface_hub import errors

    host = urlsplit(site).netloc
    if isinstance(error, errors.GatedRepoError):
        return HubRefusedError(f"{what} is gated", f"ask for access on its page at {host}", status=403)
    if isinstance(error, errors.HfHubHTTPError):
        return _refusal(error.response.status_code, said(error.server_message or ""), site, what)
    if isinstance(error, errors.HFValidationError):
        return UsageError(f"{what} is no name that the Hub takes", "use --repo NAME or --repo OWNER/NAME")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return HubRefusedError("the Hub's library is set to offline", "unset HF_HUB_OFFLINE")
    if isinstance(error, (httpx2.TransportError, ConnectionError, TimeoutError)):
        return HubRefusedError(f"{host} does not answer ({type(error).__name__})", f"try again later; {_GO_ON}")
    return HubRefusedError(f"{what} failed: {said(str(error)) or type(error).__name__}", _GO_ON)


def _refusal(status: int, text: str, site: str, what: str) -> HubRefusedError:
    host = urlsplit(site).netloc
    tokens = f"{site}/settings/tokens"
    told = {
        401: (
            f"{host} does not take the token",
            f"make one with the right to write at {tokens}, then hubman login --to hf",
        ),
        403: (f"the token may not write to {what}", f"it needs the right to write there: {tokens}"),
        404: (f"{host} has no {what}", "see the name given with --repo"),
        429: (f"{host} wants a pause", f"try again in some minutes; {_GO_ON}"),
    }
    if status in {402, 413, 507} or any(word in text.lower() for word in _NO_ROOM):
        message, hint = f"{host} has no room for {what}", f"free some at {site}/settings/storage; {_GO_ON}"
    elif status in told:
        message, hint = told[status]
    elif status >= 500:
        message, hint = f"{host} is out of order ({status})", f"try again later; {_GO_ON}"
    else:
        message, hint = f"{host} refused {what} ({status})", _GO_ON
    return HubRefusedError(f"{message}: {text}" if text else message, hint, status=status)


def said(text: str) -> str:
    """A text of the library or the Hub in one line, without what must not be shown."""
    line = " ".join(scrub(_TOKEN.sub("…", _QUERY.sub(r"\1", text))).split())
    return "".join(char for char in line if char.isprintable())[:_LONGEST].rstrip(".")
