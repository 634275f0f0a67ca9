"""Addresses of media in other sizes: ``…/{uuid}/{params}/{name}.{ext}`` (``src/client-utils/edge-url.ts``).

Widths are those that the site keeps: 96, 320, 450, 512, 800, 1200, 1600 and 2200.
"""

from __future__ import annotations

from urllib.parse import urlsplit

SIDE = 450
"""Pixels across that the site's own pages ask for, so that its caches have them."""


def still(url: str, kind: str = "image", *, width: int = SIDE) -> str:
    """The address of a smaller JPEG of a picture, or of a video's first frame; ``url`` itself where it has another form.

    ``kind`` is the media type: ``image`` or ``video``. Of anything else there is no still: the address is empty.
    """
    if kind == "image":
        return _with(url, f"width={width}", "jpeg") or url
    return _with(url, f"anim=false,transcode=true,width={width}", "jpeg") if kind == "video" else ""


def playable(url: str) -> str:
    """The address of a video at a size that serves as a preview; ``url`` itself where it has another form."""
    return _with(url, f"transcode=true,width={SIDE}", "mp4") or url


def _with(url: str, wanted: str, extension: str) -> str:
    """``url`` with other parameters; empty where it has none, or is no address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    folder, _, name = parts.path.rpartition("/")
    before, _, params = folder.rpartition("/")
    if "=" not in params:
        return ""
    stem = name.rpartition(".")[0] or name
    return parts._replace(path=f"{before}/{wanted}/{stem}.{extension}").geturl()
