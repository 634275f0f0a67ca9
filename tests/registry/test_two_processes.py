"""Several processes on one registry at once, real ones: what each of them says is kept, and the files are listed once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry import journal, library, roots, scan
from registry.database import Registry
from tests.support.model_files import small_lora, write_model

ROOT = Path(__file__).parents[2]
FILES = 60

_SCRIPT = """
import sys
from pathlib import Path
from registry import edits, library, roots, scan, scan_hash
from registry.database import Registry

home, name, work = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def tell(word):
    print(word, flush=True)

def wait():
    assert sys.stdin.readline() == "go\\n"

{work}
"""
_SCAN = """
tell("ready")
wait()
with Registry(home) as registry:
    roots.add(registry, Path(work))
    scan.scan(registry)
tell("done")
"""
_SCAN_IN_STEPS = """
seen = set()

def watch(stage, done, total):
    # Stands still when all are listed and none is hashed, and again when a batch of them is.
    step = "listed" if stage == "reading" and done == 0 else "half" if stage == "reading" and done > scan_hash.BATCH else ""
    if step and step not in seen:
        seen.add(step)
        tell(step)
        wait()

with Registry(home) as registry:
    roots.add(registry, Path(work))
    scan.scan(registry, watch)
tell("done")
"""
_TAG = """
with Registry(home) as registry:
    models = [row.id for row in library.list_models(registry)]
    tell("ready")
    wait()
    for model in models:
        for number in range(int(work)):
            edits.tag(registry, [model], add=[f"{name} {number}"])
    tell("done")
"""


class Process:
    """A process that says a word when it has come to a step, and goes on when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def hear(self, word: str) -> None:
        assert self._process.stdout is not None
        heard = self._process.stdout.readline().strip()
        if heard != word:
            self._process.kill()
            raise AssertionError(f"{heard!r} instead of {word!r}: {self._process.communicate()[1]}")

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()


@contextmanager
def running(work: str, home: Path, *arguments: object) -> Iterator[Process]:
    command = [sys.executable, "-c", _SCRIPT.format(work=work), str(home), *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


def make_files(folder: Path) -> None:
    for number in range(FILES):
        write_model(folder / f"{number % 3}" / f"model {number}.safetensors", small_lora(), seed=number)


def tags_by_name(registry: Registry) -> dict[str, set[str]]:
    return {row.name: set(row.tags) for row in library.list_models(registry)}


def assert_sound(registry: Registry) -> None:
    """Every file is one model in one place, hashed, and another scan finds nothing to do."""
    assert registry.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert sorted(row.name for row in library.list_models(registry)) == sorted(f"model {n}" for n in range(FILES))
    again = scan.scan(registry)
    assert (again.unchanged, again.new, again.missing, again.unhashed) == (FILES, 0, 0, 0)


def test_processes_that_make_and_scan_one_registry_at_once_list_every_file_once(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "loras"
    make_files(folder)
    with (
        running(_SCAN, home, "a", folder) as a,
        running(_SCAN, home, "b", folder) as b,
        running(_SCAN, home, "c", folder) as c,
    ):
        for process in (a, b, c):
            process.hear("ready")
        for process in (a, b, c):
            process.go()
        for process in (a, b, c):
            process.hear("done")
    with Registry(home) as registry:
        assert len(roots.all_roots(registry)) == 1
        assert_sound(registry)


def test_what_is_said_while_another_process_scans_is_kept(tmp_path: Path) -> None:
    """Said of files that are listed only, of files that are hashed, and of lists read before and used afterwards."""
    home, folder = tmp_path / "home", tmp_path / "loras"
    make_files(folder)
    with running(_SCAN_IN_STEPS, home, "scan", folder) as scanning:
        scanning.hear("listed")
        with running(_TAG, home, "early", 1) as early, running(_TAG, home, "late", 1) as late:
            early.hear("ready")
            late.hear("ready")
            early.go()
            early.hear("done")
            scanning.go()
            scanning.hear("half")
            # Half of the models that it means have other names by now.
            late.go()
            late.hear("done")
            with running(_TAG, home, "beside", 1) as beside:
                beside.hear("ready")
                beside.go()
                scanning.go()
                beside.hear("done")
            scanning.hear("done")
    with Registry(home) as registry:
        assert tags_by_name(registry) == {f"model {n}": {"early 0", "late 0", "beside 0"} for n in range(FILES)}
        assert_sound(registry)


def test_what_several_processes_say_of_the_same_models_at_once_is_all_kept(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "loras"
    make_files(folder)
    with Registry(home) as registry:
        roots.add(registry, folder)
        scan.scan(registry)
    with running(_TAG, home, "a", 2) as a, running(_TAG, home, "b", 2) as b, running(_SCAN, home, "c", folder) as c:
        for process in (a, b, c):
            process.hear("ready")
        for process in (a, b, c):
            process.go()
        for process in (a, b, c):
            process.hear("done")
    with Registry(home) as registry:
        said = {"a 0", "a 1", "b 0", "b 1"}
        assert tags_by_name(registry) == {f"model {n}": said for n in range(FILES)}
        assert len(journal.entries(registry, limit=1000)) == len(said) * FILES
        assert_sound(registry)
