"""News: newer versions of what is here, and what those whom a person follows published."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from typing import Literal

import msgspec

from hubman.civitai import archiving, auth, facts, follow
from hubman.civitai.allowance import Allowance
from hubman.civitai.asking import Asking
from hubman.civitai.changelog import Changes, compare
from hubman.civitai.client import Civitai
from hubman.civitai.html_text import to_text
from hubman.civitai.records import RemoteModel, RemoteVersion, model_from
from hubman.progress import Report, silent
from registry import archive, library, timestamps
from registry.database import Registry

Why = Literal["newer", "followed model", "followed creator"]


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of a model that is news. ``ref`` pulls it; ``model_id`` is empty for a model that is not here."""

    model_id: str
    name: str
    have: str
    newest: str
    base_model: str
    ref: str
    number: int
    """Civitai's number of the model, ``version`` of the version."""
    version: int
    why: Why = "newer"
    creator: str = ""
    published_at: str = ""
    early_until: str = ""
    """When its early access ends, far in the future if nobody says; empty if it has none."""
    is_paid: bool = False
    """It has to be bought, also after an early access."""
    changelog: str = ""
    changes: Changes = Changes()
    between: tuple[str, ...] = ()
    """Names of other versions that are newer than what is here, the newest first."""


class Here(msgspec.Struct, frozen=True):
    """A model of the library: its id there, and the version of it that Civitai numbers highest."""

    model_id: str
    version_id: str
    newest: int


def updates(
    registry: Registry,
    client: Civitai,
    models: Collection[str] | None = None,
    *,
    report: Report = silent,
    now: str = "",
) -> list[Update]:
    """Ask for the pages of the library's models, or of ``models``, and of what is followed; returns what is news.

    The view ``@updates`` shows the models from then on. A rehearsal has no news: what the sandbox numbers are other
    models. Raises :class:`hubman.civitai.errors.CivitaiError`.
    """
    if client.is_rehearsal:
        return []
    at = now or timestamps.now()
    here = _here(registry, models)
    followed = follow.following(registry) if models is None else []
    numbers = {*here, *(one.number for one in followed if one.number)}
    run = Asking(registry, client, report, None, at, Allowance(registry, len(numbers), at, is_daily=False), again=False)
    archiving.ask(run, sorted(numbers), lambda _found: None)
    for one in followed:
        if one.kind == "creator":
            _ask_creator(run, one)
    return known(registry, models, site=client.site)


def _ask_creator(run: Asking, one: follow.Followed) -> None:
    """His models of which something was published since he is followed: they come first."""
    run.allowance.use()
    told = ((raw, model_from(raw)) for raw in run.client.models_of_raw(one.name))
    for raw, model in takewhile(lambda pair: _last(pair[1]) > one.since, told):
        if model.id and model.creator.casefold() == one.name.casefold():
            archiving.keep(run.registry, raw, model, run.now)


def _last(model: RemoteModel) -> str:
    return max((version.published_at for version in model.versions), default="")


def known(registry: Registry, models: Collection[str] | None = None, *, site: str = "") -> list[Update]:
    """The news that the pages tell as they were last seen, by name; asks nobody."""
    found = list(_of_library(registry, _here(registry, models), site))
    if models is None:
        found += _of_followed(registry, site)
    return sorted(found, key=lambda update: (update.name.casefold(), update.number))


def _of_library(registry: Registry, here: dict[int, Here], site: str) -> Iterator[Update]:
    through = _through(registry)
    pages = archive.pages(registry)
    floor = {number: max(held.newest, through.get(number, 0)) for number, held in here.items()}
    wanted = [n for n in here if here[n].newest and n in pages and not pages[n].gone_at and pages[n].newest > floor[n]]
    for number, raw in archive.models(registry, wanted):
        page = model_from(raw)
        newer = sorted(
            (version for version in page.versions if version.id > floor[number] and not version.is_gone),
            key=lambda version: -version.id,
        )
        if newer:
            yield _update(registry, page, newer, here[number], "newer", site)


def _of_followed(registry: Registry, site: str) -> Iterator[Update]:
    through = _through(registry)
    # What is here has its updates without being followed.
    told = set(_here(registry, None))
    for one in sorted(follow.following(registry), key=lambda followed: followed.kind != "model"):
        numbers = [one.number] if one.number else archive.by_creator(registry, one.name, one.since)
        for number, raw in archive.models(registry, [n for n in numbers if n not in told]):
            page = model_from(raw)
            new = [
                version
                for version in sorted(page.versions, key=lambda version: -version.id)
                if version.published_at > one.since and version.id > through.get(number, 0) and not version.is_gone
            ]
            is_new_model = all(version.published_at > one.since for version in page.versions)
            if new and (one.number or is_new_model):
                told.add(number)
                yield _update(registry, page, new, None, "followed model" if one.number else "followed creator", site)


def _update(
    registry: Registry, page: RemoteModel, newer: Sequence[RemoteVersion], held: Here | None, why: Why, site: str
) -> Update:
    newest = newer[0]
    model = library.show(registry, held.model_id) if held else None
    have = library.version(registry, held.version_id) if held else None
    return Update(
        model_id=held.model_id if held else "",
        name=model.name if model else page.name,
        have=have.name if have else "",
        newest=newest.name,
        base_model=newest.base_model,
        ref=f"{site or auth.site_url()}/models/{page.id}?modelVersionId={newest.id}",
        number=page.id,
        version=newest.id,
        why=why,
        creator=page.creator,
        published_at=newest.published_at,
        early_until=facts.early_until(newest) or "",
        is_paid=newest.paid_access is not None and newest.paid_access.permanent,
        changelog=to_text(newest.description),
        changes=compare(page, newest, model, have),
        between=tuple(version.name for version in newer[1:]),
    )


def early_words(update: Update, now: str = "") -> str:
    """That a version is in early access, and until when, or has to be bought; empty where one can have it."""
    if update.early_until <= (now or timestamps.now()):
        return "has to be bought" if update.is_paid else ""
    return "early access" + ("" if update.early_until.startswith("9999") else f" until {update.early_until[:10]}")


def _through(registry: Registry) -> dict[int, int]:
    return {one.number: one.through for one in follow.ignored(registry)}


_HERE = """
SELECT m.civitai_id, m.id, v.id, coalesce(v.civitai_id, 0) FROM models m JOIN versions v ON v.model_id = m.id
    WHERE m.civitai_id IS NOT NULL AND m.deleted_at IS NULL ORDER BY coalesce(v.civitai_id, 0), v.added_at
"""


def _here(registry: Registry, models: Collection[str] | None) -> dict[int, Here]:
    """By Civitai's number of the model."""
    rows = registry.db.execute(_HERE)
    # The last row of a model is that of the highest number.
    return {number: Here(*row) for number, *row in rows if models is None or row[0] in models}


def untold(registry: Registry, found: Sequence[Update]) -> list[Update]:
    """Those that :func:`tell` was not called with yet."""
    told = {row[0] for row in registry.db.execute("SELECT version FROM updates_told")}
    return [update for update in found if update.version not in told]


def tell(registry: Registry, found: Sequence[Update], now: str = "") -> None:
    """Note that these were told: they are no longer new, on this machine."""
    rows = [(update.version, now or timestamps.now()) for update in found]
    with registry.transaction() as db:
        db.executemany("INSERT OR IGNORE INTO updates_told VALUES (?, ?)", rows)


def not_on_civitai(registry: Registry, models: Collection[str] | None = None) -> list[str]:
    """The names of the models of the library, or of those of ``models``, of which no page on Civitai is known."""
    rows = registry.db.execute(
        "SELECT id, name FROM models WHERE civitai_id IS NULL AND deleted_at IS NULL ORDER BY name COLLATE NOCASE, id"
    )
    return [row["name"] for row in rows if models is None or row["id"] in models]
