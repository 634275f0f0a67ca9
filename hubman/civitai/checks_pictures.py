"""The pictures of a version: which of them the site takes, whether they are enough, and whether they say what they show."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from hubman.civitai import image_meta
from hubman.civitai.finding import Finding, error, warning
from hubman.civitai.form import FormPicture, VersionPart
from hubman.civitai.image_clean import cleaned, mime_type
from registry.errors import DamagedFileError
from registry.pictures import is_video, measure

LARGEST = 50 << 20
"""Bytes of one picture."""
MOST = 20
"""Pictures that the web form takes in a post."""
ENOUGH = 3
_MOST_PIXELS = 100_000_000
_MAKE = "generate some at its recommended strength: hubman publish REF --make-pictures"


def usable(part: VersionPart) -> tuple[FormPicture, ...]:
    """The chosen pictures that the site takes, each once, as many as it takes."""
    chosen = {picture.sha256: picture for picture in part.pictures}
    return tuple(picture for picture in chosen.values() if not problem(picture))[:MOST]


def absent(part: VersionPart) -> tuple[str, ...]:
    """The other chosen pictures, by their SHA-256."""
    sent = {picture.sha256 for picture in usable(part)}
    return tuple(dict.fromkeys(picture.sha256 for picture in part.pictures if picture.sha256 not in sent))


def names(pictures: Iterable[FormPicture]) -> str:
    """Which pictures a finding is about, whatever their order."""
    return " ".join(sorted(picture.sha256 for picture in pictures))


def problem(picture: FormPicture) -> tuple[str, str] | None:
    """(why the site takes no such picture, what to do), or None."""
    if not picture.path or not Path(picture.path).is_file():
        return "is not on this machine", "hubman sync brings it here"
    if is_video(Path(picture.name)):
        return "is a video, which is not sent", "show a picture instead"
    return _of_file(picture.path, Path(picture.path).stat().st_size)


@functools.lru_cache(maxsize=256)
def _of_file(path: str, size: int) -> tuple[str, str] | None:
    """Blobs are named after their content, which never changes."""
    if size > LARGEST:
        return f"is larger than {LARGEST >> 20} MiB", "shrink it"
    data = Path(path).read_bytes()
    if mime_type(data) is None:
        return "is no picture that Civitai takes", "use PNG, JPEG or WebP"
    try:
        cleaned(data)
        width, height = measure(Path(path))
    except (DamagedFileError, OSError, ValueError) as found:
        return f"can't be sent ({found})", "make it again"
    if width * height > _MOST_PIXELS:
        return f"has {width * height / 1e6:.0f} megapixels", f"shrink it to {_MOST_PIXELS // 1_000_000}"
    return None


def of_part(part: VersionPart) -> Iterator[Finding]:
    for picture in part.pictures:
        if found := problem(picture):
            why, what = found
            yield warning(
                "picture-left-out", f"{picture.name} {why}, and is left out", what, field="pictures", part=part,
                fact=picture.sha256,
            )  # fmt: skip
    shown = usable(part)
    if len(part.pictures) > MOST and len(shown) == MOST:
        yield warning("pictures-many", f"only the first {MOST} of {len(part.pictures)} pictures are shown",
                      "choose which with --pictures", field="pictures", part=part, fact=names(part.pictures))  # fmt: skip
    if not shown:
        yield error("pictures-missing", f"there is no picture to show for {part.name}",
                    f"Civitai takes models without one down: {_MAKE}, or add a preview", field="pictures", part=part)  # fmt: skip
        return
    if len(shown) < ENOUGH:
        count = "only one picture" if len(shown) == 1 else f"only {len(shown)} pictures"
        yield warning("pictures-few", f"{count} for {part.name}", _MAKE, field="pictures", part=part, fact=names(shown))
    lora = image_meta.own(part)
    told = [image_meta.compose(one.generation, lora, path=Path(one.path)) for one in shown]
    if others := [one.name for one, found in zip(shown, told, strict=True) if found.is_other]:
        yield warning("pictures-other", f"{', '.join(others[:3])} names other LoRAs and not {lora.name}",
                      "show what was drawn with it", field="pictures", part=part, fact=names(shown))  # fmt: skip
    if not any(found.meta for found in told):
        yield warning("pictures-silent", "no picture says how it was made", f"show one that was drawn with it, or {_MAKE}",
                      field="pictures", part=part, is_harmless=False, fact=names(shown))  # fmt: skip
