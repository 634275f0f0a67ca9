"""First looks at many files, in processes of their own.

Taking a header apart keeps the interpreter busy, so threads would take turns with each other and with the writer of
the registry. A process ends when its input does, so none outlives the one that asked, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from registry.errors import HubError
from registry.places import Seen
from registry.scan_read import Reading, first_look

FEW = 500
"""Files that are looked at sooner than another interpreter starts."""

_BATCH = 250
_MOST = 4
_decode_request = msgspec.msgpack.Decoder(list[Seen]).decode
_decode_answer = msgspec.msgpack.Decoder(list[Reading]).decode


def first_looks(files: Sequence[Seen]) -> Iterator[list[Reading]]:
    """A first look at each of ``files``, in their order, some hundred at a time.

    Raises :class:`HubError` if a process ends before its time.
    """
    batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
    if len(files) <= FEW:
        yield from ([first_look(seen) for seen in batch] for batch in batches)
        return
    with _Lookers(min(_MOST, os.cpu_count() or 1)) as lookers:
        yield from lookers.look(batches)


class _Lookers:
    """Some processes, each spoken to by one thread at a time."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._processes = [_start() for _ in range(count)]
        for process in self._processes:
            self._idle.put(process)

    def __enter__(self) -> _Lookers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()

    def look(self, batches: Sequence[Sequence[Seen]]) -> Iterator[list[Reading]]:
        """The answers in order; the processes are two batches each ahead of whoever takes them."""
        ahead: deque[Future[list[Reading]]] = deque()
        with ThreadPoolExecutor(self._count, "look") as pool:
            try:
                for batch in batches:
                    ahead.append(pool.submit(self._ask, batch))
                    if len(ahead) > 2 * self._count:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, batch: Sequence[Seen]) -> list[Reading]:
        process = self._idle.get()
        try:
            _send(cast("BinaryIO", process.stdin), msgspec.msgpack.encode(batch))
            return _decode_answer(_receive(cast("BinaryIO", process.stdout)))
        except (OSError, EOFError) as error:
            raise HubError("a process that reads headers ended", "scan again") from error
        finally:
            self._idle.put(process)


def _start() -> subprocess.Popen[bytes]:
    # The package may lie in the current folder and not be installed.
    home = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH", "")) if part)
    return subprocess.Popen(
        [sys.executable, "-m", "registry.lookers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def _send(stream: BinaryIO, content: bytes) -> None:
    stream.write(len(content).to_bytes(8, "little") + content)
    stream.flush()


def _receive(stream: BinaryIO) -> bytes:
    """The next message. Raises :class:`EOFError` where the stream ends."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    content = stream.read(size := int.from_bytes(head, "little"))
    if len(content) < size:
        raise EOFError
    return content


def main() -> None:
    """Answer on the standard output what is asked on the standard input, until that ends."""
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            wanted = _decode_request(_receive(sys.stdin.buffer))
            _send(sys.stdout.buffer, msgspec.msgpack.encode([first_look(seen) for seen in wanted]))


if __name__ == "__main__":
    main()
