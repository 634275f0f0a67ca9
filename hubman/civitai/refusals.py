"""Why a download is refused, each in one clear line. The statuses and texts are those of ``/api/download/models``."""

from __future__ import annotations

import json

from hubman.civitai.errors import (
    KEY_PAGE,
    CivitaiError,
    ForbiddenError,
    GoneError,
    MissingError,
    RateLimitError,
    RegionError,
    TokenError,
    from_answer,
)


class DownloadLimitError(RateLimitError):
    """The account has downloaded more than the site allows for now; asking again at once makes it worse."""


def refusal(status: int, body: str, name: str) -> CivitaiError:
    """The error for the site's answer to a download of ``name``; ``body`` is its text."""
    said, deadline = _read(body)
    if status == 401:
        return _unauthorised(said, name)
    if status == 403:
        return _forbidden(said, deadline, name)
    if status == 429 and "unusual" in said:
        return DownloadLimitError(
            f"Civitai sees an unusual amount of downloading by this account ({name} waits)",
            "let it rest for some hours, then: hubman queue resume",
            status=429,
        )
    if status in _PLAIN:
        kind, message, hint = _PLAIN[status]
        return kind(message.format(name=name), hint, status=status)
    return from_answer(status, body, what=f"the download of {name}")


_PLAIN: dict[int, tuple[type[CivitaiError], str, str]] = {
    404: (MissingError, "{name} is not to be had (deleted, unpublished or hidden)", "its page on the site tells more"),
    410: (GoneError, "{name} was archived by its creator", "what is archived can't be downloaded"),
    451: (RegionError, "{name} can't be downloaded in this country", "Civitai does not serve it"),
}


def _unauthorised(said: str, name: str) -> CivitaiError:
    if "disabled downloads" in said:
        return ForbiddenError(
            f"the creator of {name} has disabled downloads",
            "it can only be used on Civitai's own generator",
            status=401,
        )
    if "logged in" in said:
        return TokenError(
            f"{name} can only be downloaded with a key", f"make one at {KEY_PAGE}, then: hubman login", status=401
        )
    return TokenError(f"Civitai does not accept the key for {name}", f"make a new one at {KEY_PAGE}", status=401)


def _forbidden(said: str, deadline: str, name: str) -> CivitaiError:
    if "Early Access" in said:
        until = f" until {deadline[:10]}" if deadline else ""
        return ForbiddenError(f"{name} is in early access{until}", "buy it on its page, or wait", status=403)
    if "do not have access" in said:
        return ForbiddenError(
            f"this account has no access to {name}", "it may be paid or private: its page tells", status=403
        )
    return ForbiddenError(
        f"Civitai refuses the download of {name}" + (f" ({said})" if said and said != "Forbidden" else ""),
        "open its page in a browser to see why",
        status=403,
    )


def _read(body: str) -> tuple[str, str]:
    """The sentences of a refusal in one line, and its deadline; both empty for a page of HTML."""
    try:
        data = json.loads(body)
    except ValueError:
        return ("" if "<" in body else " ".join(body.split())[:200]), ""
    if not isinstance(data, dict):
        return "", ""
    texts = [" ".join(data[key].split()) for key in ("error", "message") if isinstance(data.get(key), str)]
    deadline = data.get("deadline")
    return ": ".join(texts)[:300], deadline if isinstance(deadline, str) else ""
