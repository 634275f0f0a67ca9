"""What Civitai knows of the files that are here: facts for those that it has, news for those that moved on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import msgspec

from hubman.civitai import facts
from hubman.civitai.client import Civitai
from hubman.civitai.errors import MissingError
from hubman.civitai.records import RemoteModel
from hubman.progress import Progress, Report
from registry import library
from registry.database import Registry
from registry.ids import HASHED


class Enriched(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of versions, by what became of them."""

    found: int = 0
    """Civitai has the file: its facts were written."""
    unknown: int = 0
    gone: int = 0
    """Civitai had it once: kept, and marked as deleted upstream."""


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose newest version on Civitai is not here. ``ref`` pulls it."""

    model_id: str
    name: str
    have: str
    newest: str
    base_model: str
    ref: str


def enrich(registry: Registry, client: Civitai, *, report: Report) -> Enriched:
    """Look every file of the library up by its hash and write down what Civitai says.

    What a person said stays. A model is marked as deleted only when the site says so, never for a failed request:
    those raise :class:`hubman.civitai.errors.CivitaiError`, and what was written until then stays.
    """
    hashes = _hashes(registry)
    report(Progress(stage="look up", total=len(hashes), unit="files"))
    matches = {match.hash.lower(): match for match in client.by_hash_ids(list(hashes)) if match.model_id}
    models = _models(client, (match.model_id for match in matches.values()))
    found = 0
    for done, (sha256, match) in enumerate(matches.items(), 1):
        version_id = hashes.get(sha256, "")
        model = models.get(match.model_id)
        version = next((v for v in model.versions if v.id == match.model_version_id), None) if model else None
        if version_id and model and version:
            facts.record(registry, version_id, model, version, is_rehearsal=client.is_rehearsal)
            found += 1
        report(Progress(stage="write", done=done, total=len(matches), unit="files"))
    seen = {hashes[sha256] for sha256 in matches if sha256 in hashes}
    gone = 0 if client.is_rehearsal else _mark_gone(registry, client, seen)
    return Enriched(found=found, unknown=len(hashes) - found - gone, gone=gone)


def updates(registry: Registry, client: Civitai, models: Collection[str] | None = None) -> list[Update]:
    """The models of the library, or those of ``models``, that have a newer version on Civitai, by name.

    The view ``@updates`` shows them from then on.
    """
    here: dict[int, list[tuple[str, str, int]]] = defaultdict(list)
    rows = registry.db.execute(
        "SELECT m.civitai_id, m.id, v.name, v.civitai_id FROM models m JOIN versions v ON v.model_id = m.id "
        "WHERE m.civitai_id IS NOT NULL AND m.deleted_at IS NULL ORDER BY v.added_at"
    )
    for number, model_id, version_name, version_number in rows:
        if models is not None and model_id not in models:
            continue
        here[number].append((model_id, version_name, version_number or 0))
    found = []
    for number, model in _models(client, here).items():
        newest = model.versions[0] if model.versions else None
        for model_id in {model_id for model_id, _name, _version in here[number]}:
            library.set_facts(registry, model_id, "civitai", {"newest_upstream": facts.newest_id(model)})
        known = {version for _model, _name, version in here[number]}
        # Ids grow with time: a version that only was reordered to the front is no news.
        if newest and newest.id > max(known):
            model_id, have, _version = here[number][-1]
            found.append(
                Update(
                    model_id=model_id,
                    name=model.name,
                    have=have,
                    newest=newest.name,
                    base_model=newest.base_model,
                    ref=f"{client.site}/models/{number}?modelVersionId={newest.id}",
                )
            )
    return sorted(found, key=lambda update: update.name.lower())


def not_on_civitai(registry: Registry, models: Collection[str] | None = None) -> list[str]:
    """The names of the models of the library, or of those of ``models``, of which no page on Civitai is known."""
    rows = registry.db.execute(
        "SELECT id, name FROM models WHERE civitai_id IS NULL AND deleted_at IS NULL ORDER BY name COLLATE NOCASE, id"
    )
    return [row["name"] for row in rows if models is None or row["id"] in models]


def _hashes(registry: Registry) -> dict[str, str]:
    """SHA-256 of every file to its version's id."""
    return {row[0]: row[1] for row in registry.db.execute(f"SELECT sha256, version_id FROM files WHERE {HASHED}")}  # noqa: S608 - a name of ours


def _models(client: Civitai, numbers: Iterable[int]) -> dict[int, RemoteModel]:
    return {model.id: model for model in client.models(sorted(set(numbers)))}


def _mark_gone(registry: Registry, client: Civitai, seen: set[str]) -> int:
    """Mark what came from Civitai and is not found any more; returns the number of versions."""
    rows = registry.db.execute(
        "SELECT v.id, m.id, m.civitai_id FROM versions v JOIN models m ON m.id = v.model_id WHERE m.civitai_id IS NOT NULL"
    ).fetchall()
    missing: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for version_id, model_id, number in rows:
        if version_id not in seen:
            missing[number].append((version_id, model_id))
    gone = 0
    for number, items in missing.items():
        try:
            client.model(number)
        except MissingError:
            library.set_facts(registry, items[0][1], "civitai", {"upstream_deleted": True})
            gone += len(items)
    return gone
