"""The search line for Civitai, in the syntax of the library's query line.

``type:lora base:"SDXL 1.0" tag:ink by:ann sort:newest period:month -tag:anime nsfw:pg13 is:early lighthouse "red hair"``:
terms with spaces between them; commas part alternatives, ``-`` leaves out, ``=`` means exactly, quotes keep spaces. Words
without a field are what is looked for in names and texts. The fields are in :data:`hubman.civitai.search_fields.FIELDS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from hubman.civitai.search import ModelSearch
from hubman.civitai.search_fields import FIELDS, SYNONYMS, Draft, Read, SearchField
from hubman.civitai.search_names import FLAGS, Names, UnknownNameError, bundled
from hubman.civitai.sift import EVERY_LEVEL
from registry.errors import UsageError
from registry.query_terms import QueryError, Term, readable, terms

MAX_TERMS = 100


class UnknownNameInLineError(QueryError):
    """The line names a type or a base model that the lists at hand don't have."""


def parse(
    line: str, names: Names | None = None, *, up_to: int = EVERY_LEVEL, also: Iterable[tuple[str, str]] = ()
) -> ModelSearch:
    """The search that a line means, with the (field, value) of ``also`` as if they stood in it.

    ``names`` are the types and base models that there are, by default the bundled lists; ``up_to`` is the level that is
    meant where the line tells none. Raises :class:`QueryError` naming the part that makes no sense, and
    :class:`UsageError` for a pair.
    """
    draft = Draft(names or bundled())
    text = readable(line)
    for count, term in enumerate(terms(text)):
        if count >= MAX_TERMS:
            raise QueryError(UsageError(f"more than {MAX_TERMS} terms", "ask for less at once"), text, 0, len(text))
        _take(term, draft, text)
    for name, value in also:
        FIELDS[name].read(value, draft)
    return draft.built(up_to)


def _take(term: Term, draft: Draft, line: str) -> None:
    if term.is_open:
        error = UsageError("the quote is not closed", 'write another " at its end')
        raise QueryError(error, line, line.index('"', term.start), term.end)
    if not term.field:
        _take_word(term, draft, line)
        return
    name = SYNONYMS.get(term.field, term.field)
    known = FIELDS.get(name)
    at = term.start + term.negated + term.typo
    if known is None:
        error = UsageError(f"there is no field {term.field}", _near(term.field))
        raise QueryError(error, line, at, at + len(term.field))
    if term.typo:
        raise QueryError(_NO_TYPOS, line, at - 1, at)
    _take_options(term, _reader(term, name, known, line), known, draft, line)


_NO_TYPOS = UsageError("the site has no ~", "it forgives typos by itself")


def _take_word(term: Term, draft: Draft, line: str) -> None:
    error = None
    if term.regex:
        error = UsageError("the site knows no /patterns/", "write a part of the name")
    elif term.typo:
        error = _NO_TYPOS
    elif term.negated:
        error = UsageError("the site can't leave out words", "-tag: -by: -base: and -type: can be left out")
    elif term.value.startswith(",") and not term.quoted:
        error = UsageError("a comma parts nothing after a quote", "write the field once more for the other value")
    if error is not None:
        raise QueryError(error, line, term.start, term.end)
    draft.words.append(f'"{term.value}"' if term.quoted else term.value)


def _reader(term: Term, name: str, known: SearchField, line: str) -> Read:
    if not term.negated:
        return known.read
    if known.without is None:
        error = UsageError(f"{name}: can't be left out", "-tag: -by: -base: and -type: can")
        raise QueryError(error, line, term.start, term.end)
    return known.without


def _take_options(term: Term, read: Read, known: SearchField, draft: Draft, line: str) -> None:
    options = [(value, at) for value, at in term.options if value.strip("=<>") or "*" in value]
    if not options:
        error = UsageError(f"{term.field}: needs a value", f"for example {term.field}:{known.example}")
        raise QueryError(error, line, term.start, term.end)
    if len(options) > 1 and not known.takes_many and not term.negated:
        error = UsageError(f"{term.field}: takes one value", "the site can't be asked for alternatives of it")
        raise QueryError(error, line, options[1][1], term.end)
    for value, at in options:
        try:
            read(value, draft)
        except UsageError as error:
            kind = UnknownNameInLineError if isinstance(error, UnknownNameError) else QueryError
            raise kind(error, line, at, term.end if term.quoted else at + len(value)) from None


def _near(name: str) -> str:
    if name in FLAGS:
        return f"did you mean is:{name}?"
    near = get_close_matches(name, [*FIELDS, *SYNONYMS], 1, 0.5)
    return f"did you mean {near[0]}:?" if near else f"fields are {', '.join(sorted(FIELDS))}"
