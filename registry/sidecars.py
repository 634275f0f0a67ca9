"""Reading the sidecar files beside a model, and making one of several that speak of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from registry.sidecar_dialects import DIALECTS, Sidecar
from registry.sidecar_names import stem_of

MAX_BYTES = 8 << 20


def find(model: str, names: Iterable[str]) -> tuple[str, ...]:
    """Which of a folder's ``names`` are sidecars of the file ``model``, the most trusted first."""
    present = names if isinstance(names, set | frozenset) else set(names)
    stem = stem_of(model)
    return tuple(name for ending, _ in DIALECTS if (name := stem + ending) in present)


def read(paths: Sequence[Path], sha256: str | None) -> tuple[Sidecar | None, list[tuple[Path, str]]]:
    """(what the sidecars say together of the file with this hash, those that can't be read and why).

    While the hash is not known (None) each is believed. Afterwards, one that names other files' hashes was left behind
    by another file: of it only what a person wrote counts.
    """
    found: list[Sidecar] = []
    broken: list[tuple[Path, str]] = []
    for path in paths:
        try:
            said = _read_one(path)
        except OSError as error:
            broken.append((path, f"can't be read ({error.strerror})"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            broken.append((path, f"is no sidecar that can be understood ({error})"))
        else:
            if said is not None:
                found.append(_of_this_file(said, sha256))
    return (_together(found) if found else None), broken


def _read_one(path: Path) -> Sidecar | None:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    doc = msgspec.json.decode(content) if content.strip() else {}
    if not isinstance(doc, dict):
        raise ValueError("it is no JSON object")
    reader = next(reader for ending, reader in DIALECTS if path.name.endswith(ending))
    return reader(doc)


def _of_this_file(said: Sidecar, sha256: str | None) -> Sidecar:
    return said if sha256 is None or not said.hashes or sha256 in said.hashes else Sidecar(notes=said.notes)


def _together(found: Sequence[Sidecar]) -> Sidecar:
    """Each field from the most trusted that has it; words from all; of notes the longest."""
    version: dict[str, object] = {}
    model: dict[str, object] = {}
    number = next((said.model_number for said in found if said.model_number), None)
    for said in found:
        # Facts of another model than the most trusted one's would describe two models as one.
        if said.model_number in {None, number}:
            version = {**said.version, **version}
            model = {**said.model, **model}
    return Sidecar(
        version=version,
        model=model,
        trigger_words=_unique(word for said in found for word in said.trigger_words),
        tags=_unique(tag.lower() for said in found for tag in said.tags),
        notes=max((said.notes for said in found), key=len),
        description=next((said.description for said in found if said.description), ""),
    )


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for word in words:
        found.setdefault(word.casefold(), word)
    return tuple(found.values())
