"""What the library keeps of how a picture was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hubman.generate.request import DrawRequest


def as_generation(request: DrawRequest) -> dict[str, Any]:
    """The settings of a picture, without folders of this machine."""
    loras = [{"name": use.name, "strength": use.strength, "sha256": use.sha256} for use in request.loras]
    return {
        "prompt": request.prompt, "negative": request.negative, "seed": request.seed, "steps": request.steps,
        "cfg": request.cfg, "sampler": request.sampler, "base": Path(request.base).name, "loras": loras,
    }  # fmt: skip
