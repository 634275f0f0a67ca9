"""What only the site knows: whose key it is, what it has already, what it takes at this moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from hubman.civitai import categories, contract, handoff, journal, links
from hubman.civitai.client import Civitai
from hubman.civitai.errors import AccountError, MissingError, NotOwnerError, ScopeError
from hubman.civitai.finding import Finding, error, warning
from hubman.civitai.form import PublishForm, VersionPart
from hubman.civitai.owned import OwnedModel
from hubman.civitai.records import Me
from registry import timestamps
from registry.database import Registry

POSTS_A_DAY = 20
"""What Civitai allows an account of little fame: a version is one post."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The site's lists at this moment, or the bundled ones."""

    active_base_models: tuple[str, ...]
    categories: tuple[str, ...]


def lists(client: Civitai | None) -> Site:
    active = contract.enum_values("ActiveBaseModel") if client is None else client.enums().active_base_models
    return Site(active_base_models=active, categories=categories.known(client))


def check_account(client: Civitai) -> Me:
    """Whose key this is. Raises the error that explains why it can't publish, if it can't."""
    me = client.me()
    if me.status != "active":
        raise AccountError(f"the account {me.username} is {me.status}", "ask Civitai's support", status=403)
    if not me.may_publish:
        raise ScopeError("the API key may not publish", "make one with the Creator preset", status=403)
    return me


def account(client: Civitai) -> tuple[str, tuple[Finding, ...]]:
    """(the user's name, what forbids them to publish)."""
    try:
        return check_account(client).username, ()
    except ScopeError as problem:
        return "", (error("key-scopes", problem.message, problem.hint),)
    except AccountError as problem:
        return "", (error("account", problem.message, problem.hint),)


def of(
    registry: Registry, client: Civitai, form: PublishForm, account: str, new: Sequence[VersionPart]
) -> Iterator[Finding]:
    """Duplicates, ownership and the day's posts. Only the ``new`` versions can be duplicates."""
    if form.origin == "civitai" and len(new) == len(form.parts) and form.creator != account:
        yield error("foreign", f"{form.name} was pulled from Civitai",
                    f"it is {form.creator or 'someone else'}'s, not yours to publish")  # fmt: skip
    there = list(files_there(client, new))
    yield from there
    for part in new:
        if part.version_id not in {one.version_id for one in there}:
            yield from _known_page(registry, client, part)
        yield from _same_weights(registry, form, part.version_id)
    yield from _joined(client, form, account)
    yield from _posts(registry, client.site, len(new))


def files_there(client: Civitai, parts: Sequence[VersionPart]) -> Iterator[Finding]:
    """Versions whose very file the site has."""
    by_hash = {digest: part for part in parts for digest in (part.file.sha256, part.file.library_sha256)}
    for match in client.by_hash_ids(list(by_hash)) if by_hash else ():
        page = f"{client.site}/models/{match.model_id}?modelVersionId={match.model_version_id}"
        part = by_hash.get(match.hash.lower())
        if part is None:
            # An answer about something else says nothing of these files.
            continue
        yield error("file-on-site", "Civitai has this very file already", f"see {page}", part=part)


def _known_page(registry: Registry, client: Civitai, part: VersionPart) -> Iterator[Finding]:
    """A page of one's own that the library knows from another machine, hidden or a draft: it must not get a twin."""
    number = links.number(registry, client, part.version_id)
    there = links.own(client, number) if number else None
    if there is not None and there.status not in {"Deleted", "UnpublishedViolation"}:
        page = handoff.page(client.site, there.model_id, number)
        yield error("page-known", f"{part.name} has a page of yours, published from another machine: {page}",
                    "publish REF --edit takes it over; then publish REF shows it again", part=part)  # fmt: skip


def _same_weights(registry: Registry, form: PublishForm, version_id: str) -> Iterator[Finding]:
    """A published file under another header: the site can be asked for a hash of weights only where it caches the answer."""
    part = form.part(version_id)
    rows = registry.db.execute(_TWINS, (part.file.autov3, version_id)) if part.file.autov3 else []
    for name, number in rows:
        yield warning("weights-on-site", f"Civitai has the same weights as {name} (version {number})",
                      "publish them once", part=part, is_harmless=False)  # fmt: skip


_TWINS = """
SELECT DISTINCT m.name, v.civitai_id FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id
WHERE f.autov3 = ? AND v.id <> ? AND v.civitai_id IS NOT NULL
"""


def _joined(client: Civitai, form: PublishForm, account: str) -> Iterator[Finding]:
    """A model that the versions are to be added to."""
    if not form.civitai_model_id:
        return
    model = _owned(client, form.civitai_model_id, account)
    if model is None:
        page = f"{client.site}/models/{form.civitai_model_id}"
        yield error("model-foreign", f"there is no model {form.civitai_model_id} of yours", f"see {page}",
                    field="civitai_model_id")  # fmt: skip
        return
    if model.status == "Deleted":
        yield error("model-deleted", f"{model.name} was deleted there", "make a new model", field="civitai_model_id")
    taken = {version.name.strip().lower() for version in model.versions}
    for part in form.parts:
        if part.name.strip().lower() in taken:
            yield warning("version-on-site", f"{model.name} has a version {part.name} already", "give this one another name",
                          field="version_name", part=part)  # fmt: skip


def _owned(client: Civitai, number: int, account: str) -> OwnedModel | None:
    """Other people's public models are shown too."""
    try:
        model = client.owned_model(number)
    except (MissingError, NotOwnerError):
        return None
    return None if model.user.username and model.user.username != account else model


def _posts(registry: Registry, site: str, needed: int) -> Iterator[Finding]:
    used = posts_made(registry, site)
    if needed and used + needed > POSTS_A_DAY:
        yield warning("posts", f"{used} posts were made today and {needed} are needed: Civitai allows {POSTS_A_DAY} a day",
                      "what it refuses stays a draft, and goes on tomorrow with the same command")  # fmt: skip


def posts_made(registry: Registry, site: str, now: datetime | None = None) -> int:
    """Posts that were made from this registry in the last 24 hours; other programs' posts count too, unseen."""
    since = timestamps.of((now or datetime.now(UTC)) - timedelta(days=1))
    sql = """SELECT count(*) FROM publication_steps s JOIN publications p ON p.id = s.publication_id
        WHERE p.site IN (SELECT value FROM json_each(?)) AND s.name = 'post' AND s.started_at >= ?"""
    return int(registry.db.execute(sql, (journal.addresses(site), since)).fetchone()[0])
