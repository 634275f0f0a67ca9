"""Which images are trained and which are followed by the validation."""

from __future__ import annotations

from collections.abc import Sequence

from hubman.train.encoding.material import Item
from registry.errors import UsageError


def split(items: Sequence[Item], count: int, *, held_out: bool) -> tuple[list[Item], list[Item]]:
    """(trained, followed): ``count`` images are followed; with ``held_out`` they are not trained.

    Chosen by the hash of their pixels, so that neither names nor other images change the choice. Raises UsageError
    where holding them out would leave fewer trained images than held-out ones.
    """
    images = sorted({_image(item) for item in items})
    chosen = set(images[:count])
    # One view of each: the plainest, whose name is the shortest.
    views = {_image(item): item for item in sorted(items, key=lambda each: each.pixels, reverse=True)}
    followed = [views[image] for image in sorted(chosen)]
    if not held_out or not count:
        return list(items), followed
    trained = [item for item in items if _image(item) not in chosen]
    if len(images) - len(chosen) < len(chosen):
        raise UsageError(
            f"holding out {count} of {len(images)} images leaves too few to train",
            "lower watch.validation_images or turn watch.held_out off",
        )
    return trained, followed


def _image(item: Item) -> str:
    """The image of an item, wherever it is cut, mirrored or not."""
    return item.pixels.partition(":")[0]
