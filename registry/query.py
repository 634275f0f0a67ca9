r"""The query line: one syntax for the TUI and the command line, compiled to SQL.

A line is terms with spaces between them, all of which must hold::

    base:sdxl tag:ink,mono rating:>=4 size:>500mb added:<30d -tag:anime "red hair" ~watercolr /v\d+$/ @unused sort:-added

``-`` before a term negates it, commas are alternatives, ``=`` means exactly, ``a..b`` is a range (either end may be
missing), quotes keep spaces, ``tag:char*`` matches the beginning. A word without a field looks in names, files,
trigger words, tags, notes and creators for words that begin so; ``~word`` forgives a typo or two; ``/…/`` is a regular
expression on the name; ``@name`` stands for a view (:mod:`registry.views`). The fields are in
:data:`registry.query_fields.FIELDS`.
"""

# ruff: noqa: S608 - every value from outside is bound, never part of the SQL

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from difflib import get_close_matches

from registry import query_words
from registry.errors import UsageError
from registry.query_choices import HAS, IS
from registry.query_fields import FIELDS, SYNONYMS
from registry.query_order import DEFAULT_ORDER, SORT_NAMES, one_order
from registry.query_terms import QueryError, Term, readable, terms
from registry.query_values import Parameters

BUILT_IN_VIEWS = {
    "unused": "used:never",
    "dupes": "is:dup",
    "updates": "is:update",
    "mine": "trained:here",
    "untested": "trained:here tested:never",
    "stale": "is:stale",
}
"""Ready-made queries by name."""


@dataclass(frozen=True)
class Condition:
    """A condition on the alias ``l`` (the listing). ``field`` is empty where it must hold whatever is chosen."""

    sql: str
    field: str = ""


@dataclass(frozen=True)
class Query:
    """A compiled line: conditions that all must hold, the values that they bind, and the order."""

    conditions: tuple[Condition, ...]
    parameters: dict[str, object]
    order: str = DEFAULT_ORDER

    @property
    def source(self) -> str:
        """The table and what must hold of its rows, to stand behind ``FROM``."""
        # SQLite tests in the order of the text: what calls back into Python should be asked of few rows.
        cheapest = sorted((condition.sql for condition in self.conditions), key=lambda sql: " REGEXP " in sql)
        return f"listing l WHERE {' AND '.join(cheapest)}"

    @property
    def select_ids(self) -> str:
        """The statement that lists the models' ids."""
        # Where few rows match, an index in the asked order would be walked to its end, with a look-up for every row.
        order = self.order if len(self.conditions) == 1 else self.order.replace("l.added_at", "+l.added_at")
        return f"SELECT l.id FROM {self.source} ORDER BY {order}"

    @property
    def fields(self) -> set[str]:
        """The fields that the line asks for."""
        return {condition.field for condition in self.conditions if condition.field}

    def without(self, name: str) -> Query:
        """The same query but for what it asks of one field; what it rules out stays ruled out."""
        return replace(self, conditions=tuple(c for c in self.conditions if c.field != name))


def compile_query(
    text: str, now: datetime | None = None, views: Mapping[str, str] | None = None, *, name: str = ""
) -> Query:
    """Compile a query line; ``now`` is what ages are counted from, ``views`` are a person's own, by name.

    ``name`` is that of the view whose line it is, if it is one's.

    Models in the trash are left out unless the line says ``is:trash``. Raises :class:`QueryError` naming the part
    that makes no sense.
    """
    values = Parameters(now or datetime.now(UTC))
    found = _Line(readable(text), values, {**(views or {}), **BUILT_IN_VIEWS}, (name,) if name else ()).compiled()
    shown = Condition("l.deleted" if found.trash else "NOT l.deleted")
    return Query((shown, *found.conditions), values.bound, ", ".join([*found.order, DEFAULT_ORDER]))


@dataclass
class _Line:
    """A line while it is compiled. ``inside`` names the views that it stands in."""

    text: str
    values: Parameters
    views: Mapping[str, str]
    inside: tuple[str, ...] = ()
    conditions: list[Condition] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    trash: bool = False

    def compiled(self) -> _Line:
        words: list[str] = []
        for typed in terms(self.text):
            term = replace(typed, field=SYNONYMS.get(typed.field, typed.field))
            self._count(term)
            if term.is_open:
                error = UsageError("the quote is not closed", 'write another " at its end')
                raise QueryError(error, self.text, self.text.index('"', term.start), term.end)
            if not (term.field or term.regex or term.typo or term.negated or _is_view(term)) and (
                query_words.has_token(term.value)
            ):
                words.append(term.value)
            else:
                self._add(term)
        if words:
            self.conditions.append(Condition(query_words.matching(words, self.values)))
        return self

    def _count(self, term: Term) -> None:
        try:
            self.values.count()
        except UsageError as error:
            raise self._wrong(term, error) from None

    def _add(self, term: Term) -> None:
        if term.field == "sort":
            self.order = self._orders(term)
        elif _is_view(term):
            self._add_view(term)
        elif term.field == "is" and term.value.lower() == "trash" and not term.negated:
            self.trash = True
        else:
            self._require(self._condition(term), term)

    def _require(self, sql: str, term: Term) -> None:
        self.conditions.append(
            Condition(f"({sql}) IS NOT TRUE")
            if term.negated
            else Condition(f"({sql})", "" if term.typo else term.field)
        )

    def _add_view(self, term: Term) -> None:
        name = term.value[1:].lower()
        line = self.views.get(name)
        if line is None:
            others = {known: line for known, line in self.views.items() if known not in self.inside}
            raise self._wrong(term, UsageError(f"there is no view {term.value}", _near_view(name, others)))
        if name in self.inside:
            raise self._wrong(term, UsageError(f"the view @{name} can't name itself", "leave that out of its line"))
        try:
            found = _Line(readable(line), self.values, self.views, (*self.inside, name)).compiled()
        except QueryError as error:
            inner = UsageError(f"the view @{name} says {error.line}, but {error.message}", error.hint)
            raise self._wrong(term, inner) from None
        sql = " AND ".join([*(c.sql for c in found.conditions), *(["l.deleted"] if found.trash else [])])
        if term.negated:
            self._require(sql or "1", term)
            return
        self.trash = self.trash or found.trash
        self.order = found.order or self.order
        if sql:
            self.conditions.append(Condition(f"({sql})"))

    def _orders(self, term: Term) -> list[str]:
        if not term.options:
            raise self._wrong(term, UsageError("sort: needs a name", f"use one of {', '.join(SORT_NAMES)}"))
        found = []
        for name, at in term.options:
            try:
                found.append(one_order(name.strip()))
            except UsageError as error:
                raise QueryError(error, self.text, at, at + len(name)) from None
        return found

    def _condition(self, term: Term) -> str:
        try:
            if term.regex:
                return query_words.regex(term.value, self.values)
            if term.typo and not term.field:
                return query_words.near(term.value, self.values)
            if not term.field:
                return _word(term.value, self.values)
        except UsageError as error:
            raise self._wrong(term, error) from None
        return self._of_field(term)

    def _of_field(self, term: Term) -> str:
        known = FIELDS.get(term.field)
        name_at = term.start + term.negated + term.typo
        name_end = name_at + len(term.field)
        if known is None:
            error = UsageError(f"there is no field {term.field}", _near_field(term.field))
            raise QueryError(error, self.text, name_at, name_end)
        if term.typo:
            error = UsageError(
                "~ goes before a word, not a field", f"for example ~{term.value.lstrip('<>=') or 'word'}"
            )
            raise QueryError(error, self.text, name_at - 1, name_at)
        if not term.options:
            example = UsageError(f"{term.field}: needs a value", f"for example {term.field}:{known.example}")
            raise QueryError(example, self.text, name_at, term.end)
        found = []
        for option, at in term.options:
            try:
                found.append(known.compile(option, self.values))
            except UsageError as error:
                raise QueryError(error, self.text, at, term.end if term.quoted else at + len(option)) from None
        return " OR ".join(found)

    def _wrong(self, term: Term, error: UsageError) -> QueryError:
        return QueryError(error, self.text, term.start, term.end)


def _is_view(term: Term) -> bool:
    return term.value.startswith("@") and not (term.field or term.quoted or term.regex or term.typo)


def _word(text: str, values: Parameters) -> str:
    if query_words.has_token(text):
        return query_words.matching([text], values)
    return values.contains("l.name", text)


def _near_field(name: str) -> str:
    if name in HAS:
        return f"has:{name} finds what has it, words without a field look in names, files, triggers, tags and notes"
    if name in IS:
        return f"did you mean is:{name}?"
    near = get_close_matches(name, [*FIELDS, "sort"], 1, 0.5)
    return f"did you mean {near[0]}:?" if near else f"fields are {', '.join(sorted([*FIELDS, 'sort']))}"


def _near_view(name: str, views: Mapping[str, str]) -> str:
    near = get_close_matches(name, views, 1, 0.5)
    return f"did you mean @{near[0]}?" if near else f"use one of {', '.join('@' + known for known in sorted(views))}"
