from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hubman.civitai.limiter import Limiter, ledger_path
from hubman.jobs.records import Job
from hubman.progress import Progress
from registry import timestamps
from tests.support.library_factory import NOW
from tui import formats, library_status
from tui.combo import Combo, Part
from tui.services.index_state import IndexState
from tui.services.watch import JobView, Snapshot


@pytest.fixture
def view() -> JobView:
    job = Job(
        id="j1", kind="downloads", title="downloads", state="running", folder="/j", request={}, created_at=timestamps.of(NOW)
    )  # fmt: skip
    return JobView(job, Progress(stage="download", done=0, total=100e6, unit="B"))


def _at(view: JobView, done: float, unit: str = "B") -> Snapshot:
    return Snapshot((replace(view, progress=Progress(stage="download", done=done, total=100e6, unit=unit)),))


def test_the_speed_is_that_of_all_downloads_since_they_began(view: JobView) -> None:
    speed = library_status.Speed()
    speed.look(_at(view, 10e6), 100.0)
    assert speed.words == "↓ 1", "one look tells no speed"
    speed.look(_at(view, 30e6), 110.0)
    assert speed.words == "↓ 1 2.0 MB/s"
    speed.look(_at(view, 1e6), 112.0)
    assert speed.words == "↓ 1", "the next file begins anew"
    speed.look(_at(view, 3, "pictures"), 113.0)
    assert speed.words == "↓ 1"
    speed.look(Snapshot(), 114.0)
    assert speed.words == ""


def test_the_budget_of_requests_is_told_once_some_of_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBMAN_CIVITAI_RATE", "2")
    assert library_status.budget_words(tmp_path) == ""
    limiter = Limiter(ledger_path(tmp_path), frozenset(("civitai.com",)))
    with limiter.request("https://civitai.com/api/v1/models") as permit:
        permit.answered(200)
    assert library_status.budget_words(tmp_path) == "API 19 of 20"
    with limiter.request("https://civitai.com/api/v1/models") as permit:
        permit.answered(429, told=3000.0)
    limiter.close()
    assert re.fullmatch(r"API waits (2999|3000) s \(too many requests\)", library_status.budget_words(tmp_path))
    monkeypatch.setenv("HUBMAN_CIVITAI_RATE", "many")
    assert library_status.budget_words(tmp_path) == ""


def test_the_line_says_what_is_marked_under_way_and_when_the_disk_was_checked() -> None:
    assert library_status.line(10_010, 0.2, 0, 0) == "10,010 models, checked 0.2 s ago"
    assert library_status.line(1, None, 0, 0) == "1 model, never checked (R)"
    assert library_status.line(0, None, 0, 0) == ""
    assert library_status.line(9, 0.0, 2, 3_000_000, others=("combo a", "")).startswith(
        "2 marked, 3.0 MB · combo a · 9"
    )


def test_the_disk_was_checked_when_a_scan_or_the_watcher_looked_last() -> None:
    at = timestamps.of(NOW)
    assert library_status.seconds_since("", IndexState(), 50.0) is None
    assert library_status.seconds_since(at, IndexState(), 50.0) == 0.0
    assert library_status.seconds_since("", IndexState(checked_at=40.0), 50.0) == 10.0
    assert library_status.seconds_since(at, IndexState(checked_at=40.0), 50.0) == 0.0


def test_a_young_age_is_told_each_second_and_an_old_one_now_and_then() -> None:
    assert all(library_status.is_due(tick, tick + 0.5) for tick in range(1, 11))
    assert [tick for tick in range(1, 41) if library_status.is_due(tick, 60.0 + tick)] == [10, 20, 30, 40]
    assert not library_status.is_due(3, None)


def test_the_line_says_what_the_watching_does() -> None:
    assert library_status.index_words(IndexState()) == ""
    assert library_status.index_words(IndexState(stage="listing", done=3, total=1000)) == "listing 3 of 1,000"
    assert library_status.index_words(IndexState(waiting=4321)) == "4,321 to hash"
    assert library_status.index_words(IndexState(waiting=1, problem="no more watches")) == "no more watches"


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "now", lambda: NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0.0 s"), (0.24, "0.2 s"), (9.94, "9.9 s"), (12.3, "12 s"), (61, "1 min"), (7200, "2 h"), (1e9, "31 y")],
)
def test_how_long_ago(seconds: float, text: str) -> None:
    assert formats.ago(seconds) == text


def test_a_base_that_is_not_known_fits_every_other() -> None:
    combo = Combo()
    assert combo.toggle(Part("a", "a1", "A", "")) == ""
    assert combo.toggle(Part("b", "b1", "B", "sdxl")) == ""
    assert "a picture has one base" in combo.toggle(Part("c", "c1", "C", "flux"))
    assert combo.toggle(Part("b", "b2", "B", "sdxl")) == "", "its model is in it, in another version"
    assert combo.words == "A"
