"""The steps of a publication, each journalled; a lost answer is looked up before anything is sent again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai import blurhash, image_meta, journal
from hubman.civitai.client import Civitai
from hubman.civitai.errors import AnswerLostError, CivitaiError, MissingError, RejectedError
from hubman.civitai.plan import Picture, Plan
from hubman.civitai.preflight_old import mime_type
from hubman.civitai.records import OwnedModel, OwnedVersion
from hubman.civitai.uploads import UploadState
from hubman.progress import Progress, Report
from registry import previews
from registry.database import Registry

Answer = dict[str, Any]
_LOOKS = (1.0, 2.0, 4.0, 8.0)
"""Seconds between looks for a thing that may have been made just now: what lists read may lag behind."""
_FRESH = 60.0
"""A step begun so many seconds ago is looked for once only: by then every replica shows it."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of a complete draft."""

    model_id: int
    version_id: int
    post_id: int


class Sender:
    """Sends a plan, step by step, as far as its journal says that it has not been sent."""

    def __init__(self, registry: Registry, client: Civitai, plan: Plan, log: journal.Journal, report: Report) -> None:
        self._registry, self._client, self._plan = registry, client, plan
        self._log, self._report = log, report

    def send_draft(self) -> Sent:
        """Everything that Civitai needs, still visible to its owner only."""
        self._forget_lost_draft()
        model_id = self._plan.civitai_model_id or self._model()
        version_id = self._version(model_id)
        upload = self._upload()
        self._file(version_id, upload)
        keys = {picture.sha256: self._image(picture) for picture in self._plan.pictures}
        post_id = self._post(model_id, version_id)
        for index, picture in enumerate(self._plan.pictures):
            self._add_image(post_id, version_id, picture, keys[picture.sha256], index)
        self._check_scans(version_id, post_id)
        return Sent(model_id=model_id, version_id=version_id, post_id=post_id)

    def make_public(self, sent: Sent) -> journal.State:
        """Publish the post, then the model (or, added to a public model, the version), and see that it took."""
        model = self._owned(sent.model_id)
        if _status(model, sent.version_id) != "Published":
            self._once("publish post", lambda: self._publish_post(sent))
            if model.status == "Published":
                self._once("publish version", lambda: self._publish_version(sent))
            else:
                self._once("publish model", lambda: self._publish_model(sent))
        return self._verify(sent)

    def wizard(self) -> str:
        """The page where the draft can be finished in a browser, at the step that comes next; empty without a draft."""
        made = {
            name: step.answer
            for name in ("model", "version", "file")
            if (step := self._log.step(name)) and step.state == "done"
        }
        if "model" not in made:
            return ""
        return f"{self._client.site}/models/{made['model']['id']}/wizard?step={1 + len(made)}"

    # -- steps that make something ------------------------------------------------------------------------------------

    def _model(self) -> int:
        name = self._plan.model["name"]
        return self._make(
            "model",
            call=lambda: self._client.upsert_model(self._plan.model),
            listed=lambda sent: [draft.id for draft in self._client.draft_models(sent)],
            named=name,
            among_others=True,
        )

    def _version(self, model_id: int) -> int:
        fields = {**self._plan.version, "modelId": model_id}
        return self._make(
            "version",
            call=lambda: self._client.upsert_version(fields),
            listed=lambda sent: [v.id for v in self._client.owned_model(model_id).versions if v.name == sent],
            named=fields["name"],
            among_others=bool(self._plan.civitai_model_id),
        )

    def _file(self, version_id: int, upload: UploadState) -> int:
        fields = {
            "name": self._plan.file_name,
            "url": upload.url,
            "sizeKB": self._plan.size / 1024,
            "type": "Model",
            "modelVersionId": version_id,
            "backend": upload.backend,
            "s3Path": upload.key,
            "metadata": {key: value for key, value in self._plan.file_metadata.items() if value},
        }
        return self._make(
            "file",
            call=lambda: self._client.create_file(fields),
            listed=lambda _: [f.id for f in self._client.edit_version(version_id).files if f.url == upload.url],
        )

    def _post(self, model_id: int, version_id: int) -> int:
        def listed(_: str) -> list[int]:
            version = _version_of(self._client.owned_model(model_id), version_id)
            return [post.id for post in version.posts] if version else []

        title = self._plan.post_title
        return self._make(
            "post", call=lambda: self._client.create_post(version_id=version_id, title=title), listed=listed
        )

    def _make(
        self,
        name: str,
        *,
        call: Callable[[], int],
        listed: Callable[[str], list[int]],
        named: str = "",
        among_others: bool = False,
    ) -> int:
        """The id of the one thing that step ``name`` makes.

        Before each try, the name that will be sent is written down and what ``listed`` shows under it already (if
        there can be ``among_others``); whatever is there beyond that after a lost answer is the thing. Only when it is
        not, the call is made again, perhaps under another name than the first time.
        """
        step = self._log.step(name)
        if step is not None and step.state == "done":
            return int(step.answer["id"])
        sent, before = named, None
        if step is not None:
            sent, known = str(step.answer.get("named", named)), list(step.answer.get("before", []))
            if found := self._look(lambda: listed(sent), known, patient=step.age < _FRESH):
                return self._made(name, found)
            # Under the same name what shows up late must not count as having been there before.
            before = known if sent == named else None
        if before is None:
            before = listed(named) if among_others else []
        self._log.begin(name, {"before": before, "named": named})
        self._tell(name, "started")
        return self._made(name, self._call(name, call, lambda: self._look(lambda: listed(named), before, patient=True)))

    def _call(self, name: str, call: Callable[[], int], look: Callable[[], int]) -> int:
        """Make the call; where its answer gets lost, look, and only if nothing was made make it once more."""
        try:
            return call()
        except AnswerLostError:
            pass
        except CivitaiError as error:
            if 400 <= error.status < 500:
                # Refused: nothing was made, and the next try begins anew.
                self._log.forget(name)
            raise
        return look() or call()

    def _made(self, name: str, made: int) -> int:
        self._tell(name, "sent")
        self._log.finish(name, {"id": made})
        self._tell(name, "done")
        return made

    def _look(self, listed: Callable[[], list[int]], before: list[int], *, patient: bool) -> int:
        """The newest thing that was not there before, or 0."""
        for wait in (*_LOOKS, 0.0) if patient else (0.0,):
            try:
                found = [number for number in listed() if number not in before]
            except MissingError:
                found = []
            if found:
                return max(found)
            if wait:
                self._client.wait(wait)
        return 0

    def _owned(self, model_id: int) -> OwnedModel:
        """The model as its owner sees it; a replica that has not heard of it yet is given time."""
        for wait in _LOOKS:
            try:
                return self._client.owned_model(model_id)
            except MissingError:
                self._client.wait(wait)
        return self._client.owned_model(model_id)

    def _forget_lost_draft(self) -> None:
        """Begin anew when the draft is gone: deleted by its owner, or by Civitai after 30 days."""
        step = self._log.step("model")
        if step is None or step.state != "done" or step.age < _FRESH:
            return
        try:
            gone = self._client.owned_model(int(step.answer["id"])).status == "Deleted"
        except MissingError:
            gone = True
        if gone:
            self._log.forget_all()

    # -- transfers ----------------------------------------------------------------------------------------------------

    def _upload(self) -> UploadState:
        name = "upload"
        step = self._log.step(name)
        state = msgspec.convert(step.answer["state"], UploadState) if step and "state" in step.answer else None
        if step and step.state == "done" and state:
            return state
        if step is None:
            self._log.begin(name, {})

        def save(now: UploadState) -> None:
            self._log.note(name, {"state": msgspec.to_builtins(now)})
            self._tell(name, f"{len(now.parts)} parts")

        self._tell(name, "started")
        state = self._client.upload_file(
            Path(self._plan.path), name=self._plan.file_name, state=state, save=save, report=self._report
        )
        self._log.finish(name, {"state": msgspec.to_builtins(state)})
        self._tell(name, "done")
        return state

    def _image(self, picture: Picture) -> str:
        """Send a picture's bytes; returns its media key. Sent twice it would only leave bytes that nobody sees."""

        def send() -> Answer:
            path = previews.blob_path(self._registry, picture.sha256)
            mime = mime_type(path) or "image/png"
            key = self._client.upload_image(path.read_bytes(), name=picture.name, mime_type=mime)
            return {"key": key, "mime": mime, "size": path.stat().st_size}

        answer = self._once(f"image {picture.sha256}", send)
        return str(answer["key"])

    def _add_image(self, post_id: int, version_id: int, picture: Picture, key: str, index: int) -> None:
        def send() -> Answer:
            image = self._client.add_image(self._image_fields(post_id, version_id, picture, key, index))
            return {"id": image.id}

        self._once(f"add {picture.sha256}", send)

    def _image_fields(self, post_id: int, version_id: int, picture: Picture, key: str, index: int) -> dict[str, Any]:
        from PIL import Image

        path = previews.blob_path(self._registry, picture.sha256)
        with Image.open(path) as image:
            code = blurhash.encode(image)
        size = path.stat().st_size
        strength = (
            picture.strength if picture.strength is not None else self._plan.version.get("settings", {}).get("strength")
        )
        return {
            "postId": post_id,
            "url": key,
            "name": picture.name,
            "index": index,
            "type": "image",
            "mimeType": mime_type(path) or "image/png",
            "width": picture.width,
            "height": picture.height,
            "sizeKB": round(size / 1024),
            "hash": code,
            "modelVersionId": version_id,
            "metadata": {"size": size, "width": picture.width, "height": picture.height, "hash": code},
            "meta": image_meta.linked(picture.meta, version_id, strength) or None,
        }

    def _check_scans(self, version_id: int, post_id: int) -> None:
        """Stop where Civitai's scans have said no already. They need not be over: publishing doesn't wait for them."""
        for file in self._client.edit_version(version_id).files:
            if "Danger" in {file.virus_scan_result, file.pickle_scan_result}:
                raise CivitaiError(
                    f"Civitai's scan calls {file.name} dangerous", "it stays a draft; check where it came from"
                )
        for image in self._client.post(post_id).images:
            if image.ingestion == "Blocked":
                reason = image.blocked_for or "its rules"
                raise CivitaiError(
                    f"Civitai blocked a picture ({reason})", "it stays a draft; remove the picture on the site"
                )

    # -- steps that may be repeated ----------------------------------------------------------------------------------

    def _once(self, name: str, send: Callable[[], Answer]) -> Answer:
        """Run a step that does no harm when repeated, unless it is done."""
        step = self._log.step(name)
        if step is not None and step.state == "done":
            return step.answer
        if step is None:
            self._log.begin(name, {})
        self._tell(name, "started")
        answer = send()
        self._tell(name, "sent")
        self._log.finish(name, answer)
        self._tell(name, "done")
        return answer

    def _publish_post(self, sent: Sent) -> Answer:
        from datetime import UTC, datetime

        fields = {"title": self._plan.post_title, "publishedAt": datetime.now(UTC)}
        _unless_done("already published", lambda: self._client.update_post(sent.post_id, fields))
        return {}

    def _publish_version(self, sent: Sent) -> Answer:
        self._client.publish_version(sent.version_id)
        return {}

    def _publish_model(self, sent: Sent) -> Answer:
        _unless_done("already published", lambda: self._client.publish_model(sent.model_id, [sent.version_id]))
        return {}

    def _verify(self, sent: Sent) -> journal.State:
        """Ask the site, uncached, whether it is public now."""
        for wait in (*_LOOKS, 0.0):
            status = _status(self._owned(sent.model_id), sent.version_id)
            if status == "Published":
                return "published"
            if status == "Scheduled":
                return "scheduled"
            self._client.wait(wait)
        self._log.forget("publish model")
        self._log.forget("publish version")
        wizard = f"{self._client.site}/models/{sent.model_id}/wizard?step=4"
        raise CivitaiError(
            "Civitai took the publication, but still shows a draft", f"run it again, or finish at {wizard}"
        )

    def _tell(self, step: str, state: str) -> None:
        self._report(Progress(stage="publish", message=f"{step}: {state}", data={"step": step, "state": state}))


def _unless_done(words: str, call: Callable[[], None]) -> None:
    """Take a refusal that says ``words`` for success: the answer of an earlier try was lost."""
    try:
        call()
    except RejectedError as refusal:
        if words not in refusal.message:
            raise


def _version_of(model: OwnedModel, version_id: int) -> OwnedVersion | None:
    return next((version for version in model.versions if version.id == version_id), None)


def _status(model: OwnedModel, version_id: int) -> str:
    """The status that both the model and the version have, or the less public one."""
    version = _version_of(model, version_id)
    if version is None:
        return ""
    return version.status if model.status == "Published" else model.status
