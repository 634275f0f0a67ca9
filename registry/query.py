r"""The query line: one syntax for the TUI and the command line, compiled to SQL.

A line is terms with spaces between them, all of which must hold::

    base:sdxl tag:ink,mono rating:>=4 size:>500mb added:<30d -tag:anime "red hair" /v\d+$/ sort:-added

``-`` before a term negates it, commas are alternatives, ``=`` means exactly, ``a..b`` is a range (either end may be
missing), quotes keep spaces, ``tag:char*`` matches the beginning. A word without a field looks in names, files,
trigger words, tags, notes and creators for words that begin so; ``/…/`` is a regular expression on the name.
``@unused``, ``@dupes``, ``@mine`` and ``@untested`` are ready-made queries. The fields are in
:data:`registry.query_fields.FIELDS`.
"""

# ruff: noqa: S608 - every value from outside is bound, never part of the SQL

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from registry.errors import UsageError
from registry.query_fields import FIELDS, Parameters
from registry.query_order import DEFAULT_ORDER, order_by

VIEWS = {"unused": "used:never", "dupes": "is:dup", "mine": "trained:here", "untested": "is:untested"}
"""Ready-made queries by name."""


@dataclass(frozen=True)
class Query:
    """A compiled line: SQL on the aliases ``m`` (models) and ``v`` (each model's newest version), with its values."""

    where: str
    parameters: dict[str, object]
    order: str

    @property
    def select_ids(self) -> str:
        """The statement that lists the models' ids."""
        joined = " JOIN versions v ON v.id = m.version_id" if "v." in self.where + self.order else ""
        return f"SELECT m.id FROM models m{joined} WHERE {self.where} ORDER BY {self.order}"


@dataclass(frozen=True)
class Term:
    """One term as it was typed. ``field`` is empty for words; ``quoted`` values are not split at commas."""

    field: str
    value: str
    negated: bool = False
    quoted: bool = False
    regex: bool = False


_TERM = re.compile(
    r"""\s* (?P<no>-(?=\S))?
    (?: /(?P<regex> (?:[^/\\\s] | \\.) (?:[^/\\] | \\.)* )/ (?=\s|$)
      | (?: (?P<field>[A-Za-z_]+) : (?P<op><=|>=|<|>|=)? )? (?: "(?P<quoted>[^"]*)"? | (?P<plain>[^\s"]*) )
    )""",
    re.VERBOSE,
)


def terms(text: str) -> Iterator[Term]:
    """The terms of a line; total: what is no field is a word."""
    clean = "".join(" " if ord(char) < 32 or char == "\x7f" else char for char in text)
    position = 0
    while position < len(clean):
        found = _TERM.match(clean, position)
        if found is None or found.end() == position:
            position += 1
            continue
        position = found.end()
        negated = bool(found["no"])
        if found["regex"]:
            yield Term("", found["regex"], negated, regex=True)
            continue
        quoted = found["quoted"] is not None
        value = (found["op"] or "") + ((found["quoted"] if quoted else found["plain"]) or "").strip()
        if found["field"] or (value and value != "-"):
            yield Term((found["field"] or "").lower(), value, negated, quoted)


def compile_query(text: str, now: datetime | None = None) -> Query:
    """Compile a query line; ``now`` is what ages are counted from.

    Models in the trash are left out unless the line says ``is:trash``. Raises :class:`UsageError` naming the term
    that makes no sense.
    """
    values = Parameters(now or datetime.now(UTC))
    conditions: list[str] = []
    words: list[str] = []
    order = DEFAULT_ORDER
    trash = False
    for term in _expanded(text):
        if term.field == "sort":
            order = order_by(term.value)
        elif term.field == "is" and term.value.lower() == "trash" and not term.negated:
            trash = True
        elif not term.field and not term.regex and not term.negated and _has_token(term.value):
            words.append(term.value)
        else:
            condition = _condition(term, values)
            conditions.append(f"({condition}) IS NOT TRUE" if term.negated else f"({condition})")
    if words:
        conditions.append(_matching(words, values))
    conditions.insert(0, "m.deleted_at IS NOT NULL" if trash else "m.deleted_at IS NULL")
    return Query(" AND ".join(conditions), values.bound, order)


def _expanded(text: str) -> Iterator[Term]:
    encodable = text.encode("utf-8", "replace").decode()
    for term in terms(encodable):
        if not term.field and term.value.startswith("@") and not term.quoted:
            view = VIEWS.get(term.value[1:].lower())
            if view is None:
                raise UsageError(
                    f"there is no view {term.value}", f"use one of {', '.join('@' + name for name in VIEWS)}"
                )
            yield from (Term(part.field, part.value, term.negated) for part in terms(view))
        else:
            yield term


def _condition(term: Term, values: Parameters) -> str:
    if term.regex:
        return _regex(term.value, values)
    if not term.field:
        return _matching([term.value], values) if _has_token(term.value) else values.contains("m.name", term.value)
    field = FIELDS.get(term.field)
    if field is None:
        near = get_close_matches(term.field, [*FIELDS, "sort"], 1, 0.5)
        hint = f"did you mean {near[0]}:?" if near else f"fields are {', '.join(sorted([*FIELDS, 'sort']))}"
        raise UsageError(f"there is no field {term.field}", hint)
    options = [term.value] if term.quoted else [part for part in term.value.split(",") if part]
    if not options or options == [""]:
        raise UsageError(f"{term.field}: needs a value", f"for example {term.field}:{field.example}")
    return " OR ".join(field.compile(option, values) for option in options)


def _regex(pattern: str, values: Parameters) -> str:
    try:
        re.compile(pattern)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"/{pattern}/ is no regular expression ({error})", "quote it to look for the text itself"
        ) from None
    return f"m.name REGEXP {values.bind(pattern)}"


def _has_token(word: str) -> bool:
    """Whether full-text search sees anything in ``word``: of mere punctuation it sees nothing."""
    return any(char.isalnum() for char in word)


def _matching(words: list[str], values: Parameters) -> str:
    phrases = " ".join(f'"{word.replace(chr(34), "")}"*' for word in words)
    return f"m.search_id IN (SELECT rowid FROM search WHERE search MATCH {values.bind(phrases)})"
