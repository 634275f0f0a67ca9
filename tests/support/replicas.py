"""Four machines under random edits, crashes at every step, wrong clocks, copies and restored backups.

What every machine should show in the end is worked out by :mod:`tests.support.oracle`.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest import mock

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from hubman.progress import Progress
from hubman.sync import lost
from hubman.sync.records import batches, layout
from hubman.sync.remote import find
from hubman.sync.run import SyncResult
from hubman.sync.secrecy.codecs import codec_of
from registry import blobs, changes, clock, collecting, edits, ids, library, previews, projection
from registry.changes import Change
from registry.errors import HubError
from registry.undo import undo
from tests.support.fragile import Crash, Replica
from tests.support.machines import WatchedStorage
from tests.support.oracle import Oracle

NAMES = ("a", "b", "c", "d")
SHA256 = "1" * 64
ITEM = ids.item_id(SHA256)
"""The one model: more of them would only meet less often."""
COLLECTION = "Clients"
HOUR = 3_600_000
YEAR = 366 * 24 * HOUR

Result = TypeVar("Result")
replica = st.sampled_from(NAMES)
around = st.tuples(st.booleans(), st.booleans())
"""Whether a machine syncs before an edit, and after it."""
number = st.integers(0, 30)


class Replicas(RuleBasedStateMachine):
    """One remote that all of them reach at any time."""

    template: Path
    carried = False
    is_cloned = False

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(dir=self.template.parent))
        self.oracle = Oracle()
        self.skew = dict(zip(NAMES, (0, 5 * HOUR, -HOUR, 0), strict=True))
        self.backups: dict[str, Path] = {}
        self.pictures: dict[str, bytes] = {}
        self.batches: dict[str, tuple[str, list[Change]]] = {}
        """Of every batch that was ever made whose log it stands in, and what it says."""
        self.machines: dict[str, Replica] = {}
        for name in NAMES:
            shutil.copytree(self.template / name, self.base / name)
            remote = self.base / (f"remote-{name}" if self.carried else "remote")
            if not remote.exists():
                shutil.copytree(self.template / "remote", remote)
            self.machines[name] = Replica(self.base / name, remote)

    # edits ----------------------------------------------------------------------------------------------------------

    @rule(name=replica, value=st.integers(0, 3), syncs=around)
    def rate(self, name: str, value: int, syncs: tuple[bool, bool]) -> None:
        def act(machine: Replica) -> None:
            edits.edit(machine.registry, ITEM, ITEM, {"rating": str(value) if value else ""})
            assert library.show(machine.registry, ITEM).rating == value

        self._edit(name, act, syncs)

    @rule(name=replica, value=st.sampled_from(("0.5", "1")), syncs=around)
    def recommend(self, name: str, value: str, syncs: tuple[bool, bool]) -> None:
        def act(machine: Replica) -> None:
            edits.edit(machine.registry, ITEM, ITEM, {"strength": value})
            assert library.show(machine.registry, ITEM).versions[0].strength == float(value)

        self._edit(name, act, syncs)

    @rule(name=replica, is_kept=st.booleans(), syncs=around)
    def trash(self, name: str, is_kept: bool, syncs: tuple[bool, bool]) -> None:
        def act(machine: Replica) -> None:
            (edits.restore if is_kept else edits.trash)(machine.registry, ITEM)
            assert (library.show(machine.registry, ITEM).deleted_at is None) == is_kept

        self._edit(name, act, syncs)

    @rule(name=replica, is_given=st.booleans(), syncs=around)
    def tag(self, name: str, is_given: bool, syncs: tuple[bool, bool]) -> None:
        def act(machine: Replica) -> None:
            edits.tag(machine.registry, [ITEM], **{"add" if is_given else "remove": ["ink"]})
            assert ("ink" in library.show(machine.registry, ITEM).tags) == is_given

        self._edit(name, act, syncs)

    @rule(name=replica, is_put=st.booleans(), syncs=around)
    def collect(self, name: str, is_put: bool, syncs: tuple[bool, bool]) -> None:
        def act(machine: Replica) -> None:
            (collecting.put if is_put else collecting.take_out)(machine.registry, COLLECTION, [ITEM])
            assert (COLLECTION in library.show(machine.registry, ITEM).collections) == is_put

        self._edit(name, act, syncs)

    @rule(name=replica, text=st.sampled_from(("soft", "hard")), syncs=around)
    def note(self, name: str, text: str, syncs: tuple[bool, bool]) -> None:
        def act(machine: Replica) -> None:
            edits.edit(machine.registry, ITEM, ITEM, {"notes": text})
            assert projection.text_of(machine.registry.db, ITEM, "notes") == text

        self._edit(name, act, syncs)

    @rule(name=replica, which=st.integers(0, 2), syncs=around)
    def show_picture(self, name: str, which: int, syncs: tuple[bool, bool]) -> None:
        content = b"picture %d" % which
        sha256 = hashlib.sha256(content).hexdigest()

        def act(machine: Replica) -> None:
            if sha256 not in projection.members(machine.registry.db, ITEM, "previews"):
                machine.add_picture(ITEM, content)
            previews.choose_cover(machine.registry, ITEM, sha256)
            first = previews.shown(machine.registry, ITEM)
            assert first is not None
            assert first.sha256 == sha256

        self.pictures[sha256] = content
        self._edit(name, act, syncs)

    @rule(name=replica, which=number, keep=st.sampled_from(("mine", "theirs", "both")), syncs=around)
    def choose(self, name: str, which: int, keep: lost.Keep, syncs: tuple[bool, bool]) -> None:
        """Between two sides of a race, if there is one."""
        if syncs[0]:
            self.at(name, self._sync)
        open_ones = lost.unseen(self.machines[name].registry)
        if not open_ones:
            return
        edit = open_ones[which % len(open_ones)]
        if keep == "both" and not edit.can_keep_both:
            keep = "mine"
        chosen = {changes.encode([edit.kept])[1:-1], changes.encode([edit.lost])[1:-1]}

        def act(machine: Replica) -> None:
            lost.resolve(machine.registry, edit.id, keep)
            assert edit.id not in {one.id for one in lost.unseen(machine.registry)}

        self._edit(name, act, (False, syncs[1]), chosen if edit.kind != "trash" else set())

    @rule(name=replica)
    def take_back(self, name: str) -> None:
        machine = self.machines[name]
        before = _outbox_end(machine)
        with contextlib.suppress(HubError):
            self.at(name, lambda machine: undo(machine.registry))
        self.oracle.trust(_outbox(machine, before))

    # syncs ----------------------------------------------------------------------------------------------------------

    @rule(name=replica, deep=st.booleans())
    def sync(self, name: str, deep: bool) -> None:
        self.at(name, lambda machine: self._sync(machine, deep=deep))

    @rule(name=replica, left=st.integers(1, 50), deep=st.booleans(), value=st.integers(0, 3))
    def crash_while_syncing(self, name: str, left: int, deep: bool, value: int) -> None:
        """Before or after any transaction, any request to the remote, and at any step that is reported."""
        self.rate(name, value, (False, False))

        def act(machine: Replica) -> None:
            fuse = machine.registry.fuse

            def report(event: Progress) -> None:
                fuse.burn(event)

            fuse.left = left
            try:
                machine.sync(storage=self.storage(machine, fuse.burn), report=report, deep=deep)
            except Crash:
                machine.restart()
            fuse.left = 0

        self.at(name, act)

    @rule(name=replica, hours=st.integers(-1, 720))
    def set_clock(self, name: str, hours: int) -> None:
        self.skew[name] = hours * HOUR

    @rule(name=replica, syncs=around)
    def edit_in_another_year(self, name: str, syncs: tuple[bool, bool]) -> None:
        """The others hold back what comes from there until their own clocks agree."""
        before, self.skew[name] = self.skew[name], YEAR + 40 * 24 * HOUR
        self.rate(name, 3, syncs)
        self.skew[name] = before

    # copies -----------------------------------------------------------------------------------------------------------

    @rule(name=replica)
    def back_up(self, name: str) -> None:
        self.backups[name] = self.base / f"{name}-{len(list(self.base.iterdir()))}"
        self._copy(name, self.backups[name])

    @rule(name=replica)
    def restore_a_backup(self, name: str) -> None:
        """Of what was synced: an edit that never left a machine is gone with its disk."""
        if name in self.backups:
            self._become(name, self.backups[name])
            self.at(name, self._sync)

    @rule(source=replica, aim=replica)
    def clone(self, source: str, aim: str) -> None:
        """Two machines go on under one device id until one of them finds out."""
        if source != aim:
            copy = self.base / f"clone-{len(list(self.base.iterdir()))}"
            self._copy(source, copy)
            self._become(aim, copy)
            self.is_cloned = True

    def _copy(self, name: str, to: Path) -> None:
        machine = self.machines[name]
        machine.registry.close()
        shutil.copytree(machine.home, to)
        machine.restart()

    def _become(self, name: str, copy: Path) -> None:
        self.at(name, self._sync)
        machine = self.machines[name]
        machine.registry.close()
        shutil.rmtree(machine.home)
        shutil.copytree(copy, machine.home)
        machine.restart()

    # the end ----------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self._heal()
            self._check()
        finally:
            for machine in self.machines.values():
                machine.registry.close()
            shutil.rmtree(self.base)

    def _heal(self) -> None:
        """All clocks agree, in the year of the latest, and everything is carried everywhere until nothing is new."""
        self.skew = dict.fromkeys(NAMES, YEAR + 41 * 24 * HOUR)
        if not self.is_cloned:
            # Two machines under one id find out about it by a deep sync; all else needs none.
            self._settle(deep=False)
            first, *others = self.machines.values()
            for other in others:
                assert first.state() == other.state()
        self._settle(deep=True)

    def _settle(self, *, deep: bool) -> None:
        for _ in range(8):
            self.carry_everything()
            news = 0
            for name in NAMES:
                result = self.at(name, lambda machine: self._sync(machine, deep=deep))
                news += result.sent_changes + result.received_changes + result.downloaded
            if not news:
                return

    def carry_everything(self) -> None:
        """Nothing to carry where all reach the same folder."""

    def _check(self) -> None:
        first, *others = self.machines.values()
        for other in others:
            assert first.state() == other.state()
            assert first.shown() == other.shown()
        db, oracle = first.registry.db, self.oracle
        facts = {
            (row["item"], row["field"]): (row["value"], row["stamp"])
            for row in db.execute("SELECT * FROM facts WHERE item = ? AND field <> 'seen_when_trashed'", (ITEM,))
        }
        assert facts == oracle.facts()
        for name in ("tags", "collections", "previews"):
            assert set(projection.members(db, ITEM, name)) == oracle.values((ITEM, name))
        texts = {row["dot"]: row["value"] for row in db.execute("SELECT * FROM texts WHERE item = ?", (ITEM,))}
        assert texts == oracle.standing((ITEM, "notes"))
        for machine in self.machines.values():
            self._check_races(machine)
            self._check_pictures(machine)

    def _check_races(self, machine: Replica) -> None:
        found = lost.unseen(machine.registry)
        values = {(edit.item, edit.field, changes.encode([edit.lost])[1:-1]) for edit in found if edit.kind == "value"}
        assert values == self.oracle.lost()
        assert {(e.item, tuple(e.lost)) for e in found if e.kind == "trash"} == self.oracle.trashed_unread()
        texts = {text for edit in found if edit.kind == "text" for text in (edit.kept, edit.lost)}
        standing = self.oracle.standing((ITEM, "notes"))
        if len({clock.device_of(dot) for dot in standing}) == len(set(standing.values())) == len(standing) > 1:
            assert texts == set(standing.values())
        assert texts <= set(standing.values())

    def _check_pictures(self, machine: Replica) -> None:
        for path in (machine.home / "blobs").rglob("*"):
            if path.is_file() and len(path.name) == 64:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        for sha256 in self.oracle.values((ITEM, "previews")):
            assert blobs.find(machine.registry, sha256).read_bytes() == self.pictures[sha256]

    # doing it -----------------------------------------------------------------------------------------------------------

    def at(self, name: str, act: Callable[[Replica], Result]) -> Result:
        """Do something on a machine, under its own idea of the time."""
        with mock.patch.object(clock, "wall_ms", return_value=clock.wall_ms() + self.skew[name]):
            result = act(self.machines[name])
        self._read_batches(self.machines[name])
        return result

    def storage(self, machine: Replica, burn: Callable[..., None] = lambda *_: None) -> WatchedStorage:
        return WatchedStorage(machine.remote, before=burn, after=burn)

    def _sync(self, machine: Replica, *, deep: bool = False) -> SyncResult:
        return machine.sync(storage=self.storage(machine), deep=deep)

    def _edit(
        self,
        name: str,
        act: Callable[[Replica], object],
        syncs: tuple[bool, bool],
        chosen: set[str] = frozenset(),  # type: ignore[assignment]
    ) -> None:
        before, after = syncs
        if before:
            self.at(name, self._sync)
        machine = self.machines[name]
        end, known = _outbox_end(machine), self._known(machine)
        self.at(name, act)
        self.oracle.note(_outbox(machine, end), known, chosen)
        if after:
            self.at(name, self._sync)

    def _known(self, machine: Replica) -> list[Change]:
        """All changes that this machine made or read, from their bytes."""
        db = machine.registry.db
        names = {row[0] for row in db.execute("SELECT name FROM outbound UNION SELECT name FROM received")}
        covered = dict(db.execute("SELECT device, base FROM cursors WHERE base > 0").fetchall())
        read = [
            change
            for name, (device, said) in self.batches.items()
            if name in names or (layout.batch_seq(name) or 0) <= covered.get(device, 0)
            for change in said
        ]
        return [*read, *_outbox(machine, 0)]

    def _read_batches(self, machine: Replica) -> None:
        """Their bytes are forgotten when the next sync has seen them announced."""
        codec = codec_of(machine.registry, find(machine.registry, "r"))
        for row in machine.registry.db.execute("SELECT * FROM outbound WHERE length(body) > 0"):
            if row["name"] not in self.batches:
                label = layout.batch_label(row["device"], row["seq"])
                body = codec.open(row["body"], batches.PACKED_CAP, label)
                self.batches[row["name"]] = row["device"], batches.decode(body)


def _outbox_end(machine: Replica) -> int:
    (last,) = machine.registry.db.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'"
    ).fetchone()
    return int(last)


def _outbox(machine: Replica, after: int) -> list[Change]:
    rows = machine.registry.db.execute("SELECT change FROM outbox WHERE id > ? ORDER BY id", (after,))
    return [msgspec.json.decode(row[0]) for row in rows]
