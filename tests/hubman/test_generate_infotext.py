"""Infotext: written as A1111 writes it, read from whatever imitates it, and round trips."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman.generate.infotext import Infotext, infotext_of, read, write
from hubman.generate.pictures import Chunk, EngineNote, finished, public, read_info, save_png
from hubman.generate.request import DrawRequest, LoraUse
from registry.errors import DamagedFileError
from tests.support.patient import PATIENT

# A line "Negative prompt: " inside the prompt cannot be told from the separator in this format; the hubman chunk can.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80).filter(
    lambda text: "Negative prompt: " not in text
)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9 ]{0,10}[A-Za-z0-9]", fullmatch=True).filter(
    lambda key: key not in {"Steps", "Lora hashes", "TI hashes"}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
).filter(lambda value: isinstance(value, dict | list))

REAL = (
    "a (cat:1.2), steps: many\nsecond line\nNegative prompt: ugly, bad\n"
    "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 42, Size: 512x768, "
    "Model hash: abcdef0123, "
    'Model: "a, b", Lora hashes: "ink: 0123456789ab, old: ba9876543210", Tiled Diffusion: {"Method": "MultiDiffusion", '
    '"Tile": 96}, Version: v1.10.1, Hashes: {"model": "abcdef0123", "lora:ink": "0123456789"}, '
    'Civitai resources: [{"type":"lora","weight":0.7,"modelVersionId":135867}]'
)


@PATIENT
@given(TEXTS, TEXTS, st.dictionaries(KEYS, VALUES, max_size=4), st.dictionaries(KEYS, JSON, max_size=2))
def test_what_is_written_is_read_back(
    prompt: str, negative: str, fields: dict[str, str], json_fields: dict[str, object]
) -> None:
    json_fields = {key: value for key, value in json_fields.items() if key not in fields}
    info = Infotext(prompt, negative, {"Steps": "20", **fields}, json_fields)
    assert read(write(info)) == info


@PATIENT
@given(st.text(max_size=120))
def test_any_text_has_a_reading(text: str) -> None:
    assert isinstance(read(text), Infotext)


def test_json_fields_are_taken_out_first() -> None:
    info = read(REAL)
    assert info.prompt == "a (cat:1.2), steps: many\nsecond line"
    assert info.negative == "ugly, bad"
    assert info.fields["Model"] == "a, b"
    assert info.fields["Version"] == "v1.10.1"
    assert info.json_fields["Tiled Diffusion"] == {"Method": "MultiDiffusion", "Tile": 96}
    assert info.json_fields["Civitai resources"][0]["weight"] == 0.7
    assert info.size == (512, 768)


def test_lora_hashes_come_from_both_places_and_never_the_empty_one() -> None:
    assert read(REAL).lora_hashes == {"ink": "0123456789ab", "old": "ba9876543210"}
    stolen = read('x\nSteps: 1, Lora hashes: "a: e3b0c44298fc"')
    assert stolen.lora_hashes == {}


def test_unquoted_lists_of_old_files_are_joined() -> None:
    info = read("x\nSteps: 20, Lora hashes: a: 0123456789ab, b c: ba9876543210, Version: 1.5")
    assert info.lora_hashes == {"a": "0123456789ab", "b c": "ba9876543210"}
    assert info.fields["Version"] == "1.5"


def test_without_a_line_of_fields_all_is_prompt() -> None:
    assert read("a cat\nin two lines: yes") == Infotext("a cat\nin two lines: yes")
    assert read("just, commas: and one colon").prompt.startswith("just")


REQUEST = DrawRequest(
    base="/home/someone/models/base.safetensors",
    prompt="a red circle",
    negative="blur",
    loras=(LoraUse(path="/home/someone/ink.safetensors", name="ink: wash", sha256="ab" * 32, strength=0.8),),
    seed=7,
    sampler="DPM++ 2M Karras",
    clip_skip=2,
)


def test_a_request_is_written_with_tags_hashes_and_a1111s_names() -> None:
    info = infotext_of(REQUEST, size=(64, 64), model="base", model_hash="cd" * 32, version="1.0")
    assert info.prompt == "a red circle <lora:ink: wash:0.8>"
    assert list(info.fields)[:6] == ["Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size"]
    assert (info.fields["Sampler"], info.fields["Schedule type"]) == ("DPM++ 2M", "Karras")
    assert info.fields["Clip skip"] == "2"
    assert info.fields["Lora hashes"] == "ink  wash: abababababab"
    assert info.json_fields["Hashes"] == {"model": "cdcdcdcdcd", "lora:ink: wash": "ababababab"}


def _saved(path: Path, request: DrawRequest = REQUEST) -> Path:
    info = infotext_of(request, size=(8, 8), model="base")
    note = EngineNote(dtype="float32", device="cpu", batch=1, versions={})
    save_png(Image.new("RGB", (8, 8)), path, info, Chunk(key=request.key(), request=public(request), engine=note))
    return path


def test_a_picture_carries_the_exact_request_but_no_folder_of_this_machine(tmp_path: Path) -> None:
    path = _saved(tmp_path / "new" / "x.png")
    info, chunk = read_info(path)
    assert info == infotext_of(REQUEST, size=(8, 8), model="base")
    assert chunk is not None
    assert chunk.request == public(REQUEST)
    assert b"someone" not in path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["x.png"]


def test_a_picture_is_finished_only_under_its_own_key(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.png")
    assert finished(path, REQUEST.key())
    assert not finished(path, "other")
    path.write_bytes(path.read_bytes()[:60])
    assert not finished(path, REQUEST.key())
    with pytest.raises(DamagedFileError, match="not a picture"):
        read_info(path)


@pytest.mark.parametrize("code", [b"UNICODE\0" + "a\nSteps: 3".encode("utf-16-be"), b"ASCII\0\0\0a\nSteps: 3"])
def test_the_user_comment_of_a_jpeg_is_read(tmp_path: Path, code: bytes) -> None:
    image, exif = Image.new("RGB", (8, 8)), Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = code
    image.save(tmp_path / "x.jpg", exif=exif)
    info, chunk = read_info(tmp_path / "x.jpg")
    assert info == Infotext("a", fields={"Steps": "3"})
    assert chunk is None
