"""Terms without a field: words, mistyped words and regular expressions."""

# ruff: noqa: S608 - every value from outside is bound, never part of the SQL

from __future__ import annotations

import re
from collections.abc import Sequence

from registry import words
from registry.errors import UsageError
from registry.query_values import Parameters

_PLAIN_RUN = re.compile(r"[A-Za-z0-9 _]{2,}")
_QUANTIFIED = re.compile(r"[*?{]")


def has_token(word: str) -> bool:
    """Whether full-text search sees anything in ``word``: of mere punctuation it sees nothing."""
    return any(char.isalnum() for char in word)


def matching(found: Sequence[str], values: Parameters) -> str:
    """Models in which every one of the words begins a word of a name, file, trigger, tag, note or creator."""
    phrases = " ".join(f'"{word.replace(chr(34), "")}"*' for word in found)
    return f"+l.number IN (SELECT rowid FROM search WHERE search MATCH {values.bind(phrases)})"


def near(text: str, values: Parameters) -> str:
    """Models with a word that is ``text`` but for a typo or two, for each word of ``text``."""
    found = words.split(text)
    if not found:
        raise UsageError(f"~{text} has no letters to compare", "for example ~watercolor")
    return " AND ".join(_near_word(word, values) for word in found)


def _near_word(word: str, values: Parameters) -> str:
    holding = "SELECT rowid AS id FROM word_trigrams WHERE word_trigrams MATCH "
    each = " UNION ALL ".join(holding + values.bind(f'"{part}"') for part in words.trigrams(word))
    alike = (
        f"SELECT group_concat('\"' || word || '\"', ' OR ') FROM words WHERE id IN (SELECT id FROM ({each}) "
        f"GROUP BY id HAVING count(*) >= {words.shared_at_least(word)}) AND is_near(word, {values.bind(word)})"
    )
    return f"+l.number IN (SELECT rowid FROM search WHERE search MATCH coalesce(({alike}), '\"\"'))"


def regex(pattern: str, values: Parameters) -> str:
    """Models whose name the regular expression finds something in."""
    try:
        re.compile(pattern)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"/{pattern}/ is no regular expression ({error})", "quote it to look for the text itself"
        ) from None
    if _may_take_for_ever(pattern):
        raise UsageError(
            f"/{pattern}/ repeats what repeats or has choices, which can take for ever", "repeat something plain"
        )
    found = f"l.name REGEXP {values.bind(pattern)}"
    literal = _literal(pattern)
    # SQLite looks for plain text a hundred times faster than it calls us, and leaves few names to be called for.
    return f"{values.contains('l.name', literal)} AND {found}" if literal else found


_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?:|\(|\)|\||[*+]|\{\d*,\d*\}", re.DOTALL)
_REPEAT = re.compile(r"[*+]|\{\d*,\d*\}")


def _may_take_for_ever(pattern: str) -> bool:
    """Whether a group is repeated that itself repeats something or has choices: those try a number of ways that doubles
    with each letter of a name.
    """
    inside = [False]
    for piece in _PIECE.finditer(pattern):
        text = piece[0]
        if text.startswith("("):
            inside.append(False)
        elif text == ")" and len(inside) > 1:
            is_repeated = _REPEAT.match(pattern, piece.end()) is not None
            varies = inside.pop()
            if varies and is_repeated:
                return True
            inside[-1] |= varies or is_repeated
        elif text == "|" or _REPEAT.fullmatch(text):
            inside[-1] = True
    return False


def _literal(pattern: str) -> str:
    """A text that every match of ``pattern`` contains, or an empty one if that is not plain to see."""
    if any(char in pattern for char in "|()[\\"):
        return ""
    runs = []
    for run in _PLAIN_RUN.finditer(pattern):
        text = run[0][:-1] if _QUANTIFIED.match(pattern, run.end()) else run[0]
        # Regular expressions that ignore case also take the Kelvin sign for a k and the long s for an s.
        runs += re.split(r"[kKsS]+", text)
    # Within braces stand counts.
    return "" if "{" in pattern else max(runs, key=len, default="")
