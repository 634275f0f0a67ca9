"""Lists of references: a text file with one a line, comments, and what spreadsheets and chats leave around them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hubman.civitai.refs import parse_ref
from registry.errors import UsageError

_ADDRESS = re.compile(r"https?://[^\s<>\"'`,;|)\]}]+")
_COMMENT = re.compile(r"(?:^|\s)(?:#|//)(?:\s.*|$)|^#.*")
_HEADINGS = frozenset(
    ("url", "urls", "link", "links", "id", "hash", "sha256", "name", "model", "version", "ref", "air")
)
_SHOWN = 5


def read(lines: Iterable[str], name: str, *, site: str) -> list[str]:
    """The references in ``lines``, each once, in their order.

    A line may be a reference, or hold addresses or columns of which one is. Raises :class:`UsageError` that names the
    lines of ``name`` in which there is none.
    """
    found: dict[str, None] = {}
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        text = _COMMENT.sub("", line.strip("\ufeff \t\r\n\x00")).strip()
        if not text:
            continue
        refs = list(_refs(text, site))
        if not refs and not _is_heading(text, is_first=not found and not wrong):
            wrong.append(f"line {number} ({text[:40]!r})")
        found.update(dict.fromkeys(refs))
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise UsageError(f"{name}: {', '.join(wrong[:_SHOWN])}{more} names nothing on Civitai", "mend or remove that")
    if not found:
        raise UsageError(f"{name} names nothing", "write one address, AIR, number or hash a line")
    return list(found)


def _refs(text: str, site: str) -> Iterator[str]:
    if _is_ref(text, site):
        yield text
        return
    addresses = [one.rstrip(".") for one in _ADDRESS.findall(text)]
    columns = [column.strip(" \t\"'`-*•") for column in re.split(r"[,;|\t]|\s{2,}", text)]
    named = [one for one in [*addresses, *columns] if ":" in one and _is_ref(one, site)]
    # A number in a column may count anything: only the first one is taken for a version.
    yield from dict.fromkeys(named or [one for one in columns[:1] if _is_ref(one, site)])


def _is_ref(text: str, site: str) -> bool:
    try:
        parse_ref(text, site=site)
    except UsageError:
        return False
    return True


def _is_heading(text: str, *, is_first: bool) -> bool:
    words = {word.strip(" \"'").lower() for word in re.split(r"[,;|\t]", text)}
    return is_first and bool(words & _HEADINGS)
