"""The files of a version: uploaded in parts, registered once, changed or replaced where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai.journal import fingerprint
from hubman.civitai.planned import PlannedFile
from hubman.civitai.steps import Steps
from hubman.civitai.uploads import UploadState
from registry.errors import HubError

_STORED_AS = {"Training Data": "training-images"}
"""The storage's kind by Civitai's kind of file; every other is ``model``."""


def names(file: PlannedFile) -> tuple[str, str]:
    """The steps of a file: its upload and its registration."""
    suffix = "" if file.kind == "Model" else f" {file.kind}"
    return f"upload{suffix}", f"file{suffix}"


def send_file(steps: Steps, file: PlannedFile, version_id: int, *, may_replace: bool) -> int:
    """The id of the file with the version. ``may_replace``: other bytes than were registered may take their place.

    Raises :class:`HubError` when they would have to, and may not.
    """
    _, registered = names(file)
    step = steps.log.step(registered)
    if step is not None and step.is_done:
        held = (step.answer.get("sent") or {}).get("sha256", file.sha256)
        if held != file.sha256:
            if not may_replace:
                raise HubError(
                    f"{file.name} is public with other bytes",
                    "publish it as a new version, or send it in the other's place with --replace-file",
                )
            _replace(steps, file, int(step.answer["id"]))
        steps.update(registered, _facts(file), lambda changed: _change(steps, int(step.answer["id"]), changed))
        return int(step.answer["id"])
    upload = _upload(steps, file)
    fields = {**_address(upload), "name": file.name, "type": file.kind, "modelVersionId": version_id,
              "metadata": file.metadata, "visibility": file.visibility}  # fmt: skip
    return steps.make(
        registered,
        inputs=_facts(file),
        call=lambda: steps.client.create_file(fields),
        listed=lambda _: [f.id for f in steps.client.edit_version(version_id).files if f.url == upload.url],
    )


def _facts(file: PlannedFile) -> dict[str, Any]:
    return {"name": file.name, "sha256": file.sha256, "metadata": file.metadata, "visibility": file.visibility}


def _change(steps: Steps, file_id: int, changed: dict[str, Any]) -> None:
    told = {key: value for key, value in changed.items() if key != "sha256"}
    if told:
        steps.client.update_file(file_id, told)


def _replace(steps: Steps, file: PlannedFile, file_id: int) -> None:
    """Send the bytes and put them in the place of those that are there: the file keeps its id."""
    upload = _upload(steps, file)
    steps.client.update_file(file_id, {**_address(upload), "name": file.name})


def _address(upload: UploadState) -> dict[str, Any]:
    return {"url": upload.url, "sizeKB": upload.size / 1024, "backend": upload.backend, "s3Path": upload.key}


def _upload(steps: Steps, file: PlannedFile) -> UploadState:
    name, _ = names(file)
    step = steps.log.step(name)
    state = _state(step.answer.get("state")) if step is not None else None
    if state is not None and state.sha256 != file.sha256:
        state = None
    if step is not None and step.is_done and state is not None:
        return state
    if step is None or state is None:
        steps.log.begin(name, {}, inputs=fingerprint(file.sha256))

    def save(now: UploadState) -> None:
        steps.log.note(name, {"state": msgspec.to_builtins(now)})
        steps.tell(name, f"{len(now.parts)} parts")

    steps.tell(name, "started")
    kind = _STORED_AS.get(file.kind, "model")
    state = steps.client.upload_file(
        Path(file.path), name=file.name, sha256=file.sha256, kind=kind, state=state, save=save, report=steps.report
    )
    steps.log.finish(name, {"state": msgspec.to_builtins(state)})
    steps.tell(name, "done")
    return state


def _state(raw: object) -> UploadState | None:
    """How far an upload got; None where an older hubman wrote it down in another way."""
    try:
        return msgspec.convert(raw, UploadState)
    except msgspec.ValidationError:
        return None
