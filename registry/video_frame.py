"""The child process that takes a video's first frame: ``python video_frame.py DECODER VIDEO CONTAINER SIDE TARGET``.

It runs by itself and imports nothing of hubman. A decoder reads bytes that came from anywhere, so the process first
takes limits upon itself: memory, time, what it may write. Exit status 0: ``TARGET`` is a JPEG of the frame.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

MEMORY = 2 << 30
"""Bytes of address space. The libraries alone map some 400 MiB; a frame of 64 million pixels takes 200 MB."""
SECONDS = 5
WRITTEN = 64 << 20
MAX_PIXELS = 64_000_000


def main(arguments: list[str]) -> None:
    decoder, video, container, side, target = arguments
    limit()
    if decoder == "av":
        by_av(video, container, int(side), target)
    else:
        by_ffmpeg(decoder, video, container, int(side), target)


def limit() -> None:
    """Where the system knows such limits; elsewhere the parent's clock is the only one."""
    with contextlib.suppress(ImportError):
        import resource

        limits = (
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_CPU, SECONDS),
            (resource.RLIMIT_FSIZE, WRITTEN),
            (resource.RLIMIT_CORE, 0),
        )
        for kind, most in limits:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (most, most))


def by_av(video: str, container: str, side: int, target: str) -> None:
    import av

    with av.open(video, format=container, options={"protocol_whitelist": "file"}) as opened:
        stream = opened.streams.video[0]
        context = stream.codec_context
        if not 0 < context.width * context.height <= MAX_PIXELS:
            raise SystemExit(f"{context.width}x{context.height} pixels")
        context.thread_count = 1
        frame = next(opened.decode(stream))
        scale = min(1.0, side / max(frame.width, frame.height))
        width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        image: Any = frame.reformat(width=width, height=height, format="rgb24").to_image()  # type: ignore[no-untyped-call]
        turn = round(frame.rotation)
        (image.rotate(turn, expand=True) if turn else image).save(target, "JPEG", quality=90)


def by_ffmpeg(program: str, video: str, container: str, side: int, target: str) -> None:
    """Becomes ffmpeg, which keeps the limits."""
    fit = f"scale='min({side},iw)':'min({side},ih)':force_original_aspect_ratio=decrease"
    reading = ["-nostdin", "-v", "error", "-threads", "1", "-max_pixels", str(MAX_PIXELS)]
    reading += ["-protocol_whitelist", "file", "-f", container, "-i", f"file:{video}"]
    writing = ["-an", "-frames:v", "1", "-vf", fit, "-f", "image2", "-update", "1", "-c:v", "mjpeg", "-y"]
    os.execv(program, [program, *reading, *writing, f"file:{target}"])  # noqa: S606 - a fixed list of arguments


if __name__ == "__main__":
    main(sys.argv[1:])
