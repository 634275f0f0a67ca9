"""Three replicas under random edits, crashes, wrong clocks, restores and carriers end up equal, and right.

What is right is worked out independently: from the stamps that the edits got, by the rules of the format.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from hubman.sync import layout
from hubman.sync.run import SyncResult
from registry import changes, clock, edits, ids, library, projection
from registry.database import Registry
from tests.support.machines import Machine, WatchedStorage, quick_folder

NAMES = ("a", "b", "c")
ITEMS = (ids.item_id("1" * 64),)
"""One is enough, and makes edits meet."""
HOUR = 3_600_000

replica = st.sampled_from(NAMES)
around = st.tuples(st.booleans(), st.booleans())
"""Whether a machine syncs before an edit, and after it."""
item = st.sampled_from(ITEMS)
word = st.sampled_from(("ink", "mono"))


class _Crash(BaseException):
    """The process ends here."""


class Oracle:
    """What everybody should see in the end."""

    def __init__(self) -> None:
        self.facts: dict[tuple[str, str], tuple[str, str]] = {}
        self.added: dict[tuple[str, str], str] = {}
        """(item, dot) to tag."""
        self.notes: dict[tuple[str, str], str] = {}
        self.gone: set[str] = set()

    def say(self, of: str, field: str, stamp: str, value: str) -> None:
        self.facts[of, field] = max(self.facts.get((of, field), ("", "")), (stamp, value))

    def tags(self, of: str) -> set[str]:
        return {tag for (one, dot), tag in self.added.items() if one == of and dot not in self.gone}

    def texts(self, of: str) -> set[str]:
        return {text for (one, dot), text in self.notes.items() if one == of and dot not in self.gone}


class Replicas(RuleBasedStateMachine):
    """One remote that all of them reach at any time."""

    template: Path
    carried = False

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(dir=self.template.parent))
        self.oracle = Oracle()
        self.skew = {"a": 0, "b": 5 * HOUR, "c": -HOUR}
        self.backups: dict[str, Path] = {}
        self.machines: dict[str, Machine] = {}
        for name in NAMES:
            shutil.copytree(self.template / name, self.base / name)
            machine = Machine.__new__(Machine)
            machine.home = self.base / name
            machine.remote = self.base / (f"remote-{name}" if self.carried else "remote")
            if not machine.remote.exists():
                shutil.copytree(self.template / "remote", machine.remote)
            machine.registry = Registry(machine.home)
            self.machines[name] = machine

    def at(self, name: str, act: Callable[[Machine], object]) -> None:
        """Do something on a machine, under its own idea of the time."""
        with mock.patch.object(clock, "wall_ms", return_value=clock.wall_ms() + self.skew[name]):
            act(self.machines[name])

    @rule(name=replica, of=item, value=st.integers(0, 5), syncs=around)
    def rate(self, name: str, of: str, value: int, syncs: tuple[bool, bool]) -> None:
        def act(machine: Machine) -> None:
            library.set_facts(machine.registry, of, "user", {"rating": value})
            assert library.show(machine.registry, of).rating == value
            self._note_fact(machine, of, "rating")

        self._edit(name, act, syncs)

    @rule(name=replica, of=item, is_kept=st.booleans(), syncs=around)
    def trash(self, name: str, of: str, is_kept: bool, syncs: tuple[bool, bool]) -> None:
        def act(machine: Machine) -> None:
            (edits.restore if is_kept else edits.trash)(machine.registry, of)
            assert (library.show(machine.registry, of).deleted_at is None) == is_kept
            self._note_fact(machine, of, "deleted_at")

        self._edit(name, act, syncs)

    @rule(name=replica, of=item, tag=st.just("ink"), syncs=around)
    def tag(self, name: str, of: str, tag: str, syncs: tuple[bool, bool]) -> None:
        def act(machine: Machine) -> None:
            library.update_set(machine.registry, of, "tags", add=[tag])
            assert tag in library.show(machine.registry, of).tags
            for dot in _dots(machine, of, tag):
                self.oracle.added[of, dot] = tag

        self._edit(name, act, syncs)

    @rule(name=replica, of=item, tag=st.just("ink"), syncs=around)
    def untag(self, name: str, of: str, tag: str, syncs: tuple[bool, bool]) -> None:
        def act(machine: Machine) -> None:
            self.oracle.gone |= set(_dots(machine, of, tag))
            library.update_set(machine.registry, of, "tags", remove=[tag])
            assert tag not in library.show(machine.registry, of).tags

        self._edit(name, act, syncs)

    @rule(name=replica, of=item, text=word, syncs=around)
    def note(self, name: str, of: str, text: str, syncs: tuple[bool, bool]) -> None:
        def act(machine: Machine) -> None:
            before = set(_texts(machine, of))
            library.write_text(machine.registry, of, "notes", text)
            assert projection.text_of(machine.registry.db, of, "notes") == text
            after = _texts(machine, of)
            self.oracle.gone |= before - set(after)
            self.oracle.notes |= {(of, dot): value for dot, value in after.items()}

        self._edit(name, act, syncs)

    @rule(name=replica, deep=st.booleans())
    def sync(self, name: str, deep: bool) -> None:
        self.at(name, lambda machine: self._sync(machine, deep=deep))

    @rule(name=replica, countdown=st.integers(1, 6), is_after=st.booleans())
    def crash_while_syncing(self, name: str, countdown: int, is_after: bool) -> None:
        left = countdown

        def die(operation: str, key: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise _Crash

        def act(machine: Machine) -> None:
            watched = {"after" if is_after else "before": die}
            try:
                machine.sync(storage=WatchedStorage(machine.remote, **watched))
            except _Crash:
                machine.restart()

        self.at(name, act)

    @rule(name=replica, hours=st.integers(-1, 720))
    def set_clock(self, name: str, hours: int) -> None:
        self.skew[name] = hours * HOUR

    @rule(name=replica)
    def back_up(self, name: str) -> None:
        machine = self.machines[name]
        self.backups[name] = self.base / f"{name}-{len(list(self.base.iterdir()))}"
        machine.registry.close()
        shutil.copytree(machine.home, self.backups[name])
        machine.registry = Registry(machine.home)

    @rule(name=replica)
    def restore_a_backup(self, name: str) -> None:
        """Of what was synced: an edit that never left a machine is gone with its disk."""
        if name not in self.backups:
            return
        self.at(name, self._sync)
        machine = self.machines[name]
        machine.registry.close()
        shutil.rmtree(machine.home)
        shutil.copytree(self.backups[name], machine.home)
        machine.registry = Registry(machine.home)
        self.at(name, self._sync)

    def teardown(self) -> None:
        try:
            self.skew = dict.fromkeys(NAMES, 0)
            for _ in range(3):
                self.carry_everything()
                for name in NAMES:
                    self.at(name, self._sync)
            self._check()
        finally:
            for machine in self.machines.values():
                machine.registry.close()
            shutil.rmtree(self.base)

    def carry_everything(self) -> None:
        """Nothing to carry where all reach the same folder."""

    def _sync(self, machine: Machine, *, deep: bool = False) -> SyncResult:
        return machine.sync(storage=WatchedStorage(machine.remote), deep=deep)

    def _edit(self, name: str, act: Callable[[Machine], object], syncs: tuple[bool, bool]) -> None:
        before, after = syncs
        if before:
            self.at(name, self._sync)
        self.at(name, act)
        if after:
            self.at(name, self._sync)

    def _check(self) -> None:
        first, *others = self.machines.values()
        for other in others:
            assert first.state() == other.state()
            assert first.shown() == other.shown()
        for of in ITEMS:
            facts = {
                row["field"]: (row["stamp"], row["value"])
                for row in first.registry.db.execute("SELECT * FROM facts WHERE item = ?", (of,))
            }
            assert facts == {field: said for (one, field), said in self.oracle.facts.items() if one == of}
            assert set(projection.members(first.registry.db, of, "tags")) == self.oracle.tags(of)
            assert set(_texts(first, of).values()) == self.oracle.texts(of)

    def _note_fact(self, machine: Machine, of: str, field: str) -> None:
        for row in machine.registry.db.execute(
            "SELECT stamp, value FROM facts WHERE item = ? AND field = ?", (of, field)
        ):
            self.oracle.say(of, field, row["stamp"], row["value"])


class CarriedReplicas(Replicas):
    """Each has its own copy of the folder, and a program carries single files between them: late, in any order."""

    carried = True

    @rule(source=replica, aim=replica, number=st.integers(0, 30), is_whole=st.booleans())
    def carry(self, source: str, aim: str, number: int, is_whole: bool) -> None:
        paths = _files(self.machines[source].remote)
        if source != aim and paths:
            self._carry(source, aim, paths[number % len(paths)], is_whole=is_whole)

    @rule(source=replica, aim=replica, part=st.sampled_from(("heads", "log", ".")))
    def carry_many(self, source: str, aim: str, part: str) -> None:
        """Heads before the logs that they name, logs before the heads that tell of them, or all."""
        if source != aim:
            for path in _files(self.machines[source].remote / part):
                self._carry(source, aim, path, is_whole=True)
            self.at(aim, self._sync)

    @rule(aim=replica, number=st.integers(0, 30))
    def leave_junk(self, aim: str, number: int) -> None:
        paths = _files(self.machines[aim].remote)
        path = paths[number % len(paths)]
        path.with_name(f"{path.name}.sync-conflict-20260101-000000-ABCDEFG").write_bytes(path.read_bytes())

    def carry_everything(self) -> None:
        for source in NAMES:
            for target in NAMES:
                for path in _files(self.machines[source].remote):
                    self._carry(source, target, path, is_whole=True)

    def _carry(self, source: str, target: str, path: Path, *, is_whole: bool) -> None:
        aim = self.machines[target].remote / path.relative_to(self.machines[source].remote)
        data = path.read_bytes()
        if aim.exists() and _newness(aim) >= _newness(path):
            return
        aim.parent.mkdir(parents=True, exist_ok=True)
        aim.write_bytes(data if is_whole else data[: len(data) // 2])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "conflict" not in path.name)


def _newness(path: Path) -> tuple[int, int]:
    """A carrier takes the newer version of a file; of a torn one there is more to come."""
    data = path.read_bytes()
    if path.parent.name != "heads":
        return 0, len(data)
    try:
        return layout.decode_head(data).seq, len(data)
    except layout.UnreadableError:
        return -1, len(data)


def _dots(machine: Machine, of: str, tag: str) -> list[str]:
    rows = machine.registry.db.execute(
        "SELECT dot FROM set_members WHERE item = ? AND name = 'tags' AND value = ?", (of, tag)
    )
    return [row[0] for row in rows]


def _texts(machine: Machine, of: str) -> dict[str, str]:
    rows = machine.registry.db.execute("SELECT dot, value FROM texts WHERE item = ? AND field = 'notes'", (of,))
    return {row["dot"]: row["value"] for row in rows}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three machines that know two models and have met."""
    with quick_folder(tmp_path_factory.mktemp("replicas")) as place:
        base = place / "template"
        base.mkdir()
        machines = [Machine(base, name, base / "remote") for name in NAMES]
        with machines[0].registry.transaction() as db:
            made: list[changes.Change] = [_file(number) for number in (1,)]
            projection.rebuild(db, changes.record(db, made))
        for _ in range(2):
            for machine in machines:
                machine.sync()
        for machine in machines:
            machine.registry.db.execute("DELETE FROM blob_queue")
            machine.registry.close()
        yield base


def _file(number: int) -> changes.Change:
    sha256 = f"{number}" * 64
    facts = {
        "version_id": ids.item_id(sha256), "name": f"{number}.safetensors", "size": 1, "format": "safetensors",
        "autov2": sha256[:10], "added_at": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    return ["file", sha256, facts]


EXAMPLES = int(os.environ.get("HUBMAN_SYNC_EXAMPLES", "20"))
"""For a night: ten thousand."""


@pytest.mark.parametrize("world", [Replicas, CarriedReplicas])
def test_replicas_agree_and_lose_nothing(
    template: Path, world: type[Replicas], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Short tails make devices fall behind them, so that listings are read too.
    monkeypatch.setattr(layout, "TAIL", 2)
    kind = type(world.__name__, (world,), {"template": template})
    run_state_machine_as_test(kind, settings=settings(max_examples=EXAMPLES, stateful_step_count=25, deadline=None))
