"""The files of a version: uploaded in parts, registered once, changed or replaced where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai import by_hand
from hubman.civitai.journal import fingerprint
from hubman.civitai.planned import PlannedFile
from hubman.civitai.steps import Steps
from hubman.civitai.uploads import UploadState
from registry.errors import HubError

_STORED_AS = {"Training Data": "training-images"}
"""The storage's kind by Civitai's kind of file; every other is ``model``."""


def step_names(kind: str) -> tuple[str, str]:
    """The steps of a file of this kind: its upload and its registration."""
    suffix = "" if kind == "Model" else f" {kind}"
    return f"upload{suffix}", f"file{suffix}"


def send_file(steps: Steps, file: PlannedFile, version_id: int, *, may_replace: bool, mend: bool = False) -> int:
    """The id of the file with the version.

    ``may_replace``: other bytes than were registered may take their place. ``mend``: they do also where they are the
    same, if the site holds them in a broken form. Raises :class:`HubError` when they would have to, and may not.
    """
    _, registered = step_names(file.kind)
    by_hand.take_file(steps, registered, file, version_id, _facts(file))
    known = steps.made(registered)
    file_id = known or _register(steps, file, version_id)
    # Also of what was registered just now: where an answer was lost, it is what was sent then.
    step = steps.log.step(registered)
    sent = step.answer.get("sent") if step is not None else None
    held = (sent or {}).get("sha256") or file.sha256
    if held != file.sha256 and not may_replace:
        raise HubError(
            f"{file.name} is public with other bytes",
            "publish it as a new version, or send it in the other's place with --replace-file",
        )
    if held != file.sha256 or (mend and known and _is_broken(steps, file, file_id, version_id)):
        _replace(steps, file, file_id)
    steps.update(registered, _facts(file), lambda changed: _change(steps, file_id, changed))
    return file_id


def _register(steps: Steps, file: PlannedFile, version_id: int) -> int:
    """Upload a file and put it to the version, unless an earlier call did whose answer was lost; returns its id."""
    upload = _upload(steps, file)
    fields = {**_address(upload), "name": file.name, "type": file.kind, "modelVersionId": version_id,
              "metadata": file.metadata, "visibility": file.visibility}  # fmt: skip

    def listed(url: str) -> list[int]:
        # An older hubman wrote no address down.
        wanted = url or upload.url
        return [held.id for held in steps.client.edit_version(version_id).files if held.url == wanted]

    return steps.make(
        step_names(file.kind)[1],
        inputs=_facts(file),
        call=lambda: steps.client.create_file(fields),
        listed=listed,
        named=upload.url,
    )


def _is_broken(steps: Steps, file: PlannedFile, file_id: int, version_id: int) -> bool:
    """Whether the site's scan failed at the file, or found other bytes than were meant."""
    found = next((held for held in steps.client.edit_version(version_id).files if held.id == file_id), None)
    if found is None:
        return False
    differs = found.sha256 not in {"", file.sha256} or round(found.size_kb * 1024) != file.size
    return found.is_broken or differs


def _facts(file: PlannedFile) -> dict[str, Any]:
    return {"name": file.name, "sha256": file.sha256, "metadata": file.metadata, "visibility": file.visibility}


def _change(steps: Steps, file_id: int, changed: dict[str, Any]) -> None:
    told = {key: value for key, value in changed.items() if key != "sha256"}
    if told:
        steps.client.update_file(file_id, told)


def _replace(steps: Steps, file: PlannedFile, file_id: int) -> None:
    """Send the bytes and put them in the place of those that are there: the file keeps its id."""
    name, _ = step_names(file.kind)
    mark = fingerprint([file_id, file.sha256])
    upload, replaced = steps.log.step(name), steps.log.step(f"replace {name}")
    if upload is None or upload.inputs != mark or (replaced is not None and replaced.is_done):
        steps.log.forget(name, f"replace {name}")
    told = {**_address(_upload(steps, file, mark=mark)), "name": file.name}

    def send() -> dict[str, Any]:
        steps.client.update_file(file_id, told)
        return {}

    steps.once(f"replace {name}", told, send)


def _address(upload: UploadState) -> dict[str, Any]:
    return {"url": upload.url, "sizeKB": upload.size / 1024, "backend": upload.backend, "s3Path": upload.key}


def _upload(steps: Steps, file: PlannedFile, *, mark: str = "") -> UploadState:
    name, _ = step_names(file.kind)
    step = steps.log.step(name)
    state = _state(step.answer.get("state")) if step is not None else None
    if state is not None and state.sha256 != file.sha256:
        state = None
    if step is not None and step.is_done and state is not None:
        return state
    if step is None or state is None:
        steps.log.begin(name, {}, inputs=mark or fingerprint(file.sha256))

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
