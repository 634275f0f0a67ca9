"""First looks in processes of their own see what first looks here see, and leave no process behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from registry import lookers, roots, scan
from registry.database import Registry
from registry.errors import HubError
from registry.library import list_models
from registry.scan_read import first_look
from registry.scan_walk import look_at
from tests.support.model_files import real_keys, small_lora, write_model


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Sound, damaged, pickled and vanished ones, one with a picture inside."""
    metadata, tensors = real_keys("sdxl_kohya_lora_r8")
    found = [write_model(tmp_path / "loras" / f"{n}.safetensors", small_lora(rank=n + 1), seed=n) for n in range(5)]
    found.append(write_model(tmp_path / "loras" / "real.safetensors", tensors, metadata))
    picture = {"modelspec.thumbnail": "data:image/png;base64,AAAA", "ss_tag_frequency": '{"1_x": {"ink": 3}}'}
    found.append(write_model(tmp_path / "loras" / "inside.safetensors", small_lora(), picture))
    for name, content in (("bad.safetensors", b"\xff" * 40), ("pickle.ckpt", b"\x80\x02")):
        (tmp_path / "loras" / name).write_bytes(content)
        found.append(tmp_path / "loras" / name)
    return found


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every list is long enough for processes; those that were started."""
    processes: list[subprocess.Popen[bytes]] = []
    start = lookers._start

    def note() -> subprocess.Popen[bytes]:
        processes.append(start())
        return processes[-1]

    monkeypatch.setattr(lookers, "FEW", 0)
    monkeypatch.setattr(lookers, "_BATCH", 2)
    monkeypatch.setattr(lookers, "_start", note)
    return processes


def test_they_see_the_same(files: list[Path], started: list[subprocess.Popen[bytes]]) -> None:
    seen = [look_at(str(path)) for path in files]
    seen[2] = seen[0].__class__(str(files[0].parent / "gone.safetensors"), 1, 2, 3, 4)
    looks = [look for batch in lookers.first_looks(seen) for look in batch]
    assert looks == [first_look(one) for one in seen]
    assert started
    assert all(process.returncode is not None for process in started)


def test_a_scan_lists_the_same(
    registry: Registry, files: list[Path], tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    roots.add(registry, files[0].parent)
    scan.scan(registry, hashing=False)
    assert started
    with Registry(tmp_path / "other") as other:
        roots.add(other, files[0].parent)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lookers, "FEW", 100)
            scan.scan(other, hashing=False)
        rows = [
            [(row.name, row.architecture, row.rank, row.trigger_words, row.flags) for row in list_models(one)]
            for one in (registry, other)
        ]
    assert len(rows[0]) == len(files)
    assert rows[0] == rows[1]


def test_a_process_that_dies_is_said_and_the_others_end(
    files: list[Path], started: list[subprocess.Popen[bytes]]
) -> None:
    looks = lookers.first_looks([look_at(str(path)) for path in files] * 20)
    next(looks)
    for process in started:
        process.kill()
        process.wait()
    with pytest.raises(HubError, match="reads headers ended"):
        list(looks)
    assert all(process.returncode is not None for process in started)


def test_one_ends_with_its_input(files: list[Path]) -> None:
    process = lookers._start()
    process.communicate(timeout=30)
    assert process.returncode == 0
