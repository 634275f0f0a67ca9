"""A session that writes nothing: what would be sent is kept, and answered with numbers that nobody else has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai import uploads, wire
from hubman.civitai.client import IMAGE_UPLOAD, Civitai
from hubman.civitai.file_slice import FileSlice
from hubman.civitai.owned import EditVersion, OwnedFile, OwnedModel, OwnedVersion, Post, PostImage
from hubman.civitai.uploads import Save, UploadState
from hubman.civitai.wire import Json
from hubman.progress import Report, silent

_FIRST_ID = 2_000_000_000
"""Ids from here on were made up: the site is far from them, and its own go to 2147483647."""
_CHUNK = 25 << 20
"""The size of the site's upload parts."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request that would be sent; ``body`` is its JSON, or says which bytes. Keys are in no body."""

    method: str
    path: str
    body: Any = None

    def text(self) -> str:
        body = self.body if isinstance(self.body, str) else msgspec.json.encode(self.body).decode()
        return f"{self.method} {self.path} {body}".rstrip()


class DryRun(Civitai):
    """Reads through another session; everything that would change something ends up in :attr:`requests`."""

    def __init__(self, client: Civitai) -> None:
        # The same session, seen from another side: its connections, its limits, its key.
        vars(self).update(vars(client))
        self.requests: list[Request] = []
        self._made = _FIRST_ID
        self._versions: dict[int, list[int]] = {}
        self._files: dict[int, list[OwnedFile]] = {}
        self._images: dict[int, list[PostImage]] = {}
        self._is_released = False

    def mutate(self, procedure: str, value: Mapping[str, Any], *, repeatable: bool = False) -> Json:
        del repeatable
        self.requests.append(Request(method="POST", path=f"/api/trpc/{procedure}", body=wire.envelope(value)))
        # With its versions the site publishes their posts.
        self._is_released |= procedure in {"model.publish", "modelVersion.publish"}
        if "id" in value:
            return {"id": value["id"]}
        self._made += 1
        if procedure == "post.addImage":
            image = PostImage(id=self._made, url=value["url"], index=value["index"])
            self._images.setdefault(value["postId"], []).append(image)
        elif procedure == "modelVersion.upsert":
            self._versions.setdefault(value["modelId"], []).append(self._made)
        elif procedure == "modelFile.create":
            self._files.setdefault(value["modelVersionId"], []).append(OwnedFile(id=self._made, name=value["name"]))
        return {"id": self._made}

    def upload_file(
        self,
        path: Path,
        *,
        name: str,
        sha256: str,
        kind: str = "model",
        state: UploadState | None = None,
        save: Save | None = None,
        report: Report = silent,
    ) -> UploadState:
        del save, report
        size = path.stat().st_size
        if state is None:
            self._add("POST", "/api/upload", uploads.start_body(name, size, kind))
            where = f"{self.site}/BUCKET/KEY/{name}"
            state = UploadState(
                bucket="BUCKET", key=f"KEY/{name}", upload_id="UPLOAD", chunk_size=_CHUNK, backend="BACKEND", url=where,
                size=size, sha256=sha256, kind=kind,
            )  # fmt: skip
        for number in range(1, state.part_count + 1):
            if str(number) not in state.parts:
                part = FileSlice(path, (number - 1) * state.chunk_size, min(state.chunk_size, size))
                end = min(part.start + state.chunk_size, size)
                self._add("PUT", f"PART {number}", f"bytes {part.start}-{end - 1} of {name}")
        sent = {str(number): state.parts.get(str(number), '"ETAG"') for number in range(1, state.part_count + 1)}
        state = msgspec.structs.replace(state, parts=sent, finished=True)
        self._add("POST", "/api/upload/complete", uploads.complete_body(state))
        return state

    def upload_image(self, data: bytes, *, name: str, mime_type: str) -> str:
        self._add("POST", IMAGE_UPLOAD, {"filename": name})
        self._add("PUT", "IMAGE", f"{len(data)} bytes of {name} ({mime_type})")
        self._made += 1
        return f"00000000-0000-4000-8000-{self._made:012d}"

    def owned_model(self, model_id: int) -> OwnedModel:
        known = OwnedModel(id=model_id, status="Draft") if model_id >= _FIRST_ID else super().owned_model(model_id)
        made = tuple(OwnedVersion(id=number, status="Draft") for number in self._versions.get(model_id, ()))
        return msgspec.structs.replace(known, versions=(*known.versions, *made))

    def edit_version(self, version_id: int) -> EditVersion:
        known = EditVersion(id=version_id) if version_id >= _FIRST_ID else super().edit_version(version_id)
        return msgspec.structs.replace(known, files=(*known.files, *self._files.get(version_id, ())))

    def post(self, post_id: int) -> Post:
        known = Post(id=post_id) if post_id >= _FIRST_ID else super().post(post_id)
        date = known.published_at or ("now" if self._is_released else "")
        return msgspec.structs.replace(known, images=(*known.images, *self._images.get(post_id, ())), published_at=date)

    def _add(self, method: str, path: str, body: object) -> None:
        self.requests.append(Request(method=method, path=path, body=body))
