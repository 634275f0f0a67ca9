"""The forecast of a training, asked of a process of its own: torch would stall whoever shows it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from hubman.train.capacity.forecast import Forecast
from hubman.train.recipe import Recipe, write_recipe
from registry.decodable import decodable
from registry.errors import HubError

SECONDS = 180
"""A cold start from a slow disk takes a minute."""


def ask_forecast(recipe: Recipe) -> Forecast:
    """What ``recipe`` takes of memory and time here; takes seconds. Raises HubError with the process's last words."""
    with tempfile.TemporaryDirectory(prefix="hubman-") as folder:
        path = Path(folder) / "recipe.toml"
        write_recipe(path, recipe)
        command = [sys.executable, "-m", "hubman.cli.main", "train", str(path), "--dry-run", "--json"]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HubError("the forecast did not come", "start without it, or try again") from error
    try:
        return msgspec.json.decode(done.stdout, type=decodable(Forecast))
    except msgspec.DecodeError:
        words = done.stderr.strip().splitlines()
        raise HubError(words[-1] if words else "the forecast said nothing") from None
