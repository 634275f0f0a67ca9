"""Whether HTML is what Civitai keeps."""

from __future__ import annotations

import html.parser

from hubman.civitai.markdown import TAGS


class _Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert [name for name, _ in attrs] == (["href"] if tag == "a" else [])
        assert all(str(value).lower().startswith(("http://", "https://", "mailto:")) for _, value in attrs)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def text_of_kept(html: str) -> str:
    """The text of ``html``, which must be well formed and have allowed tags, attributes and addresses only."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader.text
