"""Delivery of pictures and videos: the original, or one made smaller, which is kept for the next time."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from hubman.sandbox import blobs
from hubman.sandbox.catalogue import pictures
from hubman.sandbox.world import World
from registry import video
from registry.errors import HubError

_LARGEST = 4096
_QUALITY = 82
_OPTIMIZED = 60
Found = tuple[Path, str]


def find(world: World, key: str, wanted: str, name: str) -> Found | None:
    """The file to send for a media key, and its type.

    ``wanted`` is the address's list such as ``width=450,optimized=true``; ``name`` ends in ``.jpeg`` or ``.mp4``.
    """
    params = dict(part.partition("=")[::2] for part in wanted.split(",") if part)
    kept = world.store.get("media", key)
    picture = pictures.from_key(key)
    if kept is None and picture is None:
        return None
    is_video = picture.is_video if picture else str((kept or {}).get("mimeType")).startswith("video/")
    still = not is_video or params.get("anim") == "false" or not name.endswith(".mp4")
    if params.get("original") == "true" or not still:
        path = _original(world, key)
        return (path, _mime(world, key)) if path else None
    return _smaller(world, key, params)


def _mime(world: World, key: str) -> str:
    picture = pictures.from_key(key)
    if picture:
        return "video/mp4" if picture.is_video else "image/jpeg"
    return str((world.store.get("media", key) or {})["mimeType"])


def _original(world: World, key: str) -> Path | None:
    path, picture = world.blob_path(key), pictures.from_key(key)
    if not path.exists() and picture is not None:
        blobs.write(path, pictures.original(picture))
    return path if path.exists() else None


def _smaller(world: World, key: str, params: dict[str, str]) -> Found | None:
    """A JPEG without metadata."""
    shown = ",".join(f"{name}={value}" for name, value in sorted(params.items()))
    path = world.blob_path(f"resized/{key}/{shown}")
    if not path.exists():
        image = _frame(world, key, params)
        if image is None:
            return None
        quality = _number(params, "quality") or (_OPTIMIZED if params.get("optimized") == "true" else _QUALITY)
        blobs.write(path, pictures.jpeg(image.convert("RGB"), quality=max(1, min(quality, 95))))
    return path, "image/jpeg"


def _frame(world: World, key: str, params: dict[str, str]) -> Image.Image | None:
    """The picture, or the poster of a video, in the size asked for."""
    picture = pictures.from_key(key)
    if picture is not None:
        image = pictures.draw(picture, *_fitting(picture.width, picture.height, params))
    else:
        uploaded = _uploaded(world, key)
        if uploaded is None:
            return None
        image = uploaded.resize(_fitting(*uploaded.size, params))
    blur = _number(params, "blur")
    return image.filter(ImageFilter.GaussianBlur(min(blur, 100))) if blur else image


def _uploaded(world: World, key: str) -> Image.Image | None:
    """What was uploaded as a picture, or the first frame of a video; None when it can't be read."""
    path, mime = world.blob_path(key), _mime(world, key)
    try:
        if mime.startswith("video/"):
            still = world.blob_path(f"frame/{key}")
            if not still.exists():
                video.shrink(path, f"video.{mime.partition('/')[2]}", still, _LARGEST)
            path = still
        return ImageOps.exif_transpose(Image.open(io.BytesIO(path.read_bytes())))
    except (OSError, UnidentifiedImageError, KeyError, HubError):
        return None


def _number(params: dict[str, str], name: str) -> int:
    value = params.get(name, "")
    return min(int(value), _LARGEST) if value.isascii() and value.isdigit() else 0


def _fitting(width: int, height: int, params: dict[str, str]) -> tuple[int, int]:
    """Within the width and height asked for, in the same proportion, never larger."""
    scale = min(
        1.0,
        (_number(params, "width") or width) / max(width, 1),
        (_number(params, "height") or height) / max(height, 1),
    )
    return max(1, round(width * scale)), max(1, round(height * scale))
