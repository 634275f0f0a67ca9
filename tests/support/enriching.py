"""A library and a site to ask about it, with a calendar of their own."""

from __future__ import annotations

import functools
import itertools
import shutil
import tempfile
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
from hubman.sandbox import Sandbox, Seeded, files, seed_model, versions
from hubman.sandbox.accounts import CREATOR_USER, FULL, Caller
from hubman.sandbox.trpc import Call
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
        sandbox = self.site.sandbox
        call = Call(sandbox.world, Caller(CREATOR_USER, FULL, 0))
        with sandbox.world.store.transaction():
            number = int(versions.upsert(call, {**base, "status": "Draft", **fields})["id"])
            about = {
                "name": path.name,
                "type": "Model",
                "modelVersionId": number,
                "url": f"{sandbox.world.storage}/models/{number}",
            }
            files.create(call, {**about, "sizeKB": path.stat().st_size / 1024, "s3Path": _put(sandbox, path, number)})
            versions.publish(call, {"id": number})
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


def _put(sandbox: Sandbox, path: Path, number: int) -> str:
    key = f"test/{number}{path.suffix}"
    shutil.copyfile(path, sandbox.world.blob_path(key))
    return key


@functools.cache
def _fresh_registry() -> bytes:
    """An empty registry's file: to make its tables takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        Registry(Path(folder)).close()
        return (Path(folder) / "registry.db").read_bytes()


@contextmanager
def desk(site: Bench, folder: Path) -> Iterator[Desk]:
    (folder / "home").mkdir(parents=True, exist_ok=True)
    (folder / "home" / "registry.db").write_bytes(_fresh_registry())
    site.sandbox.settings.faults = []
    with site.client("") as client, quick_registry(folder / "home") as registry:
        yield Desk(site, client, registry, folder)
