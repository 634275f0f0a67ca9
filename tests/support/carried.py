"""The machines of :mod:`tests.support.replicas`, each with its own copy of the folder that a third program carries."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hubman.sync.records import layout
from tests.support.replicas import NAMES, Replicas, number, replica


class CarriedReplicas(Replicas):
    """Single files come late, in any order, twice, torn, damaged or go again, and junk lies between them."""

    carried = True

    @rule(source=replica, aim=replica, which=number, is_whole=st.booleans())
    def carry(self, source: str, aim: str, which: int, is_whole: bool) -> None:
        paths = _files(self.machines[source].remote)
        if source != aim and paths:
            self._carry(source, aim, paths[which % len(paths)], is_whole=is_whole)

    @rule(source=replica, aim=replica, part=st.sampled_from(("heads", "log", "blob", ".")))
    def carry_many(self, source: str, aim: str, part: str) -> None:
        """Heads before the logs that they name, logs before the heads that tell of them, or all."""
        if source != aim:
            for path in _files(self.machines[source].remote / part):
                self._carry(source, aim, path, is_whole=True)
            self.at(aim, self._sync)

    @rule(aim=replica, which=number)
    def damage(self, aim: str, which: int) -> None:
        """A disk turns a bit over in what others wrote; what came whole from them heals it in the end."""
        paths = self._foreign(aim)
        if paths:
            path = paths[which % len(paths)]
            data = path.read_bytes()
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    @rule(aim=replica, which=number)
    def drop(self, aim: str, which: int) -> None:
        """What was there is gone for now."""
        paths = self._foreign(aim)
        if paths:
            paths[which % len(paths)].unlink()

    @rule(aim=replica, which=number)
    def leave_junk(self, aim: str, which: int) -> None:
        paths = _files(self.machines[aim].remote)
        path = paths[which % len(paths)]
        path.with_name(f"{path.name}.sync-conflict-20260101-000000-ABCDEFG").write_bytes(path.read_bytes())

    def carry_everything(self) -> None:
        for source in NAMES:
            for target in NAMES:
                for path in _files(self.machines[source].remote):
                    self._carry(source, target, path, is_whole=True)

    def _foreign(self, aim: str) -> list[Path]:
        """Logs and blobs in the copy of ``aim`` that lie whole in another copy as well."""
        here = self.machines[aim].remote
        others = [self.machines[name].remote for name in NAMES if name != aim]
        return [
            path
            for path in _files(here)
            if path.relative_to(here).parts[0] in {"log", "blob"}
            and any(_is_whole(other / path.relative_to(here)) for other in others)
        ]

    def _carry(self, source: str, target: str, path: Path, *, is_whole: bool) -> None:
        aim = self.machines[target].remote / path.relative_to(self.machines[source].remote)
        data = path.read_bytes()
        if aim.exists() and _newness(aim) >= _newness(path):
            return
        aim.parent.mkdir(parents=True, exist_ok=True)
        aim.write_bytes(data if is_whole else data[: len(data) // 2])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "conflict" not in path.name)


def _is_whole(path: Path) -> bool:
    if not path.is_file():
        return False
    data = path.read_bytes()
    if "log" in path.parts:
        return layout.is_intact(path.name, data)
    return "blob" not in path.parts or layout.is_content(path.name, data)


def _newness(path: Path) -> tuple[int, int, bytes]:
    """A carrier takes the newer version of a file; of a torn or damaged one there is more to come.

    Of two equally new ones it takes one, and that is the same one everywhere.
    """
    data = path.read_bytes()
    if path.parent.name != "heads":
        return int(_is_whole(path)), len(data), b""
    try:
        return layout.decode_head(data).seq, len(data), data
    except layout.UnreadableError:
        return -1, len(data), data
