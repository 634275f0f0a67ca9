"""Names that the Hub takes: of repositories, and of files in them."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

from registry.errors import UsageError

_LONGEST = 96
_REPO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")


def repository(name: str, fallback: str) -> str:
    """A repository's name made from a model's: accents go, what the Hub doesn't take becomes a dash.

    Of a name without any Latin letter or digit nothing is left; ``fallback`` stands for it.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9._]+", "-", plain)
    return _tidy(words)[:_LONGEST].strip("-.") or fallback


def _tidy(text: str) -> str:
    text = re.sub(r"-{2,}", "-", re.sub(r"\.{2,}", ".", text)).strip("-.")
    return text.removesuffix(".git").removesuffix(".ipynb")


def chosen(repo: str) -> tuple[str, str]:
    """``OWNER/NAME`` or ``NAME``, as a person types it, as (owner or empty, name). Raises :class:`UsageError`."""
    owner, slash, name = repo.strip().rpartition("/")
    parts = [owner, name] if slash else [name]
    if not all(_REPO.fullmatch(part) and part == _tidy(part) for part in parts):
        raise UsageError(
            f"the Hub takes no repository called {repo.strip()!r}",
            "use letters, digits, dots and dashes: NAME or OWNER/NAME",
        )
    return owner, name


def file(name: str) -> str:
    """A file's name without folders, control characters or a dot in front."""
    last = PurePath(name.replace("\\", "/")).name
    clean = "".join(char for char in last if char.isprintable() and char not in '<>:"|?*').lstrip(". ")
    return clean or "lora.safetensors"
