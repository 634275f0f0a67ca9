"""The publish form: everything that a page says, as one frozen record, with where each word comes from.

A form describes one model with one or several versions. :func:`hubman.civitai.form_fill.filled` makes it from what is
known, :func:`hubman.civitai.form_edit.changed` takes what a person types, :mod:`hubman.civitai.preflight` checks it, and
:func:`hubman.civitai.plan.plan` turns it into what is sent.
"""

from __future__ import annotations

from typing import Any

import msgspec

YOU = "you"
"""The source of what was typed into this form."""
LAST = "last time"
"""Typed into an earlier form of the same publication."""
TEMPLATE = "template"
GUESS = "guess"
"""Known by a guess only: a person has to say it."""


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """What others may do. The defaults are those of Civitai's own form."""

    allow_no_credit: bool = True
    allow_derivatives: bool = True
    allow_different_license: bool = True
    commercial_use: tuple[str, ...] = ("Image", "RentCivit", "Rent", "Sell")
    """Of ``Image``, ``RentCivit``, ``Rent``, ``Sell``; an empty one allows nothing."""


class FormFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file that is sent. ``stripped`` is a copy whose header tells less; its weights are the original's."""

    path: str
    name: str
    sha256: str
    size: int
    autov3: str = ""
    dtype: str = ""
    network_type: str = ""
    architecture: str = ""
    is_stripped: bool = False
    original_sha256: str = ""
    """Of the file that the library knows, where this is a stripped copy of it."""

    @property
    def library_sha256(self) -> str:
        return self.original_sha256 or self.sha256


class FormPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture to show, by its SHA-256 in the blob store. ``generation`` is what the library knows of how it was made."""

    sha256: str
    name: str
    path: str
    width: int
    height: int
    nsfw_level: int = 0
    caption: str = ""
    """In words, for sites that show one."""
    generation: dict[str, Any] = {}
    links: dict[str, int] = {}
    """The site's version ids of the other models in it, by the hashes that ``generation`` has of them."""


class VersionPart(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the page. ``version_id`` is the library's; ``sources`` tells where each field comes from."""

    version_id: str
    name: str
    file: FormFile
    base_model: str = ""
    description: str = ""
    """What is new in it, in Markdown."""
    trained_words: tuple[str, ...] = ()
    no_trigger_words: bool = False
    """A person said that it works without any."""
    epochs: int | None = None
    steps: int | None = None
    clip_skip: int | None = None
    strength: float | None = None
    strength_min: float | None = None
    strength_max: float | None = None
    pictures: tuple[FormPicture, ...] = ()
    offered: tuple[FormPicture, ...] = ()
    """All pictures that may be chosen."""
    dataset: str = ""
    """The folder that it was trained on, where this machine has it."""
    base_path: str = ""
    """The base model that it was trained on, likewise."""
    prompt_name: str = ""
    """What prompts call it: the NAME of ``<lora:NAME:0.8>``."""
    facts: dict[str, str] = {}
    """What is told of the training: ``images``, ``rank``, ``resolution`` and so on, ready to be printed."""
    sources: dict[str, str] = {}


class PublishForm(msgspec.Struct, frozen=True, kw_only=True):
    """A page before it is sent. ``None`` for a flag means: not answered yet."""

    model_id: str
    """The library's."""
    name: str
    parts: tuple[VersionPart, ...]
    """In the order in which they are sent; the site shows the last one first."""
    type: str = "LORA"
    kind: str = "lora"
    """What the library takes it for."""
    category: str = ""
    tags: tuple[str, ...] = ()
    """Without the category."""
    description: str = ""
    """In Markdown. Follows ``template`` as long as nobody typed another."""
    template: str = ""
    words: str = ""
    """The library's own description, which the template may name."""
    permissions: Permissions = Permissions()
    nsfw: bool | None = None
    poi: bool | None = None
    """It depicts a real person."""
    minor: bool | None = None
    sfw_only: bool | None = None
    attach_training_data: bool = False
    published_at: str | None = None
    """ISO time with its zone; None: at once."""
    early_access_days: int = 0
    early_access_price: int = 0
    """Buzz for a download during early access; 0: no early access."""
    strip: bool = False
    """Send a copy whose header tells nothing of this machine or its owner."""
    civitai_model_id: int = 0
    """A model of one's own on the site to add the versions to; 0 makes a new one."""
    creator: str = ""
    origin: str = ""
    sources: dict[str, str] = {}

    @property
    def version_ids(self) -> tuple[str, ...]:
        return tuple(part.version_id for part in self.parts)

    def part(self, version_id: str) -> VersionPart:
        return next(part for part in self.parts if part.version_id == version_id)

    def source(self, field: str) -> str:
        """Where a field comes from: of the model, else of its first version."""
        return self.sources.get(field) or self.parts[0].sources.get(field, "")
