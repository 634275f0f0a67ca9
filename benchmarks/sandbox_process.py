"""A sandbox in a process of its own, with one large file in it: it must not share the interpreter with what is measured.

Prints one line of JSON, then serves until its standard input ends. ``--rate`` and ``--latency`` put a proxy before the
storage that gives each connection so many bytes a second and lets each request wait so many milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from hubman.sandbox import Sandbox, seed_model

_PIECE = 1 << 16


async def _slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float) -> None:
    """Bytes to the client, each connection by its own clock."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while data := await reader.read(_PIECE):
        due = max(due, loop.time() - 0.05) + len(data) / rate
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(due - loop.time())
    writer.close()


async def _later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency: float) -> None:
    while data := await reader.read(_PIECE):
        await asyncio.sleep(latency)
        writer.write(data)
        await writer.drain()
    writer.close()


async def _proxy(storage: str, rate: float, latency: float, ready: threading.Event, found: list[int]) -> None:
    host, port = storage.removeprefix("http://").split(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A connection takes one way and back before its first request.
        await asyncio.sleep(latency)
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(
            _later(reader, up_writer, latency), _slowly(up_reader, writer, rate), return_exceptions=True
        )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    found.append(server.sockets[0].getsockname()[1])
    ready.set()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.file.parent) as folder, Sandbox(Path(folder)) as sandbox:
        seeded = seed_model(sandbox, given.file, name="Large")
        given.file.unlink()
        if given.rate:
            ready, found = threading.Event(), list[int]()
            arguments = (sandbox.world.storage, given.rate, given.latency / 1000, ready, found)
            threading.Thread(target=lambda: asyncio.run(_proxy(*arguments)), daemon=True).start()
            ready.wait()
            # The signature covers the path alone.
            sandbox.world.storage = f"http://127.0.0.1:{found[0]}"
        file = sandbox.world.store.get("file", seeded.file_id) or {}
        print(
            json.dumps({"site": sandbox.url, "version": seeded.version_id, "sha256": file["hashes"]["SHA256"]}),
            flush=True,
        )
        sys.stdin.read()


if __name__ == "__main__":
    main()
