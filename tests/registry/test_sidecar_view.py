"""Who said what, where they disagree, and sidecars that were edited since the scan."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import edits, library, roots, scan, sidecar_store, sidecar_write, trash
from registry.database import Registry
from registry.errors import UsageError
from registry.sidecar_reread import reread
from registry.sidecar_view import FieldView, conflicts, provenance
from registry.undo import undo
from tests.support.civitai import png, write_png
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def loras(registry: Registry, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    write_model(folder / "a.safetensors", small_lora(), {"ss_base_model_version": "sd_v1"}, seed=1)
    roots.add(registry, folder)
    return folder


def _write(folder: Path, name: str, doc: Any) -> str:
    (folder / name).write_text(json.dumps(doc))
    return str(folder / name)


def _field(registry: Registry, name: str) -> FieldView:
    found = provenance(registry, library.model_ids(registry)[0])
    return next(field for field in found.fields if field.field == name)


def test_every_source_of_a_field_is_told_and_the_shown_one_marked(registry: Registry, loras: Path) -> None:
    manager = _write(loras, "a.metadata.json", {"model_name": "Ink", "base_model": "Pony", "trainedWords": ["ink"]})
    matrix = _write(
        loras, "a.cm-info.json", {"ModelName": "Other", "BaseModel": "SDXL 1.0", "TrainedWords": ["Ink", "wash"]}
    )
    scan.scan(registry)
    assert [(one.dialect, one.path, one.value, one.is_shown) for one in _field(registry, "name").sayings] == [
        ("metadata.json", manager, "Ink", True),
        ("cm-info.json", matrix, "Other", False),
    ]
    base = _field(registry, "base_model")
    assert [one.source for one in base.sayings] == ["sidecar", "sidecar", "header"]
    assert (base.shown, base.is_conflict, base.is_decided) == ("Pony", True, False)
    words = _field(registry, "trigger_words")
    assert words.shown == ["ink", "wash"]
    assert [(one.value, one.dialect) for one in words.sayings] == [
        ("ink", "metadata.json"),
        ("Ink", "cm-info.json"),
        ("wash", "cm-info.json"),
    ]
    assert not words.is_conflict


def test_a_person_decides_a_conflict(registry: Registry, loras: Path) -> None:
    _write(loras, "a.metadata.json", {"model_name": "Ink", "notes": "one"})
    _write(loras, "a.cm-info.json", {"ModelName": "Other"})
    _write(loras, "a.txt", {})
    (loras / "a.txt").write_text("two, longer")
    scan.scan(registry)
    (model,) = library.model_ids(registry)
    (found,) = conflicts(registry, [model])
    assert [field.field for field in found.conflicts] == ["name", "notes"]
    edits.edit(registry, model, model, {"name": "Mine", "notes": "my own"})
    assert conflicts(registry, [model]) == []
    name = _field(registry, "name")
    assert (name.sayings[0].source, name.sayings[0].is_shown, name.is_conflict, name.is_decided) == (
        "user",
        True,
        True,
        True,
    )
    notes = _field(registry, "notes")
    assert [(one.source, one.value, one.is_shown) for one in notes.sayings] == [
        ("kept", "my own", True),
        ("sidecar", "one", False),
        ("sidecar", "two, longer", False),
    ]
    undo(registry)
    assert len(conflicts(registry, [model])) == 1


def test_naming_the_family_inside_sdxl_is_no_conflict_with_a_header_that_cannot_know_it(
    registry: Registry, loras: Path
) -> None:
    write_model(loras / "a.safetensors", small_lora(width=2048), {"ss_base_model_version": "sdxl_base_v1-0"}, seed=2)
    _write(loras, "a.metadata.json", {"base_model": "Pony", "model_name": "a"})
    scan.scan(registry)
    base = _field(registry, "base_model")
    assert len(base.sayings) == 2
    assert not base.is_conflict


def test_a_sidecar_of_other_content_is_shown_and_does_not_count(registry: Registry, loras: Path) -> None:
    _write(loras, "a.metadata.json", {"model_name": "Left", "sha256": "ab" * 32})
    _write(loras, "a.cm-info.json", {"ModelName": "Ink"})
    scan.scan(registry)
    name = _field(registry, "name")
    assert [(one.value, one.note, one.is_shown) for one in name.sayings] == [
        ("Ink", "", True),
        ("Left", "of other content", False),
    ]
    assert not name.is_conflict


def test_two_long_texts_that_begin_alike_are_still_told_apart(registry: Registry, loras: Path) -> None:
    beginning = "word " * 200
    _write(loras, "a.metadata.json", {"model_name": "x", "notes": beginning + "one"})
    (loras / "a.txt").write_text(beginning + "two")
    scan.scan(registry)
    notes = _field(registry, "notes")
    assert notes.is_conflict
    assert all(len(one.value) < 500 for one in notes.sayings)
    assert [one.is_shown for one in notes.sayings] == [True, False]


def test_a_broken_sidecar_is_named_until_it_is_mended(registry: Registry, loras: Path) -> None:
    (loras / "a.metadata.json").write_text("{")
    scan.scan(registry)
    (model,) = library.model_ids(registry)
    (row,) = provenance(registry, model).broken
    assert row.path.endswith("a.metadata.json")
    assert "can be understood" in (row.problem or "")
    assert len(reread(registry, [model]).problems) == 1
    _write(loras, "a.metadata.json", {"model_name": "Ink"})
    assert reread(registry, [model]).problems == ()
    assert provenance(registry, model).broken == ()
    assert library.list_models(registry)[0].name == "Ink"


def test_an_edited_sidecar_is_read_again_and_brings_back_nothing_that_a_person_took_away(
    registry: Registry, loras: Path
) -> None:
    doc = {"model_name": "Ink", "notes": "first", "tags": ["one", "two"], "trainedWords": ["w"], "base_model": "Pony"}
    _write(loras, "a.metadata.json", doc)
    scan.scan(registry)
    (model,) = library.model_ids(registry)
    edits.tag(registry, [model], remove=["one"])
    edits.edit(registry, model, model, {"base_model": "Illustrious"})
    _write(loras, "a.metadata.json", {**doc, "notes": "second", "tags": ["one", "three"], "base_model": "SDXL 1.0"})
    result = reread(registry, [model])
    assert (result.files, result.sidecars, result.models) == (1, 1, 1)
    detail = library.show(registry, model)
    assert (detail.notes, detail.tags, detail.versions[0].base_model) == ("second", ("three", "two"), "Illustrious")
    assert reread(registry, [model]).models == 0, "nothing is news the second time"


def test_a_note_that_a_person_wrote_or_emptied_stays(registry: Registry, loras: Path) -> None:
    _write(loras, "a.metadata.json", {"model_name": "Ink", "notes": "theirs"})
    scan.scan(registry)
    (model,) = library.model_ids(registry)
    edits.edit(registry, model, model, {"notes": "mine"})
    _write(loras, "a.metadata.json", {"model_name": "Ink", "notes": "theirs again"})
    reread(registry, [model])
    assert library.show(registry, model).notes == "mine"
    edits.edit(registry, model, model, {"notes": ""})
    reread(registry, [model])
    assert not library.show(registry, model).notes


def test_a_new_sidecar_beside_a_known_file_comes_in(registry: Registry, loras: Path) -> None:
    scan.scan(registry)
    _write(loras, "a.json", {"activation text": "ink", "negative text": "blur", "preferred weight": 0.5, "notes": "n"})
    (model,) = library.model_ids(registry)
    reread(registry, [model])
    detail = library.show(registry, model)
    assert (detail.notes, detail.versions[0].trigger_words, detail.versions[0].negative_prompt) == (
        "n",
        ("ink",),
        "blur",
    )
    assert detail.versions[0].strength == 0.5


def test_a_dialect_that_is_off_says_nothing(registry: Registry, loras: Path) -> None:
    with registry.transaction() as db:
        sidecar_store.choose(db, {"metadata.json": "off"})
    _write(loras, "a.metadata.json", {"model_name": "Ink", "tags": ["x"], "notes": "n"})
    _write(loras, "a.cm-info.json", {"ModelName": "Other"})
    scan.scan(registry)
    (row,) = library.list_models(registry)
    assert (row.name, row.tags) == ("Other", ())
    assert [one.dialect for one in _field(registry, "name").sayings] == ["cm-info.json"]
    with registry.transaction() as db:
        sidecar_store.choose(db, {"metadata.json": "read"})
    reread(registry, [row.id])
    assert library.list_models(registry)[0].name == "Ink"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"x.json": "read"}, "there is no dialect x.json"),
        ({"txt": "write"}, "can only be read"),
        ({"md": "maybe"}, "say off"),
    ],
)
def test_a_wrong_choice_of_dialects_is_refused(registry: Registry, choice: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message), registry.transaction() as db:
        sidecar_store.choose(db, choice)
    assert set(sidecar_store.dialects(registry.db).values()) == {"read"}, "none is written unless somebody says so"


def test_what_moves_keeps_its_sources(registry: Registry, loras: Path) -> None:
    _write(loras, "a.metadata.json", {"model_name": "Ink"})
    scan.scan(registry)
    (model,) = library.model_ids(registry)
    trash.trash_files(registry, [model])
    undo(registry)
    (one,) = _field(registry, "name").sayings
    assert one.path == str(loras / "a.metadata.json")


def test_the_level_of_a_preview_beside_the_file_is_kept(registry: Registry, loras: Path) -> None:
    write_png(loras / "a.preview.png")
    _write(loras, "a.metadata.json", {"model_name": "Ink", "preview_nsfw_level": 8})
    scan.scan(registry)
    (model,) = library.model_ids(registry)
    assert library.show(registry, model).versions[0].previews[0].nsfw_level == 8


@pytest.mark.parametrize("is_read", [False, True], ids=["within the drive", "read again"])
def test_what_somebody_else_moved_has_its_sources_where_they_are_now(
    registry: Registry, loras: Path, is_read: bool
) -> None:
    _write(loras, "a.metadata.json", {"model_name": "Ink"})
    scan.scan(registry)
    (loras / "sub").mkdir()
    for name in ("a.safetensors", "a.metadata.json"):
        (loras / name).rename(loras / "sub" / name)
    if is_read:
        os.utime(loras / "sub" / "a.safetensors", (1, 1))
    assert scan.scan(registry).moved == 1
    (one,) = _field(registry, "name").sayings
    assert one.path == str(loras / "sub" / "a.metadata.json")


def test_the_covers_of_an_old_extension_are_the_last_picture_that_is_looked_for(
    registry: Registry, loras: Path
) -> None:
    cover = base64.b64encode(png("blue")).decode()
    metadata = {"ssmd_cover_images": json.dumps(["", 5, cover])}
    write_model(loras / "b.safetensors", small_lora(), metadata, seed=5)
    thumbnail = "data:image/png;base64," + base64.b64encode(png("red")).decode()
    write_model(loras / "c.safetensors", small_lora(), {**metadata, "modelspec.thumbnail": thumbnail}, seed=6)
    write_model(loras / "d.safetensors", small_lora(), {"ssmd_cover_images": "[" * 5000}, seed=7)
    scan.scan(registry)
    names = {row.name: library.show(registry, row.id).versions[0].previews for row in library.list_models(registry)}
    assert {name: [one.name for one in shown] for name, shown in names.items()} == {
        "a": [],
        "b": ["cover"],
        "c": ["thumbnail.png"],
        "d": [],
    }


_NAME = st.sampled_from(["Ink", "ink", "Other", "", "x" * 300])
_SIDECARS = st.fixed_dictionaries(
    {},
    optional={
        "a.metadata.json": st.fixed_dictionaries(
            {"model_name": _NAME},
            optional={
                "base_model": st.sampled_from(["Pony", "SDXL 1.0", "Unknown"]), "notes": st.text(max_size=5), "favorite": st.booleans(),
                "sha256": st.sampled_from(["", "ab" * 32]), "tags": st.lists(_NAME, max_size=2),
                "civitai": st.sampled_from([{}, {"id": 5, "modelId": 6, "nsfwLevel": 4}]),
            },
        ),
        "a.cm-info.json": st.fixed_dictionaries(
            {"ModelName": _NAME},
            optional={
                "BaseModel": st.sampled_from(["Pony", "Flux.1 D"]), "AuthorUsername": _NAME, "ModelId": st.sampled_from([6, 7]),
                "TrainedWords": st.lists(_NAME, max_size=2), "Nsfw": st.booleans(),
            },
        ),
        "a.json": st.fixed_dictionaries(
            {"activation text": _NAME}, optional={"preferred weight": st.sampled_from([0, 0.5, 1]), "negative text": st.text(max_size=5)}
        ),
        "a.txt": st.just({"any": "text"}),
    },
)  # fmt: skip
_TYPED = st.fixed_dictionaries(
    {}, optional={"name": _NAME, "base_model": _NAME, "strength": st.sampled_from(["", "0.3"])}
)


@settings(max_examples=40, deadline=None)
@given(_SIDECARS, _TYPED, _SIDECARS)
def test_what_is_marked_as_shown_is_what_is_shown(
    beside: dict[str, Any], typed: dict[str, str], later: dict[str, Any]
) -> None:
    with TemporaryDirectory() as here, Registry(Path(here) / "home") as registry:
        folder = Path(here) / "loras"
        write_model(folder / "a.safetensors", small_lora(), seed=1)
        roots.add(registry, folder)
        for name, doc in beside.items():
            _write(folder, name, doc)
        scan.scan(registry)
        (model,) = library.model_ids(registry)
        edits.edit(registry, model, library.show(registry, model).versions[0].id, typed)
        for name, doc in later.items():
            _write(folder, name, doc)
        reread(registry, library.model_ids(registry))
        (model,) = library.model_ids(registry)
        detail = library.show(registry, model)
        for field in provenance(registry, model).fields:
            item: Any = detail if field.level == "model" else detail.versions[0]
            attribute = {"version_name": "name", "civitai_model_id": "civitai_id", "civitai_version_id": "civitai_id"}
            if not hasattr(item, attribute.get(field.field, field.field)):
                continue
            shown = getattr(item, attribute.get(field.field, field.field))
            if isinstance(shown, tuple):
                assert sorted(field.shown) == sorted(shown)
                continue
            assert field.shown in {None, ""} or field.shown == sidecar_store.cut(shown), field
            assert all(one.value == field.shown for one in field.sayings if one.is_shown)


def test_a_second_copy_brings_what_only_its_sidecars_say_and_nothing_that_was_taken_away(
    registry: Registry, loras: Path
) -> None:
    _write(loras, "a.metadata.json", {"model_name": "Ink", "tags": ["one", "two"]})
    scan.scan(registry)
    (model,) = library.model_ids(registry)
    edits.tag(registry, [model], remove=["one"])
    (loras / "b.safetensors").write_bytes((loras / "a.safetensors").read_bytes())
    _write(loras, "b.metadata.json", {"model_name": "Ink", "tags": ["one", "three"]})
    scan.scan(registry)
    assert library.show(registry, model).tags == ("three", "two")
    assert len(_field(registry, "name").sayings) == 2


def test_a_file_that_is_not_hashed_yet_has_its_sources_and_is_not_written_beside(
    registry: Registry, loras: Path
) -> None:
    _write(loras, "a.metadata.json", {"model_name": "Ink", "tags": ["one", "two"], "sha256": "ab" * 32})
    _write(loras, "a.cm-info.json", {"ModelName": "Other", "Tags": ["three"]})
    scan.scan(registry, hashing=False)
    (model,) = library.model_ids(registry)
    assert [(one.value, one.is_shown) for one in _field(registry, "name").sayings] == [("Ink", True), ("Other", False)]
    (line,) = sidecar_write.plan(registry, [model], ["json"])
    assert "not hashed yet" in line.reason
    assert reread(registry, [model]).models == 0
    edits.tag(registry, [model], remove=["three"])
    scan.scan(registry)
    (model,) = library.model_ids(registry)
    assert [(one.value, one.note) for one in _field(registry, "name").sayings] == [
        ("Other", ""),
        ("Ink", "of other content"),
    ]
    assert "three" not in library.show(registry, model).tags, "what a person took away before does not come back"
