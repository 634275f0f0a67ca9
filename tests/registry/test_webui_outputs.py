"""The folders of pictures of other programs, found in the layouts that they have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry.errors import UsageError
from registry.webui_outputs import PRESETS, outputs
from registry.webuis import PRESETS as MODEL_PRESETS


def _found(preset: str, base: Path, *folders: str) -> list[str]:
    for folder in folders:
        (base / folder).mkdir(parents=True, exist_ok=True)
    return [str(path.relative_to(base)) for path in outputs(preset, base)]


@pytest.mark.parametrize(
    ("preset", "made", "found"),
    [
        ("a1111", ["outputs/txt2img-images", "log/images"], ["log/images", "outputs"]),
        ("forge", ["output/txt2img-images"], ["output"]),
        ("comfyui", ["output", "models"], ["output"]),
        ("comfyui", ["ComfyUI/output"], ["ComfyUI/output"]),
        ("invokeai", ["outputs/images"], ["outputs/images"]),
        (
            "stabilitymatrix",
            ["Images/Text2Img", "Packages/ComfyUI/output", "Packages/forge/outputs"],
            ["Images", "Packages/ComfyUI/output", "Packages/forge/outputs"],
        ),
        ("stabilitymatrix", ["Data/Images"], ["Data/Images"]),
        ("swarmui", ["Output/local"], ["Output"]),
    ],
)
def test_the_usual_places(tmp_path: Path, preset: str, made: list[str], found: list[str]) -> None:
    assert _found(preset, tmp_path, *made) == found


def test_places_that_the_settings_name(tmp_path: Path) -> None:
    web = tmp_path / "web"
    (tmp_path / "art").mkdir()
    web.mkdir()
    (web / "config.json").write_text(
        json.dumps({"outdir_samples": str(tmp_path / "art"), "outdir_save": 7, "outdir_txt2img_samples": ""})
    )
    assert outputs("a1111", web) == [tmp_path / "art"]
    invoke = tmp_path / "invoke"
    (invoke / "drawn" / "images").mkdir(parents=True)
    (invoke / "invokeai.yaml").write_text("outputs_dir: 'drawn'  # here\n")
    assert outputs("invokeai", invoke) == [invoke / "drawn" / "images"]
    swarm = tmp_path / "swarm"
    (swarm / "Data").mkdir(parents=True)
    (swarm / "pics").mkdir()
    (swarm / "Data" / "Settings.fds").write_text("Paths:\n\tOutputPath: pics\n")
    assert outputs("swarmui", swarm) == [swarm / "pics"]


def test_settings_that_make_no_sense_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    for text in ("{", "[]", '{"outdir_save": "a\\u0000b"}', "[" * 100_000):
        (tmp_path / "config.json").write_text(text)
        assert outputs("a1111", tmp_path) == [tmp_path / "outputs"]


def test_a_link_to_a_folder_and_one_inside_another_are_one(tmp_path: Path) -> None:
    assert _found("a1111", tmp_path, "outputs/txt2img-images") == ["outputs"]
    (tmp_path / "output").symlink_to(tmp_path / "outputs", target_is_directory=True)
    assert len(outputs("a1111", tmp_path)) == 1


def test_programs_without_pictures_and_unknown_ones(tmp_path: Path) -> None:
    for preset in PRESETS:
        with pytest.raises(UsageError, match="no folder of pictures"):
            outputs(preset, tmp_path)
    with pytest.raises(UsageError, match="no preset"):
        outputs("nothing", tmp_path)
    assert set(PRESETS) == set(MODEL_PRESETS)
