"""Files are listed by their headers first: what is said of them before they are hashed holds afterwards."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
from PIL import Image

from hubman.sync.records import state
from registry import (
    changes,
    collecting,
    edits,
    ids,
    journal,
    library,
    moved_places,
    organise,
    previews,
    projection,
    roots,
    scan,
    settled,
    trash,
    undo,
    unhashed,
)
from registry.database import Registry
from registry.hashing import hash_file
from registry.scan_read import first_look
from registry.scan_walk import look_at
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def loras(registry: Registry, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    roots.add(registry, folder)
    return folder


def _listed(registry: Registry) -> str:
    """The id of the only model, which is not hashed."""
    scan.scan(registry, hashing=False)
    (row,) = library.list_models(registry)
    assert ids.is_provisional(row.id)
    return row.id


def _version_of(path: Path) -> str:
    return ids.item_id(hash_file(path).sha256)


def test_files_are_listed_and_found_before_they_are_hashed(registry: Registry, loras: Path) -> None:
    write_model(loras / "ink.safetensors", small_lora(width=2048, rank=8), {"modelspec.title": "Ink Wash"})
    (loras / "old.ckpt").write_bytes(b"\x80\x02pickle")
    result = scan.scan(registry, hashing=False)
    assert (result.new, result.unhashed) == (2, 2)
    rows = {row.name: row for row in library.list_models(registry)}
    assert (rows["Ink Wash"].architecture, rows["Ink Wash"].rank, rows["Ink Wash"].flags) == ("sdxl", 8, "")
    assert [row.name for row in library.list_models(registry, "rank:8 ink")] == ["Ink Wash"]
    assert library.resolve(registry, str(loras / "ink.safetensors"))[0] == rows["Ink Wash"].id
    again = scan.scan(registry)
    assert (again.new, again.changed, again.moved, again.unchanged, again.unhashed) == (0, 0, 0, 2, 0)
    assert {row.id for row in library.list_models(registry)} == {
        _version_of(loras / "ink.safetensors"),
        _version_of(loras / "old.ckpt"),
    }


def test_everything_is_listed_before_the_first_file_is_read_to_its_end(registry: Registry, loras: Path) -> None:
    for number in range(3):
        write_model(loras / f"{number}.safetensors", small_lora(), seed=number)
    stages: list[str] = []
    scan.scan(registry, lambda stage, _done, _total: stages.append(stage))
    assert list(dict.fromkeys(stages)) == ["looking", "listing", "reading"]


def test_what_a_person_says_meanwhile_is_said_of_the_content(registry: Registry, loras: Path, tmp_path: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    edits.edit(registry, item, item, {"rating": "4", "notes": "mine", "strength": "0.7", "trigger_words": "inkwash"})
    edits.tag(registry, [item], add=["style"])
    collecting.create(registry, "Clients/A")
    collecting.put(registry, "Clients/A", [item])
    picture = tmp_path / "p.png"
    Image.new("RGB", (8, 8), "red").save(picture)
    shown = previews.add_preview(registry, item, picture)
    scan.scan(registry)
    detail = library.show(registry, _version_of(path))
    (version,) = detail.versions
    assert (detail.rating, detail.notes, detail.tags) == (4, "mine", ("style",))
    assert detail.collections == ("Clients/A",)
    assert (version.strength, version.trigger_words) == (0.7, ("inkwash",))
    assert [one.sha256 for one in version.previews] == [shown]
    assert unhashed.count(registry.db) == 0
    left = registry.db.execute("SELECT count(*) FROM facts WHERE item = ?", (item,)).fetchone()[0]
    assert left == 0


def test_what_was_done_meanwhile_can_still_be_undone(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    edits.edit(registry, item, item, {"rating": "4"})
    edits.edit(registry, item, item, {"rating": "2"})
    scan.scan(registry)
    undo.undo(registry)
    assert library.show(registry, _version_of(path)).rating == 4
    assert journal.entries(registry)[0].models == (_version_of(path),)


def test_who_still_holds_the_old_name_means_the_version_that_it_is(
    registry: Registry, loras: Path, tmp_path: Path
) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    edits.tag(registry, [item], add=["early"])
    scan.scan(registry)
    edits.edit(registry, item, item, {"rating": "3", "strength": "0.6", "notes": "late"})
    edits.tag(registry, [item], add=["late"], remove=["early"])
    picture = tmp_path / "p.png"
    Image.new("RGB", (8, 8), "red").save(picture)
    previews.add_preview(registry, item, picture)
    assert library.resolve(registry, item) == (_version_of(path), _version_of(path))
    detail = library.show(registry, item)
    assert (detail.id, detail.rating, detail.notes, detail.tags) == (_version_of(path), 3, "late", ("late",))
    assert (detail.versions[0].strength, len(detail.versions[0].previews)) == (0.6, 1)
    assert registry.db.execute("SELECT 1 FROM facts WHERE item = ?", (item,)).fetchone() is None
    undo.undo(registry)
    assert library.show(registry, item).tags == ("early",)


def test_a_verb_that_needs_the_hash_gets_it(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    assert library.show(registry, item).versions[0].files[0].sha256 == ""
    assert scan.hashed(registry, item) == _version_of(path)
    assert scan.hashed(registry, item) == _version_of(path)
    assert unhashed.count(registry.db) == 0


def test_a_query_finds_what_waits_for_its_hash(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    write_model(loras / "b.safetensors", small_lora(), seed=2)
    scan.scan(registry, hashing=False)
    assert [row.name for row in library.list_models(registry, "is:unhashed")] == ["b"]


def test_a_name_that_needs_the_hash_waits_for_it(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora())
    scan.scan(registry, hashing=False)
    (line,) = organise.plan(registry, "{model} {hash8}", library.model_ids(registry))
    assert line.conflict == "it has no hash yet: scan first"
    scan.scan(registry)
    (line,) = organise.plan(registry, "{model} {hash8}", library.model_ids(registry))
    assert line.conflict == ""


def test_nothing_that_has_no_name_yet_leaves_this_machine(registry: Registry, loras: Path) -> None:
    registry.db.execute(
        "INSERT INTO remotes (name, kind, location, repo, part, added_at) VALUES ('nas', 'folder', '/x', 'r', 1, '')"
    )
    path = write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    edits.edit(registry, item, item, {"rating": "4"})
    edits.tag(registry, [item], add=["style"])
    sent = [row[0] for row in registry.db.execute("SELECT change FROM outbox")]
    assert not any(item in line for line in [*sent, *state.lines(registry.db)])
    scan.scan(registry)
    sent = [json.loads(row[0]) for row in registry.db.execute("SELECT change FROM outbox")]
    assert not any(changes.is_local(change) for change in sent)
    said = {change[2]: change[3] for change in sent if change[0] == "set" and change[1] == _version_of(path)}
    assert said["user.rating"] == 4
    assert [change[3] for change in sent if change[0] == "add" and change[2] == "tags"] == ["style"]


def test_the_later_of_two_edits_of_one_content_shows_and_the_other_is_kept(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    scan.scan(registry)
    edits.edit(registry, *library.resolve(registry, "a"), {"rating": "5"})
    (loras / "copy.safetensors").write_bytes(path.read_bytes())
    scan.scan(registry, hashing=False)
    item = next(row.id for row in library.list_models(registry) if ids.is_provisional(row.id))
    edits.edit(registry, item, item, {"rating": "2"})
    scan.scan(registry)
    assert library.show(registry, _version_of(path)).rating == 2
    (lost,) = registry.db.execute("SELECT field, kept, lost FROM lost_edits").fetchall()
    assert tuple(lost) == ("rating", "2", "5")


def test_a_sidecar_of_another_file_counts_only_until_the_hash_is_known(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    said = {
        "id": 5, "modelId": 9, "name": "v1", "trainedWords": ["theirs"], "model": {"name": "Other", "tags": ["wrong"]},
        "files": [{"hashes": {"SHA256": "AB" * 32}}],
    }  # fmt: skip
    (loras / "a.civitai.info").write_text(json.dumps(said))
    scan.scan(registry, hashing=False)
    (row,) = library.list_models(registry)
    assert (row.name, row.tags, row.trigger_words) == ("Other", ("wrong",), ("theirs",))
    library.update_set(registry, row.id, "tags", add=["mine"])
    edits.edit(registry, row.id, row.version_id, {"notes": "kept"})
    scan.scan(registry)
    (row,) = library.list_models(registry)
    assert (row.id, row.name, row.trigger_words) == (_version_of(path), "a", ())
    assert "mine" in row.tags
    assert library.show(registry, row.id).notes == "kept"


def test_a_word_that_a_person_takes_away_meanwhile_stays_away(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    sha256 = hash_file(path).sha256
    said = {"sha256": sha256, "tags": ["theirs", "other"], "notes": "note"}
    (loras / "a.metadata.json").write_text(json.dumps(said))
    Image.new("RGB", (8, 8), "red").save(loras / "a.preview.png")
    item = _listed(registry)
    edits.tag(registry, [item], remove=["theirs"])
    (shown,) = library.show(registry, item).versions[0].previews
    previews.remove_preview(registry, item, shown.sha256)
    scan.scan(registry)
    detail = library.show(registry, ids.item_id(sha256))
    assert (detail.tags, detail.notes) == (("other",), "note")
    assert detail.versions[0].previews == ()


def test_a_listed_file_that_is_renamed_or_changed_keeps_what_was_said(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    item = _listed(registry)
    edits.tag(registry, [item], add=["mine"])
    path = path.rename(loras / "b.safetensors")
    scan.scan(registry, hashing=False)
    assert [(row.id, row.name) for row in library.list_models(registry)] == [(item, "b")]
    write_model(path, small_lora(rank=16), seed=2)
    scan.scan(registry, hashing=False)
    assert [(row.id, row.rank) for row in library.list_models(registry)] == [(item, 16)]
    scan.scan(registry)
    assert [(row.id, row.tags) for row in library.list_models(registry)] == [(_version_of(path), ("mine",))]


def test_a_listed_file_that_vanishes_is_kept_and_flagged(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    (loras / "keep.txt").write_text("the folder is not empty, so it is not taken for a drive that is away")
    item = _listed(registry)
    edits.tag(registry, [item], add=["mine"])
    path.unlink()
    assert scan.scan(registry).missing == 1
    assert [(row.name, row.tags, row.flags) for row in library.list_models(registry)] == [("a", ("mine",), "M")]
    assert [row.name for row in library.list_models(registry, "is:missing is:unhashed")] == ["a"]


def test_a_file_in_the_trash_keeps_what_was_said_of_it(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    edits.tag(registry, [item], add=["mine"])
    trash.trash_files(registry, [item])
    scan.scan(registry)
    undo.undo(registry)
    scan.scan(registry)
    assert [(row.id, row.tags) for row in library.list_models(registry)] == [(_version_of(path), ("mine",))]


def test_a_damaged_header_is_flagged_at_once(registry: Registry, loras: Path) -> None:
    (loras / "bad.safetensors").write_bytes(b"\xff" * 64)
    result = scan.scan(registry, hashing=False)
    assert result.damaged == 1
    assert [(row.name, row.flags) for row in library.list_models(registry)] == [("bad", "!")]


def test_hashing_waits_while_something_else_needs_the_machine(registry: Registry, loras: Path) -> None:
    for number in range(3):
        write_model(loras / f"{number}.safetensors", small_lora(), seed=number)
    answers = [False, False]
    asked: list[str] = []

    def may_hash() -> bool:
        assert threading.current_thread() is threading.main_thread()
        return answers.pop() if answers else True

    def watch(stage: str, _done: int, _total: int) -> None:
        if stage == "paused":
            asked.append(stage)
            assert unhashed.count(registry.db) == 3

    assert scan.scan(registry, watch, may_hash=may_hash).unhashed == 0
    assert asked == ["paused"]


def test_a_scan_that_is_stopped_while_it_waits_ends(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora())

    def stop(stage: str, _done: int, _total: int) -> None:
        if stage == "paused":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan.scan(registry, stop, may_hash=lambda: False)
    assert unhashed.count(registry.db) == 1


# several processes, and files that move while they are looked at ------------------------------------------------------


def _rows(registry: Registry) -> list[tuple[str, int, str]]:
    return sorted((row.name, row.rating, row.flags) for row in library.list_models(registry))


def test_a_file_that_another_process_found_under_its_new_name_is_the_same(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    edits.edit(registry, item, item, {"rating": "4"})
    (loras / "sub").mkdir()
    path.rename(loras / "sub" / "b.safetensors")
    with Registry(registry.home) as other:
        scan.scan(other, hashing=False)
        edits.tag(other, [row.id for row in library.list_models(other)], add=["seen"])
    scan.scan(registry)
    assert _rows(registry) == [("b", 4, "")]
    assert library.list_models(registry)[0].tags == ("seen",)
    assert unhashed.count(registry.db) == 0


def test_a_place_that_was_listed_anew_gives_way_to_the_file_that_was_moved_there(
    registry: Registry, loras: Path
) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    edits.edit(registry, item, item, {"rating": "4"})
    target = loras / "b.safetensors"
    path.rename(target)
    with registry.transaction() as db:
        # As a scan in another process does between a move and the note of it.
        phantom = unhashed.put(db, first_look(look_at(str(target))), str(loras))
        projection.rebuild(db, {phantom})
    edits.tag(registry, [phantom], add=["seen"])
    with registry.transaction():
        moved_places.note(registry, [(str(path), str(target))])
    assert [(row.id, row.name, row.rating, row.tags) for row in library.list_models(registry)] == [
        (item, "b", 4, ("seen",))
    ]
    assert library.show(registry, phantom).id == item
    scan.scan(registry)
    assert library.show(registry, phantom).id == _version_of(target)
    assert settled.models_of(registry.db, [phantom, item, "m1"]) == [_version_of(target), "m1"]
    assert _rows(registry) == [("b", 4, "")]


@pytest.mark.parametrize("is_hashed", [False, True])
def test_a_file_moved_into_the_one_folder_that_is_looked_at_keeps_what_was_said(
    registry: Registry, loras: Path, is_hashed: bool
) -> None:
    path = write_model(loras / "one" / "a.safetensors", small_lora())
    (loras / "two").mkdir()
    scan.scan(registry, hashing=is_hashed)
    edits.edit(registry, *library.resolve(registry, "a"), {"rating": "4"})
    path.rename(loras / "two" / "b.safetensors")
    scan.scan(registry, roots=[loras / "two"], hashing=False)
    assert _rows(registry) == [("b", 4, "")]


def test_a_listed_file_that_was_copied_and_deleted_keeps_what_was_said(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "one" / "a.safetensors", small_lora())
    item = _listed(registry)
    edits.edit(registry, item, item, {"rating": "4"})
    (loras / "two").mkdir()
    shutil.copy2(path, loras / "two" / "a.safetensors")
    path.unlink()
    scan.scan(registry, hashing=False)
    assert _rows(registry) == [("a", 4, "")]
    scan.scan(registry)
    assert _rows(registry) == [("a", 4, "")]


def test_an_edit_that_comes_while_a_file_vanishes_is_kept(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    (loras / "keep.txt").write_text("the folder is not empty, so it is not taken for a drive that is away")
    item = _listed(registry)
    path.unlink()

    def edit(stage: str, done: int, total: int) -> None:
        if stage == "looking" and done == 0:
            edits.edit(registry, item, item, {"rating": "4"})

    scan.scan(registry, edit)
    assert _rows(registry) == [("a", 4, "M")]


def test_what_moved_while_it_was_hashed_is_left_for_the_next_look(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    edits.edit(registry, item, item, {"rating": "4"})

    def move(stage: str, done: int, _total: int) -> None:
        if stage == "reading" and done == 0:
            trash.trash_files(registry, [item])

    scan.scan(registry, move)
    assert library.list_models(registry) == []
    undo.undo(registry)
    scan.scan(registry)
    assert _rows(registry) == [("a", 4, "")]


def test_what_another_process_hashed_is_not_listed_anew(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora())
    look = first_look(look_at(str(path)))
    scan.scan(registry)
    with registry.transaction() as db:
        assert unhashed.put(db, look, str(loras)) == _version_of(path)
    assert [row.id for row in library.list_models(registry)] == [_version_of(path)]
    assert unhashed.count(registry.db) == 0


def test_a_word_of_the_header_that_a_person_took_away_does_not_come_back_with_a_copy(
    registry: Registry, loras: Path
) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), {"modelspec.trigger_phrase": "foo"})
    scan.scan(registry)
    library.replace_set(registry, _version_of(path), "trigger_words", ["bar"])
    shutil.copy(path, loras / "copy.safetensors")
    scan.scan(registry, hashing=False)
    scan.scan(registry)
    assert [row.trigger_words for row in library.list_models(registry)] == [("bar",)]


def test_what_lay_beside_a_file_that_was_replaced_before_it_was_hashed_is_forgotten(
    registry: Registry, loras: Path
) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), {"modelspec.trigger_phrase": "foo"}, seed=1)
    (loras / "a.metadata.json").write_text(json.dumps({"tags": ["old"], "notes": "A"}))
    item = _listed(registry)
    edits.tag(registry, [item], add=["mine"])
    write_model(path, small_lora(rank=8), {"modelspec.trigger_phrase": "bar"}, seed=2)
    (loras / "a.metadata.json").write_text(json.dumps({"tags": ["new"], "notes": "B"}))
    scan.scan(registry)
    detail = library.show(registry, _version_of(path))
    assert (detail.tags, detail.notes) == (("mine", "new"), "B")
    assert detail.versions[0].trigger_words == ("bar",)


def test_what_is_deleted_for_ever_before_it_was_hashed_is_forgotten(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora())
    item = _listed(registry)
    trash.trash_files(registry, [item])
    trash.purge(registry, trash.listed(registry))
    assert unhashed.count(registry.db) == 0
    assert library.list_models(registry, "is:trash") == []
