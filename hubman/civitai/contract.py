"""The wire contract as data: the JSON Schema of every call, and Civitai's enums and base models.

``contract.json`` is a snapshot of the site's own schemas. The client takes its bundled lists from it, the sandbox
refuses with it what the site would refuse.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

import msgspec


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One call. ``guard`` is ``public``, ``protected``, ``verified`` or ``guarded``, with ``+owner`` and the like."""

    kind: str
    method: str
    path: str
    scope: str | None = None
    guard: str = "public"
    input_schema: dict[str, Any] = {}


class BaseModel(msgspec.Struct, frozen=True, kw_only=True):
    """A base model that Civitai knows by exactly this ``name``."""

    name: str
    id: int
    media: str | tuple[str, ...]
    ecosystem: str
    air_ecosystem: str
    family: str | None = None
    license: str | None = None
    active: bool = True
    deprecated: bool = False


class _Contract(msgspec.Struct, frozen=True):
    endpoints: dict[str, Endpoint]
    enums: dict[str, Any]


@functools.cache
def _contract() -> _Contract:
    text = importlib.resources.files("hubman.civitai").joinpath("contract.json").read_bytes()
    return msgspec.json.decode(text, type=_Contract)


def endpoint(name: str) -> Endpoint | None:
    """The call named ``name``, such as ``model.upsert`` or ``upload.complete``."""
    return _contract().endpoints.get(name)


def enum_values(name: str) -> tuple[str, ...]:
    """The values of a list-shaped enum, such as ``ModelType``; raises ``KeyError`` for an unknown name."""
    return tuple(_contract().enums[name])


def enum_map(name: str) -> dict[str, Any]:
    """A mapping-shaped enum, such as ``TokenScope`` (name to bit)."""
    return dict(_contract().enums[name])


@functools.cache
def base_models() -> dict[str, BaseModel]:
    """Every base model by name; names are sensitive to case and spaces."""
    records = msgspec.convert(_contract().enums["BaseModelRecords"], list[BaseModel])
    return {record.name: record for record in records}


@functools.cache
def scope_bits() -> dict[str, int]:
    return {str(name): int(bit) for name, bit in enum_map("TokenScope").items()}


def publish_scope() -> int:
    """The bits that a key needs to publish: read and write for models and for media (108)."""
    bits = scope_bits()
    return bits["ModelsRead"] | bits["ModelsWrite"] | bits["MediaRead"] | bits["MediaWrite"]


@functools.cache
def air_types() -> dict[str, str]:
    """The type segment of an AIR by model type, such as ``LoCon`` to ``lycoris``."""
    return {str(kind): str(segment) for kind, segment in enum_map("AirTypeByModelType").items()}
