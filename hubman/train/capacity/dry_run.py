"""What a recipe is going to take on this machine, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from hubman.train.capacity.forecast import Forecast, Workload
from hubman.train.recipe import Recipe
from registry.errors import MissingExtraError


def dry_run(recipe: Recipe) -> Forecast:
    """The forecast of ``recipe`` from the headers of its base and a short measurement of this machine's speed.

    Raises NotFoundError or DamagedFileError for a base that can't be read, MissingExtraError without torch.
    """
    try:
        from hubman.train.capacity.machine import expect, pick_device, state_bytes, weight_bytes
        from hubman.train.capacity.memory import Memory
    except ImportError as error:
        if (error.name or "").startswith("hubman"):
            raise
        raise MissingExtraError("a forecast needs torch", "pip install 'hubman[ml]'") from error
    from hubman.train.capacity.base_size import base_size

    size = base_size(Path(recipe.base), recipe.network)
    workload = Workload(
        family=recipe.family,
        parameters=size.parameters,
        trained=size.trained,
        reading=size.reading if recipe.optimizer.trains_text else 0,
        pixels=recipe.resolution**2,
        batch=recipe.length.batch,
        batches=recipe.length.accumulate,
        weight_bytes=weight_bytes(recipe),
        state_bytes=state_bytes(recipe),
    )
    device = pick_device()
    return expect(recipe, workload, device, Memory(device).free)[2]
