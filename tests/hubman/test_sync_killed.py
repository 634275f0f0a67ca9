"""A sync killed with SIGKILL at any step is completed by the next one: nothing lost, nothing twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubman.sync.care.check import check
from registry import edits, library
from tests.support.machines import Machine, settle, sha256_of

ROOT = Path(__file__).parents[2]

_SYNC_AND_DIE = """
import os, signal, sqlite3, sys
from pathlib import Path
from hubman.sync.transfer import download
from hubman.sync.transfer import filling
from hubman.sync.transfer import partial
from hubman.sync.transfer import sending
from hubman.sync.run import sync
from registry.database import Registry
from tests.support.machines import WatchedStorage

home, remote, moment, what, prefix, countdown = sys.argv[1:]
left = int(countdown)

def die(now, operation, key):
    global left
    if (now, operation) == (moment, what) and key.startswith(prefix):
        left -= 1
        if left == 0:
            wait_for_notes()
            os.kill(os.getpid(), signal.SIGKILL)

def wait_for_notes():
    # What came so far is written down by another thread.
    if (moment, what) == ("before", "read_range"):
        db = sqlite3.connect(Path(home) / "registry.db")
        sql = "SELECT coalesce(max(json_array_length(done)), 0) FROM transfers"
        while db.execute(sql).fetchone()[0] < int(countdown) - 1:
            pass

partial.PIECE = filling.PIECE = download.PIECE = sending.PIECE = 2000
partial.NOTE_BYTES = 2000
watched = WatchedStorage(
    Path(remote),
    before=lambda operation, key: die("before", operation, key),
    after=lambda operation, key: die("after", operation, key),
)
with Registry(Path(home)) as registry:
    sync(registry, "r", storage=watched, report=lambda progress: die("told", progress.stage, ""))
"""


def sync_and_die(machine: Machine, moment: str, what: str, prefix: str = "", countdown: int = 1) -> None:
    machine.registry.close()
    arguments = [str(machine.home), str(machine.remote), moment, what, prefix, str(countdown)]
    done = subprocess.run([sys.executable, "-c", _SYNC_AND_DIE, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    machine.restart()


def assert_converged(a: Machine, b: Machine) -> None:
    settle([a, b], rounds=2)
    assert a.shown() == b.shown()
    assert a.state() == b.state()
    assert check(a.registry, "r") == [] or all(one.level == "note" for one in check(a.registry, "r"))
    for machine in (a, b):
        log = [path.name[:10] for path in sorted((machine.remote / "log" / machine.device).iterdir())]
        assert log == [f"{number:010d}" for number in range(1, len(log) + 1)]
        stored = machine.registry.db.execute("SELECT path, sha256 FROM places").fetchall()
        assert all(sha256_of(Path(row["path"])) == row["sha256"] for row in stored)
        assert machine.registry.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@pytest.mark.parametrize(
    ("moment", "what", "prefix"),
    [
        ("told", "frozen", ""),
        ("before", "put_stream", "blob/"),
        ("after", "put_stream", "blob/"),
        ("before", "create", "log/"),
        ("after", "create", "log/"),
        ("before", "put", "heads/"),
        ("after", "put", "heads/"),
        ("told", "announced", ""),
    ],
)
def test_a_sender_killed_anywhere_loses_and_repeats_nothing(
    pair: tuple[Machine, Machine], moment: str, what: str, prefix: str
) -> None:
    a, b = pair
    ink = a.add_lora("ink", seed=1)
    settle(pair, rounds=2)
    paper = a.add_lora("paper", seed=2)
    edits.edit(a.registry, ink, ink, {"rating": "4", "notes": "kept", "tags": "one, two"})
    edits.edit(b.registry, ink, ink, {"tags": "three"})
    sync_and_die(a, moment, what, prefix)
    assert library.show(a.registry, ink).rating == 4
    b.sync()
    assert_converged(a, b)
    shown = library.show(b.registry, ink)
    assert (shown.rating, shown.notes, shown.tags) == (4, "kept", ("one", "three", "two"))
    assert library.show(b.registry, paper).versions[0].files[0].places


@pytest.mark.parametrize(
    ("moment", "what", "prefix", "countdown"),
    [
        ("told", "receive", "", 2),
        ("after", "get", "log/", 1),
        ("before", "read_range", "blob/", 1),
        ("after", "read_range", "blob/", 3),
    ],
)
def test_a_receiver_killed_anywhere_goes_on_where_it_was(
    pair: tuple[Machine, Machine], moment: str, what: str, prefix: str, countdown: int
) -> None:
    a, b = pair
    version = a.add_lora("ink")
    a.add_picture(version, b"picture")
    a.sync()
    edits.edit(a.registry, version, version, {"rating": "2"})
    a.sync()
    sync_and_die(b, moment, what, prefix, countdown)
    assert_converged(a, b)
    assert [path.name for path in b.registry.models_folder.iterdir()] == ["ink.safetensors"]
    assert library.show(b.registry, version).rating == 2


def test_a_download_that_was_killed_fetches_only_the_rest(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hubman.sync.transfer import download, filling, partial

    a, b = pair
    a.add_lora("ink")
    a.sync()
    sync_and_die(b, "before", "read_range", "blob/", 4)
    for module in (partial, filling, download):
        monkeypatch.setattr(module, "PIECE", 2000)
    size = (a.registry.models_folder / "ink.safetensors").stat().st_size
    # Three pieces were written down.
    assert b.sync().downloaded_bytes == size - 3 * 2000
