"""What an answer is: JSON, a refusal with its sentence, a web page in place of data, and when to ask again."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from hubman.civitai import wire
from hubman.civitai.errors import UnavailableError
from hubman.civitai.lenient import clean_text
from hubman.civitai.wire import Json
from hubman.secrecy import scrub


def read_json(response: httpx.Response) -> Json:
    """The answer's body; raises :class:`UnavailableError` when it is no JSON, such as a page of a proxy."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise UnavailableError("Civitai's answer is no JSON", "try again in a few minutes") from error


def said(response: httpx.Response) -> str:
    """The sentence of a refusal, out of a REST body or out of either tRPC encoding."""
    try:
        answer = wire.parse_answer(response.content)
    except wire.WireError:
        return response.text
    return answer.message if answer.failed and answer.message else response.text


def shown(response: httpx.Response) -> str:
    """:func:`said` as a message may show it: one line without keys and signatures."""
    return " ".join(scrub(clean_text(said(response))).split())


def is_page(response: httpx.Response) -> bool:
    """Whether the answer is a web page, which the site's API and the storage never send."""
    if response.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml")):
        return True
    # Of a stream nothing is read here.
    return response.is_closed and begins_as_page(response.content)


def begins_as_page(content: bytes) -> bool:
    return content[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def date(response: httpx.Response) -> datetime | None:
    """When the answer was made by its sender's clock; ``None`` when absent or unreadable."""
    try:
        told = parsedate_to_datetime(response.headers.get("Date", ""))
    except (ValueError, OverflowError):
        return None
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def retry_after(response: httpx.Response) -> float | None:
    """The seconds in ``Retry-After``, given as a number or as a date; ``None`` when absent or unreadable."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
