"""The one adapter to Civitai: what :class:`Browsing` reads, every step of publishing, and the transfers upwards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hubman.civitai import lenient, owned, uploads, wire
from hubman.civitai.browsing import Browsing
from hubman.civitai.errors import AnswerLostError, CivitaiError, MissingError, NotOwnerError, UnavailableError
from hubman.civitai.owned import EditVersion, OwnedModel, Post
from hubman.civitai.reading import items_of, trpc_data
from hubman.civitai.records import DraftModel, Id, ImageSlot
from hubman.civitai.transport import read_json
from hubman.civitai.uploads import Save, UploadState
from hubman.civitai.whole import Whole
from hubman.civitai.wire import Json
from hubman.progress import Report, silent

IMAGE_UPLOAD = "/api/v1/image-upload"
_LAG_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)
_DRAFTS_AT_ONCE, _MOST_PAGES = 200, 50


class Civitai(Browsing, Whole):
    """A session that may also publish, with a key that has the scopes for it.

    Calls that create something raise :class:`hubman.civitai.errors.AnswerLostError` when nobody knows whether they
    happened.
    """

    def upsert_model(self, fields: Mapping[str, Any]) -> int:
        """Create (without ``id``) or update a model; returns its id."""
        return _made(self.mutate("model.upsert", fields, repeatable="id" in fields), "the model")

    def upsert_version(self, fields: Mapping[str, Any], *, fresh: bool = True) -> int:
        """Create (without ``id``) or update a version; returns its id.

        Here and below ``fresh`` says that what the call is about may have been made just now.
        """
        return _made(self._settle("modelVersion.upsert", fields, fresh=fresh, repeatable="id" in fields), "the version")

    def create_file(self, fields: Mapping[str, Any]) -> int:
        """Register an uploaded file with its version; returns the file's id. Not idempotent."""
        return _made(self.mutate("modelFile.create", fields), "the file")

    def update_file(self, file_id: int, fields: Mapping[str, Any]) -> None:
        """Other facts of a file, or with ``url``, ``s3Path``, ``backend`` and ``sizeKB`` other bytes."""
        self.mutate("modelFile.update", {"id": file_id, **fields}, repeatable=True)

    def create_post(self, *, version_id: int, title: str, fresh: bool = True) -> int:
        """A draft post that shows a version; returns its id. Counts against the daily limit."""
        value = {"modelVersionId": version_id, "title": title}
        return _made(self._settle("post.create", value, fresh=fresh, repeatable=False), "the post")

    def add_image(self, fields: Mapping[str, Any], *, fresh: bool = True) -> int:
        """Put an uploaded image into a post and return its id; repeating it answers with the same image."""
        return _made(self._settle("post.addImage", fields, fresh=fresh), "the image")

    def update_image(self, image_id: int, meta: Mapping[str, Any] | None) -> None:
        """Other generation data for an image."""
        self.mutate("post.updateImage", {"id": image_id, "meta": meta}, repeatable=True)

    def reorder_images(self, post_id: int, image_ids: list[int]) -> None:
        self.mutate("post.reorderImages", {"id": post_id, "imageIds": image_ids}, repeatable=True)

    def update_post(self, post_id: int, fields: Mapping[str, Any], *, fresh: bool = True) -> None:
        self._settle("post.update", {"id": post_id, **fields}, fresh=fresh)

    def publish_model(
        self, model_id: int, version_ids: list[int], *, at: datetime | None = None, fresh: bool = True
    ) -> None:
        """First release of a model, with these versions and their draft posts."""
        self._settle("model.publish", {"id": model_id, "versionIds": version_ids, **_when(at)}, fresh=fresh)

    def publish_version(self, version_id: int, *, at: datetime | None = None, fresh: bool = True) -> None:
        """A further version of a model that is already public."""
        self._settle("modelVersion.publish", {"id": version_id, **_when(at)}, fresh=fresh)

    def unpublish_model(self, model_id: int) -> None:
        """Hide a model with all its versions."""
        self.mutate("model.unpublish", {"id": model_id}, repeatable=True)

    def unpublish_version(self, version_id: int) -> None:
        """Hide one version; its model stays as it is."""
        self.mutate("modelVersion.unpublish", {"id": version_id}, repeatable=True)

    def draft_models(self, name: str = "") -> tuple[DraftModel, ...]:
        """The owner's drafts; with a ``name`` those called exactly so, so far as names can be told apart in a terminal."""
        wanted, asked = lenient.clean_text(name).strip(), {"query": name.strip()} if name.strip() else {}
        found: list[DraftModel] = []
        for page in range(1, _MOST_PAGES + 1):
            raw = self.query("model.getMyDraftModels", {"limit": _DRAFTS_AT_ONCE, "page": page, **asked})
            drafts = lenient.decode_list(DraftModel, items_of(raw), "draft")
            found += [draft for draft in drafts if not asked or draft.name.strip() == wanted]
            if len(drafts) < _DRAFTS_AT_ONCE:
                break
        return tuple(found)

    def owned_model(self, model_id: int) -> OwnedModel:
        """A model with its drafts, as its owner sees it, uncached.

        Here and in the next two, raises :class:`UnavailableError` for an answer that lacks what is in the thing.
        """
        raw = self.query("model.getById", {"id": model_id})
        found = owned.model_from(raw)
        owned.ensure_whole(raw, "model", model_id, "modelVersions", found.versions)
        return found

    def edit_version(self, version_id: int) -> EditVersion:
        """A version with its files, from the primary database."""
        raw = self.query("modelVersion.getByIdForEdit", {"id": version_id, "withFiles": True})
        found = owned.edit_version_from(raw)
        owned.ensure_whole(raw, "version", version_id, "files", found.files)
        return found

    def post(self, post_id: int) -> Post:
        """A post with its pictures, as its owner sees it."""
        raw = self.query("post.getEdit", {"id": post_id})
        found = lenient.decode(Post, raw, "post")
        owned.ensure_whole(raw, "post", post_id, "images", found.images)
        return found

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
        """Send a file in parts; see :func:`uploads.send_file` for how to resume."""
        return uploads.send_file(
            self._transport, path, name=name, sha256=sha256, kind=kind, state=state, save=save, report=report
        )

    def upload_image(self, data: bytes, *, name: str, mime_type: str) -> str:
        """Send a picture's bytes; returns its media key for :meth:`add_image`."""
        response = self._transport.call("POST", IMAGE_UPLOAD, what="an image upload", json={"filename": name})
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

    def _settle(self, procedure: str, value: Mapping[str, Any], *, fresh: bool, repeatable: bool = True) -> Json:
        """Call about a thing that is perhaps ``fresh``: a replica that lags answers 401 or 404 for up to half a minute.

        Of what is older, such an answer is meant: it belongs to another account, or is gone.
        """
        for wait in _LAG_WAITS if fresh else ():
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
