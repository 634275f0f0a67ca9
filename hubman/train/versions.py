"""The versions on which a result depends besides its recipe, base and data."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from hubman import __version__

_PACKAGES = ("torch", "diffusers", "transformers", "tokenizers", "peft", "safetensors", "pillow")


def versions() -> dict[str, str]:
    """By name: hubman, Python, the kind of processor, and every library that computes or decodes; no path, no name."""
    found = {"hubman": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
