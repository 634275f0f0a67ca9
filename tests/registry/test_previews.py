from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from registry import blobs, library, pictures, previews
from registry.database import Registry
from registry.errors import DamagedFileError, HubError, NotFoundError
from tests.support.library import add_entry


def _picture(path: Path, colour: str = "red", size: tuple[int, int] = (60, 40)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def test_a_preview_is_kept_by_content_and_listed(registry: Registry, tmp_path: Path) -> None:
    version = add_entry(registry, "ink")
    source = _picture(tmp_path / "one.png")
    sha256 = previews.add_preview(registry, version, source, generation={"prompt": "a cat"}, nsfw_level=1)
    assert sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert previews.blob_path(registry, sha256).read_bytes() == source.read_bytes()
    (shown,) = library.version(registry, version).previews
    assert (shown.width, shown.height, shown.name, shown.nsfw_level) == (60, 40, "one.png", 1)
    assert shown.generation == {"prompt": "a cat"}
    assert library.list_models(registry)[0].preview == sha256


def test_adding_a_preview_again_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    version = add_entry(registry, "ink")
    source = _picture(tmp_path / "one.png")
    previews.add_preview(registry, version, source, generation={"prompt": "first"})
    clock = registry.db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0]
    previews.add_preview(registry, version, source, generation={"prompt": "second"})
    assert registry.db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0] == clock
    (shown,) = library.version(registry, version).previews
    assert shown.generation == {"prompt": "first"}


def test_pictures_stand_in_the_order_in_which_they_came_until_one_is_the_cover(
    registry: Registry, tmp_path: Path
) -> None:
    version = add_entry(registry, "ink")
    colours = ("red", "green", "blue")
    shas = [previews.add_preview(registry, version, _picture(tmp_path / f"{name}.png", name)) for name in colours]
    assert [shown.sha256 for shown in library.version(registry, version).previews] == shas
    previews.choose_cover(registry, version, shas[2])
    assert library.version(registry, version).previews[0].sha256 == shas[2]
    previews.remove_preview(registry, version, shas[0])
    assert [shown.sha256 for shown in library.version(registry, version).previews] == [shas[2], shas[1]]
    with pytest.raises(NotFoundError):
        previews.choose_cover(registry, version, shas[0])


def test_what_is_no_picture_is_refused_and_nothing_is_kept(registry: Registry, tmp_path: Path) -> None:
    version = add_entry(registry, "ink")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    with pytest.raises(DamagedFileError, match=r"bad\.png"):
        previews.add_preview(registry, version, bad)
    assert not registry.blobs.exists()
    with pytest.raises(NotFoundError):
        previews.add_preview(registry, "nowhere", _picture(tmp_path / "good.png"))


def test_a_missing_source_leaves_no_trace(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="can't be kept"):
        blobs.store(registry, tmp_path / "absent.png")
    assert not registry.blobs.exists() or not list(registry.blobs.iterdir())


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "0" * 63, ""])
def test_a_name_from_outside_never_becomes_a_path(registry: Registry, name: str) -> None:
    with pytest.raises(NotFoundError):
        blobs.path_of(registry, name)


def test_a_thumbnail_is_small_made_once_and_cached(registry: Registry, tmp_path: Path) -> None:
    sha256 = blobs.store(registry, _picture(tmp_path / "big.png", size=(1000, 500)))
    path = previews.thumbnail(registry, sha256)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("JPEG", (320, 160))
    stamp = path.stat().st_mtime_ns
    assert previews.thumbnail(registry, sha256) == path
    assert path.stat().st_mtime_ns == stamp
    assert not [entry for entry in path.parent.iterdir() if entry.name.startswith(".")]


def test_a_thumbnail_of_a_transparent_picture_is_on_white(registry: Registry, tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    sha256 = blobs.store(registry, tmp_path / "clear.png")
    with Image.open(previews.thumbnail(registry, sha256)) as image:
        pixel = image.getpixel((4, 4))
    assert isinstance(pixel, tuple)
    assert min(pixel) > 250


def test_a_turned_photograph_is_measured_and_shown_upright(registry: Registry, tmp_path: Path) -> None:
    picture = Image.new("RGB", (60, 40), "red")
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert pictures.measure(tmp_path / "turned.jpg") == (40, 60)
    sha256 = blobs.store(registry, tmp_path / "turned.jpg")
    with Image.open(previews.thumbnail(registry, sha256)) as image:
        assert image.size == (40, 60)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("size", [(20_000, 20_000), (1 << 30, 1 << 30)])
def test_a_decompression_bomb_is_refused_before_it_unpacks(
    registry: Registry, tmp_path: Path, size: tuple[int, int]
) -> None:
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    bomb = tmp_path / "bomb.png"
    data = _chunk(b"IDAT", zlib.compress(bytes(1000)))
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + data + _chunk(b"IEND", b""))
    with pytest.raises(DamagedFileError):
        previews.thumbnail(registry, blobs.store(registry, bomb))
    with pytest.raises(DamagedFileError):
        pictures.measure(bomb)


def test_a_truncated_picture_makes_no_thumbnail_and_no_litter(registry: Registry, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 50).save(buffer, "PNG")
    sha256 = blobs.store_bytes(registry, buffer.getvalue()[:5000])
    with pytest.raises(DamagedFileError):
        previews.thumbnail(registry, sha256)
    assert not list(registry.home.glob("thumbs/**/*.*"))


def test_a_preview_whose_bytes_are_elsewhere_says_so(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match="not on this machine"):
        previews.thumbnail(registry, "ab" * 32)


def test_a_preview_that_another_machine_describes_wrongly_is_not_shown(registry: Registry) -> None:
    version = add_entry(registry, "ink")
    bodies: list[dict[str, Any]] = [
        {"width": {}},
        {"position": 1 << 70},
        {"name": None},
        {"generation": 3},
        {"width": 5},
    ]
    for number, body in enumerate(bodies):
        sha256 = f"{number:064x}"
        library.add_record(registry, "preview", f"{version}/{sha256}", {"version_id": version, **body})
        library.update_set(registry, version, "previews", add=[sha256])
    assert [shown.width for shown in library.version(registry, version).previews] == [5]
