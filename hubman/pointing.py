"""Show where in a query line a mistake stands."""

from __future__ import annotations

from registry.query_terms import QueryError


def pointer(error: QueryError) -> tuple[str, str]:
    """The line, and below it carets under its wrong part; both without what would steer a terminal."""
    from rich.cells import cell_len

    from hubman.cli.output import clean

    before, wrong = clean(error.line[: error.start]), clean(error.line[error.start : error.end])
    return clean(error.line), " " * cell_len(before) + "^" * max(1, cell_len(wrong))
