"""Reading the sidecar files beside a model: which they are, and what they say together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from registry.regular import open_regular
from registry.sidecar_dialects import DIALECTS, Dialect
from registry.sidecar_names import has_longer_owner, ids_of, named_by_ids, stem_of, whole_models
from registry.sidecar_record import Beside, Part, Sidecar, together

MAX_BYTES = 8 << 20
_OF_STEM = tuple(dialect.ending for dialect in DIALECTS if dialect.ending and not dialect.of_file)
_OF_FILE = next(dialect.ending for dialect in DIALECTS if dialect.of_file)
_BY_NAME = {dialect.name: dialect for dialect in DIALECTS}


def find(model: str, names: Iterable[str]) -> tuple[str, ...]:
    """Which of a folder's ``names`` are sidecars of the file ``model``, the most trusted first."""
    present = names if isinstance(names, frozenset) else frozenset(names)
    stem = stem_of(model)
    whole = whole_models(present)
    # Most files have nothing beside them, and a scan asks of every one.
    if (
        not whole
        and "-vid_" not in model
        and model + _OF_FILE not in present
        and present.isdisjoint([stem + ending for ending in _OF_STEM])
    ):
        return ()
    named = named_by_ids(model, present)
    found: list[str] = []
    for dialect in DIALECTS:
        if dialect.name == "go-civitai":
            found += [name for name in whole if name != f"{stem}.json"]
        elif not dialect.ending:
            found += [named[dialect.name]] if dialect.name in named else []
        elif (name := (model if dialect.of_file else stem) + dialect.ending) in present and not (
            has_longer_owner(name, stem, present)
        ):
            found.append(name)
    return tuple(found)


def dialect_of(name: str, model: str = "") -> Dialect:
    """What a file that :func:`find` found beside ``model`` is; without ``model`` its longest known ending tells."""
    if model:
        stem = stem_of(model)
        for dialect in DIALECTS:
            if dialect.ending and name == (model if dialect.of_file else stem) + dialect.ending:
                return dialect
        for known, wanted in named_by_ids(model, [name]).items():
            if name == wanted:
                return _BY_NAME[known]
        return _BY_NAME["go-civitai"]
    fitting = [dialect for dialect in DIALECTS if dialect.ending and name.endswith(dialect.ending)]
    return max(fitting, key=lambda dialect: len(dialect.ending), default=_BY_NAME["go-civitai"])


def read(
    paths: Sequence[Path], sha256: str | None, model: Path | None = None
) -> tuple[Sidecar | None, list[tuple[Path, str]]]:
    """(what the sidecars say together of the file with this hash, those that can't be read and why).

    A sidecar that names other files' hashes was left behind by another file: of it only what a person wrote counts.
    While the hash is not known yet (None, or a name that is no hash) it is believed provisionally. ``model`` is the file
    that they lie beside: its name tells dialects apart, its time whether a noted hash is of it, and where civitdl wrote
    Civitai's numbers into the name and nothing else tells them, the name itself is a sidecar.
    """
    if not is_hash(sha256):
        sha256 = None
    parts: list[Part] = []
    broken: list[tuple[Path, str]] = []
    for path in paths:
        try:
            part = _read_one(path, sha256, model)
        except OSError as error:
            broken.append((path, f"can't be read ({error.strerror})"))
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            broken.append((path, f"is no sidecar that can be understood ({reason})"))
        else:
            if part is not None:
                parts.append(part)
    ids = ids_of(model.name) if model else None
    if model and ids and all(not part.said.model_number for part in parts):
        said = Sidecar(version={"civitai_version_id": ids[1]}, model={"civitai_model_id": ids[0]})
        parts.append(Part(model, "civitdl", said, ""))
    return together(parts, sha256), broken


def is_hash(name: str | None) -> bool:
    """Whether a file's name in the registry is its SHA-256."""
    return name is not None and len(name) == 64


def _read_one(path: Path, sha256: str | None, model: Path | None) -> Part | None:
    dialect = dialect_of(path.name, model.name if model else "")
    content = content_of(path)
    beside = Beside(
        model=model.name if model else "",
        sha256=sha256,
        ids=ids_of(model.name if model else path.name),
        is_older=dialect.name == "sha256" and _is_older(path, model),
    )
    said = dialect.read(content.removeprefix(b"\xef\xbb\xbf"), beside)
    if said is None:
        return None
    is_of_other = sha256 is not None and bool(said.hashes) and sha256 not in said.hashes
    return Part(path, dialect.name, said, hashlib.sha256(content).hexdigest(), is_of_other)


def content_of(path: Path) -> bytes:
    """The bytes of a sidecar. Raises :class:`ValueError` for what is too large, and :class:`OSError`."""
    with open_regular(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    return content


def _is_older(path: Path, model: Path | None) -> bool:
    """Whether a note was written before the model that lies beside it, or may have been."""
    return model is None or path.stat().st_mtime_ns < model.stat().st_mtime_ns
