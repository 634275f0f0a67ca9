from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual import _wait

from hubman.jobs import store
from hubman.jobs.records import Job
from registry import edits, library, previews, roots
from registry.database import Registry
from registry.scan import scan
from tests.support import library_factory
from tests.support.civitai import Bench, bench, write_png
from tests.support.model_files import small_lora, write_model
from tests.support.publishing import GENERATION, make_version
from tui import formats
from tui.app import HubmanApp


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No animation, no settings of this machine, no waiting for the disk, and a clock that stands."""
    for name in (
        "NO_COLOR",
        "HUBMAN_HOME",
        "HUBMAN_PICTURES",
        "HUBMAN_NSFW",
        "HUBMAN_PRIVACY",
        "HUBMAN_CIVITAI_URL",
        "CIVITAI_API_KEY",
        "DISPLAY",
        "WAYLAND_DISPLAY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setattr(formats, "now", lambda: library_factory.NOW)
    monkeypatch.setattr("os.fsync", lambda _: None)
    # After each key Textual waits twice for 20 ms in which nothing happens: half of the time of these tests.
    monkeypatch.setattr(_wait, "SLEEP_GRANULARITY", 0.005)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def models(home: Path) -> list[str]:
    """Twelve models; the first is the newest."""
    with Registry(home) as registry:
        return library_factory.fill(registry, 12)


@pytest.fixture
def open_app(home: Path) -> Callable[[], HubmanApp]:
    """The app on ``home``, which never looks at jobs by itself."""
    return lambda: HubmanApp(home, poll=0)


@pytest.fixture
def in_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app begins with mode 3: the library's screen would take as long to make as many a test."""
    monkeypatch.setattr(HubmanApp, "DEFAULT_MODE", "train")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs whose processes would have been started; none is."""
    jobs: list[Job] = []
    monkeypatch.setattr(store, "spawn", lambda _registry, job: jobs.append(job))
    return jobs


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> Path:
    """Three LoRAs of real files; ``ink`` has a sidecar and another version, ``old``."""
    folder = tmp_path / "loras"
    for seed, name in enumerate(("clay", "ink", "old"), 1):
        path = write_model(folder / f"{name}.safetensors", small_lora(), {"ss_output_name": name}, seed=seed)
        # Of two files of one millisecond the id would choose the newer version.
        os.utime(path, (1_700_000_000 - seed, 1_700_000_000 - seed))
    (folder / "ink.json").write_text("{}")
    with Registry(home) as registry:
        roots.add(registry, folder)
        scan(registry)
        ink, version = library.resolve(registry, "ink")
        _, old = library.resolve(registry, "old")
        library.set_facts(registry, old, "user", {"model": ink, "version_name": "v1", "strength": 0.4})
        said = {"name": "ink", "version_name": "v2", "strength": "0.7", "trigger_words": "inkwash, paper"}
        edits.edit(registry, ink, version, said)
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path, chunk_size=1000) as running:
        monkeypatch.setenv("HUBMAN_CIVITAI_URL", running.sandbox.url)
        monkeypatch.setenv("CIVITAI_API_KEY", running.sandbox.token())
        monkeypatch.setenv("HUBMAN_CIVITAI_RATE", "1000")
        yield running


@pytest.fixture
def version_id(home: Path, tmp_path: Path, site: Bench) -> str:
    """A LoRA that lacks nothing but the answers that only a person can give."""
    with Registry(home) as registry:
        made = make_version(registry, tmp_path)
        picture = write_png(tmp_path / "green.png", "green")
        previews.add_preview(registry, made, picture, generation=GENERATION)
        return made
