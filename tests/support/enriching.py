"""A library and a site to ask about it, with a calendar of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hubman.civitai.client import Civitai
from hubman.civitai.enrich import Enriched, enrich
from hubman.civitai.updates import Update, updates
from hubman.progress import Report, silent
from hubman.sandbox import Seeded, seed_model
from registry import timestamps
from registry.database import Registry
from registry.scan import index_file
from tests.support.civitai import Bench, quick_registry, write_lora

DAY = timedelta(days=1)
_numbers = itertools.count(1)


def new_lora(path: Path, **options: Any) -> Path:
    """A file whose tensors no other test's file has: the site is shared."""
    number = next(_numbers)
    return write_lora(path, seed=number % 119, size=4096 + 16 * (number // 119), **options)


@dataclass
class Desk:
    """One registry and a client for a shared sandbox; ``now`` is what a run takes for the time."""

    site: Bench
    client: Civitai
    registry: Registry
    folder: Path
    now: datetime = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)

    def file(self, name: str, **options: Any) -> tuple[str, Path]:
        """A file that is here: (its version, its path)."""
        path = new_lora(self.folder / f"{name}.safetensors", **options)
        return index_file(self.registry, path), path

    def shared(self, name: str, *, version: dict[str, Any] | None = None, **fields: Any) -> tuple[str, Seeded]:
        """A file that is here and on the site."""
        version_id, path = self.file(name)
        options: dict[str, Any] = {"words": ["word"], "tags": ["style"], **fields}
        return version_id, seed_model(self.site.sandbox, path, name=name, version_fields=version, **options)

    def published(self, seeded: Seeded, name: str, **fields: Any) -> int:
        """A further version of a model on the site, with a file that is not here; returns its number."""
        path = new_lora(self.folder / "elsewhere" / f"{name}.safetensors")
        base = {"modelId": seeded.model_id, "name": name, "baseModel": "SD 1.5"}
        with self.site.client("full") as owner:
            number = owner.upsert_version({**base, **fields})
            sent = owner.upload_file(path, name=path.name)
            about = {"name": path.name, "type": "Model", "modelVersionId": number, "sizeKB": sent.size / 1024}
            owner.create_file({**about, "url": sent.url, "s3Path": sent.key})
            owner.publish_version(number)
        return number

    def change(self, kind: str, number: int, **fields: Any) -> None:
        """Change a document of the site behind its back."""
        store = self.site.sandbox.world.store
        store.put(kind, {**(store.get(kind, number) or {}), **fields})

    def enrich(self, *, report: Report = silent, **options: Any) -> Enriched:
        return enrich(self.registry, self.client, report=report, now=lambda: timestamps.of(self.now), **options)

    def updates(self, models: list[str] | None = None) -> list[Update]:
        return updates(self.registry, self.client, models, now=timestamps.of(self.now))

    def asked(self) -> int:
        """How many requests the site's API got so far."""
        return self.site.asked("/api/v1/")


@contextmanager
def desk(site: Bench, folder: Path) -> Iterator[Desk]:
    folder.mkdir(parents=True, exist_ok=True)
    site.sandbox.settings.faults = []
    with site.client("") as client, quick_registry(folder / "home") as registry:
        yield Desk(site, client, registry, folder)
