"""Which bytes of a file are there: half-open spans, sorted, with gaps between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[int, int]
Spans = tuple[Span, ...]


def join(spans: Iterable[Span]) -> Spans:
    """The same bytes as the fewest spans; empty ones vanish, those that touch become one."""
    joined: list[Span] = []
    for start, stop in sorted(span for span in spans if span[1] > span[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return tuple(joined)


def gaps(spans: Sequence[Span], total: int) -> Spans:
    """What joined ``spans`` lack of the bytes from 0 to ``total``."""
    edges = [0, *(edge for span in spans for edge in span), total]
    return tuple(
        (start, min(stop, total))
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
        if start < min(stop, total)
    )


def count(spans: Sequence[Span]) -> int:
    """How many bytes joined ``spans`` hold."""
    return sum(stop - start for start, stop in spans)


def prefix(spans: Sequence[Span]) -> int:
    """How many bytes from the first on are there without a gap, of joined ``spans``."""
    return spans[0][1] if spans and spans[0][0] == 0 else 0


def within(spans: Iterable[Span], size: int) -> Spans:
    """What of ``spans`` lies in the first ``size`` bytes."""
    return join((max(0, start), min(stop, size)) for start, stop in spans)
