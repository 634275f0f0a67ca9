"""What ``.hubignore`` keeps out of the library, and what not."""

from __future__ import annotations

from pathlib import Path

from registry import library, roots, scan
from registry.database import Registry
from tests.support.model_files import small_lora, write_model


def shelf(tmp_path: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        write_model(tmp_path / "models" / name, small_lora(rank=4 + number))
    return tmp_path / "models"


def found(registry: Registry) -> set[str]:
    return {row.name for row in library.list_models(registry)}


def test_new_files_that_match_are_left_out_and_a_deeper_file_says_otherwise(registry: Registry, tmp_path: Path) -> None:
    names = (
        "a.safetensors",
        "drafts/b.safetensors",
        "drafts/kept/c.safetensors",
        "x/old_d.safetensors",
        "x/keep_old.safetensors",
    )
    folder = shelf(tmp_path, *names)
    (folder / ".hubignore").write_text("# not these\ndrafts/\n*old*\n!keep_*\n")
    (folder / "drafts" / "kept" / ".hubignore").write_text("!*\n")
    roots.add(registry, folder)
    assert scan.scan(registry).problems == ()
    assert found(registry) == {"a", "c", "keep_old"}
    scan.scan(registry, roots=[folder / "drafts"])
    assert found(registry) == {"a", "c", "keep_old"}, "the root's file counts in a folder below it too"
    (folder / ".hubignore").unlink()
    scan.scan(registry)
    assert len(found(registry)) == 5


def test_what_is_known_stays_as_it_is(registry: Registry, tmp_path: Path) -> None:
    folder = shelf(tmp_path, "a.safetensors")
    roots.add(registry, folder)
    scan.scan(registry)
    (folder / ".hubignore").write_text("*\n")
    write_model(folder / "new.safetensors", small_lora(rank=9))
    result = scan.scan(registry)
    assert (result.missing, result.unchanged) == (0, 1)
    assert [(row.name, row.flags) for row in library.list_models(registry)] == [("a", "")]


def test_a_line_that_is_no_pattern_and_a_folder_of_that_name_are_told(registry: Registry, tmp_path: Path) -> None:
    folder = shelf(tmp_path, "a.safetensors", "x/b.safetensors", "y/c.safetensors")
    (folder / "x" / ".hubignore").write_bytes(b"!\n\xff\xfe\nb*\n")
    (folder / "y" / ".hubignore").mkdir()
    roots.add(registry, folder)
    told = {problem.path.removeprefix(f"{folder}/"): problem.reason for problem in scan.scan(registry).problems}
    assert told["x/.hubignore"] == "line 1 is no pattern"
    assert "can't be read" in told["y/.hubignore"]
    assert found(registry) == {"a", "c"}
