"""Small real videos, made by PyAV."""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image


def write_video(path: Path, colours: tuple[str, ...] = ("red", "blue"), size: tuple[int, int] = (64, 48)) -> Path:
    """A frame of each colour; the suffix says the container: ``.mp4`` (MPEG-4) or ``.webm`` (VP8)."""
    container, codec = {".mp4": ("mp4", "mpeg4"), ".webm": ("webm", "libvpx")}[path.suffix]
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for colour in colours:
            frame = av.VideoFrame.from_image(Image.new("RGB", size, colour))  # type: ignore[no-untyped-call]
            for packet in stream.encode(frame):
                output.mux(packet)
        for packet in stream.encode():
            output.mux(packet)
    return path
