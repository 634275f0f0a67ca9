"""The HTML that Civitai keeps of a description, as it looks on the page: bold, italic, lists, code, links."""

from __future__ import annotations

from html.parser import HTMLParser

from textual.content import Content

_STYLES = {"strong": "bold", "em": "italic", "s": "strike", "a": "underline $text-accent", "code": "$text-warning"}
_BLOCKS = frozenset({"p", "ul", "ol", "pre"})


def content(html: str) -> Content:
    """Of ``p strong em s a br ul ol li code pre``, which is all that :mod:`hubman.civitai.markdown` writes."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return Content.assemble(*reader.parts).rstrip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._lists: list[int | None] = []
        """For each open list the number of its last item, None for one without numbers."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in {"ul", "ol"}:
            if self._lists:
                self._say("\n")
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._say("  " * (len(self._lists) - 1) + self._mark())
        elif tag == "br":
            self._say("\n" + "  " * len(self._lists))
        elif tag in _STYLES:
            self._open.append(tag)

    def _mark(self) -> str:
        last = self._lists[-1] if self._lists else None
        if last is None:
            return "• "
        self._lists[-1] = last + 1
        return f"{last + 1}. "

    def handle_endtag(self, tag: str) -> None:
        if tag in _STYLES and tag in self._open:
            self._open.reverse()
            self._open.remove(tag)
            self._open.reverse()
        elif tag == "li":
            self._end_line()
        elif tag in _BLOCKS:
            if tag in {"ul", "ol"} and self._lists:
                self._lists.pop()
            if not self._lists:
                self._end_line()
                self._say("\n")

    def _end_line(self) -> None:
        if self.parts and not self.parts[-1][0].endswith("\n"):
            self._say("\n")

    def handle_data(self, data: str) -> None:
        self._say(data)

    def _say(self, text: str) -> None:
        self.parts.append((text, " ".join(_STYLES[tag] for tag in self._open)))
