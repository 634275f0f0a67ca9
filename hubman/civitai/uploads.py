"""Sending a file: multipart, three parts at a time, resumable after any interruption, never a part held in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import msgspec

from hubman.civitai import lenient
from hubman.civitai.errors import CivitaiError, UnavailableError, UploadLostError
from hubman.civitai.file_slice import FileSlice
from hubman.civitai.records import UploadPart, UploadStart
from hubman.civitai.response import shown
from hubman.civitai.transport import Transport, backoff, read_json, retry_after
from hubman.progress import Progress, Report, silent
from registry.errors import HubError

PARALLEL = 3
"""Parts in flight."""
_TRIES = 5
_TELL_EVERY_S = 0.25


class UploadState(msgspec.Struct, frozen=True, kw_only=True):
    """How far an upload got; holds no signed address. ``parts`` maps part numbers to ETags, quotes included.

    ``url`` is the object's address without its signature, as ``modelFile.create`` wants it.
    """

    bucket: str
    key: str
    upload_id: str
    chunk_size: int
    backend: str
    url: str
    size: int
    sha256: str
    kind: str = "model"
    parts: dict[str, str] = {}
    finished: bool = False

    @property
    def part_count(self) -> int:
        return -(-self.size // self.chunk_size)


Save = Callable[[UploadState], None]


def send_file(
    transport: Transport,
    path: Path,
    *,
    name: str,
    sha256: str,
    kind: str = "model",
    state: UploadState | None = None,
    save: Save | None = None,
    report: Report = silent,
) -> UploadState:
    """Upload ``path``, whose content has this SHA-256, as ``name`` and return the finished state.

    ``save`` is called with every state worth keeping; handing the last one back as ``state`` resumes there, if it is of
    the same content. An upload that the site has given up is started over once. Raises :class:`HubError` when the file
    is empty or changes while it is sent.
    """
    save = save or (lambda _state: None)
    size = path.stat().st_size
    if not size:
        raise HubError(f"{path} is empty", "choose another file")
    if state is not None and (state.size, state.sha256) != (size, sha256):
        state = None
    try:
        return _attempt(transport, path, state, start=(name, sha256, kind), save=save, report=report)
    except UploadLostError:
        return _attempt(transport, path, None, start=(name, sha256, kind), save=save, report=report)


def _attempt(
    transport: Transport,
    path: Path,
    state: UploadState | None,
    *,
    start: tuple[str, str, str],
    save: Save,
    report: Report,
) -> UploadState:
    if state is not None and state.finished:
        return state
    urls: dict[int, str] = {}
    if state is None:
        state, urls = _start(transport, path, *start)
        save(state)
    state = _Parts(transport, path, state, save=save, report=report).send(urls)
    transport.call("POST", "/api/upload/complete", what="finishing the upload", json=complete_body(state))
    state = msgspec.structs.replace(state, finished=True)
    save(state)
    return state


def _start(transport: Transport, path: Path, name: str, sha256: str, kind: str) -> tuple[UploadState, dict[int, str]]:
    size = path.stat().st_size
    response = transport.call("POST", "/api/upload", what="starting the upload", json=start_body(name, size, kind))
    start = lenient.decode(UploadStart, read_json(response), "upload")
    if not start.urls or start.chunk_size <= 0 or len(start.urls) != -(-size // start.chunk_size):
        raise CivitaiError("Civitai's answer to the upload makes no sense", "try again later, or upload in a browser")
    state = UploadState(
        bucket=start.bucket,
        key=start.key,
        upload_id=start.upload_id,
        chunk_size=start.chunk_size,
        backend=start.backend,
        url=start.urls[0].url.split("?", 1)[0],
        size=size,
        sha256=sha256,
        kind=kind,
    )
    return state, {part.part_number: part.url for part in start.urls}


class _StoppedError(CivitaiError):
    """Another part failed, or the whole was given up: what is under way goes no further."""


def _reason(error: BaseException, futures: Sequence[Future[Any]]) -> BaseException:
    """Why an upload ends: not that a part was stopped, but what it was stopped for, whichever was heard of first."""
    if not isinstance(error, _StoppedError):
        return error
    failures = (future.exception() for future in futures if future.done() and not future.cancelled())
    return next((one for one in failures if one is not None and not isinstance(one, _StoppedError)), error)


class _Parts:
    """The parts of one upload that are still to be sent: three at a time, each read in blocks as it goes out."""

    def __init__(self, transport: Transport, path: Path, state: UploadState, *, save: Save, report: Report) -> None:
        self._transport, self._path, self._state = transport, path, state
        self._urls: dict[int, str] = {}
        self._save, self._report = save, report
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._under_way: dict[int, int] = {}
        """Bytes that were read for each part that has not arrived yet."""

    def send(self, urls: dict[int, str]) -> UploadState:
        """Send what is missing; ``urls`` are signed addresses that are already known, by part number."""
        self._urls = dict(urls)
        missing = [n for n in range(1, self._state.part_count + 1) if str(n) not in self._state.parts]
        self._tell()
        with ThreadPoolExecutor(max_workers=PARALLEL + 1, thread_name_prefix="upload") as pool:
            hashing = pool.submit(self._hash)
            parts = [pool.submit(self._send_part, number) for number in missing]
            waiting = set(parts)
            try:
                while waiting:
                    arrived, waiting = wait(waiting, timeout=_TELL_EVERY_S, return_when=FIRST_COMPLETED)
                    for future in arrived:
                        self._arrived(*future.result())
                    self._tell()
                if hashing.result() != self._state.sha256:
                    raise HubError(f"{self._path} changed since it was checked", "run hubman scan, then try again")
            except BaseException as error:
                # Also for Ctrl-C: neither the parts in the queue nor the rest of those under way may go out any more.
                self._stopped.set()
                pool.shutdown(wait=True, cancel_futures=True)
                reason = _reason(error, [hashing, *parts])
                if reason is not error:
                    raise reason from None
                raise
        return self._state

    def _hash(self) -> str:
        """SHA-256 of the whole file, read beside the parts: what is sent is what was checked."""
        digest = hashlib.sha256()
        for block in FileSlice(self._path, 0, self._state.size, lambda _done: self._go_on()):
            digest.update(block)
        return digest.hexdigest()

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise _StoppedError("the upload was stopped", "run the same command again")

    def _arrived(self, number: int, etag: str) -> None:
        """Saved and told by the caller's thread alone: a registry connection belongs to one thread."""
        self._under_way.pop(number, None)
        self._state = msgspec.structs.replace(self._state, parts={**self._state.parts, str(number): etag})
        self._save(self._state)

    def _tell(self) -> None:
        whole = sum(self._slice(int(number)).length for number in self._state.parts)
        done = min(self._state.size, whole + sum(self._under_way.copy().values()))
        self._report(Progress(stage="upload", done=done, total=self._state.size, unit="B", message=self._path.name))

    def _send_part(self, number: int) -> tuple[int, str]:
        try:
            return number, self._put(number)
        except BaseException:
            self._stopped.set()
            raise

    def _slice(self, number: int) -> FileSlice:
        start = (number - 1) * self._state.chunk_size
        return FileSlice(self._path, start, min(self._state.chunk_size, self._state.size - start))

    def _put(self, number: int) -> str:
        """Send one part; returns its ETag, quotes included."""
        body = msgspec.structs.replace(self._slice(number), watch=lambda done: self._read(number, done))
        url = self._url(number, fresh=False)
        for attempt in range(1, _TRIES + 1):
            response = self._put_once(url, number, body, last=attempt == _TRIES)
            if response is not None and response.status_code == 200:
                if etag := response.headers.get("ETag", ""):
                    return str(etag)
                raise CivitaiError("the storage took a part without an ETag", "run the same command again")
            if response is not None and response.status_code == 404:
                raise UploadLostError("the storage has forgotten the upload", "start the upload again", status=404)
            # The signature ran out (12 hours) or was refused: ask for a new one.
            url = self._url(number, fresh=True)
            if attempt > 1:
                told = retry_after(response) if response is not None else None
                self._transport.wait(told or backoff(attempt))
        # The storage repeats the address with its signature.
        what = shown(response)[:120] if response is not None else "no answer"
        raise CivitaiError(f"the storage refuses part {number} ({what})", "run the same command again")

    def _put_once(self, url: str, number: int, body: FileSlice, *, last: bool) -> httpx.Response | None:
        """One try. A storage that refuses a signature may hang up before it has heard the whole part: None."""
        try:
            return self._transport.call(
                "PUT",
                url,
                what=f"part {number} of the upload",
                accept=frozenset({200, 401, 403, 404}),
                content=body,
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(body.length)},
            )
        except UnavailableError:
            if last or self._stopped.is_set():
                raise
            return None

    def _read(self, number: int, done: int) -> None:
        self._go_on()
        self._under_way[number] = done

    def _url(self, number: int, *, fresh: bool) -> str:
        with self._lock:
            if not fresh and number in self._urls:
                return self._urls[number]
        body = {**identity(self._state), "partNumber": number}
        del body["type"]
        response = self._transport.call("POST", "/api/upload/sign-part", what="signing a part", json=body)
        url = lenient.decode(UploadPart, read_json(response), "sign-part").url
        with self._lock:
            self._urls[number] = url
        return url


def _complete(transport: Transport, state: UploadState) -> None:
    transport.call("POST", "/api/upload/complete", what="finishing the upload", json=complete_body(state))


def start_body(name: str, size: int, kind: str) -> dict[str, Any]:
    """What ``POST /api/upload`` is told. ``kind`` is the storage's: ``model``, or ``training-images`` for an archive."""
    return {"filename": name, "type": kind, "size": size}


def complete_body(state: UploadState) -> dict[str, Any]:
    """What ``POST /api/upload/complete`` is told: every part with its ETag."""
    parts = [{"ETag": state.parts[str(n)], "PartNumber": n} for n in range(1, state.part_count + 1)]
    return {**identity(state), "parts": parts}


def identity(state: UploadState) -> dict[str, str]:
    return {
        "bucket": state.bucket,
        "key": state.key,
        "type": state.kind,
        "uploadId": state.upload_id,
        "backend": state.backend,
    }
