"""The text that A1111 keeps in a picture (``parameters``): written, and read back from any tool that imitates it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hubman.generate.prompt import with_tags
from hubman.generate.request import DrawRequest
from hubman.generate.samplers import a1111_name

EMPTY_HASH = "e3b0c44298fc"
"""First of SHA-256 of nothing: a well-known way to credit a stranger's LoRA; never resolved, never written."""

_NEGATIVE = "Negative prompt: "
_MAX_FIELDS = 65_536
"""A longer last line is no line of fields: nothing writes one, and reading it would take long."""
# Keys are bounded so that a long line without colons is not scanned from each of its characters to its end.
_FIELD = re.compile(r'\s*([\w -][\w /-]{0,60}[\w/-]):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_JSON_FIELD = re.compile(r"(?:^|,\s*)(\w[\w /-]{0,60}\w):\s*(?=[{\[])")
_HASH_ITEM = r"[^,:]{1,200}:\s*[0-9a-fA-F]{12}"
_UNQUOTED_LIST = re.compile(rf'((?:Lora|TI) hashes):\s*(?!["\s])({_HASH_ITEM}(?:,\s*{_HASH_ITEM}(?=,|$))*)')


@dataclass(frozen=True)
class Infotext:
    """Generation data: ``fields`` are unquoted texts in order, ``json_fields`` are ``Hashes`` and the like."""

    prompt: str
    negative: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    json_fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) in pixels."""
        match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", self.fields.get("Size", ""))
        return (int(match[1]), int(match[2])) if match else None

    @property
    def lora_hashes(self) -> dict[str, str]:
        """LoRA name to 12 hex of either hash (``Lora hashes``) or 10 hex (``Hashes``); never the empty hash."""
        found: dict[str, str] = {}
        hashes = self.json_fields.get("Hashes")
        for name, value in hashes.items() if isinstance(hashes, dict) else ():
            if name.lower().startswith("lora:") and isinstance(value, str):
                found[name[5:]] = value.lower()
        for item in self.fields.get("Lora hashes", "").split(","):
            name, _, value = item.rpartition(":")
            if name.strip():
                found[name.strip()] = value.strip().lower()
        return {name: value for name, value in found.items() if value and not EMPTY_HASH.startswith(value)}


def quote(value: str) -> str:
    """A field's value as A1111 writes it: JSON-quoted where a comma, colon, newline or quote would confuse a reader."""
    if value != value.strip() or any(char in value for char in ',:\n\r"') or value.startswith(("{", "[")):
        return json.dumps(value, ensure_ascii=False)
    return value


def write(info: Infotext) -> str:
    """The ``parameters`` text: prompt, negative prompt, one line of fields, raw JSON fields last."""
    lines = [info.prompt]
    if info.negative:
        lines.append(_NEGATIVE + info.negative)
    parts = [f"{key}: {quote(value)}" for key, value in info.fields.items()]
    parts += [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in info.json_fields.items()]
    return "\n".join([*lines, ", ".join(parts)]) if parts else "\n".join(lines)


def read(text: str) -> Infotext:
    """Read a ``parameters`` text of any tool; any text gives a result (at worst all of it is the prompt)."""
    head, separator, last = text.rpartition("\n")
    fields, json_fields = _read_fields(last)
    if not (re.match(r"Steps: \d", last) or len(fields) + len(json_fields) >= 3):
        head, separator, fields, json_fields = text, "", {}, {}
    if not separator and fields:
        head = ""
    prompt, negative = _split_prompt(head)
    return Infotext(prompt, negative, fields, json_fields)


def _split_prompt(head: str) -> tuple[str, str]:
    if head.startswith(_NEGATIVE):
        return "", head.removeprefix(_NEGATIVE)
    prompt, _, negative = head.partition("\n" + _NEGATIVE)
    return prompt, negative


def _read_fields(line: str) -> tuple[dict[str, str], dict[str, Any]]:
    if len(line) > _MAX_FIELDS:
        return {}, {}
    line, json_fields = _take_json(line)
    fields: dict[str, str] = {}
    while (match := _UNQUOTED_LIST.search(line)) and not _in_quotes(line, match.start()):
        fields[match[1]] = match[2].strip()
        line = line[: match.start()] + line[match.end() :]
    for match in _FIELD.finditer(line):
        key, value = match[1].strip(), match[2].strip()
        fields[key] = _unquote(value)
    return fields, json_fields


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        try:
            text = json.loads(value)
        except json.JSONDecodeError:
            return value
        return text if isinstance(text, str) else value
    return value


def _take_json(line: str) -> tuple[str, dict[str, Any]]:
    """Cut ``key: {…}`` and ``key: […]`` out first, by brackets: their commas would end an ordinary field."""
    found: dict[str, Any] = {}
    at = 0
    while match := _JSON_FIELD.search(line, at):
        if _in_quotes(line, match.start()):
            at = match.end()
            continue
        end = _json_end(line, match.end())
        raw = line[match.end() : end]
        try:
            found[match[1]] = json.loads(raw)
        except (json.JSONDecodeError, RecursionError):
            found[match[1]] = raw
        line = line[: match.start()] + line[end:]
        at = match.start()
    return line, found


def _in_quotes(line: str, at: int) -> bool:
    return re.sub(r"\\.", "", line[:at]).count('"') % 2 == 1


def _json_end(line: str, start: int) -> int:
    depth, in_string, at = 0, False, start
    while at < len(line):
        char = line[at]
        if in_string:
            at += char == "\\"
            in_string = char != '"'
        elif char == '"':
            in_string = True
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return len(line)


def infotext_of(
    request: DrawRequest, *, size: tuple[int, int], model: str, model_hash: str = "", version: str = ""
) -> Infotext:
    """What A1111 would write for ``request``. ``size`` is the picture's; ``model_hash`` a SHA-256 or its start."""
    sampler, schedule_type = a1111_name(request.sampler, request.schedule)
    fields = {
        "Steps": str(request.steps),
        "Sampler": sampler,
        "Schedule type": schedule_type,
        "CFG scale": f"{request.cfg:g}",
        "Seed": str(request.seed),
        "Size": f"{size[0]}x{size[1]}",
    }
    if model_hash:
        fields["Model hash"] = model_hash[:10]
    fields["Model"] = model
    if request.clip_skip > 1:
        fields["Clip skip"] = str(request.clip_skip)
    fields["RNG"] = "CPU"
    if request.emphasis != "Original":
        fields["Emphasis"] = request.emphasis
    named = [use for use in request.loras if use.sha256]
    if named:
        items = (f"{use.name.replace(':', ' ').replace(',', ' ')}: {use.sha256[:12]}" for use in named)
        fields["Lora hashes"] = ", ".join(items)
    fields["Version"] = f"hubman {version}".strip()
    hashes = {"model": model_hash[:10]} if model_hash else {}
    hashes |= {f"lora:{use.name}": use.sha256[:10] for use in named}
    prompt = with_tags(request.prompt, request.loras)
    return Infotext(prompt, request.negative, fields, {"Hashes": hashes} if hashes else {})
