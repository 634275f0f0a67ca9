"""Duplicates: found without false alarms, reduced to one, never to none, and put back by undo."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from registry import duplicates, edits, library, roots, trash
from registry.database import Registry
from registry.duplicates import RULES, Rule
from registry.scan import scan
from registry.undo import undo
from tests.support.model_files import small_lora, write_model

DAY = 86_400
WEIGHTS = 2 * 4 * (768 + 320)
"""Bytes behind the header of a file."""


@pytest.fixture
def folder(tmp_path: Path, registry: Registry) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    roots.add(registry, folder)
    return folder


def _write(path: Path, *, seed: int = 1, title: str = "", age: int = 0) -> Path:
    write_model(path, small_lora(), {"modelspec.title": title} if title else {}, seed=seed)
    when = 1_780_000_000 - age * DAY
    os.utime(path, (when, when))
    return path


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.safetensors")}


def test_the_same_content_in_several_places_is_a_set_and_hard_links_are_none(registry: Registry, folder: Path) -> None:
    _write(folder / "a.safetensors")
    _write(folder / "sub" / "b.safetensors")
    _write(folder / "other.safetensors", seed=2)
    os.link(folder / "other.safetensors", folder / "linked.safetensors")
    scan(registry)
    (found,) = duplicates.find(registry, "content")
    assert [Path(copy.path).name for copy in found.copies] == ["a.safetensors", "b.safetensors"]
    assert duplicates.find(registry, "tensors") == []
    assert duplicates.find(registry, "content", "name:nothing") == []
    assert duplicates.find(registry, "content", "name:a") == [found]


def test_files_without_tensors_are_not_all_the_same(registry: Registry, folder: Path) -> None:
    write_model(folder / "a.safetensors", {}, {"ss_output_name": "a"})
    write_model(folder / "b.safetensors", {}, {"ss_output_name": "b"})
    scan(registry)
    assert duplicates.find(registry, "tensors") == []


@pytest.mark.parametrize(
    ("rule", "stays"),
    [
        ("keep-oldest", "b.safetensors"),
        ("keep-newest", "long name.safetensors"),
        ("keep-shortest-path", "a.safetensors"),
    ],
)
def test_the_rule_says_which_file_stays(registry: Registry, folder: Path, rule: Rule, stays: str) -> None:
    _write(folder / "a.safetensors", age=5)
    _write(folder / "sub" / "b.safetensors", age=9)
    _write(folder / "long name.safetensors", age=1)
    scan(registry)
    (one,) = duplicates.plan(duplicates.find(registry, "content"), rule)
    assert (Path(one.kept.path).name, len(one.dropped), one.problem) == (stays, 2, "")


def test_the_others_go_into_the_trash_with_what_lies_beside_them_and_undo_puts_them_back(
    registry: Registry, folder: Path
) -> None:
    _write(folder / "a.safetensors", age=5)
    _write(folder / "sub" / "b.safetensors", age=1)
    (folder / "sub" / "b.txt").write_text("a note")
    scan(registry)
    plan = duplicates.plan(duplicates.find(registry, "content"), "keep-oldest")
    entry = duplicates.resolve(registry, plan)
    assert entry is not None
    assert _files(folder) == {"a.safetensors"}
    assert not (folder / "sub" / "b.txt").exists()
    (model,) = library.model_ids(registry)
    assert library.show(registry, model).deleted_at is None
    assert duplicates.find(registry, "content") == []
    undo(registry)
    assert _files(folder) == {"a.safetensors", "sub/b.safetensors"}
    assert (folder / "sub" / "b.txt").read_text() == "a note"
    assert scan(registry).unchanged == 2


def test_a_file_that_changed_since_the_scan_is_no_copy_to_rely_on(registry: Registry, folder: Path) -> None:
    kept = _write(folder / "a.safetensors", age=5)
    _write(folder / "b.safetensors", age=1)
    scan(registry)
    plan = duplicates.plan(duplicates.find(registry, "content"), "keep-oldest")
    kept.write_bytes(b"something else")
    assert (
        "a.safetensors changed since the last scan"
        in duplicates.plan(duplicates.find(registry, "content"), "keep-oldest")[0].problem
    )
    assert duplicates.resolve(registry, plan) is None, "looked at once more, however old the plan"
    kept.unlink()
    assert duplicates.resolve(registry, plan) is None
    assert _files(folder) == {"b.safetensors"}


def test_a_link_to_a_copy_is_no_copy(registry: Registry, folder: Path, tmp_path: Path) -> None:
    real = _write(tmp_path / "elsewhere" / "real.safetensors")
    (folder / "link.safetensors").symlink_to(real)
    _write(folder / "copy.safetensors")
    scan(registry)
    plan = duplicates.plan(duplicates.find(registry, "content"), "keep-shortest-path")
    assert ["is a link" in one.problem for one in plan] == [True]
    assert duplicates.resolve(registry, plan) is None


def test_of_the_same_weights_under_other_headers_one_stays_with_what_was_said_of_both(
    registry: Registry, folder: Path
) -> None:
    _write(folder / "a.safetensors", title="One", age=5)
    _write(folder / "b.safetensors", title="Two", age=1)
    scan(registry)
    one, two = (library.resolve(registry, str(folder / f"{name}.safetensors"))[0] for name in "ab")
    edits.edit(registry, one, one, {"rating": "4", "tags": "ink"})
    edits.edit(registry, two, two, {"rating": "2", "notes": "soft", "strength": "0.7", "tags": "mono"})
    before = [library.show(registry, model) for model in (one, two)]
    assert duplicates.find(registry, "content") == []
    plan = duplicates.plan(duplicates.find(registry, "tensors"), "keep-oldest")
    duplicates.resolve(registry, plan)
    assert library.model_ids(registry) == [one]
    kept = library.show(registry, one)
    assert (kept.rating, kept.notes, kept.tags, kept.versions[0].strength) == (4, "soft", ("ink", "mono"), 0.7)
    undo(registry)
    again = [library.show(registry, model) for model in (one, two)]
    assert [(model.rating, model.notes, model.tags, model.deleted_at) for model in again] == [
        (model.rating, model.notes, model.tags, model.deleted_at) for model in before
    ]
    assert _files(folder) == {"a.safetensors", "b.safetensors"}


def test_older_versions_of_a_model_for_the_same_base_are_superseded(registry: Registry, folder: Path) -> None:
    for name, seed, age in (("v1", 1, 9), ("v2", 2, 5), ("xl", 3, 7)):
        path = _write(folder / f"{name}.safetensors", seed=seed, age=age)
        scan(registry)
        version = library.resolve(registry, str(path))[1]
        library.set_facts(registry, version, "civitai", {"model": "m1", "base_model": "SDXL" if name == "xl" else "SD"})
    (one,) = duplicates.plan(duplicates.find(registry, "superseded"), "keep-newest")
    assert (Path(one.kept.path).name, [Path(copy.path).name for copy in one.dropped]) == (
        "v2.safetensors",
        ["v1.safetensors"],
    )
    duplicates.resolve(registry, [one])
    assert _files(folder) == {"v2.safetensors", "xl.safetensors"}
    assert library.model_ids(registry) == ["m1"]


_LAYOUT = st.lists(
    st.tuples(st.sampled_from(["", "x", "y/z"]), st.sampled_from("abc"), st.integers(1, 3), st.booleans()),
    min_size=1,
    max_size=7,
    unique_by=lambda one: (one[0], one[1]),
)


@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(layout=_LAYOUT, rule=st.sampled_from(RULES), kind=st.sampled_from(duplicates.KINDS))
def test_no_content_is_ever_lost_and_nothing_but_copies_goes(
    tmp_path_factory: pytest.TempPathFactory,
    layout: list[tuple[str, str, int, bool]],
    rule: Rule,
    kind: duplicates.Kind,
) -> None:
    base = tmp_path_factory.mktemp("dupes")
    with Registry(base / "home") as registry:
        registry.db.execute("PRAGMA synchronous = OFF")
        (base / "loras").mkdir()
        roots.add(registry, base / "loras")
        for sub, name, seed, is_titled in layout:
            _write(base / "loras" / sub / f"{name}.safetensors", seed=seed, title="T" if is_titled else "", age=seed)
        scan(registry)
        before = {path.read_bytes()[-WEIGHTS:] for path in (base / "loras").rglob("*.safetensors")}
        names = _files(base / "loras")
        entry = duplicates.resolve(registry, duplicates.plan(duplicates.find(registry, kind), rule))
        left = [path.read_bytes()[-WEIGHTS:] for path in (base / "loras").rglob("*.safetensors")]
        assert set(left) == before, "every set of weights is still there"
        if entry is not None:
            undo(registry)
        assert _files(base / "loras") == names
        assert trash.listed(registry) == []


def test_a_twin_that_is_gone_leaves_no_flag_behind(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "twins"
    for name in ("one", "two"):
        write_model(folder / f"{name}.safetensors", small_lora(), {"ss_output_name": name}, seed=4)
    scan(registry, roots=[folder])
    assert {row.flags for row in library.list_models(registry)} == {"D"}
    (folder / "two.safetensors").unlink()
    scan(registry, roots=[folder])
    assert {row.name: row.flags for row in library.list_models(registry)} == {"one": "", "two": "M"}
    write_model(folder / "two.safetensors", small_lora(), {"ss_output_name": "two"}, seed=4)
    scan(registry, roots=[folder])
    resolutions = duplicates.plan(duplicates.find(registry, "tensors"), "keep-shortest-path")
    duplicates.resolve(registry, resolutions)
    assert [row.flags for row in library.list_models(registry)] == [""]
    undo(registry)
    assert {row.flags for row in library.list_models(registry)} == {"D"}
