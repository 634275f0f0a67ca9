"""Change a search line for Civitai the way a choice in a menu does."""

from __future__ import annotations

from registry.listing import plain_base
from registry.query_terms import Term, terms
from tui.query_text import render


def asks(line: str, field: str, value: str) -> bool:
    """Whether a line asks for a value of a field, however both are written."""
    return any(
        plain_base(option) == plain_base(value)
        for term in terms(line)
        if term.field == field and not term.negated
        for option in _options(term)
    )


def value_of(line: str, field: str) -> str:
    """The value of a field that takes one; empty where the line says none."""
    return next((term.value for term in terms(line) if term.field == field and not term.negated), "")


def _options(term: Term) -> list[str]:
    return [option for option in ([term.value] if term.quoted else term.value.split(",")) if option]


def with_value(line: str, field: str, value: str) -> str:
    """The line with one value of a field in the place of what it said; none where ``value`` is empty."""
    rest = [term for term in terms(line) if term.field != field or term.negated]
    return render([*rest, _term(field, [value])] if value else rest)


def toggled(line: str, field: str, value: str) -> str:
    """The line with a value among those of a field, or without it where it was there."""
    found = list(terms(line))
    known = [term for term in found if term.field == field and not term.negated]
    options = [option for term in known for option in _options(term)]
    left = [option for option in options if plain_base(option) != plain_base(value)]
    if len(left) == len(options):
        left.append(value)
    together = not any(_needs_quotes(option) for option in left)
    new = [_term(field, left)] if together and left else [_term(field, [option]) for option in left]
    at = found.index(known[0]) if known else len(found)
    return render([*found[:at], *new, *(term for term in found[at:] if term not in known)])


def _needs_quotes(text: str) -> bool:
    return bool(set(text) & set(' ,"'))


def _term(field: str, options: list[str]) -> Term:
    value = ",".join(options).replace('"', "")
    return Term(field, value, quoted=len(options) == 1 and _needs_quotes(value))
