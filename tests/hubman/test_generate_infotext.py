"""Infotext: written as A1111 writes it, read from whatever imitates it, and round trips."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from hubman.generate.infotext import Infotext, infotext_of, write
from hubman.generate.infotext_reading import read
from hubman.generate.pictures import Chunk, EngineNote, finished, public, read_info, save_copy, save_png
from hubman.generate.prompt_tags import cut_tags, tag_name
from hubman.generate.request import DrawRequest, Hires, LoraUse
from hubman.images.telling import tell
from registry import picture_text
from registry.errors import DamagedFileError, UsageError
from tests.support.patient import PATIENT

# A line "Negative prompt: " inside the prompt cannot be told from the separator in this format; the hubman chunk can.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80).filter(
    lambda text: "Negative prompt:" not in text and "\r" not in text
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


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ("a\nNegative prompt: b\nSteps: 20, Seed: 1\n\n", "a", "b"),
        ("a\r\nNegative prompt: b\r\nSteps: 20, Seed: 1\r\n", "a", "b"),
        ("a\nNegative prompt:\nSteps: 20", "a", ""),
        ("a\nNegative prompt:b\nc\nSteps: 20", "a", "b\nc"),
        ("Negative prompt: b\nSteps: 20", "", "b"),
        ("Steps: 20, Seed: 1", "", ""),
        ("a, steps: 5\nSampler: x, Seed: 1, Size: 1x1", "a, steps: 5", ""),
    ],
)
def test_prompts_of_all_programs_are_told_from_the_last_line(text: str, prompt: str, negative: str) -> None:
    info = read(text)
    assert (info.prompt, info.negative) == (prompt, negative)
    assert info.fields


@pytest.mark.parametrize(
    ("line", "fields", "json_fields"),
    [
        ("Steps: 2, A: [x, Seed: 1", {"Steps": "2", "Seed": "1"}, {}),
        ("Steps: 2, Mask: [x, Seed: 1", {"Steps": "2", "Mask": "[x", "Seed": "1"}, {}),
        ("Steps: 2, Hires prompt: [a|b] c, Seed: 1", {"Steps": "2", "Hires prompt": "[a|b] c", "Seed": "1"}, {}),
        ("Steps: 2, Args: {'a': 1, 'b': 2}, Seed: 1", {"Steps": "2", "Args": "{'a': 1, 'b': 2}", "Seed": "1"}, {}),
        (
            'Steps: 2, Hashes: {"a, b": "c: }"}, x: 1, Seed: 1',
            {"Steps": "2", "Seed": "1"},
            {"Hashes": {"a, b": "c: }"}},
        ),
        ('Steps: 2, Model: a "b" c, Seed: 1', {"Steps": "2", "Model": 'a "b" c', "Seed": "1"}, {}),
    ],
)
def test_fields_end_where_they_end(line: str, fields: dict[str, str], json_fields: dict[str, object]) -> None:
    info = read(f"a\n{line}")
    assert (info.fields, info.json_fields) == (fields, json_fields)


def test_what_is_not_told_has_a1111s_defaults() -> None:
    info = read("a\nSteps: 20, Sampler: Euler a")
    assert (info.clip_skip, info.rng, info.sampler) == (1, "GPU", ("Euler a", "Automatic"))
    old = read(
        "a\nSteps: 20, Sampler: DPM++ 2M Karras, Clip skip: 2, RNG: CPU, CFG scale: 6.5, Seed: 18446744073709551615"
    )
    assert (old.clip_skip, old.rng, old.sampler) == (2, "CPU", ("DPM++ 2M", "Karras"))
    assert (old.number("CFG scale"), old.whole("Seed"), old.whole("Sampler")) == (6.5, 2**64 - 1, None)


@pytest.mark.parametrize("digits", [8, 10, 12, 64])
def test_the_hash_of_nothing_is_no_hash_in_any_length(digits: int) -> None:
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"[:digits]
    info = read(f'x\nSteps: 1, Lora hashes: "a: {nothing}", Hashes: {{"lora:b": "{nothing}", "lora:c": "0123456789"}}')
    assert info.lora_hashes == {"c": "0123456789"}


def test_a_list_without_quotes_ends_before_other_hashes() -> None:
    info = read("x\nSteps: 20, Lora hashes: a: 0123456789ab, VAE hash: ba9876543210, Version: 1.5")
    assert info.lora_hashes == {"a": "0123456789ab"}
    assert info.fields["VAE hash"] == "ba9876543210"


@pytest.mark.parametrize("bit", ["aa: [", 'aa: {"', "aa:, ", "[", 'a: "\\', "aa: [1, "])
def test_long_lines_of_nothing_but_beginnings_are_read(bit: str) -> None:
    assert read("x\nSteps: 1, " + bit * (60_000 // len(bit))).prompt == "x"


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
    assert info.prompt == "a red circle <lora:ink_ wash:0.8>"
    assert list(info.fields)[:6] == ["Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size"]
    assert (info.fields["Sampler"], info.fields["Schedule type"]) == ("DPM++ 2M", "Karras")
    assert info.fields["Clip skip"] == "2"
    assert info.fields["Lora hashes"] == "ink_ wash: abababababab"
    assert info.json_fields["Hashes"] == {"model": "cdcdcdcdcd", "lora:ink_ wash": "ababababab"}


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16) | st.text(',:"()<>é漢 a', min_size=1)
USES = st.builds(
    LoraUse,
    path=st.just("x.safetensors"),
    name=NAMES,
    sha256=st.integers(1, 2**60).map(lambda number: f"{number:015x}" + "ab" * 24 + "c"),
    strength=st.integers(-1500, 1500).map(lambda n: n / 100),
    te_strength=st.none() | st.integers(-150, 150).map(lambda n: n / 100),
    start=st.integers(0, 9),
    stop=st.none() | st.integers(10, 20),
    blocks=st.sampled_from(["", "MIDD", ",".join("1" * 17)]),
    rank=st.none() | st.integers(1, 64),
)
REQUESTS = st.builds(
    DrawRequest,
    base=st.just("/models/base.safetensors"),
    prompt=TEXTS.map(lambda text: cut_tags(text).text.strip()),
    negative=TEXTS,
    loras=st.lists(USES, max_size=3, unique_by=lambda use: tag_name(use.name)).map(tuple),
    seed=st.integers(0, 2**63 - 1),
    cfg=st.integers(0, 3000).map(lambda n: n / 100),
    clip_skip=st.integers(1, 3),
    emphasis=st.sampled_from(["Original", "No norm", "Interpolate"]),
)


@PATIENT
@given(REQUESTS)
def test_any_request_is_told_again_by_its_infotext(request: DrawRequest) -> None:
    told = tell({"parameters": write(infotext_of(request, size=(64, 96), model="base", model_hash="cd" * 32))})
    assert told is not None
    assert (told.prompt, told.negative) == (request.prompt, request.negative)
    assert (told.seed, told.steps, told.cfg, told.width, told.height) == (request.seed, 16, request.cfg, 64, 96)
    assert (told.clip_skip, told.emphasis, told.model_hash) == (request.clip_skip, request.emphasis, "cdcdcdcdcd")
    assert [(use.name, use.hash) for use in told.loras] == [(tag_name(u.name), u.sha256[:12]) for u in request.loras]
    for use, own in zip(told.loras, request.loras, strict=True):
        te = own.strength if use.te_strength is None else use.te_strength
        assert (use.strength, te) == (own.strength, own.text_strength)
        assert (use.start, use.stop, use.blocks, use.rank) == (own.start, own.stop, own.blocks, own.rank)


@settings(PATIENT, max_examples=15)
@given(REQUESTS)
@example(DrawRequest(base="b", prompt="", negative="\xc2\x80"))
def test_the_chunk_carries_any_request_exactly(request: DrawRequest) -> None:
    with tempfile.TemporaryDirectory() as folder:
        info, chunk = read_info(_saved(Path(folder) / "x.png", request))
    assert chunk is not None
    assert chunk.request == public(request)
    assert chunk.key == request.key()
    assert info is not None


def test_the_passes_and_files_of_a_request_are_in_its_fields() -> None:
    hires = Hires(scale=1.5, steps=8, denoise=0.4, upscaler="Lanczos")
    request = msgspec.structs.replace(REQUEST, hires=hires, vae="/home/someone/fine.safetensors", vae_sha256="ee" * 32)
    fields = infotext_of(request, size=(96, 96), model="base").fields
    assert fields["Size"] == "64x64"
    assert fields["Denoising strength"] == "0.4"
    assert (fields["Hires upscale"], fields["Hires steps"], fields["Hires upscaler"]) == ("1.5", "8", "Lanczos")
    assert (fields["VAE"], fields["VAE hash"]) == ("fine.safetensors", "eeeeeeeeee")
    told = tell({"parameters": write(infotext_of(request, size=(96, 96), model="base"))})
    assert told is not None
    assert told.hires == hires
    order = ["Size", "Model", "Denoising strength", "Clip skip", "RNG", "VAE", "Lora hashes", "Version"]
    assert [name for name in fields if name in order] == order


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_a_copy_in_another_format_tells_the_same(tmp_path: Path, ending: str) -> None:
    request = msgspec.structs.replace(REQUEST, prompt="漢字 é, (b:1.2)\nsecond: line")
    picture, copy = _saved(tmp_path / "x.png", request), tmp_path / f"copy.{ending}"
    save_copy(picture, copy)
    assert read_info(copy) == (infotext_of(request, size=(8, 8), model="base"), None)
    with copy.open("rb") as file:
        told = tell(picture_text.read(file).texts)
    assert told is not None
    assert told.prompt == request.prompt
    with pytest.raises(UsageError, match="neither PNG"):
        save_copy(picture, tmp_path / "copy.gif")


def test_texts_behind_the_pixels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (8, 8)).save(path)
    data, text = path.read_bytes(), b"parameters\0a\nSteps: 3"
    chunk = len(text).to_bytes(4, "big") + b"tEXt" + text + zlib.crc32(b"tEXt" + text).to_bytes(4, "big")
    path.write_bytes(data[:-12] + chunk + data[-12:])
    assert read_info(path)[0] == Infotext("a", fields={"Steps": "3"})


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
    with pytest.raises(DamagedFileError, match="is no picture"):
        read_info(path)


@pytest.mark.parametrize("code", [b"UNICODE\0" + "a\nSteps: 3".encode("utf-16-be"), b"ASCII\0\0\0a\nSteps: 3"])
def test_the_user_comment_of_a_jpeg_is_read(tmp_path: Path, code: bytes) -> None:
    image, exif = Image.new("RGB", (8, 8)), Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = code
    image.save(tmp_path / "x.jpg", exif=exif)
    info, chunk = read_info(tmp_path / "x.jpg")
    assert info == Infotext("a", fields={"Steps": "3"})
    assert chunk is None
