"""Infotext read from any program that writes it, in every form that is about: any text gives a result."""

from __future__ import annotations

import json
import re
from typing import Any

from hubman.generate.infotext import NEGATIVE, Infotext

_MAX_FIELDS = 65_536
"""A longer last line is no line of fields: nothing writes one."""
_MAX_UNREADABLE = 64
"""Values in brackets that are no JSON; further ones end at a comma, so that reading stays linear."""
_KEY = re.compile(r"(\w[\w /-]{1,62}):\s*")
_STRING = re.compile(r'"(?:\\.|[^\\"])*"(?=\s*(?:,|$))')
_END = re.compile(r"\s*(?:,|$)")
_HASH_ITEM = r"(?!\s*(?:Model|VAE) hash:)[^,:]{1,200}:\s*[0-9a-fA-F]{12}(?=\s*(?:,|$))"
_UNQUOTED_LIST = re.compile(rf"{_HASH_ITEM}(?:,\s*{_HASH_ITEM})*")
_LISTS = frozenset({"Lora hashes", "TI hashes"})
_NEGATIVE = re.compile(rf"(?:\A|\n){NEGATIVE} ?")
_JSON = json.JSONDecoder()


def read(text: str) -> Infotext:
    """Read a ``parameters`` text of any tool; any text gives a result (at worst all of it is the prompt).

    The last line holds the fields if it begins with ``Steps: `` and a digit or else has three fields, as in A1111.
    """
    body = text.rstrip()
    head, newline, last = body.rpartition("\n")
    fields, json_fields = read_fields(last)
    if not (re.match(r"\s*Steps: \d", last) or len(fields) + len(json_fields) >= 3):
        return Infotext(*_split_prompt(text))
    if newline and body.count("\n") == body.count("\r\n"):
        head = head.replace("\r\n", "\n").removesuffix("\r")
    return Infotext(*_split_prompt(head), fields, json_fields)


def _split_prompt(head: str) -> tuple[str, str]:
    match = _NEGATIVE.search(head)
    return (head[: match.start()], head[match.end() :]) if match else (head, "")


def read_fields(line: str) -> tuple[dict[str, str], dict[str, Any]]:
    """(fields as texts, fields that are raw JSON). A key has two characters or more, as in A1111."""
    fields: dict[str, str] = {}
    json_fields: dict[str, Any] = {}
    if len(line) > _MAX_FIELDS:
        return fields, json_fields
    at = unreadable = 0
    while match := _KEY.search(line, at):
        key, at = match[1].strip(), match.end()
        json_end = None
        if line[at : at + 1] in {"{", "["}:
            value, json_end = _json_at(line, at)
            if json_end is None and unreadable < _MAX_UNREADABLE:
                unreadable += 1
                value, json_end = None, _bracket_end(line, at)
        if json_end is not None and _END.match(line, json_end):
            if value is not None:
                json_fields[key] = value
                fields.pop(key, None)
            else:
                fields[key] = line[at:json_end]
            at = json_end
        else:
            text, at = _text_at(line, at, key)
            if len(key) > 1:
                fields[key] = text
                json_fields.pop(key, None)
        at = _after_comma(line, at)
    return fields, json_fields


def _after_comma(line: str, at: int) -> int:
    comma = line.find(",", at)
    return len(line) if comma < 0 else comma + 1


def _text_at(line: str, at: int, key: str) -> tuple[str, int]:
    """(the value that begins at ``at``, where it ends)."""
    if quoted := _STRING.match(line, at):
        return _unquoted(quoted[0]), quoted.end()
    if key in _LISTS and (listed := _UNQUOTED_LIST.match(line, at)):
        return listed[0].strip(), listed.end()
    comma = line.find(",", at)
    end = len(line) if comma < 0 else comma
    return line[at:end].strip(), end


def _unquoted(value: str) -> str:
    try:
        text = json.loads(value)
    except ValueError:
        return value
    return text if isinstance(text, str) else value


def _json_at(line: str, at: int) -> tuple[Any, int | None]:
    try:
        return _JSON.raw_decode(line, at)
    except (ValueError, RecursionError):
        return None, None


def _bracket_end(line: str, start: int) -> int | None:
    """Where brackets and braces that open at ``start`` are closed again, outside of strings; for what is no JSON."""
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
    return None
