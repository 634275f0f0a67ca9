"""Archives from outside: opened only where they hold models and nothing that runs, and never out of their folder."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from hubman.civitai import archives
from registry.errors import DamagedFileError
from tests.support.civitai import write_lora


def _zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_an_archive_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "a.safetensors")
    zipped = _zip(tmp_path / "b.safetensors", {"a.safetensors": b"x"})
    torch = _zip(tmp_path / "c.ckpt", {"data.pkl": b"x"})
    assert [archives.is_archive(path) for path in (lora, zipped, torch)] == [False, True, False]
    assert archives.name_truly(zipped) == tmp_path / "b.zip"
    assert _names(tmp_path) == ["a.safetensors", "b.zip", "c.ckpt"]


def test_the_models_of_an_archive_come_out_under_harmless_names(tmp_path: Path) -> None:
    (tmp_path / "taken.safetensors").write_bytes(b"mine")
    path = _zip(
        tmp_path / "pack.zip",
        {"../../evil.safetensors": b"one", "in/taken.safetensors": b"two", "read me.txt": b"t", "x\\y.pt": b"three"},
    )
    made = archives.unpack(path)
    assert [one.name for one in made] == ["evil.safetensors", "taken-2.safetensors", "y.pt"]
    assert [one.read_bytes() for one in made] == [b"one", b"two", b"three"]
    assert _names(tmp_path) == ["evil.safetensors", "taken-2.safetensors", "taken.safetensors", "y.pt"]


@pytest.mark.parametrize(
    "members", [{"a.safetensors": b"x", "run.exe": b"x"}, {"a.txt": b"x"}, {"a.safetensors": b"x", "b.py": b"x"}, {}]
)
def test_an_archive_of_anything_else_stays_as_it_is(tmp_path: Path, members: dict[str, bytes]) -> None:
    path = _zip(tmp_path / "pack.zip", members)
    before = path.read_bytes()
    assert archives.unpack(path) == []
    assert _names(tmp_path) == ["pack.zip"]
    assert path.read_bytes() == before


def test_a_link_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("a.safetensors")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert archives.unpack(path) == []


def test_a_bomb_and_a_broken_archive_are_refused_and_kept(tmp_path: Path) -> None:
    bomb = _zip(tmp_path / "bomb.zip", {"a.safetensors": bytes(2 << 20)}, zipfile.ZIP_DEFLATED)
    whole = _zip(tmp_path / "w.zip", {"a.safetensors": b"x" * 1000, "b.safetensors": b"y" * 1000}).read_bytes()
    broken = tmp_path / "broken.zip"
    broken.write_bytes(whole.replace(b"y" * 1000, b"z" * 1000))
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[:900])
    for path in (bomb, broken, cut):
        with pytest.raises(DamagedFileError, match="kept as it is"):
            archives.unpack(path)
    assert _names(tmp_path) == ["bomb.zip", "broken.zip", "cut.zip", "w.zip"]


def test_a_member_that_lies_about_its_length_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.safetensors", b"x" * 1000)
    content = bytearray(buffer.getvalue())
    entry = content.rfind(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    path = tmp_path / "liar.zip"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError):
        archives.unpack(path)
    assert _names(tmp_path) == ["liar.zip"]
