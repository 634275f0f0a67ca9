"""Descriptions come as HTML from strangers and are shown in a terminal: as plain text with its paragraphs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hubman.civitai.lenient import clean_text

_BLOCKS = frozenset(
    {"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "pre", "blockquote", "table", "tr", "hr"}
)
_UNSEEN = frozenset({"script", "style", "head", "template", "iframe", "svg"})
_LONGEST = 200_000


def to_text(html: str) -> str:
    """The text of ``html``: blocks parted by blank lines, list items with dashes, links followed by their address."""
    reader = _Reader()
    reader.feed(html[:_LONGEST])
    reader.close()
    text = clean_text("".join(reader.parts))
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0
        self._link = ""
        self._link_start = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag in _BLOCKS:
            self.parts.append("\n\n")
        elif tag == "br":
            self.parts.append("\n")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag == "a":
            self._link = dict(attrs).get("href") or ""
            self._link_start = len(self.parts)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n\n")
        elif tag == "a" and self._link:
            shown = "".join(self.parts[self._link_start :]).strip()
            if self._link.startswith(("http://", "https://")) and self._link not in shown:
                self.parts.append(f" ({self._link})")
            self._link = ""

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(re.sub(r"\s+", " ", data))
