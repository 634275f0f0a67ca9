"""What completes ``<lora:`` in a prompt: LoRAs of the library by a part of their name, those that fit the base first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.errors import HubError

if TYPE_CHECKING:
    from registry.database import Registry

MOST = 24
_BEGUN = re.compile(r"<lora:([^:<>\n]*)$")
_FAMILIES = {
    "sd15": "sd1", "sd35": "sd3", "pony": "sdxl", "illustrious": "sdxl", "noobai": "sdxl", "zimage": "z-image",
    "zimage_turbo": "z-image",
}  # fmt: skip


@dataclass(frozen=True)
class Completion:
    """A LoRA that a tag could name. ``fits`` is None where that is not known."""

    name: str
    base: str
    strength: float
    fits: bool | None

    @property
    def tag(self) -> str:
        return f"<lora:{self.name}:{self.strength:g}>"


def begun(before: str) -> str | None:
    """The part of a name that stands behind ``<lora:`` at the end of ``before``, the text up to the cursor."""
    match = _BEGUN.search(before)
    return match[1] if match else None


def without_begun(text: str) -> str:
    """The prompt without a tag at its end whose name is still being written."""
    return _BEGUN.sub("", text)


def architecture(base: str) -> str:
    """What the library calls the architecture of a base model; empty where it is not known."""
    from hubman import bases

    try:
        family = bases.family(bases.find(base))
    except HubError:
        return ""
    return _FAMILIES.get(family, family)


def find(registry: Registry, part: str, base: str) -> list[Completion]:
    """LoRAs whose name holds ``part``, those that fit ``base`` first, else the newest first. For a thread."""
    from registry import library, prompt_name

    words = "".join(sign if sign.isalnum() else " " for sign in part).split()
    ids = library.first_ids(registry, " ".join(words), 4 * MOST)
    rows = [row for row in library.model_rows(registry, ids) if row.kind == "lora"]
    wanted, found = architecture(base), []
    for row in rows[:MOST]:
        version = library.version(registry, row.version_id)
        name = prompt_name.of(library.show(registry, row.id), version)
        has = row.architecture or ""
        fits = has == wanted if has and wanted else None
        strength = row.strength if row.strength is not None else 0.8
        found.append(Completion(name, row.base_model or has or "?", strength, fits))
    return sorted(found, key=lambda one: {True: 0, None: 1, False: 2}[one.fits])
