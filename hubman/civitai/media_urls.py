"""Addresses of pictures in other sizes: ``…/{uuid}/{params}/{name}.{ext}`` (``src/client-utils/edge-url.ts``)."""

from __future__ import annotations

from urllib.parse import urlsplit

SIDE = 450
"""Pixels across that the site's own pages ask for, so that its caches have them."""


def still(url: str, kind: str = "image", *, width: int = SIDE) -> str:
    """The address of a small JPEG of a picture, or of a video's first frame; ``url`` itself where it has another form.

    ``kind`` is the media type: ``image`` or ``video``. Of anything else there is no still: the address is empty.
    """
    if kind not in {"image", "video"}:
        return ""
    parts = urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    before, _, params = folder.rpartition("/")
    if "=" not in params:
        return url if kind == "image" else ""
    wanted = f"width={width}" if kind == "image" else f"anim=false,transcode=true,width={width}"
    stem = name.rpartition(".")[0] or name
    return parts._replace(path=f"{before}/{wanted}/{stem}.jpeg").geturl()
