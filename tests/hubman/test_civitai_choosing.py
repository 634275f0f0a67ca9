"""The right file of a version, and a question only where nothing tells files apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.civitai import destination, lenient
from hubman.civitai.choosing import AmbiguousError, Choice, Preference, choose, with_ref
from hubman.civitai.errors import GoneError
from hubman.civitai.records import RemoteFile, RemoteModel, RemoteVersion
from hubman.civitai.refs import Ref, parse_ref
from registry.errors import HubError, UsageError
from tests.support.patient import PATIENT


def _file(number: int, name: str = "", kind: str = "Model", **told: Any) -> dict[str, Any]:
    primary = told.pop("primary", False)
    scan = told.pop("virusScanResult", "Success")
    return {
        "id": number, "name": name or f"f{number}.safetensors", "type": kind, "metadata": told, "primary": primary,
        "virusScanResult": scan,
    }  # fmt: skip


def _version(*files: dict[str, Any], **more: Any) -> RemoteVersion:
    return lenient.decode(RemoteVersion, {"id": 7, "name": "v1", "files": list(files), **more})


_MANY = _version(
    _file(1, format="PickleTensor", size="full", fp="fp32", primary=True),
    _file(2, format="SafeTensor", size="full", fp="fp32"),
    _file(3, format="SafeTensor", size="pruned", fp="fp16"),
    _file(4, format="SafeTensor", size="pruned", fp="bf16"),
    _file(5, format="GGUF", size="pruned", fp="fp16", quantType="Q8_0"),
    _file(6, kind="VAE", format="SafeTensor"),
    _file(7, kind="Config", name="config.yaml", format="Other"),
    _file(8, kind="Training Data", name="images.zip", format="Other"),
)


@pytest.mark.parametrize(
    ("choice", "prefer", "numbers"),
    [
        (Choice(), Preference(), [3]),
        (Choice(size="full"), Preference(), [2]),
        (Choice(fp="BF16"), Preference(), [4]),
        (Choice(), Preference(format="GGUF"), [5]),
        (Choice(), Preference(size="full", fp="fp32"), [2]),
        (Choice(quant="q8_0"), Preference(), [5]),
        (Choice(type="vae"), Preference(), [6]),
        (Choice(type="Training Data"), Preference(), [8]),
        (Choice(file="7"), Preference(), [7]),
        (Choice(file="images.zip"), Preference(), [8]),
        (Choice(file="*F4*"), Preference(), [4]),
        (Choice(all_files=True), Preference(), [1, 2, 3, 4, 5]),
        (Choice(all_files=True, format="SafeTensor"), Preference(), [2, 3, 4]),
        (with_ref(Choice(), parse_ref("civitai:1@7+1.safetensors")), Preference(), [1]),
        (with_ref(Choice(), Ref(version_id=7, format="SafeTensor", fp="fp32")), Preference(), [2]),
        (with_ref(Choice(fp="bf16"), Ref(version_id=7, fp="fp32")), Preference(), [4]),
    ],
)  # fmt: skip
def test_wishes_come_first_then_preferences(choice: Choice, prefer: Preference, numbers: list[int]) -> None:
    assert [file.id for file in choose(_MANY, choice, prefer)] == numbers


def test_a_pair_that_nothing_tells_apart_is_a_question() -> None:
    pair = _version(
        _file(1, "high_noise.safetensors", format="SafeTensor", primary=True),
        _file(2, "low_noise.safetensors", format="SafeTensor"),
    )
    with pytest.raises(AmbiguousError) as caught:
        choose(pair, Choice(), Preference())
    assert "1 high_noise.safetensors, 2 low_noise.safetensors" in str(caught.value)
    assert "--all-files" in str(caught.value)
    assert [file.id for file in choose(pair, Choice(file="*low*"), Preference())] == [2]
    assert [file.id for file in choose(pair, Choice(all_files=True), Preference())] == [1, 2]


def test_files_that_are_told_apart_are_none() -> None:
    apart = _version(_file(1, fp="fp8", format="SafeTensor"), _file(2, fp="nf4", format="SafeTensor", primary=True))
    assert [file.id for file in choose(apart, Choice(), Preference())] == [2]


def test_what_a_version_requires_comes_along() -> None:
    required = _version(
        _file(1, format="SafeTensor", isRequired=True, primary=True), _file(2, format="SafeTensor", isRequired=True)
    )
    assert [file.id for file in choose(required, Choice(), Preference())] == [1, 2]


_PARTS = _version(
    _file(1, kind="Diffusion Model", format="SafeTensor", fp="fp16", isRequired=True, primary=True),
    _file(2, kind="Diffusion Model", format="GGUF", quantType="Q8_0", isRequired=True),
    _file(3, kind="Text Encoder", format="SafeTensor", isRequired=True),
    _file(4, kind="VAE", format="SafeTensor", isRequired=True, virusScanResult="Danger"),
    _file(5, kind="VAE", format="SafeTensor"),
    _file(6, kind="Config", format="Other", isRequired=True),
)


@pytest.mark.parametrize(
    ("choice", "numbers"),
    [
        (Choice(), [1, 2, 3, 6]),
        (Choice(format="GGUF"), [2, 3, 6]),
        (Choice(all_files=True), [1, 2, 3, 6]),
        (Choice(file="1"), [1]),
        (Choice(type="Diffusion Model", format="SafeTensor"), [1]),
        (Choice(type="Text Encoder"), [3]),
    ],
)
def test_what_is_required_comes_along_whatever_its_type(choice: Choice, numbers: list[int]) -> None:
    assert [file.id for file in choose(_PARTS, choice, Preference())] == numbers


def test_other_things_than_models_have_a_file_too() -> None:
    vae = _version(_file(1, kind="VAE", primary=True), _file(2, kind="Config"))
    diffusion = _version(_file(1, kind="Text Encoder"), _file(2, kind="Diffusion Model"))
    poses = _version(_file(1, kind="Archive", name="poses.zip", primary=True))
    for version, number in ((vae, 1), (diffusion, 2), (poses, 1)):
        assert [file.id for file in choose(version, Choice(), Preference())] == [number]


def test_what_does_not_fit_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError) as caught:
        choose(_MANY, Choice(format="ONNX"), Preference())
    assert "3 f3.safetensors (Model SafeTensor pruned fp16)" in str(caught.value)
    with pytest.raises(HubError, match="dangerous"):
        choose(_version(_file(1, virusScanResult="Danger")), Choice(), Preference())
    sound = _version(_file(1, virusScanResult="Danger", primary=True), _file(2))
    assert [file.id for file in choose(sound, Choice(), Preference())] == [2]
    for mode, says in (("Archived", "archived"), ("TakenDown", "taken down")):
        with pytest.raises(GoneError, match=says):
            choose(_version(model={"name": "Harbor", "mode": mode}), Choice(), Preference())


# where it goes ---------------------------------------------------------------------------------------------------------

_MODEL = lenient.decode(
    RemoteModel, {"name": "Ink/Wash", "creator": {"username": "ann"}, "type": "LORA", "tags": ["a b"]}
)


def _placed(template: str, name: str = "ink.safetensors", base: str = "SDXL 1.0") -> str:
    version = lenient.decode(RemoteVersion, {"id": 7, "name": "v1", "baseModel": base})
    file = lenient.decode(RemoteFile, {"id": 1, "name": name, "hashes": {"SHA256": "AB" * 32}})
    return str(destination.place(Path("/m"), template, _MODEL, version, file))


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("", "/m/ink.safetensors"),
        ("{base_model}/{creator}/{name}", "/m/SDXL 1.0/ann/ink.safetensors"),
        ("{type}/{model} {version}", "/m/LORA/Ink_Wash v1.safetensors"),
        ("{tag}/", "/m/a b/ink.safetensors"),
        ("{trigger}/{hash8}", "/m/unknown/abababab.safetensors"),
    ],
)
def test_a_template_makes_the_path(template: str, path: str) -> None:
    assert _placed(template) == path


def test_a_template_that_makes_no_path_is_refused() -> None:
    for template, says in (("{rank}/{name}", "rank"), ("{nam}", "name"), ("{base", "bracket"), ("/", "no path")):
        with pytest.raises(UsageError, match=says):
            destination.check(template)


@PATIENT
@given(st.text(max_size=80), st.text(max_size=80))
def test_no_name_from_outside_leaves_its_folder(name: str, base: str) -> None:
    base, name = lenient.clean_text(base), lenient.clean_text(name)
    path = Path(_placed("{base}/{name}", name, base))
    assert len(path.parts) == 4
    assert path.parts[:2] == ("/", "m")
    assert not {"..", "."} & set(path.parts)
