from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.database import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "home") as opened:
        yield opened
