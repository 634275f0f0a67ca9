"""Sending a model file: multipart, four parts at a time, resumable after any interruption."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from hubman.civitai import lenient
from hubman.civitai.errors import CivitaiError, UploadLostError
from hubman.civitai.records import UploadPart, UploadStart
from hubman.civitai.transport import Transport, backoff, read_json, retry_after, said
from hubman.progress import Progress, Report, silent
from registry.errors import HubError

_PARALLEL = 4
_TRIES = 5


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
    fingerprint: str
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
    state: UploadState | None = None,
    save: Save | None = None,
    report: Report = silent,
) -> UploadState:
    """Upload ``path`` as ``name`` and return the finished state.

    ``save`` is called with every state worth keeping; handing the last one back as ``state`` resumes there. An upload
    that the site has given up is started over once. Raises :class:`HubError` when the file is empty or changes.
    """
    save = save or (lambda _state: None)
    size = path.stat().st_size
    if not size:
        raise HubError(f"{path} is empty", "choose another file")
    mark = _fingerprint(path)
    if state is not None and (state.size, state.fingerprint) != (size, mark):
        state = None
    for last in (False, True):
        try:
            return _attempt(transport, path, name=name, state=state, save=save, report=report, mark=mark)
        except UploadLostError:
            if last:
                raise
            state = None
    raise AssertionError("unreachable")


def _attempt(
    transport: Transport, path: Path, *, name: str, state: UploadState | None, save: Save, report: Report, mark: str
) -> UploadState:
    urls: dict[int, str] = {}
    if state is None:
        state, urls = _start(transport, path, name, mark)
        save(state)
    if state.finished:
        return state
    state = _Parts(transport, path, state, save=save, report=report).send(urls)
    _complete(transport, state)
    state = msgspec.structs.replace(state, finished=True)
    save(state)
    return state


def _start(transport: Transport, path: Path, name: str, mark: str) -> tuple[UploadState, dict[int, str]]:
    size = path.stat().st_size
    response = transport.call(
        "POST", "/api/upload", what="starting the upload", json={"filename": name, "type": "model", "size": size}
    )
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
        fingerprint=mark,
    )
    return state, {part.part_number: part.url for part in start.urls}


class _Parts:
    """The parts of one upload that are still to be sent."""

    def __init__(self, transport: Transport, path: Path, state: UploadState, *, save: Save, report: Report) -> None:
        self._transport, self._path, self._state = transport, path, state
        self._urls: dict[int, str] = {}
        self._save, self._report = save, report
        self._lock = threading.Lock()
        self._failed = threading.Event()

    def send(self, urls: dict[int, str]) -> UploadState:
        """Send what is missing; ``urls`` are signed addresses that are already known, by part number."""
        self._urls = dict(urls)
        missing = [n for n in range(1, self._state.part_count + 1) if str(n) not in self._state.parts]
        self._tell()
        with ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="upload") as pool:
            futures = [pool.submit(self._send_part, number) for number in missing]
            try:
                for future in futures:
                    self._arrived(*future.result())
            except BaseException:
                # Also for Ctrl-C: the parts that wait in the queue must not be sent any more.
                self._failed.set()
                raise
        return self._state

    def _arrived(self, number: int, etag: str) -> None:
        """Saved and told by the caller's thread alone: a registry connection belongs to one thread."""
        self._state = msgspec.structs.replace(self._state, parts={**self._state.parts, str(number): etag})
        self._save(self._state)
        self._tell()

    def _tell(self) -> None:
        done = min(self._state.size, len(self._state.parts) * self._state.chunk_size)
        self._report(Progress(stage="upload", done=done, total=self._state.size, unit="B", message=self._path.name))

    def _send_part(self, number: int) -> tuple[int, str]:
        if self._failed.is_set():
            raise CivitaiError("the upload was stopped", "run the same command again")
        try:
            return number, self._put(number)
        except BaseException:
            self._failed.set()
            raise

    def _put(self, number: int) -> str:
        data = _read(self._path, (number - 1) * self._state.chunk_size, self._state.chunk_size)
        url = self._url(number, fresh=False)
        for attempt in range(1, _TRIES + 1):
            response = self._transport.call(
                "PUT",
                url,
                what=f"part {number} of the upload",
                accept=frozenset({200, 401, 403}),
                content=data,
                headers={"Content-Type": "application/octet-stream"},
            )
            if response.status_code == 200:
                if etag := response.headers.get("ETag", ""):
                    return str(etag)
                raise CivitaiError("the storage took a part without an ETag", "run the same command again")
            # The signature ran out (12 hours) or was refused: ask for a new one.
            url = self._url(number, fresh=True)
            if attempt > 1:
                self._transport.wait(retry_after(response) or backoff(attempt))
        raise CivitaiError(f"the storage refuses part {number} ({said(response)[:120]})", "run the same command again")

    def _url(self, number: int, *, fresh: bool) -> str:
        with self._lock:
            if not fresh and number in self._urls:
                return self._urls[number]
        state = self._state
        body = {"bucket": state.bucket, "key": state.key, "uploadId": state.upload_id, "backend": state.backend}
        response = self._transport.call(
            "POST", "/api/upload/sign-part", what="signing a part", json={**body, "partNumber": number}
        )
        url = lenient.decode(UploadPart, read_json(response), "sign-part").url
        with self._lock:
            self._urls[number] = url
        return url


def _complete(transport: Transport, state: UploadState) -> None:
    parts = [{"ETag": state.parts[str(n)], "PartNumber": n} for n in range(1, state.part_count + 1)]
    body = {**_identity(state), "parts": parts}
    transport.call("POST", "/api/upload/complete", what="finishing the upload", json=body)


def _identity(state: UploadState) -> dict[str, str]:
    return {
        "bucket": state.bucket,
        "key": state.key,
        "type": "model",
        "uploadId": state.upload_id,
        "backend": state.backend,
    }


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _fingerprint(path: Path) -> str:
    """Tells a changed file from the one that was half sent, without reading all of it: mtime, first and last 64 KiB."""
    stat = path.stat()
    digest = hashlib.sha256(str((stat.st_size, stat.st_mtime_ns)).encode())
    digest.update(_read(path, 0, 65536))
    digest.update(_read(path, max(0, stat.st_size - 65536), 65536))
    return digest.hexdigest()[:32]
