"""The index follows the folders while somebody watches them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry import database, ids, library, roots, unhashed, usage
from registry.database import Registry
from registry.hashing import hash_file
from registry.notifier import folders_of
from registry.usage import Drawing, Used
from registry.watch import Checked, Watcher
from tests.support.model_files import small_lora, write_model

_PATIENCE_S = 30.0


class Watched:
    """A watcher in a thread of its own, and what it told."""

    def __init__(
        self,
        home: Path,
        may_hash: Callable[[], bool] | None = None,
        progress: Callable[[str, int, int], None] = lambda *_: None,
        idle_work: Callable[[], bool] = lambda: False,
    ) -> None:
        self._progress = progress
        self._idle_work = idle_work
        self.told: queue.SimpleQueue[Checked] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[Watcher] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(home, may_hash))
        self._thread.start()
        self.watcher = self._ready.get(timeout=_PATIENCE_S)

    def _run(self, home: Path, may_hash: Callable[[], bool] | None) -> None:
        with Registry(home) as registry:
            watcher = Watcher(registry, self.told.put, self._progress, may_hash, self._idle_work)
            self._ready.put(watcher)
            watcher.run()

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Read what is told until ``holds`` is true; fails when nothing is told for long."""
        while not holds():
            self.told.get(timeout=_PATIENCE_S)

    def stop(self) -> None:
        self.watcher.stop()
        self._thread.join(_PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture
def loras(registry: Registry, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    (folder / "sub").mkdir(parents=True)
    (folder / "keep.txt").write_text("so that the folder is never empty")
    roots.add(registry, folder)
    return folder


@pytest.fixture
def watched(registry: Registry, loras: Path) -> Iterator[Watched]:
    found = Watched(registry.home)
    yield found
    found.stop()


def _rows(registry: Registry) -> dict[str, str]:
    return {row.name: row.flags for row in library.list_models(registry)}


def _id_of(path: Path) -> str:
    return ids.item_id(hash_file(path).sha256)


def test_what_is_there_is_listed_and_hashed(registry: Registry, loras: Path, watched: Watched) -> None:
    path = write_model(loras / "sub" / "late.safetensors", small_lora(), seed=1)
    watched.wait_until(lambda: [row.id for row in library.list_models(registry)] == [_id_of(path)])


def test_pictures_that_name_a_file_count_for_it_once_all_is_hashed(
    registry: Registry, loras: Path, watched: Watched
) -> None:
    watched.told.get(timeout=_PATIENCE_S)
    drawing = Drawing(
        content="c", path="/x", made_at="2026-01-01T00:00:00.000Z", tool="a1111", uses=(Used(kind="lora", name="a"),)
    )
    with registry.transaction() as db:
        usage.record(db, [drawing])
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    watched.wait_until(lambda: [row.id for row in library.list_models(registry)] == [_id_of(path)])
    watched.stop()
    assert [row.uses for row in library.list_models(registry)] == [1]


def test_new_changed_renamed_and_deleted_files_are_followed(registry: Registry, loras: Path, watched: Watched) -> None:
    watched.told.get(timeout=_PATIENCE_S)
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    watched.wait_until(lambda: [row.id for row in library.list_models(registry)] == [_id_of(path)])
    library.update_set(registry, _id_of(path), "tags", add=["mine"])
    write_model(path, small_lora(), seed=2)
    watched.wait_until(lambda: [row.id for row in library.list_models(registry)] == [_id_of(path)])
    assert library.list_models(registry)[0].tags == ("mine",)
    moved = path.rename(loras / "sub" / "b.safetensors")
    watched.wait_until(lambda: _rows(registry) == {"b": ""})
    moved.unlink()
    watched.wait_until(lambda: _rows(registry) == {"b": "M"})


def test_a_whole_folder_that_appears_and_goes_is_followed(
    registry: Registry, loras: Path, tmp_path: Path, watched: Watched
) -> None:
    watched.told.get(timeout=_PATIENCE_S)
    write_model(tmp_path / "outside" / "deep" / "a.safetensors", small_lora(), seed=1)
    (tmp_path / "outside").rename(loras / "SD 1.5")
    here = loras / "SD 1.5" / "deep" / "a.safetensors"
    watched.wait_until(lambda: [row.id for row in library.list_models(registry)] == [_id_of(here)])
    (loras / "SD 1.5").rename(tmp_path / "outside")
    watched.wait_until(lambda: _rows(registry) == {"a": "M"})


def test_a_sidecar_that_is_written_edited_or_broken_is_followed(
    registry: Registry, loras: Path, watched: Watched
) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    watched.wait_until(lambda: [row.id for row in library.list_models(registry)] == [_id_of(path)])
    (loras / "a.json").write_text('{"activation text": "inkwash", "preferred weight": 0.7}')
    watched.wait_until(lambda: [row.strength for row in library.list_models(registry)] == [0.7])
    (loras / "a.json").write_text("{ half")
    (loras / "a.civitai.info").write_text('{"id": 5, "modelId": 9, "model": {"name": "Ink Wash"}}')
    watched.wait_until(lambda: [row.name for row in library.list_models(registry)] == ["Ink Wash"])


def test_a_root_that_is_added_is_watched_too(registry: Registry, tmp_path: Path, watched: Watched) -> None:
    watched.told.get(timeout=_PATIENCE_S)
    write_model(tmp_path / "more" / "a.safetensors", small_lora(), seed=1)
    roots.add(registry, tmp_path / "more")
    watched.wait_until(lambda: _rows(registry) == {"a": ""})


def test_nothing_is_hashed_while_something_heavy_runs(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    heavy = threading.Event()
    heavy.set()
    found = Watched(registry.home, lambda: not heavy.is_set())
    try:
        assert found.told.get(timeout=_PATIENCE_S).waiting == 1
        write_model(loras / "b.safetensors", small_lora(), seed=2)
        found.wait_until(lambda: _rows(registry) == {"a": "", "b": ""})
        assert all(ids.is_provisional(row.id) for row in library.list_models(registry))
        heavy.clear()
        found.wait_until(lambda: not any(ids.is_provisional(row.id) for row in library.list_models(registry)))
    finally:
        found.stop()


def test_idle_work_waits_for_the_hashes_and_for_what_is_heavy(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    heavy = threading.Event()
    heavy.set()
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    calls = iter(range(1, 100))

    def work() -> bool:
        with Registry(registry.home) as own:
            waiting.put(unhashed.count(own.db))
        return next(calls) < 3

    found = Watched(registry.home, lambda: not heavy.is_set(), idle_work=work)
    try:
        assert found.told.get(timeout=_PATIENCE_S).waiting == 1
        assert waiting.empty()
        heavy.clear()
        assert [waiting.get(timeout=_PATIENCE_S) for _ in range(3)] == [0, 0, 0]
        write_model(loras / "b.safetensors", small_lora(), seed=2)
        assert waiting.get(timeout=_PATIENCE_S) == 0
    finally:
        found.stop()


def test_a_registry_that_another_process_holds_for_long_is_tried_again(
    registry: Registry, loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0)
    looks: queue.SimpleQueue[str] = queue.SimpleQueue()
    with registry.transaction():
        found = Watched(registry.home, progress=lambda stage, done, _: looks.put(f"{stage} {done}"))
        for _ in range(2):
            while looks.get(timeout=_PATIENCE_S) != "looking 0":
                pass
    try:
        found.wait_until(lambda: [row.id for row in library.list_models(registry)] == [_id_of(path)])
    finally:
        found.stop()


def test_changes_are_looked_at_in_the_folders_that_are_left(tmp_path: Path) -> None:
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    root = str(tmp_path / "root")
    paths = [f"{root}/a/b/x.safetensors", f"{root}/a/gone/deep/y.safetensors", f"{tmp_path}/other/z.safetensors"]
    assert folders_of(paths, [root]) == [tmp_path / "root" / "a"]
    assert folders_of(paths[:1], [root]) == [tmp_path / "root" / "a" / "b"]
    assert folders_of(paths[2:], [root]) == []
