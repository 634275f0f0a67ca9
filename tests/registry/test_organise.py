"""Folders and names by a template: planned, moved all or none, known without a scan, put back by undo."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import edits, journal, library, organise, roots
from registry.database import Registry
from registry.errors import HubError, UsageError
from registry.safe_name import MAX_BYTES, safe_part
from registry.scan import scan
from registry.undo import undo
from registry.verify import verify
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def folder(tmp_path: Path, registry: Registry) -> Path:
    """A root with two models; the first has a sidecar, a preview and rgthree's file beside it."""
    folder = tmp_path / "loras"
    for seed, name in enumerate(("ink", "clay"), 1):
        write_model(folder / f"{name}.safetensors", small_lora(), seed=seed)
    (folder / "ink.json").write_text("{}")
    (folder / "ink.preview.png").write_text("a picture")
    (folder / "ink.safetensors.rgthree-info.json").write_text("{}")
    (folder / "inkling.txt").write_text("of no model here")
    roots.add(registry, folder)
    scan(registry)
    for name, creator in (("ink", "mori"), ("clay", "a/b: c")):
        model, version = library.resolve(registry, name)
        edits.edit(registry, model, version, {"creator": creator, "base_model": "SDXL", "name": f"The {name}"})
    return folder


def test_what_was_verified_is_verified_where_it_goes(registry: Registry, folder: Path) -> None:
    verify(registry)
    organise.carry_out(registry, _plan(registry, "{creator}/{model}"))
    (place,) = library.show(registry, library.resolve(registry, "The ink")[0]).versions[0].files[0].places
    assert place.verified_at


def _all(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _plan(registry: Registry, template: str, query: str = "") -> list[organise.Line]:
    return organise.plan(registry, template, library.model_ids(registry, query))


def test_files_go_where_the_template_says_with_all_beside_them_and_stay_known(registry: Registry, folder: Path) -> None:
    before = _all(folder)
    plan = _plan(registry, "{base}/{creator}/{model}")
    assert [line.conflict for line in plan] == ["", ""]
    assert _all(folder) == before, "a plan moves nothing"
    organise.carry_out(registry, plan)
    assert _all(folder) == {
        "SDXL/mori/The ink.safetensors",
        "SDXL/mori/The ink.json",
        "SDXL/mori/The ink.preview.png",
        "SDXL/mori/The ink.safetensors.rgthree-info.json",
        "SDXL/a_b_ c/The clay.safetensors",
        "inkling.txt",
    }
    (place,) = library.show(registry, library.resolve(registry, "The ink")[0]).versions[0].files[0].places
    assert (place.path, place.state) == (str(folder / "SDXL/mori/The ink.safetensors"), "present")
    assert _plan(registry, "{base}/{creator}/{model}") == [], "nothing is left to do"
    result = scan(registry)
    assert (result.new, result.moved, result.missing, result.unchanged) == (0, 0, 0, 2)
    undo(registry)
    assert _all(folder) == before


def test_an_undo_can_be_undone(registry: Registry, folder: Path) -> None:
    organise.carry_out(registry, _plan(registry, "{base}/"))
    after = _all(folder)
    assert "SDXL/ink.json" in after, "a template that ends in / leaves files their names"
    undo(registry, undo(registry).entry.id)
    assert _all(folder) == after
    assert journal.entries(registry)[0].label == "2 files organised"


def test_what_is_unknown_is_called_so_and_a_query_chooses(registry: Registry, folder: Path) -> None:
    (line,) = _plan(registry, "{run}/{tag}/{trigger}-{version}-{yyyy}-{hash8}-{rank}-{type}-{name}", "creator:mori")
    (file,) = library.show(registry, line.model).versions[0].files
    assert line.target == str(
        folder / f"unknown/unknown/unknown-unknown-{file.added_at[:4]}-{file.sha256[:8]}-4-lora-ink.safetensors"
    )


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{bse}/{model}", "did you mean {base}"),
        ("{base/{model}", "not closed"),
        ("", "no path"),
        ("/{model}", "no path"),
        ("{base}//{model}", "no path"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(registry: Registry, folder: Path, template: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        _plan(registry, template)


def test_a_conflict_is_named_and_its_file_stays(registry: Registry, folder: Path) -> None:
    (folder / "mori").mkdir()
    (folder / "mori" / "ink.preview.png").write_text("another picture")
    plan = _plan(registry, "{creator}/{name}")
    assert {Path(line.source).stem: line.conflict for line in plan} == {
        "ink": "ink.preview.png is there already",
        "clay": "",
    }
    organise.carry_out(registry, plan)
    assert {"ink.safetensors", "a_b_ c/clay.safetensors"} <= _all(folder)
    assert (folder / "mori" / "ink.preview.png").read_text() == "another picture"
    assert [line.conflict for line in _plan(registry, "same")] == [
        "several files would be same.safetensors: add {hash8} to the template"
    ] * 2
    assert organise.carry_out(registry, _plan(registry, "same")) is None


def test_a_link_stays(registry: Registry, folder: Path, tmp_path: Path) -> None:
    real = write_model(tmp_path / "real.safetensors", small_lora(), seed=9)
    (folder / "link.safetensors").symlink_to(real)
    scan(registry)
    conflicts = {Path(line.source).name: line.conflict for line in _plan(registry, "x/{name}")}
    assert conflicts["link.safetensors"] == "it is a link"


def test_what_came_in_the_way_since_the_plan_moves_nothing(registry: Registry, folder: Path) -> None:
    plan = _plan(registry, "{base}/{name}")
    (folder / "SDXL").mkdir()
    (folder / "SDXL" / "ink.safetensors").write_text("in the way")
    before = _all(folder)
    with pytest.raises(HubError, match="in the way"):
        organise.carry_out(registry, plan)
    assert _all(folder) == before
    assert not [entry for entry in journal.entries(registry) if entry.verb == "organise"]


def test_a_failure_on_the_way_puts_all_back_and_leaves_no_folder(
    registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _all(folder)
    rename = os.rename

    def fail_at_one(source: str, target: str) -> None:
        if source.endswith("ink.preview.png"):
            raise OSError(28, "No space left on device", source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_at_one)
    with pytest.raises(HubError, match="can't be moved"):
        organise.carry_out(registry, _plan(registry, "{base}/{model}"))
    assert _all(folder) == before
    assert not (folder / "SDXL").exists()


@given(name=st.text(max_size=200))
def test_no_name_chooses_a_path(name: str) -> None:
    part = safe_part(name, fallback="unknown")
    assert part
    assert part not in {".", ".."}
    assert not set(part) & set('/\\:*?"<>|\x00')
    assert len(part.encode()) <= MAX_BYTES
    assert safe_part(part, fallback="unknown") == part


def test_a_model_that_nobody_named_keeps_the_name_under_which_it_came(registry: Registry, tmp_path: Path) -> None:
    write_model(tmp_path / "loras" / "x.safetensors", small_lora(), seed=1)
    roots.add(registry, tmp_path / "loras")
    scan(registry)
    organise.carry_out(registry, _plan(registry, "{model}-{hash8}"))
    scan(registry)
    assert _plan(registry, "{model}-{hash8}") == [], "the same template again has nothing to do"
    model, version = library.resolve(registry, library.model_ids(registry)[0])
    edits.edit(registry, model, version, {"name": "Ink"})
    (line,) = _plan(registry, "{model}")
    assert Path(line.target).name == "Ink.safetensors", "a name that a person gave counts"


def test_an_undo_leaves_no_folder_that_was_made_and_every_other(registry: Registry, folder: Path) -> None:
    (folder / "SDXL").mkdir()
    entry = organise.carry_out(registry, _plan(registry, "{base}/{creator}/{model}"))
    assert entry is not None
    (folder / "SDXL" / "mori" / "mine.txt").touch()
    undone = undo(registry)
    assert {path.name for path in folder.rglob("*") if path.is_dir()} == {"SDXL", "mori"}, "but those that are in use"
    (folder / "SDXL" / "mori" / "mine.txt").unlink()
    (folder / "SDXL" / "mori").rmdir()
    undo(registry, undo(registry, undone.entry.id).entry.id)
    assert {path.name for path in folder.rglob("*") if path.is_dir()} == {"SDXL"}, "also when it was done again"
