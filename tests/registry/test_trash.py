"""The trash of files: all that belongs to a model goes and comes back together, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import edits, journal, library, moving, trash
from registry.database import Registry
from registry.errors import HubError
from registry.scan import scan
from registry.sidecar_names import companions_of
from registry.undo import undo
from tests.support.model_files import small_lora, write_model

BESIDE = (
    *("ink.civitai.info", "ink.metadata.json", "ink.cm-info.json", "ink.json", "ink.api_info.json", "ink.swarm.json"),
    *("ink.safetensors.rgthree-info.json", "ink.sha256", "ink.txt", "ink.description.txt", "ink.md", "ink.html"),
    *("ink.yaml", "ink.vae.pt", "ink.preview.png", "ink.webp", "ink.thumb.jpg", "ink.example.0.jpeg", "ink_0.jpg"),
    *("ink_1.jpg", "ink.mp4", "ink.preview.webm"),
)
OTHERS = ("ink.b.json", "inkwell.json", "ink-2.png", "ink.notes", "ink_x.png", "INK.json", "other.txt", "ink.b.png")


@pytest.fixture
def folder(tmp_path: Path, registry: Registry) -> Path:
    """A root with a model ``ink``, all that belongs to it, and other files whose names begin so."""
    folder = tmp_path / "loras" / "style"
    write_model(folder / "ink.safetensors", small_lora(rank=4))
    write_model(folder / "ink.b.safetensors", small_lora(rank=8))
    for name in (*BESIDE, *OTHERS):
        (folder / name).write_text(f"of {name}" if not name.endswith("json") else "{}")
    scan(registry, roots=[folder.parent])
    registry.db.execute("INSERT INTO roots VALUES (?, '')", (str(folder.parent),))
    return folder


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def _all(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _ink(registry: Registry) -> str:
    return library.resolve(registry, "ink")[0]


def test_exactly_what_is_named_after_a_model_belongs_to_it(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    assert set(companions_of("ink.safetensors", names)) == set(BESIDE)
    assert set(companions_of("ink.b.safetensors", names)) == {"ink.b.json", "ink.b.png"}


def test_what_two_models_share_stays_and_the_longer_stem_has_the_right() -> None:
    names = [
        "a.safetensors",
        "a.pt",
        "a.png",
        "a.safetensors.rgthree-info.json",
        "a.preview.safetensors",
        "a.preview.png",
    ]
    assert companions_of("a.safetensors", names) == ["a.safetensors.rgthree-info.json"]
    assert companions_of("a.preview.safetensors", names) == ["a.preview.png"]


def test_files_go_into_the_trash_of_their_root_and_come_back(registry: Registry, folder: Path) -> None:
    before, model = _all(folder.parent), _ink(registry)
    trash.trash_files(registry, [model])
    assert _names(folder) == {*OTHERS, "ink.b.safetensors"}
    (load,) = (folder.parent / ".trash").iterdir()
    manifest = json.loads((load / "manifest.json").read_bytes())
    stored = {file["path"]: (load / file["stored"]).read_bytes() for file in manifest["files"]}
    assert stored == {
        path: content for path, content in before.items() if Path(path).name in {*BESIDE, "ink.safetensors"}
    }
    assert {file.original for file in trash.listed(registry)} == set(stored)
    assert model not in library.model_ids(registry)
    assert {place.state for place in library.show(registry, model).versions[0].files[0].places} == {"trash"}
    trash.restore(registry, [model])
    assert _all(folder.parent) == before, "nothing is left of the trash"
    assert model in library.model_ids(registry)
    (place,) = library.show(registry, model).versions[0].files[0].places
    assert place.state == "present"
    assert scan(registry).unchanged == 2, "what came back needs no reading"


def test_a_scan_sees_nothing_of_the_trash(registry: Registry, folder: Path) -> None:
    trash.trash_files(registry, [_ink(registry)])
    result = scan(registry)
    assert (result.new, result.missing, result.unchanged) == (0, 0, 1)


def test_the_trash_is_undone_and_done_again(registry: Registry, folder: Path) -> None:
    before, model = _all(folder.parent), _ink(registry)
    trash.trash_files(registry, [model])
    undone = undo(registry)
    assert _all(folder.parent) == before
    assert library.show(registry, model).deleted_at is None
    undo(registry, undone.entry.id)
    assert "ink.safetensors" not in _names(folder)
    trash.restore(registry, [model])
    assert _all(folder.parent) == before
    undo(registry)
    assert "ink.safetensors" not in _names(folder), "undoing the restoration"
    undo(registry)
    assert _all(folder.parent) == before


def test_hiding_alone_touches_no_file(registry: Registry, folder: Path) -> None:
    before = _all(folder.parent)
    edits.trash(registry, _ink(registry))
    assert _all(folder.parent) == before
    assert trash.listed(registry) == []


@pytest.mark.parametrize(
    "back", [lambda registry, model: trash.restore(registry, [model]), lambda registry, _: undo(registry)]
)
def test_nothing_is_overwritten_on_the_way_back(
    registry: Registry, folder: Path, back: Callable[[Registry, str], object]
) -> None:
    model = _ink(registry)
    trash.trash_files(registry, [model])
    (folder / "ink.txt").write_text("a new note")
    here = _all(folder.parent)
    with pytest.raises(HubError, match=r"ink.txt is in the way"):
        back(registry, model)
    assert _all(folder.parent) == here
    assert library.show(registry, model).deleted_at is not None
    assert len(trash.listed(registry)) == len(BESIDE) + 1


def test_a_file_that_can_not_be_moved_leaves_all_where_they_were(
    registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, model = _all(folder.parent), _ink(registry)
    rename = os.rename

    def fail_at_one(source: str, target: str) -> None:
        if source.endswith("ink.md"):
            raise PermissionError(1, "Operation not permitted", source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_at_one)
    with pytest.raises(HubError, match=r"ink.md can't be moved"):
        trash.trash_files(registry, [model])
    assert _all(folder.parent) == before
    assert not (folder.parent / ".trash").exists()
    assert library.show(registry, model).deleted_at is None
    assert journal.entries(registry) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from registry import library, trash
from registry.database import Registry

registry = Registry(Path(sys.argv[1]))
model = library.resolve(registry, "ink")[0]
rename, left = os.rename, [int(sys.argv[2])]

def die_after_some(source, target):
    rename(source, target)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)

os.rename = die_after_some
(trash.trash_files if sys.argv[3] == "away" else trash.restore)(registry, [model])
"""


@pytest.mark.parametrize("way", ["away", "back"])
@pytest.mark.parametrize("after", [1, 12, len(BESIDE) + 1])
def test_a_process_that_is_killed_on_the_way_leaves_all_where_they_were(
    registry: Registry, folder: Path, after: int, way: str
) -> None:
    model = _ink(registry)
    if way == "back":
        trash.trash_files(registry, [model])
    before, said = _all(folder.parent), library.show(registry, model)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(registry.home), str(after), way],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == -signal.SIGKILL
    assert _all(folder.parent) != before
    with Registry(registry.home) as opened:
        assert _all(folder.parent) == before
        assert library.show(opened, model) == said
        assert opened.db.execute("SELECT count(*) FROM moves_under_way").fetchone()[0] == 0
        (trash.trash_files if way == "away" else trash.restore)(opened, [model])
        assert ("ink.safetensors" in _names(folder)) == (way == "back")


def test_files_of_a_killed_process_on_a_drive_that_is_away_are_put_back_when_it_returns(
    registry: Registry, folder: Path
) -> None:
    _ink(registry)
    before = _all(folder.parent)
    subprocess.run(
        [sys.executable, "-c", _KILLED, str(registry.home), "1", "away"],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    away = folder.parent.rename(folder.parent.with_name("unplugged"))
    Registry(registry.home).close()
    away.rename(folder.parent)
    Registry(registry.home).close()
    assert _all(folder.parent) == before


def test_moves_of_a_process_that_still_runs_are_left_to_it(registry: Registry, folder: Path) -> None:
    other = Registry(registry.home)
    moves = trash.plan(registry, [_ink(registry)])

    def look(_: object) -> bool:
        with Registry(registry.home):
            return "ink.safetensors" in _names(folder)

    assert moving.carry_out(other, moves, look) is False
    other.close()


def test_purging_deletes_for_ever_and_says_so_to_undo(registry: Registry, folder: Path) -> None:
    model = _ink(registry)
    entry = trash.trash_files(registry, [model])
    assert entry is not None
    found = trash.listed(registry)
    assert trash.purge(registry, found) == sum(file.size for file in found)
    assert trash.listed(registry) == []
    assert not (folder.parent / ".trash").exists()
    purged = journal.entries(registry)[0]
    with pytest.raises(HubError, match="can't be taken back"):
        undo(registry, purged.id)
    with pytest.raises(HubError, match="is not there any more"):
        undo(registry, entry.id)
