"""A trained LoRA that can be published, and what a whole publication of it looks like on the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hubman.civitai.client import Civitai
from hubman.civitai.finding import HARMLESS
from hubman.civitai.form import PublishForm
from hubman.civitai.form_edit import changed
from hubman.civitai.form_fill import filled
from hubman.civitai.publish import Publication, publish
from hubman.civitai.wire import Json
from hubman.progress import Progress
from registry import edits, library, previews
from registry.database import Registry
from registry.scan import index_file
from tests.support.civitai import Bench, write_lora, write_png

NAME = "Harbor Style"
GENERATION: dict[str, Any] = {
    "prompt": "hrbr style, a boat", "negative": "blurry", "seed": 2**60, "steps": 28, "cfg": 5.5, "sampler": "Euler a",
    "base": "/home/someone/sd15.safetensors", "loras": [{"name": "harbor", "strength": 0.7}],
}  # fmt: skip


def make_version(
    registry: Registry,
    folder: Path,
    *,
    name: str = NAME,
    seed: int = 0,
    size: int = 4096,
    metadata: dict[str, str] | None = None,
) -> str:
    """A trained LoRA with all that a publication wants; another ``seed`` makes another one."""
    path = write_lora(folder / "models" / f"harbor{seed or ''}.safetensors", seed=seed, size=size, metadata=metadata)
    version_id = index_file(registry, path)
    model = library.version(registry, version_id).model_id
    edits.edit(
        registry,
        model,
        version_id,
        {
            "name": name, "description": "Boats <& more>\n\nSecond.", "tags": "style,ink", "trigger_words": "hrbr style",
            "strength": "0.8", "strength_min": "0.5", "strength_max": "1", "base_model": "SD 1.5", "version_name": "v1.0",
        },
    )  # fmt: skip
    library.set_facts(registry, model, "training", {"origin": "trained"})
    for colour in ("red", "blue"):
        previews.add_preview(registry, version_id, write_png(folder / f"{colour}.png", colour), generation=GENERATION)
    return version_id


ANSWERS = {"nsfw": "no", "poi": "no", "minor": "no"}
"""What every form asks a person."""
_WAYS = frozenset({"draft", "dry_run", "edit", "replace", "report", "should_stop"})


def form_of(registry: Registry, *version_ids: str, **assignments: str) -> PublishForm:
    """A filled form in which every question is answered."""
    return changed(filled(registry, version_ids), {**ANSWERS, **assignments})


def publish_now(registry: Registry, client: Civitai, *version_ids: str, **given: Any) -> Publication:
    """Publish with ways of :func:`publish` and fields of the form, in any mixture."""
    ways = {name: value for name, value in given.items() if name in _WAYS}
    fields = {name: value for name, value in given.items() if name not in _WAYS}
    form = form_of(registry, *version_ids, **fields)
    return publish(registry, client, form, accept=[HARMLESS], **ways)


def add_version(registry: Registry, folder: Path, first: str, *, name: str = "v2.0", seed: int = 5) -> str:
    """A further version of the model that ``first`` is of."""
    version_id = make_version(registry, folder, seed=seed)
    model = library.version(registry, first).model_id
    library.set_facts(registry, version_id, "user", {"model": model, "version_name": name})
    return version_id


def held(site: Bench, kind: str, key: int) -> dict[str, Any]:
    """What the site holds under an id."""
    found = site.sandbox.world.store.get(kind, key)
    assert found is not None
    return found


def held_bytes(site: Bench, version: dict[str, Any]) -> bytes:
    """What the site holds as the version's file."""
    return site.sandbox.world.blob_path(version["files"][0]["key"]).read_bytes()


def local_bytes(registry: Registry, version_id: str) -> bytes:
    return Path(library.version(registry, version_id).files[0].places[0].path).read_bytes()


def the_only_one(site: Bench, *, status: str = "Published", name: str = NAME) -> dict[str, Any]:
    """The one model of this name, with one version, one file, one post and two different pictures."""
    models = site.sandbox.models_named(name)
    assert [model["status"] for model in models] == [status]
    assert len(models[0]["versions"]) == 1
    version: dict[str, Any] = models[0]["versions"][0]
    assert (version["status"], len(version["files"]), len(version["posts"])) == (status, 1, 1)
    assert not site.sandbox.unknown_keys
    pictures = version["posts"][0]["images"]
    assert len(pictures) == 2
    assert len({site.sandbox.world.blob_path(picture["url"]).read_bytes() for picture in pictures}) == 2
    return version


def age_steps(registry: Registry) -> None:
    """What was sent was sent long ago: no replica lags behind it."""
    registry.db.execute("UPDATE publication_steps SET started_at = '2026-01-01T00:00:00.000Z'")


def every(site: Bench, kind: str) -> list[dict[str, Any]]:
    """All that the site holds of a kind."""
    return site.sandbox.world.store.every(kind)


MISSING = '{"error":{"json":{"message":"No such thing","code":-32004,"data":{"code":"NOT_FOUND"}}}}'
"""What the site says of what it has not, or does not show."""


class Killed(BaseException):
    """The program ended here: nothing of it runs on, save what unwinds a transaction."""


def dies_at(*messages: str) -> Callable[[Progress], None]:
    """A watcher that kills the publication where it tells one of these."""

    def watch(event: Progress) -> None:
        if event.message in messages:
            raise Killed

    return watch


def on_another_machine(registry: Registry) -> None:
    """What sync brings to another machine are the facts, not the journal."""
    registry.db.execute("DELETE FROM publication_steps")
    registry.db.execute("DELETE FROM publications")


class Altered(Civitai):
    """A session in which the answers of one procedure are other than the site's: ``"absent"`` takes a field away."""

    def __init__(self, site: Bench, procedure: str, change: dict[str, Any]) -> None:
        super().__init__(site.sandbox.url, site.sandbox.token(), sleep=site.clock.sleep)
        self.altered = procedure, change

    def query(self, procedure: str, value: Any) -> Json:
        answer, (name, change) = super().query(procedure, value), self.altered
        changed = {**answer, **change} if procedure == name else answer
        return {key: item for key, item in changed.items() if item != "absent"} if procedure == name else changed
