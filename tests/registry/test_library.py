from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from registry import changes, edits, facets, library, projection
from registry.database import Registry
from registry.errors import HubError, NotFoundError, UsageError
from registry.records import FLAGS
from tests.support.library import add_entry


def _clock(registry: Registry) -> str:
    """Every change ticks the clock: where it stands still, nothing was said."""
    return str(registry.db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0])


def test_what_a_person_said_wins_over_every_machine_and_can_be_taken_back(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    library.set_facts(registry, item, "guess", {"base_model": "SD 1.5"})
    library.set_facts(registry, item, "civitai", {"base_model": "SDXL 1.0"})
    edits.edit(registry, item, item, {"base_model": "Pony"})
    library.set_facts(registry, item, "civitai", {"base_model": "Illustrious"})
    version = library.version(registry, item)
    assert (version.base_model, version.sources["base_model"]) == ("Pony", "user")
    edits.edit(registry, item, item, {"base_model": ""})
    version = library.version(registry, item)
    assert (version.base_model, version.sources["base_model"]) == ("Illustrious", "civitai")


def test_what_is_said_already_is_not_said_again(registry: Registry) -> None:
    item = add_entry(registry, "ink", tags=["style"])
    library.set_facts(registry, item, "civitai", {"base_model": "Pony", "creator": None})
    library.write_text(registry, item, "notes", "mine")
    said = _clock(registry)
    library.set_facts(registry, item, "civitai", {"base_model": "Pony", "creator": None})
    library.write_text(registry, item, "notes", "mine")
    library.update_set(registry, item, "tags", add=["style"], remove=["absent"])
    library.replace_set(registry, item, "tags", ["style"])
    assert _clock(registry) == said


def test_an_edit_changes_the_model_or_the_version_that_the_field_is_of(registry: Registry) -> None:
    version = add_entry(registry, "ink")
    library.set_facts(registry, version, "civitai", {"model": "m1"})
    edits.edit(
        registry, "m1", version,
        {"name": "Ink Wash", "rating": "5", "favourite": "yes", "strength": "0.8", "notes": "n", "tags": "a, b,", "changelog": "c",
         "trigger_words": "ink wash"},
    )  # fmt: skip
    model = library.show(registry, "m1")
    assert (model.name, model.rating, model.favourite, model.notes, model.tags) == (
        "Ink Wash",
        5,
        True,
        "n",
        ("a", "b"),
    )
    (shown,) = model.versions
    assert (shown.strength, shown.changelog, shown.trigger_words) == (0.8, "c", ("ink wash",))
    assert library.model_ids(registry) == ["m1"]


@pytest.mark.parametrize(
    ("assignments", "says"),
    [
        ({"name": "x", "ratng": "5"}, "there is no field ratng"),
        ({"name": "x", "rating": "6"}, "it goes from 0 to 5"),
        ({"name": "x", "rating": "many"}, "give a number"),
        ({"name": "x", "strength": "nan"}, "strength can't be nan"),
        ({"name": "x", "favourite": "maybe"}, "say yes or no"),
        ({"name": "x", "sources": "{}"}, "there is no field sources"),
    ],
)
def test_a_bad_edit_writes_nothing(registry: Registry, assignments: dict[str, str], says: str) -> None:
    item = add_entry(registry, "ink")
    with pytest.raises(UsageError, match=says):
        edits.edit(registry, item, item, assignments)
    assert library.show(registry, item).name == "ink"


def test_trash_hides_a_model_until_it_is_restored(registry: Registry) -> None:
    item = add_entry(registry, "ink", place="/models/ink.safetensors", tags=["style"])
    edits.trash(registry, item)
    assert library.model_ids(registry) == []
    assert library.model_ids(registry, "is:trash") == [item]
    assert facets.facets(registry)["tag"] == []
    assert library.show(registry, item).deleted_at is not None
    edits.restore(registry, item)
    assert library.model_ids(registry) == [item]


def test_a_name_an_alias_a_path_a_hash_and_a_prefix_lead_to_the_model(registry: Registry) -> None:
    item = add_entry(registry, "Ink Wash", place="/models/Ink Wash.safetensors", blake3="b1a" * 21 + "a")
    add_entry(registry, "other")
    edits.edit(registry, item, item, {"alias": "inky"})
    (file,) = library.version(registry, item).files
    for ref in (
        item,
        item[:9],
        item.upper(),
        "ink wash",
        "inky",
        "/models/Ink Wash.safetensors",
        file.sha256,
        file.sha256[:8],
        "b1ab1a",
    ):
        assert library.resolve(registry, ref) == (item, item)
    assert library.resolve(registry, f" {item} ") == (item, item)


def test_a_model_of_two_versions_resolves_to_its_newest_and_each_version_to_itself(registry: Registry) -> None:
    old = add_entry(registry, "v1", added_at="2026-01-01T00:00:00.000Z")
    new = add_entry(registry, "v2", added_at="2026-02-01T00:00:00.000Z")
    for version in (old, new):
        library.set_facts(registry, version, "civitai", {"model": "m1"})
    library.set_facts(registry, "m1", "civitai", {"name": "Ink"})
    assert library.resolve(registry, "ink") == ("m1", new)
    assert library.resolve(registry, old) == ("m1", old)
    assert [version.id for version in library.show(registry, "m1").versions] == [new, old]


def test_a_ref_that_means_several_models_or_none_is_an_error_with_their_names(registry: Registry) -> None:
    for content in ("a", "b"):
        add_entry(registry, "twin", content=content)
    with pytest.raises(UsageError, match="twin means 2 models"):
        library.resolve(registry, "twin")
    with pytest.raises(NotFoundError, match="no model called nothing"):
        library.resolve(registry, "nothing")
    with pytest.raises(UsageError):
        library.resolve(registry, "  ")
    with pytest.raises(NotFoundError):
        library.show(registry, "nothing")
    with pytest.raises(NotFoundError):
        library.version(registry, "nothing")


def test_of_two_models_of_a_name_it_means_the_one_that_is_here(registry: Registry) -> None:
    add_entry(registry, "twin", content="a", place="/models/old/twin.safetensors", state="missing")
    here = add_entry(registry, "twin", content="b", place="/models/twin.safetensors")
    assert library.resolve(registry, "twin") == (here, here)
    add_entry(registry, "twin", content="c", place="/models/new/twin.safetensors")
    with pytest.raises(UsageError, match="twin means 3 models"):
        library.resolve(registry, "twin")


def test_flags_tell_where_a_model_stands(registry: Registry) -> None:
    add_entry(registry, "a here", place="/models/a here.safetensors")
    add_entry(registry, "b missing", place="/models/b missing.safetensors", state="missing")
    add_entry(registry, "c elsewhere", facts={"published_url": "https://example.invalid/models/1"})
    gone = add_entry(registry, "d broken", place="/models/d broken.safetensors", damage="torn")
    library.set_facts(registry, gone, "civitai", {"upstream_deleted": True})
    early = add_entry(registry, "e early", facts={"early_until": "2100-01-01T00:00:00.000Z"}, place="/models/e")
    library.set_facts(registry, early, "civitai", {"newest_upstream": 5, "civitai_version_id": 4})
    for name in ("f twin", "f twin again"):
        add_entry(registry, "f twin", place=f"/models/{name}.safetensors")
    assert [row.flags for row in library.list_models(registry)] == ["", "M", "RP", "!X", "UE", "D"]
    assert {flag for row in library.list_models(registry) for flag in row.flags} <= set(FLAGS)


def test_facets_count_what_is_shown(registry: Registry) -> None:
    add_entry(
        registry,
        "a",
        facts={"base_model": "SDXL 1.0"},
        model_facts={"creator": "Ann"},
        tags=["ink"],
        network_type="lora",
    )
    add_entry(registry, "b", facts={"base_model": "SDXL 1.0"}, tags=["ink", "wash"], network_type="loha")
    add_entry(registry, "c", model_facts={"kind": "checkpoint"})
    found = facets.facets(registry)
    assert found["base"] == [("SDXL 1.0", 2), ("unknown", 1)]
    assert found["type"] == [("checkpoint", 1), ("loha", 1), ("lora", 1)]
    assert found["tag"] == [("ink", 2), ("wash", 1)]
    assert found["creator"] == [("Ann", 1)]


def test_a_training_run_is_found_by_the_version_it_made(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    assert library.run_of(registry, item) is None
    body = {
        "id": item, "version_id": item, "name": "ink run", "recipe": {"rank": 8}, "dataset_fingerprint": "ab", "seed": 1,
        "steps": 10, "seconds": 2.5, "losses": [[1, 0.5]],
    }  # fmt: skip
    library.add_record(registry, "run", item, body)
    run = library.run_of(registry, item)
    assert run is not None
    assert (run.name, run.losses) == ("ink run", [(1, 0.5)])


def test_rows_come_in_the_order_asked_for_and_unknown_ids_are_left_out(registry: Registry) -> None:
    first, second = add_entry(registry, "a"), add_entry(registry, "b")
    assert [row.id for row in library.model_rows(registry, [second, "nothing", first])] == [second, first]
    with registry.transaction():
        many = [add_entry(registry, f"n{number:04}") for number in range(520)]
    assert [row.id for row in library.model_rows(registry, many)] == many


def test_a_version_that_joins_a_model_brings_along_what_the_person_said(registry: Registry) -> None:
    item = add_entry(registry, "ink", model_facts={"rating": 4, "name": "mine"}, tags=["style"])
    library.write_text(registry, item, "notes", "from before")
    library.set_facts(registry, "m1", "civitai", {"name": "Theirs"})
    library.set_facts(registry, "m1", "user", {"rating": 5})
    library.write_text(registry, "m1", "notes", "from there")
    library.set_facts(registry, item, "civitai", {"model": "m1"})
    (row,) = library.list_models(registry)
    assert (row.id, row.name, row.rating, row.tags) == ("m1", "mine", 5, ("style",))
    assert library.show(registry, "m1").notes == "from there\n\nfrom before"


def test_a_value_of_a_later_version_of_hubman_is_kept_and_not_shown(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    with registry.transaction() as db:
        touched = changes.apply(db, ["set", item, "user.rating", {"stars": 4}, "f" * 16 + "-a"])
        touched |= changes.apply(db, ["set", item, "user.mood", "calm", "f" * 16 + "-a"])
        projection.rebuild(db, touched)
    assert library.show(registry, item).rating == 0
    assert registry.db.execute("SELECT count(*) FROM facts WHERE field = 'mood'").fetchone()[0] == 1


@pytest.mark.parametrize(
    ("field", "value"), [("rating", 2**60), ("rating", -1), ("permissions", [1]), ("strength", 1e9)]
)
def test_a_value_out_of_its_range_is_never_shown(registry: Registry, field: str, value: object) -> None:
    version = add_entry(registry, "ink")
    library.set_facts(registry, version, "user", {field: value})
    model = library.show(registry, version)
    assert (model.rating, model.permissions, model.versions[0].strength) == (0, {}, None)


def test_a_registry_reopens_as_it_was_left(tmp_path: Path) -> None:
    with Registry(tmp_path / "home") as registry:
        item = add_entry(registry, "ink", tags=["style"])
        device = registry.db.execute("SELECT value FROM meta WHERE key = 'device'").fetchone()[0]
    with Registry(tmp_path / "home") as registry:
        assert library.show(registry, item).tags == ("style",)
        assert registry.db.execute("SELECT value FROM meta WHERE key = 'device'").fetchone()[0] == device
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0


def test_every_commit_waits_for_the_disk_outside_of_tests(tmp_path: Path) -> None:
    asked = "from pathlib import Path; from registry.database import Registry; import sys; "
    asked += "print(*Registry(Path(sys.argv[1])).db.execute('PRAGMA synchronous').fetchone())"
    done = subprocess.run([sys.executable, "-c", asked, tmp_path / "home"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 50, None])
def test_a_home_that_can_not_hold_a_registry_says_so(tmp_path: Path, content: bytes | None) -> None:
    home = tmp_path / "home"
    if content is None:
        home.write_text("a file")
    else:
        home.mkdir()
        (home / "registry.db").write_bytes(content)
    with pytest.raises(HubError, match="can't be"):
        Registry(home)
