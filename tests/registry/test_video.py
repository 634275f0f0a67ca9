from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from registry import library, previews, video
from registry.database import Registry
from registry.errors import DamagedFileError, MissingExtraError
from tests.support.library import add_entry
from tests.support.videos import write_video


def _colour(path: Path) -> tuple[int, int, int]:
    with Image.open(path) as image:
        pixel = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm"])
def test_the_first_frame_of_a_video_is_its_thumbnail(registry: Registry, tmp_path: Path, name: str) -> None:
    version = add_entry(registry, "ink")
    clip = write_video(tmp_path / name, ("red", "blue"), (640, 480))
    path = previews.thumbnail(registry, previews.add_preview(registry, version, clip))
    with Image.open(path) as image:
        assert image.format == "JPEG"
        assert image.size == (320, 240)
    red, green, blue = _colour(path)
    assert red > 180
    assert max(green, blue) < 80


def test_a_frame_is_decoded_once(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = add_entry(registry, "ink")
    sha256 = previews.add_preview(registry, version, write_video(tmp_path / "clip.mp4"))
    path = previews.thumbnail(registry, sha256)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setenv("PATH", "")
    assert previews.thumbnail(registry, sha256) == path


def test_without_a_decoder_the_missing_extra_is_named(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = add_entry(registry, "ink")
    sha256 = previews.add_preview(registry, version, write_video(tmp_path / "clip.mp4"))
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtraError, match=r"hubman\[video\]"):
        previews.thumbnail(registry, sha256)
    monkeypatch.undo()
    assert previews.thumbnail(registry, sha256).is_file(), "once the extra is there, it is used"


def test_a_broken_video_says_so_leaves_nothing_and_is_not_tried_each_time(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = add_entry(registry, "ink")
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "clip.mp4").write_bytes(whole[: len(whole) // 3])
    sha256 = previews.add_preview(registry, version, tmp_path / "clip.mp4")
    with pytest.raises(DamagedFileError, match=r"clip\.mp4 is no video"):
        previews.thumbnail(registry, sha256)
    assert not list((registry.home / "thumbs").glob("*/*.jpg"))
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DamagedFileError, match=r"clip\.mp4 is no video"):
        previews.thumbnail(registry, sha256)
    assert library.version(registry, version).previews[0].name == "clip.mp4"


def test_a_playlist_that_calls_itself_a_video_opens_no_other_file(tmp_path: Path) -> None:
    other = write_video(tmp_path / "other.mp4")
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{other}\n")
    with pytest.raises(DamagedFileError):
        video.shrink(tmp_path / "list.mp4", "list.mp4", tmp_path / "out.jpg", 320)


def _program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """What is found as ffmpeg, with PyAV away."""
    folder.mkdir()
    (folder / "ffmpeg").write_text(script)
    (folder / "ffmpeg").chmod(0o755)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_an_ffmpeg_on_the_path_is_used_where_pyav_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (320, 200), "green").save(tmp_path / "frame.jpg")
    script = f'#!/bin/sh\nfor last; do :; done\ncp "{tmp_path}/frame.jpg" "${{last#file:}}"\n'
    _program(tmp_path / "bin", monkeypatch, script)
    (tmp_path / "clip.webm").write_bytes(b"")
    video.shrink(tmp_path / "clip.webm", "clip.webm", tmp_path / "out.jpg", 160)
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (160, 100)


def test_a_decoder_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "bin", monkeypatch, "#!/bin/sh\nwhile :; do :; done\n")
    monkeypatch.setattr(video, "PATIENCE", 0.5)
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(DamagedFileError, match="too long"):
        video.shrink(tmp_path / "clip.mp4", "clip.mp4", tmp_path / "out.jpg", 160)


def test_a_decoder_gets_no_more_memory_than_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    took = tmp_path / "took"
    grab = f"import pathlib; bytearray(3 << 30); pathlib.Path({str(took)!r}).touch()"
    _program(tmp_path / "bin", monkeypatch, f'#!/bin/sh\nexec "{sys.executable}" -c "{grab}"\n')
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(DamagedFileError, match="no video"):
        video.shrink(tmp_path / "clip.mp4", "clip.mp4", tmp_path / "out.jpg", 160)
    assert not took.exists()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 30), st.binary(min_size=1, max_size=40))
def test_any_damage_gives_a_frame_or_one_clear_error(tmp_path: Path, at: int, patch: bytes) -> None:
    whole = tmp_path / "whole.webm"
    content = bytearray((whole if whole.exists() else write_video(whole)).read_bytes())
    at %= len(content)
    content[at : at + len(patch)] = patch
    (tmp_path / "clip.webm").write_bytes(content)
    with contextlib.suppress(DamagedFileError):
        video.shrink(tmp_path / "clip.webm", "clip.webm", tmp_path / "out.jpg", 64)
        assert max(Image.open(tmp_path / "out.jpg").size) <= 64
