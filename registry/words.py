"""The words that search knows, by trigrams: what a mistyped word may have meant.

Words are only ever added. One whose last model is gone finds nothing, and costs a row.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterable

import msgspec

_WORD = re.compile(r"[^\W_]+")
_LONGEST = 40


def split(text: str) -> list[str]:
    """The words of ``text`` as the full-text index cuts them: lower case, without diacritics."""
    lower = text.lower()
    if lower.isascii():
        return _WORD.findall(lower)
    plain = "".join(char for char in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(char))
    return _WORD.findall(plain)


def learn(db: sqlite3.Connection, texts: Iterable[str]) -> None:
    """Remember the words of ``texts`` that a person could mistype: those of three letters and more, not numbers."""
    cut = split("\n".join(texts))
    found = {word for word in cut if 3 <= len(word) <= _LONGEST and not word.isdecimal()}
    sql = "SELECT w.word FROM json_each(?) j CROSS JOIN words w ON w.word = j.value"
    known = {row[0] for row in db.execute(sql, (msgspec.json.encode(list(found)).decode(),))}
    for word in sorted(found - known):
        made = db.execute("INSERT INTO words (word) VALUES (?)", (word,))
        db.execute("INSERT INTO word_trigrams (rowid, padded) VALUES (?, ?)", (made.lastrowid, _padded(word)))


def trigrams(word: str) -> list[str]:
    """Every three letters in a row, each once; its beginning and its end count as letters."""
    padded = _padded(word)
    return list(dict.fromkeys(padded[start : start + 3] for start in range(len(padded) - 2)))


def shared_at_least(word: str) -> int:
    """How many trigrams a word must share with ``word`` to be worth a closer look; one typo spoils up to four."""
    return max(1 if len(word) < 5 else 2, len(trigrams(word)) - 4 * allowed(word))


def allowed(word: str) -> int:
    """The typos in ``word`` that are forgiven."""
    return 1 if len(word) < 6 else 2


def is_near(word: str, typed: str) -> bool:
    """Whether ``typed`` is ``word`` but for a letter or two that are wrong, missing, too many or swapped."""
    limit = allowed(typed)
    return abs(len(word) - len(typed)) <= limit and _distance(word, typed) <= limit


def _padded(word: str) -> str:
    return f"  {word}  "


def _distance(one: str, other: str) -> int:
    """Edits between two words, where swapping two neighbours counts as one (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, right in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]
