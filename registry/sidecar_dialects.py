"""The dialects of sidecar files, the most trusted first: how each is called, and what reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from registry import sidecar_programs as programs
from registry import sidecar_texts as texts
from registry.sidecar_civitai import civitai_model, civitai_version
from registry.sidecar_record import Beside, Sidecar
from registry.sidecar_values import Document

Reader = Callable[[bytes, Beside], Sidecar | None]
"""Raises :class:`ValueError` and its kin for what can't be understood; None says that it is no sidecar of this file."""


@dataclass(frozen=True)
class Dialect:
    """``ending`` follows the stem, or the whole name where ``of_file``; the two that are named otherwise have none."""

    name: str
    read: Reader
    ending: str = ""
    of_file: bool = False


def _json(reader: Callable[[Document, Beside], Sidecar | None]) -> Reader:
    def read(content: bytes, beside: Beside) -> Sidecar | None:
        doc = msgspec.json.decode(content) if content.strip() else {}
        if not isinstance(doc, dict):
            raise ValueError("it is no JSON object")
        return reader(doc, beside)

    return read


DIALECTS: tuple[Dialect, ...] = (
    Dialect("civitai.info", _json(civitai_version), ".civitai.info"),
    Dialect("metadata.json", _json(programs.lora_manager), ".metadata.json"),
    Dialect("cm-info.json", _json(programs.stability_matrix), ".cm-info.json"),
    Dialect("api_info.json", _json(civitai_model), ".api_info.json"),
    Dialect("rgthree-info.json", _json(programs.rgthree), ".rgthree-info.json", of_file=True),
    Dialect("json", _json(programs.plain_json), ".json"),
    Dialect("civitdl", _json(programs.civitdl)),
    Dialect("civitdl.csv", texts.civitdl_hashes),
    Dialect("go-civitai", _json(programs.go_civitai)),
    Dialect("swarm.json", _json(programs.swarm), ".swarm.json"),
    Dialect("md", texts.markdown, ".md"),
    Dialect("description.txt", texts.description, ".description.txt"),
    Dialect("txt", texts.plain_notes, ".txt"),
    Dialect("sha256", texts.hash_note, ".sha256"),
)

NAMES = tuple(dialect.name for dialect in DIALECTS)

Mode = Literal["off", "read", "write"]
