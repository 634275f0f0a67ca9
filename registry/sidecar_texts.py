"""Sidecars that are no JSON: notes, hashes, and Markdown under a YAML front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator

from registry import sidecar_values as values
from registry.sidecar_record import Beside, Sidecar

_LONGEST_FRONT = 64 << 10


def plain_notes(content: bytes, _beside: Beside) -> Sidecar:
    """``STEM.txt``: what somebody wrote about the model. Raises :class:`ValueError` for what is no text."""
    return Sidecar(notes=values.prose(_text(content)))


def description(content: bytes, _beside: Beside) -> Sidecar:
    """``STEM.description.txt`` of A1111."""
    return Sidecar(description=values.prose(_text(content)))


def hash_note(content: bytes, beside: Beside) -> Sidecar | None:
    """``STEM.sha256``: 64 hex digits and nothing else; None if the model file was written after it.

    It is shown beside the true hash and never taken for it.
    """
    told = values.sha256s(_text(content).strip())
    if not told:
        raise ValueError("it is not 64 hex digits")
    return None if beside.is_older else Sidecar(sha256=next(iter(told)))


def civitdl_hashes(_content: bytes, beside: Beside) -> Sidecar | None:
    """``NAME-mid_M-vid_V.csv`` of civitdl: a table of hashes that the file itself tells better, and two ids in the name."""
    if beside.ids is None:
        return None
    model, version = beside.ids
    return Sidecar(version={"civitai_version_id": version}, model={"civitai_model_id": model})


def markdown(content: bytes, _beside: Beside) -> Sidecar:
    """``STEM.md`` of ComfyUI-Model-Manager: YAML front matter, then sections of Markdown.

    Raises :class:`ValueError` for a front matter that can't be understood. Without one it is a text like another.
    """
    text = _text(content).replace("\r\n", "\n")
    match = re.match(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|$)", text, re.DOTALL)
    if match is None and re.match(r"---(?:\s|$)", text):
        raise ValueError("it begins as a front matter that does not end with a line of ---")
    if match is None:
        return Sidecar(notes=values.prose(text))
    front = _front(match[1])
    page = front.get("modelPage")
    sections = dict(_sections(text[match.end() :]))
    named = next((title for title in sections if title.lower() not in {"", *_HEADINGS}), None)
    hashes = values.mapping(front.get("hashes"))
    return Sidecar(
        version=values.said(
            base_model=values.base(front.get("baseModel")),
            civitai_version_id=values.number(_in_page(r"modelVersionId=(\d+)", page)),
        ),
        model=values.said(
            name=values.name(named),
            creator=values.name(front.get("author")),
            civitai_model_id=values.number(_in_page(r"civitai\.\w+/models/(\d+)", page)),
        ),
        trigger_words=values.words(re.split(r"[,\n]", sections.get("trigger words", ""))),
        changelog=values.prose(sections.get("about this version")),
        description=values.prose(sections.get(named)) if named else "",
        hashes=values.sha256s(*(hash_ for name, hash_ in hashes.items() if str(name).lower() == "sha256")),
    )


_HEADINGS = ("trigger words", "about this version")


def _in_page(pattern: str, page: object) -> str | None:
    match = re.search(pattern, page[:500]) if isinstance(page, str) else None
    return match[1] if match else None


def _sections(body: str) -> Iterator[tuple[str, str]]:
    """(heading, text below it); the headings that are known in lower case."""
    title, lines = "", list[str]()
    for line in [*body.splitlines(), "# "]:
        if line.startswith("# "):
            yield title, "\n".join(lines).strip()
            heading = line[2:].strip()
            title, lines = heading.lower() if heading.lower() in _HEADINGS else heading, []
        else:
            lines.append(line)


def _front(text: str) -> values.Document:
    """Texts, lists and tables of YAML, and nothing that a few bytes could make large: an alias stands for a copy."""
    # Loaded for the few who need it: every command would wait for it.
    import yaml

    class Plain(yaml.BaseLoader):
        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("it has aliases")
            return super().compose_node(parent, index)

    if len(text) > _LONGEST_FRONT:
        raise ValueError(f"its front matter is longer than {_LONGEST_FRONT >> 10} KiB")
    try:
        found = yaml.load(text, Plain)  # noqa: S506 - BaseLoader makes nothing but texts, lists and tables
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark else ""
        raise ValueError(f"{getattr(error, 'problem', None) or error}{where}") from error
    if found is not None and not isinstance(found, dict):
        raise ValueError("its front matter is no table of names and values")
    return values.mapping(found)


def _text(content: bytes) -> str:
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    return content.decode(encoding)
