"""The model folders of other programs, found in the layouts that they have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import library, roots, scan, webui_search, webuis
from registry.database import Registry
from registry.errors import UsageError
from registry.webui_settings import yaml_sections
from tests.support.model_files import small_lora, write_model


def _make(base: Path, *names: str) -> Path:
    for name in names:
        path = base / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return base


def _taken(preset: str, base: Path) -> list[tuple[str, str]]:
    return [(os.path.relpath(folder.path, base), folder.kind) for folder in webuis.folders(preset, base)]


_LAYOUTS = {
    "a1111": ["models/Lora/", "models/LyCORIS/", "models/Stable-diffusion/", "models/VAE/", "models/ESRGAN/", "embeddings/"],
    "comfyui": ["models/loras/", "models/checkpoints/", "models/diffusion_models/", "models/vae/", "models/clip/"],
    "invokeai": ["invokeai.yaml", "models/sdxl/lora/"],
    "stabilitymatrix": ["Packages/", "Models/Lora/", "Models/StableDiffusion/", "Models/Embeddings/", "Models/ESRGAN/"],
    "swarmui": ["src/", "launchtools/", "Models/Lora/", "Models/Stable-Diffusion/", "Models/Embeddings/", "Models/clip/"],
}  # fmt: skip
_FOUND = {
    "a1111": [
        ("models/Lora", "lora"), ("models/LyCORIS", "lora"), ("models/Stable-diffusion", "checkpoint"), ("models/VAE", "vae"),
        ("embeddings", "embedding"),
    ],
    "comfyui": [
        ("models/loras", "lora"), ("models/checkpoints", "checkpoint"), ("models/diffusion_models", "checkpoint"),
        ("models/vae", "vae"),
    ],
    "invokeai": [("models", "any")],
    "stabilitymatrix": [
        ("Models/Lora", "lora"), ("Models/StableDiffusion", "checkpoint"), ("Models/Embeddings", "embedding"),
    ],
    "swarmui": [
        ("Models/Lora", "lora"), ("Models/Stable-Diffusion", "checkpoint"), ("Models/Embeddings", "embedding"),
    ],
}  # fmt: skip
_LAYOUTS["forge"] = [*_LAYOUTS["a1111"], "webui.py", "modules_forge/"]
_FOUND["forge"] = _FOUND["a1111"]


@pytest.mark.parametrize("preset", sorted(webuis.PRESETS))
def test_each_programs_model_folders_are_taken_and_nothing_else(tmp_path: Path, preset: str) -> None:
    assert _taken(preset, _make(tmp_path, *_LAYOUTS[preset])) == _FOUND[preset]


def test_the_folder_of_models_and_that_of_a_portable_build_do_as_well(tmp_path: Path) -> None:
    _make(tmp_path, "ComfyUI/models/loras/")
    wanted = [tmp_path / "ComfyUI" / "models" / "loras"]
    for base in (tmp_path, tmp_path / "ComfyUI", tmp_path / "ComfyUI" / "models"):
        assert [folder.path for folder in webuis.folders("comfyui", base)] == wanted


def test_a_folder_without_model_folders_and_an_unknown_program_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model folders of comfyui"):
        webuis.folders("comfyui", tmp_path)
    with pytest.raises(UsageError, match="use one of a1111"):
        webuis.folders("photoshop", tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("webui-user.sh", '#export COMMANDLINE_ARGS="--lora-dir /old"\nexport COMMANDLINE_ARGS="--xformers --lora-dir \'{0}\'"\n'),
        ("webui-user.sh", 'export COMMANDLINE_ARGS="--lora-dir=\\"{0}\\" --api"'),
        ("webui-user.bat", "@echo off\r\nset COMMANDLINE_ARGS=--api --lora-dir \"{0}\"\r\ncall webui.bat\r\n"),
    ],
)  # fmt: skip
def test_a_webuis_lora_dir_is_taken(tmp_path: Path, name: str, text: str) -> None:
    base = _make(tmp_path / "webui", "models/Stable-diffusion/")
    other = _make(tmp_path / "my loras", "sub/")
    (base / name).write_text(text.format(other))
    found = {folder.path: (folder.kind, folder.stated) for folder in webuis.folders("a1111", base)}
    assert found[other] == ("lora", "--lora-dir")


def test_a_lora_folder_that_is_a_link_is_indexed_under_the_webuis_name(registry: Registry, tmp_path: Path) -> None:
    base = _make(tmp_path / "webui", "models/")
    write_model(tmp_path / "loras" / "a.safetensors", small_lora())
    (base / "models" / "Lora").symlink_to(tmp_path / "loras")
    (base / "webui-user.sh").write_text(f'export COMMANDLINE_ARGS="--lora-dir {tmp_path / "loras"}"')
    webuis.take(registry, webuis.folders("a1111", base))
    assert roots.all_roots(registry) == [base / "models" / "Lora"]
    scan.scan(registry)
    assert library.resolve(registry, str(base / "models" / "Lora" / "a.safetensors"))


def test_what_an_indexed_folder_leads_to_is_not_indexed_twice(registry: Registry, tmp_path: Path) -> None:
    base = _make(tmp_path / "ComfyUI", "models/vae/")
    (tmp_path / "shared" / "loras").mkdir(parents=True)
    (base / "models" / "loras").symlink_to(tmp_path / "shared" / "loras")
    roots.add(registry, tmp_path / "shared")
    taken = webuis.take(registry, webuis.folders("comfyui", base))
    assert [(one.kind, one.is_new, one.root) for one in taken] == [
        ("lora", False, tmp_path / "shared"),
        ("vae", True, base / "models" / "vae"),
    ]


_EXTRA = """# comment: yes
comfyui:
    base_path: {0}/one   # where it is
    is_default: true
    loras: |
        models/Lora
        models/LyCORIS
    checkpoints: "models/Stable Diffusion"
    configs: models/configs
#other:
#    loras: no
own:
    vae: vae/
"""


def test_the_extra_paths_of_comfyui_are_taken(tmp_path: Path) -> None:
    base = _make(tmp_path / "ComfyUI", "models/loras/", "vae/")
    one = _make(tmp_path / "one", "models/Lora/", "models/LyCORIS/", "models/Stable Diffusion/", "models/configs/")
    (base / "extra_model_paths.yaml").write_text(_EXTRA.format(tmp_path))
    assert [(folder.path, folder.kind, folder.stated != "") for folder in webuis.folders("comfyui", base)] == [
        (base / "models" / "loras", "lora", False),
        (one / "models" / "Lora", "lora", True),
        (one / "models" / "LyCORIS", "lora", True),
        (one / "models" / "Stable Diffusion", "checkpoint", True),
        (base / "vae", "vae", True),
    ]


@given(st.text(alphabet="ab:|#'\" \n\t-\0"))
def test_any_text_is_sections_of_texts(text: str) -> None:
    for section in yaml_sections(text).values():
        assert all(isinstance(value, str) for value in section.values())


def test_the_folders_that_swarmui_was_told_are_taken(tmp_path: Path) -> None:
    base = _make(tmp_path / "swarm", "Models/Stable-Diffusion/", "Data/")
    other = _make(tmp_path / "other", "loras/")
    text = f"Paths:\n\t#a comment\n\tModelRoot: Models;{other}\n\tSDLoraFolder: Lora;loras\n"
    (base / "Data" / "Settings.fds").write_text(text)
    assert [(folder.path, folder.kind) for folder in webuis.folders("swarmui", base)] == [
        (base / "Models" / "Stable-Diffusion", "checkpoint"),
        (other / "loras", "lora"),
    ]


def test_invokes_own_folder_of_models_is_taken(tmp_path: Path) -> None:
    base = _make(tmp_path / "invokeai", "models/", "elsewhere/")
    (base / "invokeai.yaml").write_text("schema_version: 4.0.2\nmodels_dir: elsewhere\n")
    assert _taken("invokeai", base) == [("elsewhere", "any")]


def test_programs_in_the_usual_places_are_found(tmp_path: Path) -> None:
    _make(tmp_path / "stable-diffusion-webui", *_LAYOUTS["a1111"], "webui.py", "modules/")
    _make(tmp_path / "AI" / "forge", *_LAYOUTS["forge"])
    _make(tmp_path / "AI" / "ComfyUI_portable" / "ComfyUI", *_LAYOUTS["comfyui"], "folder_paths.py", "comfy/")
    _make(tmp_path / "invokeai", *_LAYOUTS["invokeai"])
    _make(tmp_path / "apps" / "SwarmUI", *_LAYOUTS["swarmui"])
    _make(tmp_path / "far" / "away" / "matrix", *_LAYOUTS["stabilitymatrix"])
    _make(tmp_path / ".config" / "StabilityMatrix", "library.json")
    (tmp_path / ".config" / "StabilityMatrix" / "library.json").write_text(
        f'{{"LibraryPath": "{tmp_path / "far" / "away" / "matrix"}"}}'
    )
    _make(tmp_path / "Documents" / "letters", "models/")
    (tmp_path / "AI" / "again").symlink_to(tmp_path / "AI" / "forge")
    found = {one.preset: one for one in webui_search.find(tmp_path) if one.base.is_relative_to(tmp_path)}
    assert set(found) == set(webuis.PRESETS)
    assert found["comfyui"].base.name == "ComfyUI"
    for preset, one in found.items():
        assert list(one.folders) == webuis.folders(preset, one.base)
