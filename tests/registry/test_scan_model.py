"""Whatever happens to files between scans, the index says afterwards what the disk says."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from registry import library, roots, scan
from registry.database import Registry
from registry.hashing import hash_file
from tests.support.model_files import small_lora, write_model

_NAMES = st.sampled_from(["a", "b", "sub/c", "sub/d"])


class Folder(RuleBasedStateMachine):
    """A folder of a few files that people and trainers work on, scanned now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="scan-"))
        self.models = self.home / "models"
        (self.models / "sub").mkdir(parents=True)
        (self.models / "keep.txt").write_text("so that the folder is never empty")
        self.registry = Registry(self.home / "registry")
        roots.add(self.registry, self.models)
        self.rated: dict[str, int] = {}
        self.scanned = False

    @initialize()
    def first_scan(self) -> None:
        self.scan()

    def _path(self, name: str) -> Path:
        return self.models / f"{name}.safetensors"

    @rule(name=_NAMES, seed=st.integers(0, 3), damaged=st.booleans())
    def write(self, name: str, seed: int, damaged: bool) -> None:
        path = write_model(self._path(name), small_lora(rank=1), seed=seed)
        if damaged:
            os.truncate(path, 100)
        self.scanned = False

    @rule(source=_NAMES, name=_NAMES)
    def move(self, source: str, name: str) -> None:
        if self._path(source).exists():
            self._path(source).replace(self._path(name))
            self.scanned = False

    @rule(source=_NAMES, name=_NAMES)
    def copy(self, source: str, name: str) -> None:
        if self._path(source).exists() and source != name:
            shutil.copyfile(self._path(source), self._path(name))
            self.scanned = False

    @rule(name=_NAMES)
    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)
        self.scanned = False

    @rule(rating=st.integers(1, 5), pick=st.integers(0, 3))
    def rate(self, rating: int, pick: int) -> None:
        shown = library.model_ids(self.registry)
        if pick < len(shown):
            library.set_facts(self.registry, shown[pick], "user", {"rating": rating})
            self.rated[shown[pick]] = rating

    @rule()
    def scan(self) -> None:
        scan.scan(self.registry)
        self.scanned = True

    @invariant()
    def the_index_says_what_the_disk_says(self) -> None:
        if not self.scanned:
            return
        on_disk = {str(path): hash_file(path).sha256 for path in self.models.rglob("*.safetensors")}
        rows = self.registry.db.execute("SELECT path, sha256 FROM places WHERE state <> 'missing'")
        assert dict(map(tuple, rows)) == on_disk
        shown = {row.id: row for row in library.list_models(self.registry)}
        here = {row[0] for row in self.registry.db.execute(
            "SELECT f.version_id FROM files f JOIN places p ON p.sha256 = f.sha256 WHERE p.state <> 'missing'"
        )}  # fmt: skip
        assert here <= set(shown)
        assert all(("M" in row.flags) == (row.id not in here) for row in shown.values())
        assert all(shown[item].rating == rating for item, rating in self.rated.items() if item in shown)

    @invariant()
    def another_scan_has_nothing_to_do(self) -> None:
        if self.scanned:
            again = scan.scan(self.registry)
            assert (again.new, again.changed, again.moved) == (0, 0, 0)

    def teardown(self) -> None:
        self.registry.close()
        shutil.rmtree(self.home)


TestFolder = Folder.TestCase
TestFolder.settings = settings(max_examples=25, stateful_step_count=14, deadline=None)
