"""Everything that a file says of itself, without a registry."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from registry.errors import HubError, NotFoundError, UsageError
from registry.hashing import hash_file
from registry.headers import Header, read_alpha, read_header
from registry.identify import identify
from registry.scan_read import EMBEDDED_PICTURES
from registry.scan_walk import PICKLES, SAFETENSORS


def inspect(path: Path) -> dict[str, Any]:
    """Name, size, hashes, and of a safetensors file what it is with the reasons, its tensors in sum, its metadata.

    Other formats are hashed and not opened. Raises :class:`NotFoundError`, :class:`UsageError` for a folder,
    :class:`DamagedFileError` for a file that contradicts its format, and :class:`HubError` for one that can't be read.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "give a file")
    try:
        found: dict[str, Any] = {"file": path.name, "format": _format(path)}
        header = read_header(path) if found["format"] == "safetensors" else None
        if header is not None:
            found |= _of_header(path, header)
        return found | msgspec.structs.asdict(hash_file(path)) | ({"metadata": _shown(header)} if header else {})
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}", "check the path") from None
    except OSError as error:
        raise HubError(f"{path} can't be read ({error.strerror})", "check its permissions") from error


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in SAFETENSORS:
        return "safetensors"
    return "pickle (never opened)" if suffix in PICKLES else suffix.lstrip(".") or "unknown"


def _of_header(path: Path, header: Header) -> dict[str, Any]:
    identity = identify(header, read_alpha(path, header))
    dtypes = Counter(tensor.dtype for tensor in header.tensors.values())
    return {
        "kind": identity.kind,
        "architecture": identity.architecture,
        "base_model": identity.base_model,
        "network_type": identity.network_type,
        "rank": identity.rank,
        "ranks": identity.ranks,
        "alpha": identity.alpha,
        "parts": identity.parts,
        "naming": identity.format,
        "modules": identity.modules,
        "tensors": len(header.tensors),
        "dtypes": dict(dtypes.most_common()),
        "title": identity.title,
        "trigger_candidates": identity.trigger_candidates,
        "reasons": identity.reasons,
        "guesses": identity.guesses,
    }


def _shown(header: Header) -> dict[str, str]:
    """The metadata, with pictures told by their size only."""
    return {
        key: f"a picture of {len(value):,} characters" if key in EMBEDDED_PICTURES and value else value
        for key, value in sorted(header.metadata.items())
    }
