from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from registry.database import Registry
from tests.support import library_factory
from tui.app import HubmanApp


@pytest.fixture(autouse=True)
def _quiet_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "HUBMAN_HOME", "HUBMAN_CIVITAI_URL", "CIVITAI_API_KEY", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")


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
