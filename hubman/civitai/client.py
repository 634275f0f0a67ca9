"""The one adapter to Civitai: what :class:`Browsing` reads, every step of publishing, and the transfers upwards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hubman.civitai import lenient, uploads, wire
from hubman.civitai.browsing import Browsing
from hubman.civitai.errors import AnswerLostError, CivitaiError, MissingError, NotOwnerError, UnavailableError
from hubman.civitai.reading import items_of, trpc_data
from hubman.civitai.records import DraftModel, EditVersion, Id, ImageSlot, OwnedModel, Post, PostImage
from hubman.civitai.transport import read_json
from hubman.civitai.uploads import Save, UploadState
from hubman.civitai.whole import Whole
from hubman.civitai.wire import Json
from hubman.progress import Report, silent

_LAG_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)


class Civitai(Browsing, Whole):
    """A session that may also publish, with a key that has the scopes for it.

    Calls that create something raise :class:`hubman.civitai.errors.AnswerLostError` when nobody knows whether they
    happened.
    """

    def upsert_model(self, fields: Mapping[str, Any]) -> int:
        """Create (without ``id``) or update a model; returns its id."""
        return _made(self.mutate("model.upsert", fields), "the model")

    def upsert_version(self, fields: Mapping[str, Any]) -> int:
        """Create (without ``id``) or update a version; returns its id."""
        return _made(self._settle("modelVersion.upsert", fields, repeatable=False), "the version")

    def create_file(self, fields: Mapping[str, Any]) -> int:
        """Register an uploaded file with its version; returns the file's id. Not idempotent."""
        return _made(self.mutate("modelFile.create", fields), "the file")

    def create_post(self, *, version_id: int, title: str) -> int:
        """A draft post that shows a version; returns its id. Counts against the daily limit."""
        value = {"modelVersionId": version_id, "title": title}
        return _made(self._settle("post.create", value, repeatable=False), "the post")

    def add_image(self, fields: Mapping[str, Any]) -> PostImage:
        """Put an uploaded image into a post; repeating it answers with the same image."""
        return lenient.decode(PostImage, self._settle("post.addImage", fields), "image")

    def update_post(self, post_id: int, fields: Mapping[str, Any]) -> None:
        self._settle("post.update", {"id": post_id, **fields})

    def publish_model(self, model_id: int, version_ids: list[int], *, at: datetime | None = None) -> None:
        """First release of a model, with these versions and their draft posts."""
        self._settle("model.publish", {"id": model_id, "versionIds": version_ids, **_when(at)})

    def publish_version(self, version_id: int, *, at: datetime | None = None) -> None:
        """A further version of a model that is already public."""
        self._settle("modelVersion.publish", {"id": version_id, **_when(at)})

    def draft_models(self, name: str) -> tuple[DraftModel, ...]:
        """The owner's drafts called exactly ``name``."""
        raw = self.query("model.getMyDraftModels", {"limit": 200, "query": name})
        drafts = lenient.decode_list(DraftModel, items_of(raw), "draft")
        return tuple(draft for draft in drafts if draft.name.strip() == name.strip())

    def owned_model(self, model_id: int) -> OwnedModel:
        """A model with its drafts, as its owner sees it, uncached."""
        return lenient.decode(OwnedModel, self.query("model.getById", {"id": model_id}), "model")

    def edit_version(self, version_id: int) -> EditVersion:
        """A version with its files, from the primary database."""
        raw = self.query("modelVersion.getByIdForEdit", {"id": version_id, "withFiles": True})
        return lenient.decode(EditVersion, raw, "version")

    def post(self, post_id: int) -> Post:
        return lenient.decode(Post, self.query("post.getEdit", {"id": post_id}), "post")

    def upload_file(
        self,
        path: Path,
        *,
        name: str,
        state: UploadState | None = None,
        save: Save | None = None,
        report: Report = silent,
    ) -> UploadState:
        """Send a model file in parts; see :func:`uploads.send_file` for how to resume."""
        return uploads.send_file(self._transport, path, name=name, state=state, save=save, report=report)

    def upload_image(self, data: bytes, *, name: str, mime_type: str) -> str:
        """Send a picture's bytes; returns its media key for :meth:`add_image`."""
        response = self._transport.call("POST", "/api/v1/image-upload", what="an image upload", json={"filename": name})
        slot = lenient.decode(ImageSlot, read_json(response), "image-upload")
        if not slot.id or not slot.upload_url:
            raise CivitaiError("Civitai offers no place for the image", "run the same command again")
        self._transport.call(
            "PUT", slot.upload_url, what="an image", content=data, headers={"Content-Type": mime_type},
            accept=frozenset({200, 201, 204}),
        )  # fmt: skip
        return slot.id

    def mutate(self, procedure: str, value: Mapping[str, Any], *, repeatable: bool = False) -> Json:
        """Call a writing procedure; with ``repeatable`` it is sent again when an answer is lost."""
        response = self._transport.call(
            "POST", f"/api/trpc/{procedure}", what=procedure, repeatable=repeatable, json=wire.envelope(value)
        )
        # What was read before the change may have been changed by it.
        self._answers.expire()
        try:
            return trpc_data(response.content, procedure)
        except UnavailableError as error:
            raise error if repeatable else AnswerLostError(error.message, "run the same command again") from error

    def _settle(self, procedure: str, value: Mapping[str, Any], *, repeatable: bool = True) -> Json:
        """Call right after the making of what the call is about: a replica that lags answers 401 or 404 for a while."""
        for wait in _LAG_WAITS:
            try:
                return self.mutate(procedure, value, repeatable=repeatable)
            except (NotOwnerError, MissingError):
                self._transport.wait(wait)
        return self.mutate(procedure, value, repeatable=repeatable)


def _made(answer: Json, what: str) -> int:
    made = lenient.decode(Id, answer, what).id
    if not made:
        raise AnswerLostError(f"Civitai made {what} but doesn't tell its id", "run the same command again")
    return made


def _when(at: datetime | None) -> dict[str, datetime]:
    return {"publishedAt": at} if at else {}
