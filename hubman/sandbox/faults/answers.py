"""Faults that answer in the site's place."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.types import Send

from hubman.sandbox.faults.rules import Rule

_PAGE = """<!DOCTYPE html><html lang="en-US"><head><title>{title}</title></head>
<body><h1>{title}</h1><p>Enable JavaScript and cookies to continue.</p><p>Ray ID: 8a1b2c3d4e5f6789</p></body></html>"""
_JSON = ("content-type", "application/json")
_HTML = ("content-type", "text/html; charset=UTF-8")
_REGION = "Access to this service is not available in your region due to legal restrictions."
_EXPIRED = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
_BUSY = "Model search is temporarily overloaded — please retry."
_MANY = "Too many requests, please try again later"
Answer = tuple[int, list[tuple[str, str]], str]


def _error(status: int, message: str, *headers: tuple[str, str], **more: str) -> Answer:
    return status, [_JSON, *headers], json.dumps({"error": message, **more}, ensure_ascii=False)


def _page(status: int, title: str) -> Answer:
    return status, [_HTML, ("server", "cloudflare"), ("cf-ray", "8a1b2c3d4e5f6789-FRA")], _PAGE.format(title=title)


def _after(rule: Rule) -> tuple[str, str]:
    return "Retry-After", f"{rule.size:g}"


_ANSWERS: dict[str, Callable[[Rule], Answer]] = {
    "429": lambda rule: _error(429, _MANY, _after(rule)),
    "429-bare": lambda _rule: _error(429, _MANY),
    "500": lambda _rule: _error(500, "An unexpected error occurred"),
    "502": lambda _rule: _page(502, "502 Bad Gateway"),
    "503": lambda rule: _error(503, _BUSY, _after(rule)),
    "503-bare": lambda _rule: _error(503, _BUSY),
    "451": lambda _rule: _error(451, _REGION, code="REGION_BLOCKED"),
    "cloudflare-403": lambda _rule: _page(403, "Just a moment..."),
    "cloudflare-503": lambda _rule: _page(503, "Checking your browser before accessing"),
    "html": lambda _rule: _page(200, "Maintenance"),
    "empty": lambda _rule: (200, [_JSON], ""),
    "expired": lambda _rule: (403, [("content-type", "application/xml")], _EXPIRED),
}
KINDS = frozenset(_ANSWERS)


async def send_in_place(rule: Rule, send: Send) -> None:
    status, headers, body = _ANSWERS[rule.kind](rule)
    await send_plain(send, status, headers, body.encode())


async def send_plain(send: Send, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
