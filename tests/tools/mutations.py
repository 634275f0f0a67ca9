"""Break the sync on purpose, one rule at a time, and see that the tests notice: ``python -m tests.tools.mutations``.

Each mutation is made in a copy of the source; a name as argument runs those mutations alone whose name contains it.
Exits with 1 when one goes unnoticed. Not part of the suite: it takes ten to twenty minutes on one core.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MACHINE = "tests/hubman/test_sync_replicas.py"
LAWS = "tests/registry/test_changes.py tests/hubman/test_sync_laws.py"
RACES = "tests/hubman/test_sync_races.py"


@dataclass(frozen=True)
class Mutation:
    """``old`` stands once in ``file`` and becomes ``new``; ``tests`` are the files of which one has to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str = f"{LAWS} {MACHINE}"


MUTATIONS = (
    Mutation(
        "last arrival wins",
        "registry/merging.py",
        '"WHERE (excluded.stamp, excluded.value) > (facts.stamp, facts.value)"',
        '"WHERE (excluded.stamp, excluded.value) <> (facts.stamp, facts.value)"',
    ),
    Mutation(
        "remove without tombstone",
        "registry/merging.py",
        "    db.executemany(_GONE, [(row[3],) for row in named])\n    db.executemany(_REM",
        "    db.executemany(_REM",
    ),
    Mutation(
        "no gap check",
        "hubman/sync/pull.py",
        "        if seq > reached + 1:\n            break\n",
        "",
        f"tests/hubman/test_sync_format.py tests/hubman/test_sync_hostile.py {MACHINE}",
    ),
    Mutation(
        "no clock receive rule",
        "hubman/sync/merge.py",
        "        if newest:\n            clock.observe(db, newest)\n",
        "",
        MACHINE,
    ),
    Mutation(
        "ETag saved too early",
        "hubman/sync/pull.py",
        "            problems.append(_hold(session, one, error))\n",
        "            problems.append(_hold(session, one, error))\n            _remember(session, one)\n",
        f"{MACHINE} tests/hubman/test_sync_format.py",
    ),
    Mutation(
        "no hash check",
        "hubman/sync/pull.py",
        "    if not layout.is_intact(name, fetched.data):\n",
        "    if False:\n",
        f"{MACHINE} tests/hubman/test_sync_hostile.py",
    ),
    Mutation(
        "outbox emptied outside the transaction",
        "hubman/sync/push.py",
        "        with session.registry.transaction() as db:\n            made = freeze.next_batch",
        "        with session.registry.transaction() as db:\n"
        "            waits = db.execute('SELECT * FROM outbox').fetchall()\n"
        "            db.execute('DELETE FROM outbox')\n"
        "        with session.registry.transaction() as db:\n"
        "            db.executemany('INSERT OR IGNORE INTO outbox VALUES (?, ?, ?)', [tuple(row) for row in waits])\n"
        "            made = freeze.next_batch",
        MACHINE,
    ),
    Mutation(
        "marked done before upload",
        "hubman/sync/push.py",
        "    for number, row in enumerate(rows):\n",
        "    with session.registry.transaction() as db:\n        db.execute('UPDATE outbound SET sent = 1')\n"
        "    for number, row in enumerate(rows):\n",
        MACHINE,
    ),
    Mutation(
        "wall clock instead of HLC",
        "registry/clock.py",
        "max(CAST(value AS INTEGER) + 1 + (random() & 1023), ?)",
        "max(1, ?)",
        f"tests/registry/test_clock.py {MACHINE}",
    ),
    Mutation(
        "seq reuse after power loss",
        "registry/database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        "tests/registry/test_library.py",
    ),
    Mutation(
        "seq reuse after a restore",
        "hubman/sync/identity.py",
        "            _split(db, session, device, _named(head), own)\n            return True\n",
        "            return False\n",
        f"tests/hubman/test_sync_identity.py {MACHINE}",
    ),
    Mutation(
        "a copy is not told by its log",
        "hubman/sync/identity.py",
        "    if not any(_is_whole(session, key) for key in strange):\n        return False\n",
        "    return False\n",
        "tests/hubman/test_sync_identity.py",
    ),
    Mutation(
        "head before batch",
        "hubman/sync/push.py",
        "    for number, row in enumerate(rows):\n",
        "    if rows:\n        _announce(session, device)\n    for number, row in enumerate(rows):\n",
        MACHINE,
    ),
    Mutation(
        "a picture is not hashed",
        "hubman/sync/transfer/whole.py",
        "        if not layout.is_content(sha256, data):\n            raise",
        "        if False:\n            raise",
        f"tests/hubman/test_sync_hostile.py {MACHINE}",
    ),
    Mutation(
        "an edit does not say what it saw",
        "registry/rivals.py",
        '    return [["rem", item, field, "", sorted(stamps)]]\n',
        "    return []\n",
        f"{RACES} {MACHINE}",
    ),
    Mutation(
        "what is beaten is not kept",
        "registry/merging.py",
        "    if row is not None and tuple(row) != (body, stamp):",
        "    if False:",
        f"{RACES} {MACHINE}",
    ),
    Mutation(
        "a snapshot leaves the rivals out",
        "hubman/sync/records/state.py",
        "_of_rivals(db), ",
        "",
        f"{LAWS} {MACHINE}",
    ),
    Mutation(
        "a choice does not name what gave way",
        "registry/race_edits.py",
        '    known = sorted(rivals.stamps_of(db, item, name, row["lost"]))\n',
        "    known: list[str] = []\n",
        f"{RACES} {MACHINE}",
    ),
    Mutation(
        "trash does not say what it saw",
        "registry/library.py",
        "facts = {**facts, races.SEEN: races.seen_of(db, item)}",
        "facts = {**facts, races.SEEN: []}",
        f"{RACES} {MACHINE}",
    ),
    Mutation(
        "a save of a text replaces one of two",
        "registry/changes.py",
        '    replaced = sorted(row[0] for row in rows)\n    return ["txt"',
        '    replaced = sorted(row[0] for row in rows)[-1:]\n    return ["txt"',
        f"{RACES} tests/hubman/test_sync_machines.py {MACHINE}",
    ),
    Mutation(
        "a snapshot that has what no other has is removed",
        "hubman/sync/records/snapshots.py",
        "            staying.append(covers)\n            continue\n",
        "            pass\n",
        "tests/hubman/test_sync_snapshots.py",
    ),
)


def main(wanted: str = "") -> int:
    """Print a line for each mutation; returns how many went unnoticed."""
    missed = 0
    for mutation in MUTATIONS:
        if wanted in mutation.name:
            caught, seconds = try_out(mutation)
            missed += not caught
            sys.stdout.write(f"{mutation.name:<52}{caught or 'NOT CAUGHT':<76}{seconds:5.0f} s\n")
            sys.stdout.flush()
    return missed


def try_out(mutation: Mutation) -> tuple[str, float]:
    """The first test that failed, or nothing; and how long that took."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder)
        for name in ("hubman", "registry", "tui", "tests", "pyproject.toml"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        path = copy / mutation.file
        text = path.read_text()
        if text.count(mutation.old) != 1:
            raise SystemExit(f"{mutation.name}: {mutation.file} has its line {text.count(mutation.old)} times")
        path.write_text(text.replace(mutation.old, mutation.new))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutation.tests.split()]
        environment = {**os.environ, "PYTHONPATH": str(copy), "HUBMAN_SYNC_EXAMPLES": "150"}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    failed = [line.partition("::")[2] for line in done.stdout.splitlines() if line.startswith("FAILED")]
    return (failed[0].split(" - ")[0] if failed else "", time.monotonic() - start)


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
