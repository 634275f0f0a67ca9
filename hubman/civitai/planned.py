"""What will be sent, as records: a model with its versions, each with its files, its post and its pictures.

Field names inside the dicts are the site's own (``model.upsert``, ``modelVersion.upsert``, ``modelFile.create``).
"""

from __future__ import annotations

from typing import Any

import msgspec

from hubman.civitai.form import PublishForm


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One picture to show. ``sha256`` names it in the blob store; ``meta`` still lacks the link to the new version."""

    sha256: str
    name: str
    width: int
    height: int
    strength: float | None
    meta: dict[str, Any]


class PlannedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file to upload. ``kind`` is one of Civitai's ``ModelFileType``; a version has at most one of each here."""

    path: str
    name: str
    sha256: str
    size: int
    kind: str = "Model"
    metadata: dict[str, Any] = {}
    visibility: str = "Public"


class PlannedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version with all that hangs on it. ``version_id`` is the library's; ``fields`` lack ``modelId``."""

    version_id: str
    fields: dict[str, Any]
    files: tuple[PlannedFile, ...]
    post_title: str
    pictures: tuple[Picture, ...]
    absent: tuple[str, ...] = ()
    """Chosen pictures that can't be sent from here, by their SHA-256: where the page shows them they stay."""

    @property
    def name(self) -> str:
        return str(self.fields["name"])


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the site is told, but for the ids that it gives.

    The versions go out in their order, and the site shows the last one first. With ``civitai_model_id`` they join that
    model of the same owner; ``published_at`` is the ISO time to go live at, empty for at once.
    """

    site: str
    model: dict[str, Any]
    versions: tuple[PlannedVersion, ...]
    civitai_model_id: int = 0
    published_at: str = ""
    form: PublishForm | None = None
    """What it was made from: the next form of these versions takes what was typed from here."""
