"""Everything that a file says of itself, without a registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from registry.errors import HubError, NotFoundError, UsageError
from registry.gguf import read_gguf
from registry.hashing import hash_file
from registry.headers import Header, read_alphas, read_header
from registry.identify import Identity, identify
from registry.identify_modules import layout_of
from registry.identify_parts import layers, trainer
from registry.identify_stated import shortened
from registry.scan_read import EMBEDDED_PICTURES
from registry.scan_walk import PICKLES, SAFETENSORS
from registry.training_settings import Setting, training_settings


class Fact(msgspec.Struct, frozen=True):
    """One finding as a person reads it, with what says so; ``is_guess`` where usage suggests it and nothing proves it."""

    name: str
    value: str
    reason: str
    is_guess: bool = False


_SHOWN = (
    ("kind", "kind"), ("architecture", "architecture"), ("variant", "variant"), ("base model", "base_model"),
    ("network", "network_type"), ("rank", "rank"), ("alpha", "alpha"), ("precision", "dtype"), ("prediction", "prediction"),
    ("parts", "parts"), ("naming", "format"), ("triggers", "trigger_candidates"), ("title", "title"),
)  # fmt: skip
"""(as it is called for people, field of :class:`Identity`)."""


def facts(identity: Identity) -> tuple[Fact, ...]:
    """What was found out, each finding with its reason; what nothing tells is left out."""
    found = []
    for name, field in _SHOWN:
        value = _value(identity, field)
        if value:
            found.append(Fact(name, value, identity.reasons.get(field, ""), field in identity.guesses))
    found += [Fact("has", feature, identity.reasons.get(feature, "")) for feature in identity.features]
    return (*found, *(Fact("contradiction", sentence, "") for sentence in identity.contradictions))


def _value(identity: Identity, field: str) -> str:
    value = getattr(identity, field)
    if field == "rank" and identity.ranks and identity.ranks[0] != identity.ranks[1]:
        return f"mixed: {value} mostly, {identity.ranks[0]} to {identity.ranks[1]}"
    if field == "alpha" and identity.alphas:
        return f"mixed: {value:g} mostly, {identity.alphas[0]:g} to {identity.alphas[1]:g}"
    if field == "network_type" and identity.mix:
        return ", ".join(f"{kind} ({count} modules)" for kind, count in identity.mix.items())
    if field == "parts":
        counts = identity.part_modules
        return ", ".join(f"{part} ({counts[part]} modules)" if part in counts else part for part in value)
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def inspect(path: Path) -> dict[str, Any]:
    """Name, size, hashes, and of a safetensors file what it is with the reasons, its tensors in sum, its metadata.

    A GGUF file tells its architecture; other formats are hashed and not opened. Raises :class:`NotFoundError`,
    :class:`UsageError` for a folder, :class:`DamagedFileError` for a file that contradicts its format, and
    :class:`HubError` for one that can't be read.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "give a file")
    try:
        found: dict[str, Any] = {"file": path.name, "format": _format(path)}
        header = read_header(path) if found["format"] == "safetensors" else None
        if header is not None:
            found |= _of_header(path, header)
        elif found["format"] == "gguf":
            found |= _of_gguf(path)
        return (
            found | msgspec.structs.asdict(hash_file(path)) | ({"metadata": _shown(header.metadata)} if header else {})
        )
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}", "check the path") from None
    except OSError as error:
        raise HubError(f"{path} can't be read ({error.strerror})", "check its permissions") from error


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in SAFETENSORS:
        return "safetensors"
    return "pickle (never opened)" if suffix in PICKLES else suffix.lstrip(".") or "unknown"


def _of_gguf(path: Path) -> dict[str, Any]:
    found = read_gguf(path)
    reason = f"general.architecture says {shortened(found.stated)}" if found.stated else ""
    shown = (("kind", found.kind), ("architecture", found.architecture))
    return {
        "kind": found.kind,
        "architecture": found.architecture,
        "tensors": found.tensors,
        "reasons": dict.fromkeys(("kind", "architecture"), reason) if found.architecture else {},
        "facts": tuple(Fact(name, value, reason) for name, value in shown if value),
    }


class Report(msgspec.Struct, frozen=True):
    """What the header of one file tells a person. ``layers``: adapted modules by what they are in the model."""

    identity: Identity
    facts: tuple[Fact, ...]
    training: tuple[Setting, ...]
    layers: dict[str, int]
    trainer: Fact | None = None


def report(path: Path, header: Header) -> Report:
    """What a file of ``header`` is, with all reasons; its alphas are read from ``path``. Raises :class:`OSError`."""
    identity = identify(header, alphas=read_alphas(path, header))
    wrote = trainer(header.metadata)
    return Report(
        identity,
        facts(identity),
        training_settings(header.metadata),
        layers(layout_of(header)) if identity.kind == "lora" else {},
        Fact("trainer", wrote.value, wrote.reason) if wrote else None,
    )


def _of_header(path: Path, header: Header) -> dict[str, Any]:
    told = report(path, header)
    dtypes = Counter(tensor.dtype for tensor in header.tensors.values())
    found = msgspec.structs.asdict(told.identity)
    wrote = told.trainer
    return {
        **{name: found[name] for name in _DOCUMENTED},
        "naming": told.identity.format,
        "layers": told.layers,
        "tensors": len(header.tensors),
        "dtypes": dict(dtypes.most_common()),
        "trainer": wrote.value if wrote else None,
        "reasons": told.identity.reasons | ({"trainer": wrote.reason} if wrote else {}),
        "facts": told.facts,
        "training": told.training,
    }


_DOCUMENTED = (
    "kind", "architecture", "variant", "base_model", "network_type", "mix", "features", "rank", "ranks", "rank_modules", "alpha",
    "alphas", "dtype", "prediction", "parts", "part_modules", "modules", "title", "trigger_candidates", "guesses",
    "contradictions",
)  # fmt: skip


def _shown(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata, with pictures told by their size only."""
    return {
        key: f"a picture of {len(value):,} characters" if key in EMBEDDED_PICTURES and value else value
        for key, value in sorted(metadata.items())
    }
