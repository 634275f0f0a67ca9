"""A caption grown phrase by phrase: each time the one that brings the whole text closest to the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

LEAST, MOST = 8, 32
"""So many phrases are appended whether they help or not, and no more than so many."""

Score = Callable[[Sequence[str]], Sequence[float]]
"""Texts to their likeness with the picture."""


def chain(
    score: Score,
    phrases: Iterable[str],
    start: str = "",
    *,
    fits: Callable[[str], bool] = lambda _: True,
    least: int = LEAST,
    most: int = MOST,
) -> tuple[str, float]:
    """The best text met on the way from ``start``, and its score.

    In each of at most ``most`` rounds the phrase goes on whose ``text, phrase`` scores highest. The way ends when no
    text is left that ``fits``, or when after ``least`` phrases none raises the score. Without phrases and ``start`` the
    text is empty and its score 0.
    """
    left = list(dict.fromkeys(phrases))
    text, now = start, score([start])[0] if start else 0.0
    best = (text, now)
    for round_ in range(most):
        longer = [f"{text}, {phrase}" if text else phrase for phrase in left]
        if not longer:
            break
        scores = score(longer)
        at = max(range(len(longer)), key=lambda place: scores[place])
        if not fits(longer[at]) or (round_ >= least and scores[at] <= now):
            break
        text, now = longer[at], scores[at]
        if now > best[1] or not best[0]:
            best = (text, now)
        del left[at]
    return best
