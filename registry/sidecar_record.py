"""What a sidecar says, in hubman's own terms, and what several say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from registry.sidecar_values import unique


@dataclass(frozen=True)
class Beside:
    """What a reader may know besides the content: the model file's name, and its SHA-256 if that is known yet.

    ``ids`` are Civitai's numbers of model and version in the sidecar's own name; ``is_older``: the sidecar was written
    before the model file.
    """

    model: str = ""
    sha256: str | None = None
    ids: tuple[int, int] | None = None
    is_older: bool = False


ALONE = Beside()
"""Nothing is known but the content."""


@dataclass(frozen=True)
class Sidecar:
    """What one sidecar says. ``hashes`` are the SHA-256 (lower case) of the files that it speaks of, if it tells.

    ``version`` and ``model`` hold fields of :data:`registry.fields.FIELDS`; ``word_origins`` says of trigger words who
    named them (``user``, ``civitai``, ``metadata``) where the dialect tells. ``sha256`` is a hash that somebody noted
    down for the file itself. ``parts`` are the sidecars that this one was made of.
    """

    version: Mapping[str, object] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    trigger_words: tuple[str, ...] = ()
    word_origins: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: str = ""
    description: str = ""
    changelog: str = ""
    preview_level: int = 0
    hashes: frozenset[str] = frozenset()
    sha256: str = ""
    is_unknown_upstream: bool = False
    """The writer looked the file up and Civitai did not have it."""
    unplaced: tuple[str, ...] = ()
    """Keys with values that hubman has no place for."""
    parts: tuple[Part, ...] = ()

    @property
    def model_number(self) -> int | None:
        """Civitai's id of the model."""
        number = self.model.get("civitai_model_id")
        return number if isinstance(number, int) else None


@dataclass(frozen=True)
class Part:
    """One sidecar of several. ``digest`` is the SHA-256 of its bytes; ``is_of_other``: it names other files' hashes."""

    path: Path
    dialect: str
    said: Sidecar
    digest: str
    is_of_other: bool = False


def only_notes(said: Sidecar) -> Sidecar:
    """What is left of a sidecar that speaks of other content: a person's text, which nobody wrote of a hash."""
    return Sidecar(notes=said.notes)


def together(parts: Sequence[Part], sha256: str | None) -> Sidecar | None:
    """One of many, None of none: each field from the most trusted that has it; words from all; of notes the longest.

    A sidecar that names this file's hash goes before all that don't; else ``parts`` stand in the order of trust.
    """
    if not parts:
        return None
    ordered = sorted(parts, key=lambda part: sha256 is None or sha256 not in part.said.hashes)
    found = [only_notes(part.said) if part.is_of_other else part.said for part in ordered]
    version: dict[str, object] = {}
    model: dict[str, object] = {}
    number = next((said.model_number for said in found if said.model_number), None)
    for said in found:
        # Facts of another model than the most trusted one's would describe two models as one.
        if said.model_number in {None, number}:
            version = {**said.version, **version}
            model = {**said.model, **model}
    origins: dict[str, str] = {}
    for said in found:
        origins = {**said.word_origins, **origins}
    return Sidecar(
        version=version,
        model=model,
        trigger_words=unique(word for said in found for word in said.trigger_words),
        word_origins=origins,
        tags=unique(tag.lower() for said in found for tag in said.tags),
        notes=max((said.notes for said in found), key=len),
        description=next((said.description for said in found if said.description), ""),
        changelog=next((said.changelog for said in found if said.changelog), ""),
        preview_level=next((said.preview_level for said in found if said.preview_level), 0),
        hashes=frozenset(one for said in found for one in said.hashes),
        is_unknown_upstream=any(said.is_unknown_upstream for said in found),
        parts=tuple(parts),
    )
