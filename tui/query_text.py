"""Change a query line the way a click on a facet or a choice of order does."""

from __future__ import annotations

import re

from registry.facets import NARROWING
from registry.query_terms import Term, terms

_PLAIN = re.compile(r"[^\s\",/][^\s\",]*")
_EXACT = {"base", "creator", "folder", "run"}
"""Fields that otherwise match a part: a facet means its value alone."""


def render(found: list[Term]) -> str:
    return " ".join(_one(term) for term in found)


def _one(term: Term) -> str:
    sign = "-" if term.negated else ""
    if term.regex:
        return f"{sign}/{term.value}/"
    field = f"{term.field}:" if term.field else "~" if term.typo else ""
    if not term.quoted and (term.field or _PLAIN.fullmatch(term.value)):
        return f"{sign}{field}{term.value}"
    exact = "=" if term.field and term.value.startswith("=") else ""
    return f'{sign}{field}{exact}"{term.value.removeprefix(exact)}"'


def _facet(field: str, value: str) -> Term:
    plain = _PLAIN.fullmatch(value) is not None
    exact = "=" if field in _EXACT and value != "unknown" else ""
    return Term(field, exact + value.replace('"', ""), quoted=not plain)


def _options(term: Term) -> list[str]:
    return [term.value] if term.quoted else term.value.split(",")


def chosen(text: str, field: str, value: str, *, negated: bool = False) -> bool:
    """Whether a line asks for this facet, or (``negated``) excludes it."""
    wanted = _facet(field, value).value.lower()
    return any(
        term.field == field and term.negated == negated and wanted in [option.lower() for option in _options(term)]
        for term in terms(text)
    )


def toggle(text: str, field: str, value: str) -> str:
    """The line with the facet added, or taken out when it was there."""
    facet = _facet(field, value)
    found: list[Term] = []
    done = False
    for term in terms(text):
        options = _options(term)
        if term.field != field or term.negated or done:
            found.append(term)
        elif facet.value in options:
            done = True
            rest = [option for option in options if option != facet.value]
            if rest:
                found.append(Term(field, ",".join(rest)))
        elif field not in NARROWING:
            done = True
            mixed = term.quoted or facet.quoted
            found.append(facet if mixed else Term(field, ",".join([*options, facet.value])))
        else:
            found.append(term)
    return render(found if done else [*found, facet])


def negate(text: str, field: str, value: str) -> str:
    """The line with the facet excluded, or no longer when it was; one that was asked for is excluded instead."""
    if chosen(text, field, value, negated=True):
        wanted = _facet(field, value).value.lower()
        rest = [term for term in terms(text) if not (term.negated and term.field == field and wanted in _lower(term))]
        return render(rest)
    wanted_before = toggle(text, field, value) if chosen(text, field, value) else text
    facet = _facet(field, value)
    return render([*terms(wanted_before), Term(field, facet.value, quoted=facet.quoted, negated=True)])


def excluded(text: str, field: str) -> list[str]:
    """The values of a facet that a line excludes, as the facet names them."""
    return [
        term.value.removeprefix("=")
        for term in terms(text)
        if term.negated and term.field == field and _facet(field, term.value.removeprefix("=")).value == term.value
    ]


def _lower(term: Term) -> list[str]:
    return [option.lower() for option in _options(term)]


def with_order(text: str, name: str) -> str:
    """The line sorted by ``name`` instead of what it said; an empty name means the default order."""
    rest = [term for term in terms(text) if term.field != "sort"]
    return render([*rest, Term("sort", name)] if name else rest)


def order_of(text: str) -> str:
    return next((term.value for term in terms(text) if term.field == "sort"), "")
