"""The queue of downloads: ordered, pausable, shared, and whole after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.civitai import queue
from hubman.civitai.downloader import drain
from hubman.progress import Progress, silent
from hubman.sandbox import Seeded, seed_model
from registry import pull_queue
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from tests.support.civitai import Bench, bench, quick_registry, write_lora


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with quick_registry(tmp_path / "home") as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def seeded(site: Bench) -> list[Seeded]:
    files = [write_lora(site.folder / f"model{number}.safetensors", seed=number) for number in range(3)]
    return [seed_model(site.sandbox, file, name=file.stem) for file in files]


def _states(registry: Registry) -> list[tuple[str, str]]:
    return [(item.ref, item.state) for item in queue.items(registry)]


def _drain(registry: Registry, site: Bench) -> dict[str, int]:
    with site.client("") as client:
        return drain(registry, lambda _site: client, silent, lambda: False, lambda _db: None)


def test_what_is_wanted_twice_is_queued_once(registry: Registry) -> None:
    first = queue.add(registry, ["7", "https://civitai.com/models/3?modelVersionId=7"], site=None, into=None)
    again = queue.add(registry, ["7", "8", "8"], site=None, into=None)
    assert [item.ref for item in again] == ["7", "8"]
    assert again[0].id == first[0].id
    assert [item.position for item in queue.items(registry)] == list(range(1, len(queue.items(registry)) + 1))


def test_one_that_names_nothing_queues_none_of_them(registry: Registry) -> None:
    with pytest.raises(UsageError, match="harbor style"):
        queue.add(registry, ["7", "harbor style"], site=None, into=None)
    assert queue.items(registry) == []


def test_a_queue_can_be_ordered_held_and_cleared(registry: Registry) -> None:
    a, b, c = (item.id for item in queue.add(registry, ["1", "2", "3"], site=None, into=None))
    queue.move(registry, c, 1)
    queue.pause(registry, [a])
    assert _states(registry) == [("3", "queued"), ("1", "paused"), ("2", "queued")]
    pull_queue.resume(registry, None)
    queue.pause(registry, None)
    assert {state for _ref, state in _states(registry)} == {"paused"}
    queue.remove(registry, [b])
    assert [ref for ref, _state in _states(registry)] == ["3", "1"]
    with pytest.raises(NotFoundError, match="hubman queue"):
        queue.move(registry, b, 1)


def test_a_queue_is_worked_off_in_its_order(registry: Registry, site: Bench, seeded: list[Seeded]) -> None:
    made = queue.add(registry, [str(one.version_id) for one in seeded], site=None, into=None)
    queue.move(registry, made[2].id, 1)
    order: list[str] = []

    def hear(event: Progress) -> None:
        if event.stage == "look up":
            order.append(event.message)

    with site.client("") as client:
        assert drain(registry, lambda _site: client, hear, lambda: False, lambda _db: None) == {"done": 3, "failed": 0}
    assert order == [str(seeded[number].version_id) for number in (2, 0, 1)]
    done = queue.items(registry)
    assert {item.state for item in done} == {"done"}
    assert all(Path(item.path).is_file() and item.version_id and item.done == item.total > 0 for item in done)
