"""What Civitai knows of the files that are here: identified by hash, described by their model's page, illustrated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from hubman.civitai import archiving, facts, identify
from hubman.civitai.allowance import Allowance
from hubman.civitai.asking import Asking
from hubman.civitai.client import Civitai
from hubman.civitai.illustrate import illustrate
from hubman.civitai.records import RemoteModel, model_from
from hubman.civitai.wanted import Wanted
from hubman.progress import Progress, Report
from registry import archive, timestamps, upstream_hashes
from registry.database import Registry
from registry.upstream_hashes import Known

_WRITTEN_AT_ONCE = 100


class Enriched(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of files, by what is known of them now, and what this run did."""

    found: int = 0
    """Civitai has the file: what it says of it was written."""
    unknown: int = 0
    gone: int = 0
    """Civitai had its model once: kept, and marked as deleted upstream."""
    unhashed: int = 0
    """Listed and not hashed yet: they wait."""
    pictures: int = 0
    """Pictures that came along."""
    waiting: int = 0
    """Files with something left to ask for when the requests of the day were used up."""
    requests: int = 0


def enrich(
    registry: Registry,
    client: Civitai,
    *,
    report: Report,
    models: Sequence[str] | None = None,
    again: bool = False,
    wanted: Wanted | None = None,
    now: Callable[[], str] = timestamps.now,
) -> Enriched:
    """Look the files of the library, or of ``models``, up by their hashes and write down what Civitai says.

    What a person said stays. What was asked before is not asked again too soon, unless ``again``. A model is marked as
    deleted only when the site says so, never for a failed request: those raise
    :class:`hubman.civitai.errors.CivitaiError`, and what was written until then stays. The same holds where ``report``
    raises to stop it.
    """
    at = now()
    versions = None if models is None else upstream_hashes.versions_of(registry, models)
    files = upstream_hashes.known(registry, versions)
    run = Asking(registry, client, report, versions, at, Allowance(registry, len(files), at, is_daily=not again), again)
    if client.is_rehearsal:
        return _rehearse(run)
    identify.by_sha256(run)
    _read_pages(run)
    waiting = identify.by_tensors(run)
    _read_pages(run)
    came, unillustrated = illustrate(run, wanted or Wanted())
    return _counted(run, pictures=came, waiting=waiting + unillustrated)


def _read_pages(run: Asking) -> None:
    """The pages of all models that files here are of: those not seen lately are asked for, the others are archived."""
    files: dict[int, list[Known]] = defaultdict(list)
    for one in run.known():
        files[one.model].append(one)
    files.pop(0, None)
    stale = archiving.stale(run, [*files, *_numbers(run)])
    gone = {number for number, page in archive.pages(run.registry).items() if page.gone_at}
    fresh = sorted(set(files) - set(stale) - gone)
    unwritten = [number for number in fresh if not all(one.is_written for one in files[number])]
    for start in range(0, len(unwritten), _WRITTEN_AT_ONCE):
        batch = archive.models(run.registry, unwritten[start : start + _WRITTEN_AT_ONCE])
        with run.registry.transaction():
            _write(run, files, [model_from(raw) for _, raw in batch])
    archiving.ask(run, stale, partial(_write, run, files))


def _numbers(run: Asking) -> list[int]:
    """Models that the library knows by number, also those of which no file was found by its hash."""
    sql = (
        "SELECT DISTINCT m.civitai_id FROM models m JOIN versions v ON v.model_id = m.id WHERE m.civitai_id IS NOT NULL"
    )
    if run.versions is not None:
        sql += " AND v.id IN (SELECT value FROM json_each(:versions))"
    versions = msgspec.json.encode(list(run.versions or ())).decode()
    return [row[0] for row in run.registry.db.execute(f"{sql} AND m.deleted_at IS NULL", {"versions": versions})]


def _write(run: Asking, files: Mapping[int, list[Known]], models: Sequence[RemoteModel]) -> None:
    """Say of the files of these models what their pages say. A version that is not on the page says nothing."""
    for model in models:
        versions = {version.id: version for version in model.versions}
        for one in files.get(model.id, ()):
            version = versions.get(one.version)
            if version is not None:
                facts.record(run.registry, one.version_id, model, version, is_rehearsal=run.client.is_rehearsal)
                upstream_hashes.written(run.registry.db, one.sha256, len(version.images))


def _counted(run: Asking, *, pictures: int, waiting: int) -> Enriched:
    pages = archive.pages(run.registry)
    gone = found = unknown = 0
    for one in run.known():
        page = pages.get(one.model or one.civitai_model)
        is_gone = page is not None and bool(page.gone_at)
        gone += is_gone
        found += bool(one.version) and not is_gone
        unknown += not one.version and not is_gone
    return Enriched(
        found=found,
        unknown=unknown,
        gone=gone,
        unhashed=upstream_hashes.unhashed(run.registry, run.versions),
        pictures=pictures,
        waiting=waiting,
        requests=run.allowance.used,
    )


def _rehearse(run: Asking) -> Enriched:
    """At the sandbox, whose numbers mean nothing elsewhere and whose content changes all the time: nothing is remembered."""
    held = {one.sha256: one for one in run.known()}
    run.report(Progress(stage="look up", total=len(held), unit="files"))
    matches = {match.hash.lower(): match for match in run.client.by_hash_ids(list(held))}
    models = {model.id: model for model in run.client.models(sorted({one.model_id for one in matches.values()}))}
    found = 0
    for sha256, match in matches.items():
        model = models.get(match.model_id)
        version = next((one for one in model.versions if one.id == match.model_version_id), None) if model else None
        if model and version and sha256 in held:
            facts.record(run.registry, held[sha256].version_id, model, version, is_rehearsal=True)
            found += 1
    return Enriched(
        found=found, unknown=len(held) - found, unhashed=upstream_hashes.unhashed(run.registry, run.versions)
    )
