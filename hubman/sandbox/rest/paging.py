"""Pages: by number or by cursor in the lists of models and images, by number with totals in the small lists."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from starlette.requests import Request

from hubman.sandbox.rest.answers import RestError
from hubman.sandbox.rest.params import number, whole
from hubman.sandbox.store import Doc

_DEEPEST = 1000
T = TypeVar("T")


def start(request: Request, limit: int) -> tuple[int, int | None]:
    """The position of the first item, and the page's number where pages are asked for by number."""
    query = request.query_params
    page = number(query, "page", None, 1)
    if page and query.get("query"):
        raise RestError(400, {"error": "Cannot use page param with query search. Use cursor-based pagination."})
    if page and page * limit > _DEEPEST:
        raise RestError(429, {"error": "You've requested too many pages, please use cursors instead"})
    return ((page - 1) * limit if page else _position(query.get("cursor"))), page


def metadata(request: Request, first: int, page: int | None, limit: int, *, more: bool) -> Doc:
    """``nextCursor`` and ``nextPage`` while there is more; the page's number and size only where it was asked for."""
    found: Doc = {}
    following = first + limit
    if limit and more:
        cursor = str(following) if request.query_params.get("query") else _cursor(following)
        changed = {"page": str(page + 1)} if page else {"cursor": cursor}
        if not page:
            found["nextCursor"] = cursor
        found["nextPage"] = str(request.url.include_query_params(**changed))
    if page:
        found.update(currentPage=page, pageSize=limit)
    return found


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"o|{position}".encode()).decode()


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    if cursor.isascii() and cursor.isdigit():
        return min(int(cursor), 2**31)
    try:
        position = int(base64.urlsafe_b64decode(cursor).decode().removeprefix("o|"))
    except (ValueError, binascii.Error):
        raise RestError(400, {"error": "Invalid cursor"}) from None
    return max(0, min(position, 2**31))


def counted(request: Request, rows: Sequence[T], shape: Callable[[T], Doc], *, most: int = 200) -> Doc:
    """One page of a small list, with its totals; ``limit=0`` is everything."""
    query = request.query_params
    limit = whole(query.get("limit", "20"), "limit", 0, most) or max(1, len(rows))
    page = number(query, "page", 1, 1) or 1
    pages = -(-len(rows) // limit)
    shown = rows[(page - 1) * limit : page * limit]
    totals: Doc = {"totalItems": len(rows), "currentPage": page, "pageSize": limit, "totalPages": pages}
    for key, other in (("nextPage", page + 1), ("prevPage", page - 1)):
        if 1 <= other <= pages:
            totals[key] = str(request.url.include_query_params(page=str(other)))
    return {"items": [shape(row) for row in shown], "metadata": totals}
