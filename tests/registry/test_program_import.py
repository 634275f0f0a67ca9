"""A whole installation of another program, taken over in one go, with a report of what came from where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from registry import image_folders, library, program_import, roots
from registry.database import Registry
from registry.errors import UsageError
from registry.program_import import Imported
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def comfy(tmp_path: Path) -> Path:
    base = tmp_path / "ComfyUI"
    (base / "custom_nodes").mkdir(parents=True)
    loras = base / "models" / "loras"
    for number, name in enumerate(("a", "b", "c")):
        write_model(loras / f"{name}.safetensors", small_lora(), seed=number)
    (loras / "a.metadata.json").write_text(
        json.dumps({"model_name": "Ink", "notes": "n", "tags": ["t"], "favorite": True, "hf_url": "x"})
    )
    (loras / "a.cm-info.json").write_text(json.dumps({"ModelName": "Other", "BaseModel": "SD 1.5"}))
    (loras / "b.safetensors.rgthree-info.json").write_text(
        json.dumps({"userNote": "mine", "trainedWords": [{"word": "w"}]})
    )
    (loras / "c.civitai.info").write_text("{")
    (loras / "c.json").write_text('{"what": "ever"}')
    (loras / "recipes").mkdir()
    for number in range(5):
        (loras / "recipes" / f"{number}.recipe.json").write_text("{}")
    (loras / "a.html").touch()
    (loras / "d.safetensors.part").touch()
    return base


def _dialects(found: Imported) -> dict[str, tuple[int, dict[str, int]]]:
    return {one.dialect: (one.files, one.fields) for one in found.dialects}


_EXPECTED = {
    "metadata.json": (1, {"favourite": 1, "name": 1, "notes": 1, "tags": 1}),
    "cm-info.json": (1, {"base_model": 1, "name": 1}),
    "rgthree-info.json": (1, {"notes": 1, "trigger_words": 1}),
}


def test_an_installation_is_taken_over_with_a_report_of_what_came_from_where(registry: Registry, comfy: Path) -> None:
    found = program_import.take_over(registry, comfy)
    assert (found.program, found.files, found.models, found.is_plan) == ("comfyui", 3, 3, False)
    assert [folder.path for folder in found.folders] == [comfy / "models" / "loras"]
    assert _dialects(found) == _EXPECTED
    assert [(one.name, one.fields) for one in found.conflicts] == [("Ink", ("name",))]
    assert [Path(one.path).name for one in found.broken] == ["c.civitai.info"]
    left = {one.what: one.count for one in found.left_out}
    assert left == {
        "recipes of LoRA Manager": 5,
        "pages of Civitai": 1,
        "unfinished downloads": 1,
        "JSON files of no known shape": 1,
        "hf_url in metadata.json": 1,
    }
    assert all(one.reason and len(one.examples) <= 3 for one in found.left_out)
    assert found.scanned is not None
    assert found.scanned.new == 3
    assert sorted(row.name for row in library.list_models(registry)) == ["Ink", "b", "c"]
    again = program_import.take_over(registry, comfy)
    assert again.scanned is not None
    assert (again.scanned.new, _dialects(again)) == (0, _EXPECTED)


def test_a_plan_tells_the_same_and_takes_nothing(registry: Registry, comfy: Path) -> None:
    found = program_import.look(comfy)
    assert (found.program, found.files, found.is_plan, found.scanned) == ("comfyui", 3, True, None)
    assert _dialects(found) == _EXPECTED
    assert [Path(one.path).name for one in found.broken] == ["c.civitai.info"]
    assert roots.all_roots(registry) == []
    before = sorted(path.name for path in comfy.rglob("*"))
    program_import.take_over(registry, comfy)
    assert sorted(path.name for path in comfy.rglob("*")) == before, "nothing in the installation changes"


def test_a_plan_counts_as_the_import_and_both_tell_of_the_pictures(registry: Registry, comfy: Path) -> None:
    shutil.copy(comfy / "models/loras/a.safetensors", comfy / "models/loras/copy of a.safetensors")
    (comfy / "output").mkdir()
    plan = program_import.look(comfy)
    found = program_import.take_over(registry, comfy)
    assert (plan.files, plan.models) == (4, None)
    assert (found.files, found.models) == (4, 3)
    assert plan.pictures == found.pictures == (comfy / "output",)
    assert [one.path for one in image_folders.all_folders(registry)] == [comfy / "output"]
    assert program_import.take_over(registry, comfy).pictures == (comfy / "output",)


@pytest.mark.parametrize(
    ("folders", "program"),
    [
        (["models/Lora", "models/Stable-diffusion", "modules"], "a1111"),
        (["Models/Lora", "Packages"], "stabilitymatrix"),
        (["models/Lora"], "a1111"),
    ],
)
def test_the_program_is_told_by_its_folders(tmp_path: Path, folders: list[str], program: str) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    if program == "a1111" and len(folders) == 3:
        (tmp_path / "webui.py").touch()
        (tmp_path / "styles.csv").touch()
    found = program_import.look(tmp_path)
    assert found.program == program
    assert [one.what for one in found.left_out] == (["prompt styles"] if len(folders) == 3 else [])


def test_a_folder_without_a_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no program that is known"):
        program_import.look(tmp_path)
