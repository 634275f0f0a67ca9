"""Markdown as the HTML that Civitai keeps: ``p strong em s a br ul ol li code pre`` and no other.

Paragraphs, headings (as bold paragraphs), lists in lists, fenced code, quotes (in italics), bold, italic, struck out,
code, links and bare addresses. HTML in the text is shown as text, pictures become links, and links lead to the web only.
"""

from __future__ import annotations

import re
from html import escape

TAGS = frozenset({"p", "strong", "em", "s", "a", "br", "ul", "ol", "li", "code", "pre"})

_ITEM = re.compile(r"( *)(?:([-*+])|(\d{1,9})[.)])(?: +|$)(.*)")
_HEADING = re.compile(r"(#{1,6})(?: +(.*?))?(?: +#+)? *")
_RULE = re.compile(r" {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[^`]*")
_DEEPEST = 6
"""Lists in lists; what is deeper is put into the last of them."""

_INLINE = re.compile(
    r"(?P<escaped>\\[!-/:-@\[-`{-~])"
    r"|(?P<ticks>`+)"
    r"|!?\[(?P<label>[^\[\]\n]{0,500})\]\((?P<target>[^\s()<>]{1,2000})(?: +\"[^\"\n]{0,200}\")?\)"
    r"|<?(?P<address>https?://[^\s<>\"'`\x00-\x1f]{1,2000})>?"
    r"|(?P<mark>\*\*|__|~~|\*|(?<![^\W_])_|_(?![^\W_]))"
)
_MARKS = {"**": "strong", "__": "strong", "~~": "s", "*": "em", "_": "em"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#+|~])")


def escaped(text: str) -> str:
    """``text`` so that it means itself in Markdown, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """``text`` as a code span, on one line, whatever backticks it has."""
    text = " ".join(text.split())
    runs = [len(run) for run in re.findall(r"`+", text)]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def to_html(text: str) -> str:
    """The HTML of a Markdown text; empty for one that says nothing."""
    cleaned = "".join(sign for sign in text.replace("\r\n", "\n").replace("\r", "\n") if sign >= " " or sign in "\n\t")
    return _blocks(cleaned.expandtabs(4).split("\n"))


def _blocks(lines: list[str]) -> str:
    parts: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if not line.strip() or _RULE.fullmatch(line):
            index += 1
        elif fence := _FENCE.fullmatch(line):
            index = _code_block(lines, index, fence[1], parts)
        elif heading := _HEADING.fullmatch(line.strip()):
            if text := _inline(heading[2] or ""):
                parts.append(f"<p><strong>{text}</strong></p>")
            index += 1
        elif _ITEM.fullmatch(line):
            index = _list(lines, index, parts)
        elif line.lstrip().startswith(">"):
            index = _quote(lines, index, parts)
        else:
            index = _paragraph(lines, index, parts)
    return "".join(parts)


def _code_block(lines: list[str], index: int, fence: str, parts: list[str]) -> int:
    end = index + 1
    while end < len(lines) and not (lines[end].strip().startswith(fence) and not lines[end].strip(f"{fence[0]} ")):
        end += 1
    body = "\n".join(lines[index + 1 : end])
    parts.append(f"<pre><code>{escape(body)}</code></pre>")
    return end + 1


def _quote(lines: list[str], index: int, parts: list[str]) -> int:
    said = []
    while index < len(lines) and lines[index].lstrip().startswith(">"):
        said.append(lines[index].lstrip()[1:].strip())
        index += 1
    if text := _inline("\n".join(said).strip()):
        parts.append(f"<p><em>{text}</em></p>")
    return index


def _paragraph(lines: list[str], index: int, parts: list[str]) -> int:
    start = index
    while index < len(lines) and lines[index].strip() and (index == start or not _begins_block(lines[index])):
        index += 1
    text = "\n".join(line.strip() for line in lines[start:index])
    parts.append(f"<p>{_inline(text)}</p>")
    return index


def _begins_block(line: str) -> bool:
    patterns = (_RULE, _FENCE, _ITEM)
    return any(pattern.fullmatch(line) for pattern in patterns) or bool(_HEADING.fullmatch(line.strip()))


def _list(lines: list[str], index: int, parts: list[str]) -> int:
    """A list with what is indented under its items; a line that is neither an item nor indented ends it."""
    open_lists: list[tuple[int, str]] = []
    while index < len(lines):
        line = lines[index]
        item = _ITEM.fullmatch(line)
        if item is None:
            if not line.strip():
                # Blank lines between items change nothing; after the last one they end the list.
                while index < len(lines) and not lines[index].strip():
                    index += 1
                if index == len(lines) or not _ITEM.fullmatch(lines[index]):
                    break
                continue
            if not line.startswith(" ") or not open_lists:
                break
            parts.append(f"<br>{_inline(line.strip())}")
            index += 1
            continue
        _open_item(len(item[1]), "ul" if item[2] else "ol", open_lists, parts)
        parts.append(_inline(item[4].strip()))
        index += 1
    while open_lists:
        parts.append(f"</li></{open_lists.pop()[1]}>")
    return index


def _open_item(indent: int, tag: str, open_lists: list[tuple[int, str]], parts: list[str]) -> None:
    while len(open_lists) > 1 and indent < open_lists[-1][0]:
        parts.append(f"</li></{open_lists.pop()[1]}>")
    is_deeper = not open_lists or (indent >= open_lists[-1][0] + 2 and len(open_lists) < _DEEPEST)
    if is_deeper:
        open_lists.append((indent, tag))
        parts.append(f"<{tag}><li>")
    else:
        parts.append("</li><li>")


def _inline(text: str) -> str:
    """Marks nest as they were opened; one without its other half is shown as it was typed."""
    parts: list[str] = []
    opened: list[tuple[str, int]] = []
    position = 0
    while match := _INLINE.search(text, position):
        parts.append(escape(text[position : match.start()]))
        position = match.end()
        if match["escaped"]:
            parts.append(escape(match["escaped"][1]))
        elif match["ticks"]:
            position = _code_span(text, match, parts)
        elif match["label"] is not None:
            parts.append(_link(match["target"], match["label"], match[0]))
        elif match["address"]:
            position = _bare_link(match, parts)
        else:
            _mark(text, match, opened, parts)
    parts.append(escape(text[position:]))
    for mark, place in opened:
        parts[place] = mark
    return "".join(parts).replace("\n", "<br>")


def _code_span(text: str, match: re.Match[str], parts: list[str]) -> int:
    ticks = match["ticks"]
    close = re.compile(rf"(?<!`){ticks}(?!`)").search(text, match.end())
    if close is None:
        parts.append(ticks)
        return match.end()
    body = text[match.end() : close.start()]
    if body.startswith(" ") and body.endswith(" ") and body.strip():
        body = body[1:-1]
    parts.append(f"<code>{escape(body)}</code>")
    return close.end()


def _link(target: str, label: str, typed: str) -> str:
    if not re.match(r"(?:https?://|mailto:)[^\s]", target, re.IGNORECASE):
        return escape(typed)
    return f'<a href="{escape(target)}">{escape(re.sub(r"[*_`~]", "", label) or target)}</a>'


def _bare_link(match: re.Match[str], parts: list[str]) -> int:
    address = match["address"].rstrip(".,:;!?)*_~")
    if len(address) <= len("https://"):
        parts.append(escape(match[0]))
        return match.end()
    is_framed = match[0].startswith("<") and match[0].endswith(">")
    if match[0].startswith("<") and not is_framed:
        parts.append(escape("<"))
    parts.append(f'<a href="{escape(address)}">{escape(address)}</a>')
    return match.end() if is_framed else match.start("address") + len(address)


def _mark(text: str, match: re.Match[str], opened: list[tuple[str, int]], parts: list[str]) -> None:
    mark = match["mark"]
    before, after = text[: match.start()][-1:], text[match.end() :][:1]
    closes = opened and opened[-1][0] == mark and before.strip()
    if closes:
        place = opened.pop()[1]
        parts[place] = f"<{_MARKS[mark]}>"
        parts.append(f"</{_MARKS[mark]}>")
    elif after.strip() and all(mark != other for other, _ in opened):
        opened.append((mark, len(parts)))
        parts.append(mark)
    else:
        parts.append(mark)
