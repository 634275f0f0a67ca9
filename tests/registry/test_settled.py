"""Who holds the name that a file had before it was hashed means, everywhere, the model that it turned out to be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from registry import (
    collecting,
    edits,
    ids,
    journal,
    library,
    organise,
    previews,
    renaming,
    roots,
    scan,
    sidecar_reread,
    sidecar_view,
    trash,
    undo,
    usage,
    usage_match,
    usage_profile,
)
from registry.database import Registry
from registry.errors import NotFoundError
from registry.usage import Drawing, Used
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def loras(registry: Registry, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    roots.add(registry, folder)
    return folder


def _listed(registry: Registry) -> list[str]:
    """The ids of all models, none of which is hashed."""
    scan.scan(registry, hashing=False)
    found = library.model_ids(registry)
    assert all(ids.is_provisional(model) for model in found)
    return found


@pytest.fixture
def old(registry: Registry, loras: Path) -> list[str]:
    """The ids that two copies of one content had."""
    path = write_model(loras / "a.safetensors", small_lora())
    shutil.copy(path, loras / "b.safetensors")
    found = _listed(registry)
    scan.scan(registry)
    assert len(library.model_ids(registry)) == 1
    return found


def test_old_ids_have_the_row_of_what_they_are_now_once(registry: Registry, old: list[str]) -> None:
    (model,) = library.model_ids(registry)
    assert [row.id for row in library.model_rows(registry, [*old, "nobody", model])] == [model]
    assert library.bytes_of(registry, old) == library.bytes_of(registry, [model])
    assert edits.newest_of(registry, old) == [(model, model)]


def test_an_edit_of_old_ids_is_planned_and_done_once(registry: Registry, old: list[str]) -> None:
    (model,) = library.model_ids(registry)
    targets = [(one, one) for one in old]
    assert [plan.model for plan in edits.plan_edit(registry, targets, {"rating": "5", "strength": "0.5"})] == [
        model
    ] * 2
    assert [plan.model for plan in edits.plan_tags(registry, old, add=["ink"])] == [model]
    entry = edits.edit_all(registry, targets, {"rating": "5", "strength": "0.5"})
    assert entry is not None
    assert (entry.models, entry.label) == ((model,), "rating, strength of a")
    assert library.show(registry, model).rating == 5
    undo.undo(registry, entry.id)
    assert library.show(registry, model).rating == 0


def test_files_of_old_ids_are_moved_named_and_put_into_the_trash(
    registry: Registry, loras: Path, old: list[str]
) -> None:
    (model,) = library.model_ids(registry)
    assert [line.model for line in organise.plan(registry, "sub/{name}", old[:1])] == [model] * 2
    assert [line.model for line in renaming.plan(registry, old[0], old[0], "Ink")] == [model] * 2
    assert renaming.rename(registry, old[0], "Ink") is not None
    assert trash.last_copies(registry, old) == ["Ink"]
    entry = trash.trash_files(registry, old)
    assert entry is not None
    assert entry.models == (model,)
    assert list(loras.iterdir()) == [loras / ".trash"]
    assert trash.restore(registry, old) is not None
    assert {path.name for path in loras.glob("*.safetensors")} == {"a.safetensors", "b.safetensors"}
    assert [row.flags for row in library.list_models(registry)] == ["D"]


def test_old_ids_are_put_into_collections_and_taken_out(registry: Registry, old: list[str]) -> None:
    (model,) = library.model_ids(registry)
    collecting.create(registry, "Clients")
    entry = collecting.put(registry, "Clients", old)
    assert entry is not None
    assert entry.label == "a put into Clients"
    assert collecting.members(registry, "Clients") == [model]
    collecting.take_out(registry, "Clients", old)
    assert collecting.members(registry, "Clients") == []


def test_sidecars_and_usage_of_old_ids_are_those_of_the_model(registry: Registry, loras: Path, old: list[str]) -> None:
    (model,) = library.model_ids(registry)
    (loras / "a.json").write_text(json.dumps({"notes": "fine lines"}))
    assert sidecar_reread.reread(registry, old).files == 2
    assert sidecar_view.provenance(registry, old[0]).model == model
    (sha256,) = {file.sha256 for version in library.show(registry, model).versions for file in version.files}
    used = Used(kind="lora", name="a", hash=sha256)
    with registry.transaction() as db:
        usage.record(
            db, [Drawing(content="c", made_at="2026-01-01T00:00:00.000Z", tool="a1111", path="/x", uses=(used,))]
        )
    usage_match.refresh(registry)
    assert usage_profile.profile(registry, old[0]).times == 1
    assert len(usage_profile.pictures(registry, old[1])) == 1


def test_pictures_of_old_ids_are_chosen_and_taken_away(registry: Registry, tmp_path: Path, old: list[str]) -> None:
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    Image.new("RGB", (8, 8)).save(first)
    Image.new("RGB", (9, 9)).save(second)
    previews.add_preview(registry, old[0], first)
    assert edits.show_first(registry, old[0], second) is not None
    shown = previews.shown(registry, old[0])
    assert shown is not None
    assert shown.name == "2.png"
    assert edits.set_picture_level(registry, old[0], shown.sha256, 4) is not None
    previews.remove_preview(registry, old[1], shown.sha256)
    left = previews.shown(registry, old[1])
    assert left is not None
    assert (left.name, left.of) == ("1.png", 1)


def test_nothing_is_said_of_what_nobody_knows(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora())
    scan.scan(registry)
    for unknown in (ids.new_provisional_id(), "i" + "0" * 25):
        for edit in (
            lambda one: edits.edit(registry, one, one, {"rating": "5"}),
            lambda one: edits.plan_edit(registry, [(one, one)], {"rating": "5"}),
            lambda one: edits.edit_each(registry, [((one, one), {"notes": "mine"})], "one row"),
            lambda one: edits.tag(registry, [one], add=["x"]),
            lambda one: edits.set_words(registry, one, []),
            lambda one: edits.say(registry, one, {"strength": 0.5}),
            lambda one: edits.trash(registry, one),
            lambda one: trash.trash_files(registry, [one]),
            lambda one: renaming.rename(registry, one, "Ink"),
        ):
            with pytest.raises(NotFoundError):
                edit(unknown)
    assert journal.entries(registry) == []
    assert registry.db.execute("SELECT count(*) FROM facts WHERE source = 'user'").fetchone()[0] == 0


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_edits_of_two_copies_of_one_content_are_one_edit_of_it(
    registry: Registry, loras: Path, order: tuple[str, str]
) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    shutil.copy(path, loras / "b.safetensors")
    both = _listed(registry)
    edits.edit_all(registry, [(one, one) for one in both], {"rating": "2", "notes": "old"})
    tagged = edits.tag(registry, both, add=["x"])
    edited = edits.edit_all(registry, [(one, one) for one in both], {"rating": "5", "notes": "new", "strength": "0.5"})
    assert tagged is not None
    assert edited is not None
    for name in order:
        scan.index_file(registry, loras / f"{name}.safetensors")
    (model,) = library.model_ids(registry)
    assert [entry.models for entry in journal.entries(registry)] == [(model,)] * 3
    shown = library.show(registry, model)
    assert (shown.rating, shown.notes, shown.tags) == (5, "new", ("x",))
    assert undo.undo(registry, edited.id).kept == ()
    shown = library.show(registry, model)
    assert (shown.rating, shown.notes, shown.tags, shown.versions[0].strength) == (2, "old", ("x",), None)
    assert undo.undo(registry, tagged.id).kept == ()
    assert library.show(registry, model).tags == ()


_CIVITAI = {"id": 7, "modelId": 9, "name": "v1", "model": {"name": "Foo", "type": "LORA"}, "baseModel": "SDXL 1.0"}


def test_what_a_person_cleared_after_a_sidecar_named_the_model_stays_cleared(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    (old,) = _listed(registry)
    edits.edit(registry, old, old, {"rating": "5", "notes": "mine", "strength": "0.5"})
    edits.tag(registry, [old], add=["x", "y"])
    (loras / "a.civitai.info").write_text(json.dumps(_CIVITAI))
    sidecar_reread.at(registry, [str(path)])
    (model,) = library.model_ids(registry)
    assert library.show(registry, model).tags == ("x", "y")
    assert edits.newest_of(registry, [old]) == [(model, old)]
    edits.edit(registry, model, old, {"rating": "", "notes": ""})
    edits.tag(registry, [model], remove=["x"])
    scan.scan(registry)
    assert library.model_ids(registry) == [model]
    shown = library.show(registry, model)
    assert (shown.rating, shown.notes, shown.tags, shown.versions[0].strength) == (0, "", ("y",), 0.5)


def test_what_was_said_comes_along_when_the_sidecar_turns_out_to_be_of_another(registry: Registry, loras: Path) -> None:
    other = write_model(loras / "other.safetensors", small_lora(), seed=2)
    (loras / "other.civitai.info").write_text(json.dumps(_CIVITAI))
    scan.scan(registry)
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry, hashing=False)
    old = library.resolve(registry, str(path))[0]
    edits.edit(registry, old, old, {"rating": "5"})
    shutil.copy(loras / "other.civitai.info", loras / "a.civitai.info")
    sidecar_reread.at(registry, [str(path)])
    taken_for = library.resolve(registry, str(path))[0]
    assert taken_for == library.resolve(registry, str(other))[0]
    (loras / "a.civitai.info").unlink()
    scan.scan(registry)
    model = library.resolve(registry, str(path))[0]
    assert model != taken_for
    assert library.show(registry, model).rating == 5


def test_what_the_journal_and_the_trash_say_of_one_file_is_found_without_reading_all(registry: Registry) -> None:
    for table, column in (("journal_steps", "item"), ("trashed", "model"), ("trashed", "sha256")):
        plan = registry.db.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {column} = 'a'").fetchall()  # noqa: S608
        assert [row[3].split()[0] for row in plan] == ["SEARCH"]
