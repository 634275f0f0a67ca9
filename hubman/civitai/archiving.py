"""Keeping Civitai's answers, and noticing when a page is gone or comes back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import timedelta

from hubman.civitai import facts
from hubman.civitai.asking import Asking
from hubman.civitai.errors import MissingError
from hubman.civitai.reading import MODELS_AT_ONCE
from hubman.civitai.records import RemoteModel, model_from
from hubman.civitai.whole import Raw
from hubman.progress import Progress
from registry import archive, library, timestamps
from registry.database import Registry

Write = Callable[[list[RemoteModel]], None]
FRESH_DAYS = 7
"""Days for which a model's page that was seen is not asked for again."""


def keep(registry: Registry, raw: Raw, model: RemoteModel, now: str) -> None:
    """Keep a model's page and mark the models of the library that are of it as there."""
    newest = facts.newest_id(model) or 0
    published = max((version.published_at for version in model.versions), default="")
    about = archive.Described(
        number=model.id, name=model.name, creator=model.creator, newest=newest, published_at=published
    )
    said: dict[str, object] = {"upstream_deleted": False, "upstream_mode": model.mode or None}
    with registry.transaction() as db:
        archive.keep_model(db, about, raw, now)
        _say(registry, model.id, {**said, "newest_upstream": newest} if newest else said)


def gone(registry: Registry, number: int, now: str) -> None:
    """The site says that it has no such model: what is known of it stays, and is marked."""
    with registry.transaction() as db:
        archive.missing(db, number, now)
        _say(registry, number, {"upstream_deleted": True})


def _say(registry: Registry, number: int, said: dict[str, object]) -> None:
    """Of every model of the library with this number."""
    for (model_id,) in registry.db.execute("SELECT id FROM models WHERE civitai_id = ?", (number,)).fetchall():
        library.set_facts(registry, model_id, "civitai", said)


def ask(run: Asking, numbers: Sequence[int], write: Write) -> None:
    """Ask for these models' pages, a hundred a request, and keep them; ``write`` gets them in the same transaction.

    A model that the lists leave out is asked for by itself while requests are left, and only the site's own word that
    there is none marks it as gone: a list may be short for other reasons.
    """
    left_out: set[int] = set()
    for start in range(0, len(numbers), MODELS_AT_ONCE):
        batch = numbers[start : start + MODELS_AT_ONCE]
        run.report(Progress(stage="read pages", done=start, total=len(numbers), unit="models"))
        run.allowance.use()
        run.read.update(batch)
        told = [(raw, model_from(raw)) for raw in run.client.models_raw(batch)]
        told = [(raw, model) for raw, model in told if model.id in set(batch)]
        _take(run, told, write)
        left_out |= set(batch) - {model.id for _, model in told}
    for number in _doubtful(run, left_out):
        _take(run, list(_alone(run, number)), write)


def _doubtful(run: Asking, numbers: Collection[int]) -> list[int]:
    """Those to ask for one by one, what waited longest first: the requests may not suffice for all.

    One of which the site said lately that it is gone is left: were it back, a list would tell.
    """
    pages, since = archive.pages(run.registry), _fresh_since(run)
    found = [pages.get(number) or archive.Page(number=number, asked_at="") for number in numbers]
    due = [page for page in found if run.again or not page.gone_at or page.asked_at <= since]
    return [page.number for page in sorted(due, key=lambda page: (page.asked_at, page.number))]


def _take(run: Asking, told: list[tuple[Raw, RemoteModel]], write: Write) -> None:
    with run.registry.transaction():
        for raw, model in told:
            keep(run.registry, raw, model, run.now)
        write([model for _, model in told])


def _alone(run: Asking, number: int) -> Iterator[tuple[Raw, RemoteModel]]:
    if not run.allowance.left:
        return
    run.allowance.use()
    try:
        raw = run.client.model_raw(number)
    except MissingError:
        gone(run.registry, number, run.now)
        return
    model = model_from(raw)
    if model.id == number:
        yield raw, model


def stale(run: Asking, numbers: Iterable[int]) -> list[int]:
    """Those of these models whose page was not asked for lately, each once."""
    pages = {} if run.again else archive.pages(run.registry)
    since = _fresh_since(run)
    fresh = {number for number, page in pages.items() if page.asked_at > since}
    return sorted(set(numbers) - fresh - run.read)


def _fresh_since(run: Asking) -> str:
    return timestamps.of(timestamps.parse(run.now) - timedelta(days=FRESH_DAYS))
