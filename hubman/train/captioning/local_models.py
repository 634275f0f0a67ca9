"""A model that is on this machine already: by path, or by its name on the Hugging Face Hub from the local cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from registry.errors import MissingExtraError, NotFoundError


def find(ref: str, needs: Sequence[str], what: str, fetch: str = "--exclude '*.bin' '*.h5' '*.msgpack'") -> Path:
    """The folder that ``ref`` names: a path, or ``owner/name`` in the local cache of Hugging Face. Never downloads.

    ``needs`` are the files that must be in it, alternatives separated by ``|``; ``what`` says what the model is, ``fetch``
    which of its files are worth a download.
    Raises NotFoundError that names the file and where to put it.
    """
    path = Path(ref).expanduser()
    if path.is_file():
        path = path.parent
    folder = path if path.is_dir() else _cached(ref, needs)
    if folder is None:
        raise NotFoundError(
            f"{what} {ref} is not on this machine",
            f"give the path of its folder, or fetch it once with: hf download {ref} {fetch}"
            if _is_name(ref)
            else "give the path of its folder",
        )
    for need in needs:
        names = need.split("|")
        if not any((folder / name).is_file() for name in names):
            raise NotFoundError(f"{folder} has no {' or '.join(names)}", f"put it there: it belongs to {what}")
    return folder.absolute()


def _cached(ref: str, needs: Sequence[str]) -> Path | None:
    """The snapshot in the local cache that has the first of ``needs``."""
    if not _is_name(ref):
        return None
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError as error:
        raise MissingExtraError(
            "the cache of Hugging Face needs huggingface_hub", "pip install 'hubman[ml]', or give a path"
        ) from error
    for name in needs[0].split("|"):
        found = try_to_load_from_cache(ref, name)
        if isinstance(found, str):
            return Path(found).parents[len(Path(name).parts) - 1]
    return None


def _is_name(ref: str) -> bool:
    owner, slash, name = ref.partition("/")
    return bool(slash and owner and name) and "/" not in name and owner not in {".", "..", "~"}
