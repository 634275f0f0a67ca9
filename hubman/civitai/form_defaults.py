"""What a person publishes with unless they say otherwise: ``publish.toml`` beside ``config.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai.form import Permissions
from registry.errors import UsageError
from registry.records import ModelDetail

FILE = "publish.toml"
NAMES = Permissions.__struct_fields__
_ON_SITE = {
    "allow_no_credit": "allowNoCredit", "allow_derivatives": "allowDerivatives",
    "allow_different_license": "allowDifferentLicense", "commercial_use": "allowCommercialUse",
}  # fmt: skip


class _Permissions(Permissions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person writes it too: a word that is misspelt must not pass for the default."""


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    permissions: _Permissions | None = None


def permissions(home: Path, model: ModelDetail) -> tuple[Permissions, str]:
    """(permissions, source): what the page has already, else the saved ones, else those of Civitai's own form.

    Raises :class:`UsageError` for a ``publish.toml`` that can't be read.
    """
    if known := _known(model):
        return known, "civitai"
    saved = read(home)
    return (saved, "saved") if saved is not None else (Permissions(), "default")


def read(home: Path) -> Permissions | None:
    """The saved permissions, or None. Raises :class:`UsageError`."""
    path = home / FILE
    try:
        saved = msgspec.toml.decode(path.read_bytes(), type=_Saved).permissions
        return None if saved is None else Permissions(**msgspec.structs.asdict(saved))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise UsageError(f"{path.name} can't be read ({error})", f"mend it, or remove {path}") from error


def save(home: Path, chosen: Permissions) -> Path:
    """Make ``chosen`` the default from now on; returns the file."""
    lines = ["[permissions]"]
    for name in NAMES:
        value = getattr(chosen, name)
        told = msgspec.json.encode(value).decode()  # JSON's booleans and lists of texts are TOML's
        lines.append(f"{name} = {told}")
    path = home / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _known(model: ModelDetail) -> Permissions | None:
    """What Civitai told of the model, where it told all: half of a licence is none."""
    told: dict[str, Any] = {
        ours: model.permissions[theirs] for ours, theirs in _ON_SITE.items() if theirs in model.permissions
    }
    if set(told) != set(_ON_SITE):
        return None
    uses = told["commercial_use"]
    told["commercial_use"] = [uses] if isinstance(uses, str) else uses
    try:
        return msgspec.convert(told, Permissions)
    except msgspec.ValidationError:
        return None
