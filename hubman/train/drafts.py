"""First drafts of captions for a folder, by CLIP and lists of words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hubman.progress import Progress, Report
from hubman.train.captions import compose, draft_all
from hubman.train.dataset import image_files
from hubman.train.terms import read_terms
from registry.errors import CancelledError, MissingExtraError


def draft_captions(
    folder: Path,
    clip: Path,
    terms: Path,
    *,
    cache: Path | None = None,
    trigger: str = "",
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[str, ...]:
    """Write a draft beside each image that has no typed caption; returns the names of those written.

    ``clip`` is a CLIP model's folder, ``terms`` its lists of words, whose embeddings are kept in
    ``cache``. Raises :class:`MissingExtraError` without torch.
    """
    try:
        from hubman.train.interrogator import Interrogator

        interrogator = Interrogator(clip, read_terms(terms), cache)
    except ImportError as error:
        raise MissingExtraError("captioning needs torch and transformers", "pip install 'hubman[ml]'") from error
    total, done = len(image_files(folder)), 0

    def describe(image: Path) -> str:
        nonlocal done
        if should_stop():
            raise CancelledError("captioning was stopped")
        text = compose(interrogator.caption(image), trigger)
        done += 1
        report(Progress(stage="caption", done=done, total=total, unit="images", message=text))
        return text

    return draft_all(folder, describe)
