from __future__ import annotations

from pathlib import Path

import pytest

from registry import library, renaming, roots
from registry.database import Registry
from registry.errors import UsageError
from registry.scan import scan
from registry.undo import undo
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def ink(tmp_path: Path, registry: Registry) -> tuple[str, str]:
    """(model, version) of a file with a sidecar beside it, and of a copy in another folder."""
    folder = tmp_path / "loras"
    for name in ("ink", "copies/ink"):
        write_model(folder / f"{name}.safetensors", small_lora(), seed=1)
    (folder / "ink.json").write_text("{}")
    roots.add(registry, folder)
    scan(registry)
    return library.resolve(registry, "ink")


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_name_alone_touches_no_file(registry: Registry, ink: tuple[str, str], tmp_path: Path) -> None:
    before = _files(tmp_path / "loras")
    assert renaming.rename(registry, ink[0], "  Ink  Wash ") is not None
    assert library.show(registry, ink[0]).name == "Ink Wash"
    assert renaming.rename(registry, ink[0], "Ink Wash") is None
    assert _files(tmp_path / "loras") == before


def test_the_files_follow_in_their_folders_with_all_beside_them_and_one_undo_takes_it_back(
    registry: Registry, ink: tuple[str, str], tmp_path: Path
) -> None:
    before = _files(tmp_path / "loras")
    plan = renaming.plan(registry, *ink, "Ink: Wash")
    assert _files(tmp_path / "loras") == before, "a plan renames nothing"
    renaming.rename(registry, ink[0], "Ink: Wash", plan)
    assert _files(tmp_path / "loras") == {"Ink_ Wash.safetensors", "Ink_ Wash.json", "copies/Ink_ Wash.safetensors"}
    assert library.show(registry, ink[0]).name == "Ink: Wash"
    undo(registry)
    assert _files(tmp_path / "loras") == before
    assert library.show(registry, ink[0]).name == "ink"


def test_what_is_in_the_way_stays_and_so_does_the_file(
    registry: Registry, ink: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "loras" / "wash.json").write_text("mine")
    plan = renaming.plan(registry, *ink, "wash")
    assert sorted(line.conflict for line in plan) == ["", "wash.json is there already"]
    renaming.rename(registry, ink[0], "wash", plan)
    assert _files(tmp_path / "loras") == {"ink.safetensors", "ink.json", "wash.json", "copies/wash.safetensors"}


@pytest.mark.parametrize("name", ["", "  ", "..."])
def test_a_name_that_no_file_can_have_is_refused(registry: Registry, ink: tuple[str, str], name: str) -> None:
    with pytest.raises(UsageError):
        renaming.plan(registry, *ink, name)
