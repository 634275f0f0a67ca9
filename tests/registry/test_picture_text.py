"""Texts of pictures: every place and code in which programs write them, and any bytes at all."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from registry import exif, picture_text
from tests.support.drawings import comment, write_exif, write_png
from tests.support.patient import PATIENT

TEXT = "a lighthouse, ünïcode 灯台 \U0001f600\nSteps: 3"


def _read(path: Path) -> picture_text.PictureText:
    with path.open("rb") as file:
        return picture_text.read(file)


def _read_bytes(data: bytes) -> picture_text.PictureText:
    return picture_text.read(io.BytesIO(data))


@pytest.mark.parametrize("international", [False, True])
def test_texts_of_a_png(tmp_path: Path, international: bool) -> None:
    texts = {"parameters": TEXT, "workflow": "{}" * 3000}
    path = write_png(tmp_path / "x.png", texts, international=international)
    assert _read(path).texts == texts


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_chunks(path: Path, before: bytes = b"", after: bytes = b"") -> bytes:
    data = write_png(path, {}).read_bytes()
    pixels, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    return data[:pixels] + before + data[pixels:end] + after + data[end:]


def test_latin_1_is_read_where_a_text_is_no_utf_8(tmp_path: Path) -> None:
    data = _with_chunks(tmp_path / "x.png", before=_chunk(b"tEXt", b"parameters\0caf\xe9"))
    assert _read_bytes(data).texts == {"parameters": "café"}


def test_texts_behind_the_pixels_are_found_and_exif_in_a_png(tmp_path: Path) -> None:
    block = Image.Exif()
    block.get_ifd(0x8769)[0x9286] = comment(TEXT)
    after = _chunk(b"tEXt", b"parameters\0late") + _chunk(b"eXIf", block.tobytes())
    assert _read_bytes(_with_chunks(tmp_path / "x.png", after=after)).texts == {
        "parameters": "late",
        "UserComment": TEXT,
    }


def test_a_text_that_unpacks_without_end_is_cut(tmp_path: Path) -> None:
    bomb = zlib.compress(b"\0" * (200 << 20), 9)
    data = _with_chunks(tmp_path / "x.png", before=_chunk(b"zTXt", b"parameters\0\0" + bomb))
    tracemalloc.start()
    text = _read_bytes(data).texts["parameters"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(text) == picture_text.MAX_TEXT
    assert peak < 6 * picture_text.MAX_TEXT


def test_a_text_longer_than_the_bound_is_left_out(tmp_path: Path) -> None:
    long = _chunk(b"tEXt", b"workflow\0" + b"x" * picture_text.MAX_TEXT)
    data = _with_chunks(tmp_path / "x.png", before=long + _chunk(b"tEXt", b"parameters\0short"))
    assert _read_bytes(data).texts == {"parameters": "short"}


@pytest.mark.parametrize("ending", ["jpg", "webp"])
@pytest.mark.parametrize(
    "raw",
    [
        b"UNICODE\0" + TEXT.encode("utf-16-be"),
        b"UNICODE\0" + TEXT.encode("utf-16-le"),
        b"UNICODE\0" + TEXT.encode("utf-16"),
        b"UNICODE\0" + b"\xfe\xff" + TEXT.encode("utf-16-be"),
        b"ASCII\0\0\0" + TEXT.encode(),
        b"\0" * 8 + TEXT.encode(),
        TEXT.encode(),
    ],
    ids=["big", "little", "marked little", "marked big", "ascii", "undefined", "no code"],
)
def test_the_user_comment_in_all_its_codes(tmp_path: Path, ending: str, raw: bytes) -> None:
    assert _read(write_exif(tmp_path / f"x.{ending}", {0x9286: raw})).texts == {"UserComment": TEXT}


def test_a_user_comment_in_jis(tmp_path: Path) -> None:
    raw = b"JIS\0\0\0\0\0" + "灯台".encode("iso2022_jp")
    assert _read(write_exif(tmp_path / "x.jpg", {0x9286: raw})).texts == {"UserComment": "灯台"}


def test_where_comfyui_writes_into_a_webp(tmp_path: Path) -> None:
    path = write_exif(tmp_path / "x.webp", {0x0110: 'prompt:{"1": 2}', 0x010F: 'workflow:{"nodes": []}'})
    assert _read(path).texts == {"Model": 'prompt:{"1": 2}', "Make": 'workflow:{"nodes": []}'}


def test_the_comment_of_a_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.new("RGB", (8, 8)).save(path, comment=TEXT.encode())
    assert _read(path).texts == {"Comment": TEXT}


def test_a_picture_without_texts_and_what_is_no_picture(tmp_path: Path) -> None:
    assert _read(write_png(tmp_path / "x.png", {})).texts == {}
    assert _read_bytes(b"GIF89a").texts == {}
    assert _read_bytes(b"").texts == {}


def test_equal_pictures_have_one_fingerprint_and_others_another(tmp_path: Path) -> None:
    first = write_png(tmp_path / "a.png", {"parameters": TEXT}, number=1)
    same = write_png(tmp_path / "b.png", {"parameters": TEXT}, number=1)
    other = write_png(tmp_path / "c.png", {"parameters": TEXT}, number=2)
    assert _read(first).content == _read(same).content != _read(other).content
    long = bytes(range(256)) * 1000
    assert _read_bytes(long).content != _read_bytes(long[:-1] + b"x").content
    assert _read_bytes(long).content != _read_bytes(long + long).content


@PATIENT
@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1", b"RIFF\0\0\0\0WEBP", b"RIFF\0\0\0\0WEBPEXIF"]),
)
def test_any_bytes_have_a_reading(data: bytes, start: bytes) -> None:
    found = _read_bytes(start + data)
    assert all(isinstance(text, str) for text in found.texts.values())


@PATIENT
@given(st.sampled_from(["png", "jpg", "webp"]), st.data())
def test_any_damage_to_a_real_picture_has_a_reading(
    tmp_path_factory: pytest.TempPathFactory, ending: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = folder / f"x.{ending}"
    whole = (
        write_png(path, {"parameters": TEXT}) if ending == "png" else write_exif(path, {0x9286: comment(TEXT)})
    ).read_bytes()
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=5)):
        if at < len(damaged):
            damaged[at] = data.draw(st.integers(0, 255))
    assert isinstance(_read_bytes(bytes(damaged)).texts, dict)


@PATIENT
@given(st.binary(max_size=300), st.sampled_from([b"II*\0", b"MM\0*", b"Exif\0\0II*\0"]))
def test_any_exif_has_a_reading(data: bytes, start: bytes) -> None:
    assert all(exif.texts_of(start + data).values())


def test_directories_that_lead_round_in_circles_end() -> None:
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    assert exif.texts_of(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + b"\0" * 4) == {}
