"""What the registry hands out: frozen rows, free of SQL."""

from __future__ import annotations

from typing import Any

import msgspec

from registry.whereabouts import Where


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the library: a model with what its newest version says of it."""

    id: str
    name: str
    kind: str
    version_id: str
    version_name: str = ""
    base_model: str | None = None
    architecture: str | None = None
    network_type: str | None = None
    rank: int | None = None
    strength: float | None = None
    size: int = 0
    rating: int = 0
    favourite: bool = False
    alias: str = ""
    creator: str | None = None
    origin: str = "found"
    tags: tuple[str, ...] = ()
    trigger_words: tuple[str, ...] = ()
    versions: int = 1
    preview: str | None = None
    """SHA-256 of the newest version's first picture."""
    added_at: str = ""
    uses: int = 0
    """Pictures that are known to have been drawn with it, the last at ``used_at``."""
    used_at: str | None = None
    licence: str = "?????"
    """Five letters: credit, images, rent, sell, derivatives (:func:`registry.licence.letters`)."""
    where: Where = "nowhere"
    """On which machines its newest version is (:mod:`registry.whereabouts`)."""
    flags: str = ""
    """A letter for each thing that sets it apart: see :data:`FLAGS`."""


FLAGS = {
    "!": "broken",
    "M": "file missing",
    "O": "its drive is away",
    "R": "on another machine",
    "T": "in the trash folder of its drive",
    "D": "there is a duplicate of it",
    "U": "Civitai has a newer version",
    "E": "early access",
    "P": "published",
    "X": "deleted from Civitai",
}
"""The letters of :attr:`ModelRow.flags`, in their order."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file lies on this machine. ``state``: ``present missing damaged``, ``offline`` (its drive is away), or ``trash``."""

    path: str
    state: str
    problem: str | None = None
    seen_at: str = ""
    verified_at: str | None = None


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """A file by content. Hashes are lower-case hex, except CRC32 (upper case, as Civitai prints it)."""

    sha256: str
    """Empty while the file is listed and not hashed yet."""
    version_id: str
    name: str
    size: int
    format: str
    autov1: str | None = None
    autov2: str = ""
    autov3: str | None = None
    blake3: str | None = None
    crc32: str | None = None
    network_type: str | None = None
    architecture: str | None = None
    rank: int | None = None
    alpha: float | None = None
    dtype: str | None = None
    tensor_count: int = 0
    metadata: dict[str, str] = {}
    damage: str | None = None
    added_at: str = ""
    places: tuple[Place, ...] = ()


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """Content that gave way to other content where it lay: an epoch that was overwritten, a header that was edited."""

    sha256: str
    path: str
    at: str


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of a version; its bytes lie in the blob store under ``sha256``."""

    version_id: str
    sha256: str
    name: str
    width: int
    height: int
    nsfw_level: int = 0
    position: int = 0
    generation: dict[str, Any] = {}
    source: str = "user"
    added_at: str = ""


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model with its files."""

    id: str
    model_id: str
    name: str
    base_model: str | None = None
    architecture: str | None = None
    strength: float | None = None
    strength_min: float | None = None
    strength_max: float | None = None
    negative_prompt: str | None = None
    civitai_id: int | None = None
    changelog: str | None = None
    run_id: str | None = None
    network_type: str | None = None
    rank: int | None = None
    alpha: float | None = None
    size: int = 0
    trigger_words: tuple[str, ...] = ()
    trigger_groups: tuple[str, ...] = ()
    """Which of the words are optional or belong together, as :mod:`registry.triggers` writes it."""
    published_url: str | None = None
    hub_url: str | None = None
    """Its page on the Hugging Face Hub."""
    added_at: str = ""
    sources: dict[str, str] = {}
    files: tuple[FileRow, ...] = ()
    history: tuple[Replaced, ...] = ()
    """What it replaced on this machine, the latest first."""
    previews: tuple[Preview, ...] = ()


class ModelDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a model; versions newest first."""

    id: str
    name: str
    kind: str
    creator: str | None = None
    description: str | None = None
    notes: str | None = None
    rating: int = 0
    favourite: bool = False
    alias: str = ""
    origin: str = "found"
    nsfw_level: int = 0
    permissions: dict[str, Any] = {}
    civitai_id: int | None = None
    upstream_deleted: bool = False
    upstream_mode: str | None = None
    """``Archived`` or ``TakenDown`` where Civitai says so: its page is there, its files or pictures are not."""
    added_at: str = ""
    deleted_at: str | None = None
    tags: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    sources: dict[str, str] = {}
    versions: tuple[VersionRow, ...] = ()


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A training that made a version. ``losses`` holds ``[step, loss]`` pairs, thinned to at most 500."""

    id: str
    name: str
    recipe: dict[str, Any]
    dataset_fingerprint: str
    seed: int
    steps: int
    seconds: float
    version_id: str | None = None
    final_loss: float | None = None
    losses: list[tuple[int, float]] = []
    samples: list[str] = []
    """SHA-256 of sample pictures in the blob store, in order of epochs."""
    checkpoints: list[str] = []
    epochs: list[RunEpoch] = []
    """What the run left after each of its epochs; empty in records of earlier versions."""
    best: int | None = None
    """The epoch that is proposed, and why."""
    reason: str = ""
    images: int = 0
    base: str = ""
    versions: dict[str, str] = {}
    """Of what computed it, by name."""
    memory_peak: int = 0
    """Bytes, as far as they were measured."""
    started_at: str = ""
    finished_at: str | None = None


class RunEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch of a training: its file as a version of the run's model, its validation and its samples."""

    epoch: int
    step: int
    version_id: str
    validation: float | None = None
    samples: list[str] = []
    """SHA-256 of pictures in the blob store, in the order of the prompts."""
