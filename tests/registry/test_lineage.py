from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry import changes, library, lineage, projection
from registry.database import Registry
from registry.lineage import Lineage
from tests.support.library import add_entry


def _of(registry: Registry, version: str) -> Lineage:
    return lineage.of(registry, library.version(registry, version))


def _run(version: str) -> dict[str, Any]:
    return {
        "id": version, "version_id": version, "name": "inkwash", "recipe": {}, "dataset_fingerprint": "abcdef" * 10,
        "seed": 1, "steps": 1200, "seconds": 60.0, "started_at": "2026-11-20T10:00:00.000Z",
        "finished_at": "2026-11-21T11:00:00.000Z",
    }  # fmt: skip


def test_a_training_of_ours_is_told_with_its_images(registry: Registry, tmp_path: Path) -> None:
    version = add_entry(registry, "ink", metadata={"ss_output_name": "other", "ss_steps": "9"})
    library.add_record(registry, "run", version, _run(version))
    (tmp_path / "recipe.toml").write_text('dataset = "/pictures/ink"\n')
    request, result = json.dumps({"recipe": str(tmp_path / "recipe.toml")}), json.dumps({"version_id": version})
    registry.db.execute(
        "INSERT INTO jobs (id, kind, title, state, folder, request, result, created_at) VALUES ('j', 'train', '', 'done', '', ?, ?, '')",
        (request, result),
    )
    found = _of(registry, version)
    assert (found.run, found.trained_at, found.steps) == ("inkwash", "2026-11-21", 1200)
    assert (found.dataset, found.dataset_path) == ("abcdefabcdef", "/pictures/ink")


def test_a_record_that_is_no_training_is_ignored(registry: Registry) -> None:
    version = add_entry(registry, "ink", metadata={"ss_output_name": "ink", "ss_steps": "9"})
    library.add_record(registry, "run", version, {"version_id": version, "steps": "many"})
    assert _of(registry, version).steps == 9


def test_a_header_tells_training_base_and_images(registry: Registry) -> None:
    header = {
        "ss_output_name": "ink", "ss_training_started_at": "1732000000.5", "ss_steps": "800", "ss_epoch": "4",
        "ss_dataset_dirs": json.dumps({"10_ink": {"n_repeats": 10, "img_count": 20}}),
        "ss_sd_model_name": "C:\\models\\ponyV6.safetensors", "ss_new_sd_model_hash": "0123456789abcdef",
    }  # fmt: skip
    found = _of(registry, add_entry(registry, "ink", metadata=header))
    assert (found.run, found.trained_at, found.steps, found.epoch) == ("ink", "2024-11-19", 800, 4)
    assert found.dataset == "10_ink"
    assert found.base == "ponyV6.safetensors 0123456789"


def test_an_output_name_alone_is_no_training(registry: Registry) -> None:
    assert _of(registry, add_entry(registry, "ink", metadata={"ss_output_name": "ink"})) == Lineage()


def test_what_was_merged_is_told(registry: Registry) -> None:
    stated = add_entry(registry, "a", metadata={"modelspec.merged_from": "ink, line weight,"})
    other = add_entry(registry, "b", metadata={"sd_merge_models": json.dumps({"ab": {"name": "ink"}, "cd": 3})})
    assert _of(registry, stated).merged_from == ("ink", "line weight")
    assert _of(registry, other).merged_from == ("ink",)


def test_epochs_of_one_training_are_a_group(registry: Registry) -> None:
    def add(name: str, session: str, epoch: str, folder: str = "/m") -> str:
        metadata = {"ss_session_id": session, "ss_epoch": epoch}
        return add_entry(registry, f"{folder}{name}", metadata=metadata, place=f"{folder}/{name}.safetensors")

    second, first, last = add("ink-000002", "7", "2"), add("ink-000001", "7", "1"), add("ink", "7", "3")
    add("ink-000003", "8", "3")
    add("inkwell-000001", "7", "1")
    add("ink-000004", "7", "4", "/m/deep")
    for version in (first, second, last):
        assert [one.version_id for one in _of(registry, version).epochs] == [first, second, last]
    assert [one.epoch for one in _of(registry, last).epochs] == [1, 2, 3]
    assert _of(registry, add_entry(registry, "alone", place="/m/alone.safetensors")).epochs == ()


def _beside(registry: Registry, *files: dict[str, Any]) -> list[list[str]]:
    """The epochs' names that each of these LoRAs in one folder is said to have."""
    traits: dict[str, Any] = {"architecture": "sdxl", "rank": 16, "network_type": "lora"}
    added = [
        add_entry(
            registry,
            one["name"],
            place=f"/m/{one['name']}.safetensors",
            **traits | {key: one[key] for key in one if key != "name"},
        )
        for one in files
    ]
    return [[relative.name for relative in _of(registry, version).epochs] for version in added]


def test_numbers_alone_make_no_epochs(registry: Registry) -> None:
    assert _beside(registry, {"name": "style_001"}, {"name": "style_002"}, {"name": "style"}) == [[], [], []]
    dated = {"name": "look_20241101"}, {"name": "look_20241201"}
    assert _beside(registry, *dated) == [[], []]


@pytest.mark.parametrize(
    "other",
    [
        {"rank": 8},
        {"architecture": "sd1"},
        {"network_type": "lokr"},
        {"metadata": {"ss_output_name": "another"}},
        {"metadata": {"ss_output_name": "ink", "ss_session_id": "8"}},
    ],
)
def test_what_differs_in_what_was_trained_is_no_epoch(registry: Registry, other: dict[str, Any]) -> None:
    said = {"ss_output_name": "ink", "ss_session_id": "7"}
    first = {"name": "ink-000001", "metadata": said if "8" in str(other) else {"ss_output_name": "ink"}}
    second = {"name": "ink-000002", "metadata": {"ss_output_name": "ink"}, **other}
    assert _beside(registry, first, second) == [[], []]


@pytest.mark.parametrize(
    "names",
    [
        ("ink-000001", "ink-000002"),
        ("ink_epoch_2", "ink_epoch_10"),
        ("ink-step00000500", "ink-step00001000"),
        ("ink_000000500", "ink_000001000"),
    ],
)
def test_epochs_and_steps_in_names_are_in_order(registry: Registry, names: tuple[str, str]) -> None:
    assert _beside(registry, *({"name": name} for name in reversed(names))) == [list(names)] * 2


def test_the_last_one_without_a_number_in_its_name_tells_its_epoch(registry: Registry) -> None:
    last = {"name": "ink", "metadata": {"ss_output_name": "ink", "ss_epoch": "2"}}
    first = {"name": "ink-000001", "metadata": {"ss_output_name": "ink", "ss_epoch": "1"}}
    assert _beside(registry, last, first) == [["ink-000001", "ink"]] * 2


def test_what_took_its_place_is_told(registry: Registry) -> None:
    old, new = add_entry(registry, "old", place="/m/old.safetensors"), add_entry(registry, "new")
    with registry.transaction() as db:
        projection.rebuild(db, changes.record(db, [changes.set_field(db, old, "file", "replaced_by", new)]))
    found = _of(registry, old).replaced_by
    assert found is not None
    assert (found.version_id, found.name) == (new, "new")


_KEYS = ["ss_output_name", "ss_training_started_at", "ss_steps", "ss_epoch", "ss_dataset_dirs", "ss_sd_model_name"]
_KEYS += ["ss_new_sd_model_hash", "modelspec.merged_from", "sd_merge_models", "ss_session_id"]
_VALUES = st.text() | st.sampled_from(["[1]", "{}", '{"a": []}', "1e400", "nan", "-1", "null", "[" * 2000, "9" * 40])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(_KEYS), _VALUES))
def test_any_header_gives_a_lineage(registry: Registry, header: dict[str, str]) -> None:
    version = add_entry(registry, "ink", content=json.dumps(header, sort_keys=True), metadata=header)
    found = _of(registry, version)
    assert found.steps is None or found.steps >= 0
