"""What a person publishes with unless they say otherwise: ``publish.toml`` beside ``config.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai import contract
from hubman.civitai.form import Permissions
from registry import written
from registry.database import Registry
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


FOR_NOTHING = re.compile(r"(?i)non.?commercial|\bNC\b|research")
"""Licences of base models that forbid to earn with what is made from them, by their names."""


def permissions(home: Path, model: ModelDetail, bases: Iterable[str]) -> tuple[Permissions, str]:
    """(permissions, source): what the page has already, else the saved ones, else those of Civitai's own form.

    A model that was made of others here has these within what its parents allow; Civitai's own are within what the
    licence of the base models allows. Raises :class:`UsageError` for a ``publish.toml`` that can't be read.
    """
    if model.permissions and model.sources.get("permissions") == "training":
        return _within(_chosen(home, bases)[0], model.permissions), "parents"
    if known := _known(model):
        return known, "civitai"
    return _chosen(home, bases)


def _chosen(home: Path, bases: Iterable[str]) -> tuple[Permissions, str]:
    saved = read(home)
    if saved is not None:
        return saved, "saved"
    if any(is_for_nothing(base) for base in bases):
        return Permissions(commercial_use=("Image",)), "base model"
    return Permissions(), "default"


def _within(chosen: Permissions, allowed: Mapping[str, Any]) -> Permissions:
    """``chosen`` without what ``allowed``, in Civitai's fields, does not; what it does not tell forbids nothing."""
    told: dict[str, Any] = {
        ours: bool(getattr(chosen, ours)) and allowed.get(theirs) is not False
        for ours, theirs in _ON_SITE.items()
        if ours != "commercial_use"
    }
    uses = allowed.get("allowCommercialUse")
    if isinstance(uses, list):
        told["commercial_use"] = tuple(use for use in chosen.commercial_use if use in uses)
    return msgspec.structs.replace(chosen, **told)


def is_for_nothing(base: str) -> bool:
    """Whether the licence of a base model forbids to earn with the model itself; its pictures are another matter."""
    record = contract.base_models().get(base)
    return record is not None and bool(record.license and FOR_NOTHING.search(record.license))


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


def save(registry: Registry, chosen: Permissions) -> Path:
    """Make ``chosen`` the default from now on, which ``hubman undo`` takes back; returns the file."""
    # JSON's booleans and lists of texts are TOML's.
    lines = [f"{name} = {msgspec.json.encode(getattr(chosen, name)).decode()}" for name in NAMES]
    path = registry.home / FILE
    text = "\n".join(["[permissions]", *lines, ""])
    if written.content_of(str(path)) != text.encode():
        written.carry_out(registry, "permissions", "permissions to publish with", (), [(str(path), text.encode())])
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
