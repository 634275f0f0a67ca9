"""Whatever happens to files between scans: the index says afterwards what the disk says, and no edit is ever lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from registry import ids, library, roots, scan
from registry.database import Registry
from registry.hashing import hash_file
from tests.support.model_files import small_lora, write_model

_NAMES = st.sampled_from(["loras/a", "loras/b", "loras/sub/c", "loras/sub/d", "nas/e", "nas/sub/f"])


class Folders(RuleBasedStateMachine):
    """Two folders of a few files, one on a drive that comes and goes, that people and trainers work on."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="scan-"))
        self.registry = Registry(self.home / "registry")
        for folder in (self.home / "loras", self.home / "nas"):
            (folder / "sub").mkdir(parents=True)
            (folder / "keep.txt").write_text("so that the folder is never empty")
            roots.add(self.registry, folder)
        self.scanned = False
        self.last: dict[str, str] = {}
        """Path to content at the last scan that came to its end."""
        self.written: dict[str, int] = {}
        """How often each path was written since."""
        self.seen: set[str] = set()
        """Contents that a scan may have met."""
        self.tags: dict[str, set[str]] = {}
        """What must be said of each content."""
        self.said_before_hashing: dict[str, tuple[str, int]] = {}
        """Tag to the path of the listed file that it was given to, and how often that had been written."""
        self.edits = self.seeds = 0

    @initialize()
    def first_scan(self) -> None:
        for name in ("loras/a", "loras/sub/c", "nas/e"):
            self.replace(name, atomically=False)
        self.scan()
        for pick in range(3):
            self.edit(pick)

    @property
    def is_mounted(self) -> bool:
        return (self.home / "nas").exists()

    def _path(self, name: str) -> Path | None:
        """The file of this name, unless its drive is away."""
        return self.home / f"{name}.safetensors" if self.is_mounted or not name.startswith("nas") else None

    def _files(self) -> dict[str, Path]:
        found = {}
        for folder in (self.home / "loras", self.home / "nas"):
            for path in folder.rglob("*.safetensors"):
                if path.is_file():
                    found[str(path)] = path
        return found

    def _contents(self) -> dict[str, str]:
        return {path: hash_file(file).sha256 for path, file in self._files().items()}

    def _touched(self, *paths: Path) -> None:
        self.scanned = False
        for path in paths:
            self.written[str(path)] = self.written.get(str(path), 0) + 1

    # what people and programs do to files ---------------------------------------------------------------------------

    @rule(name=_NAMES, seed=st.integers(0, 3), damaged=st.booleans())
    def write(self, name: str, seed: int, damaged: bool) -> None:
        """Content that may have been there before, here or elsewhere."""
        if path := self._path(name):
            path.unlink(missing_ok=True)
            write_model(path, small_lora(rank=1), seed=seed)
            if damaged:
                os.truncate(path, 100)
            self._touched(path)

    @rule(name=_NAMES, atomically=st.booleans())
    def replace(self, name: str, atomically: bool) -> None:
        """A new epoch under an old name, written over it or renamed to it."""
        if path := self._path(name):
            self.seeds += 1
            if path.is_symlink():
                path.unlink()
            target = path.with_suffix(".part") if atomically else path
            write_model(target, small_lora(rank=1), seed=100 + self.seeds)
            target.replace(path)
            self._touched(path)

    @rule(source=_NAMES, name=_NAMES)
    def move(self, source: str, name: str) -> None:
        old, new = self._path(source), self._path(name)
        if old and new and old.is_file() and old != new:
            old.replace(new)
            self._touched(old, new)

    @rule(source=_NAMES, name=_NAMES, hard=st.booleans())
    def duplicate(self, source: str, name: str, hard: bool) -> None:
        old, new = self._path(source), self._path(name)
        if old and new and old.is_file() and new not in {old, old.resolve()}:
            new.unlink(missing_ok=True)
            if hard:
                new.hardlink_to(old.resolve())
            else:
                shutil.copyfile(old, new)
            self._touched(new)

    @rule(source=_NAMES, name=_NAMES)
    def link(self, source: str, name: str) -> None:
        old, new = self._path(source), self._path(name)
        if old and new and old.is_file() and not old.is_symlink() and not new.is_symlink() and old != new:
            new.unlink(missing_ok=True)
            new.symlink_to(old)
            self._touched(new)

    @rule(name=_NAMES)
    def link_folders_in_a_ring(self, name: str) -> None:
        path = self._path(name)
        if path and not (path.parent / "ring").is_symlink():
            (path.parent / "ring").symlink_to(self.home / "loras")
            self.scanned = False

    @rule(name=_NAMES, length=st.integers(0, 120))
    def truncate(self, name: str, length: int) -> None:
        path = self._path(name)
        if path and path.is_file() and path.stat().st_nlink == 1 and not path.is_symlink():
            os.truncate(path, length)
            self._touched(path)

    @rule(name=_NAMES)
    def delete(self, name: str) -> None:
        if path := self._path(name):
            path.unlink(missing_ok=True)
            self._touched(path)

    @rule()
    @precondition(lambda self: self.is_mounted)
    def unmount(self) -> None:
        (self.home / "nas").rename(self.home / "unplugged")
        self.scanned = False

    @rule()
    @precondition(lambda self: not self.is_mounted)
    def mount(self) -> None:
        (self.home / "unplugged").rename(self.home / "nas")
        self.scanned = False

    # what hubman does ------------------------------------------------------------------------------------------------

    @rule(pick=st.integers(0, 5))
    def edit(self, pick: int) -> None:
        shown = library.list_models(self.registry)
        if pick < len(shown):
            self.edits += 1
            tag = f"tag {self.edits}"
            library.update_set(self.registry, shown[pick].id, "tags", add=[tag])
            if ids.is_provisional(shown[pick].id):
                sql = "SELECT path FROM places WHERE sha256 = ?"
                (path,) = self.registry.db.execute(sql, (shown[pick].id,)).fetchone()
                self.said_before_hashing[tag] = path, self.written.get(path, 0)
                return
            content = {ids.item_id(sha256): sha256 for sha256 in self.seen}[shown[pick].id]
            self.tags.setdefault(content, set()).add(tag)

    @rule(statement=st.integers(1, 80))
    def scan_and_be_killed(self, statement: int) -> None:
        """In a process of its own that dies before one of its statements."""
        self.seen |= set(self._contents().values())
        self.registry.close()
        child = os.fork()
        if child == 0:
            _scan_and_die(self.home / "registry", statement)
        os.waitpid(child, 0)
        self.registry = Registry(self.home / "registry")
        self.scanned = False

    @rule(edited=st.integers(0, 5))
    def list_and_edit(self, edited: int) -> None:
        """A scan that was stopped before it hashed a file."""
        self.seen |= set(self._contents().values())
        scan.scan(self.registry, hashing=False)
        self.scanned = False
        self.edit(edited)

    @rule(edited=st.integers(0, 5))
    def scan_and_edit(self, edited: int) -> None:
        self.scan()
        self.edit(edited)

    @rule()
    def scan(self) -> None:
        before = self._contents()
        stats = {path: _stat(file) for path, file in self._files().items()}
        self._expect(before)
        untouched = {
            tag: before[path]
            for tag, (path, count) in self.said_before_hashing.items()
            if path in before and self.written.get(path, 0) == count
        }
        result = scan.scan(self.registry)
        for tag, content in untouched.items():
            self.tags.setdefault(content, set()).add(tag)
            del self.said_before_hashing[tag]
        assert self._contents() == before
        assert {path: _stat(file) for path, file in self._files().items()} == stats
        assert self.is_mounted or result.problems
        self.scanned = True

    def _expect(self, now: dict[str, str]) -> None:
        """What is new in one place takes over what was said of the content that it replaced there."""
        for path, content in now.items():
            old = self.last.get(path)
            is_new = content not in self.seen and list(now.values()).count(content) == 1
            if old and is_new and old not in now.values() and self.written.get(path) == 1:
                self.tags.setdefault(content, set()).update(self.tags.get(old, set()))
        self.seen |= set(now.values())
        self.last = now if self.is_mounted else {**self._away(), **now}
        self.written = {
            path: count for path, count in self.written.items() if not self.is_mounted and self._is_nas(path)
        }

    def _away(self) -> dict[str, str]:
        return {path: content for path, content in self.last.items() if self._is_nas(path)}

    def _is_nas(self, path: str) -> bool:
        return path.startswith(str(self.home / "nas"))

    def _all_tags(self) -> set[str]:
        return {row[0] for row in self.registry.db.execute("SELECT value FROM set_members WHERE name = 'tags'")}

    # what must hold ---------------------------------------------------------------------------------------------------

    @invariant()
    def no_edit_is_lost(self) -> None:
        assert set(self.said_before_hashing) <= self._all_tags()
        for content, tags in self.tags.items():
            rows = self.registry.db.execute(
                "SELECT value FROM set_members WHERE item = ? AND name = 'tags'", (ids.item_id(content),)
            )
            if self.scanned or content in self.last.values():
                assert tags <= {row[0] for row in rows}

    @invariant()
    def the_index_says_what_the_disk_says(self) -> None:
        if not self.scanned:
            return
        on_disk = self._contents()
        rows = self.registry.db.execute("SELECT path, sha256, state FROM places").fetchall()
        assert {row["path"]: row["sha256"] for row in rows if row["state"] in {"present", "damaged"}} == on_disk
        assert {row["state"] for row in rows if self._is_nas(row["path"]) and not self.is_mounted} <= {
            "offline",
            "missing",
        }
        shown = {row.id: row for row in library.list_models(self.registry)}
        here = {ids.item_id(content): content for content in on_disk.values()}
        assert set(here) <= set(shown)
        assert all((row.id in here) == (not {"M", "O", "R"} & set(row.flags)) for row in shown.values())
        assert all(self.tags.get(content, set()) <= set(shown[item].tags) for item, content in here.items())

    @invariant()
    def another_scan_has_nothing_to_do(self) -> None:
        if self.scanned:
            again = scan.scan(self.registry)
            assert (again.new, again.changed, again.moved) == (0, 0, 0)

    def teardown(self) -> None:
        self.registry.close()
        shutil.rmtree(self.home)


def _stat(path: Path) -> tuple[int, int, str]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()


def _scan_and_die(home: Path, statement: int) -> None:
    left = statement

    def count(_sql: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(9)

    try:
        registry = Registry(home)
        registry.db.set_trace_callback(count)
        scan.scan(registry)
    finally:
        os._exit(0)


TestFolders = Folders.TestCase
TestFolders.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
