"""What the site seems to have lost is begun anew only where it is really gone: else there would be a second one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.civitai import errors
from hubman.civitai.client import Civitai
from hubman.sandbox import Fault
from registry.database import Registry
from tests.support.civitai import Bench, bench, quick_registry
from tests.support.publishing import make_version, publish_now, the_only_one


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, posts_per_day=10_000) as running:
        yield running


@pytest.fixture
def client(site: Bench) -> Iterator[Civitai]:
    with site.client() as opened:
        yield opened


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with quick_registry(tmp_path / "home") as opened:
        yield opened


def _age(registry: Registry) -> None:
    """What was sent was sent long ago: no replica lags behind it."""
    registry.db.execute("UPDATE publication_steps SET started_at = '2026-01-01T00:00:00.000Z'")


_MISSING = '{"error":{"json":{"message":"No such thing","code":-32004,"data":{"code":"NOT_FOUND"}}}}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("model.getById", _MISSING),
        ("model.getById", "<html><body>404</body></html>"),
        ("model.getById", "default backend - 404"),
        ("model.getById", '{"error":{"json":{"message":"No procedure found on path \\"model.getById\\""}}}'),
        ("post.getEdit", _MISSING),
    ],
)
def test_one_answer_that_says_gone_makes_no_second_page(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path, path: str, body: str
) -> None:
    version_id = make_version(registry, tmp_path)
    publish_now(registry, client, version_id, draft=True)
    _age(registry)
    site.sandbox.settings.faults = [Fault(path, method="GET", status=404, body=body)]
    with pytest.raises(errors.CivitaiError):
        publish_now(registry, client, version_id, draft=True)
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)
