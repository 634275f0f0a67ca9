"""The order of what is written, which is all that a power cut leaves: content before its name, blobs before who names them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hubman.sync.records import layout
from registry import edits
from tests.support.machines import Machine, WatchedStorage


class Recorder:
    """Calls that make files durable or give them names, in their order, by the paths of what they touch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, Path]] = []
        fsync, rename, link, replace = os.fsync, os.rename, os.link, Path.replace

        def synced(handle: int) -> None:
            fsync(handle)
            self.calls.append(("fsync", Path(f"/proc/self/fd/{handle}").readlink()))

        def named(of: Any) -> Any:
            def call(old: str, new: str, **where: Any) -> None:
                of(old, new, **where)
                into = where.get("dst_dir_fd")
                folder = Path(f"/proc/self/fd/{into}").readlink() if into is not None else Path()
                self.calls.append(("name", folder / new))

            return call

        def replaced(path: Path, target: Path) -> Path:
            moved = replace(path, target)
            self.calls.append(("name", Path(target)))
            return moved

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "rename", named(rename))
        monkeypatch.setattr(os, "link", named(link))
        monkeypatch.setattr(Path, "replace", replaced)

    def names(self, below: Path) -> list[Path]:
        """What got a name below a folder, checked: its content was synced just before, and its folder is right after."""
        found: list[Path] = []
        for number, (call, path) in enumerate(self.calls):
            if call == "name" and below in path.parents:
                before = [one for one in self.calls[:number] if one[0] == "fsync" and one[1].parent == path.parent]
                assert before, f"{path} got its name before its content was safe"
                assert ("fsync", path.parent) in self.calls[number:], f"the name of {path} is not safe"
                found.append(path)
        return found


def test_content_is_safe_before_its_name_and_the_name_before_what_follows(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    a.add_picture(ink, b"picture")
    recorder = Recorder(monkeypatch)
    a.sync()
    kinds = [path.relative_to(a.remote).parts[0] for path in recorder.names(a.remote)]
    assert set(kinds) == {"blob", "log", "heads"}
    assert kinds == sorted(kinds, key=["blob", "log", "heads"].index)
    b.sync()
    assert recorder.names(b.registry.models_folder) == [b.registry.models_folder / "ink.safetensors"]


def test_blobs_go_before_batches_and_batches_before_the_head(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    for seed in range(3):
        a.add_lora(f"ink {seed}", seed=seed)
        storage = WatchedStorage(a.remote)
        a.sync(storage=storage)
        ranks = [("blob", "log", "heads").index(key.split("/")[0]) for key in storage.writes]
        assert ranks == sorted(ranks)
        assert {0, 1, 2} == set(ranks)
        assert storage.writes[-1] == layout.head_key(a.device)


@pytest.mark.parametrize("moment", ["blob", "log", "heads"])
def test_a_power_cut_after_any_write_leaves_nothing_that_points_at_something_missing(
    pair: tuple[Machine, Machine], moment: str
) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    edits.edit(a.registry, ink, ink, {"rating": "2"})

    def cut(operation: str, key: str) -> None:
        if operation in {"put", "create", "put_stream"} and key.startswith(moment):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        a.sync(storage=WatchedStorage(a.remote, before=cut))
    result = b.sync()
    assert result.warnings == ()
    assert result.received_changes == 0
    a.restart()
    a.sync()
    assert b.sync().warnings == ()
    assert a.shown() == b.shown()
