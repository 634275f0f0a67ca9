"""What a person pastes to name something on Civitai: a page's URL, an AIR, a version's id or a hash."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import msgspec

from hubman.civitai import contract
from registry.errors import UsageError

_LARGEST_ID = 2**31 - 1
_HASH = re.compile(r"[0-9a-fA-F]{8}|[0-9a-fA-F]{10}|[0-9a-fA-F]{12}|[0-9a-fA-F]{64}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_AIR = re.compile(
    r"(?:urn:)?(?:air:)?(?:(?P<ecosystem>[\w/-]+):)?(?:(?P<type>[\w/-]+):)?(?P<source>[\w/-]+):(?P<id>[\w./-]+?)"
    r"(?:@(?P<version>[\w./-]+?))?(?:\+(?P<file>\w+))?(?:\.(?P<format>\w+))?",
    re.ASCII,
)
_PAGE = re.compile(r"/(?:api/v1/)?models/(?P<model>\d{1,10})(?:/.*)?", re.ASCII)
_VERSION_PAGE = re.compile(
    r"/(?:api/v1/model-versions|model-versions|api/download/models)/(?P<version>\d{1,10})/?", re.ASCII
)
_FORMS = "a page's address, an AIR (urn:air:…), a version's number, or a hash of 8, 10, 12 or 64 hex digits"


class Ref(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look: a version, else a model's newest version, else whatever has this hash (lower case)."""

    version_id: int = 0
    model_id: int = 0
    hash: str = ""


def parse_ref(text: str, *, site: str = "https://civitai.com") -> Ref:
    """Understand ``text``; raises :class:`UsageError` when it is none of the known forms.

    Addresses count on civitai.com, civitai.red, their subdomains, this machine, and the host of ``site``.
    """
    text = text.strip()
    if "://" in text:
        return _from_url(text, site)
    number = int(text) if _NUMBER.fullmatch(text) else 0
    if 0 < number <= _LARGEST_ID:
        return Ref(version_id=number)
    if _HASH.fullmatch(text):
        return Ref(hash=text.lower())
    if match := _AIR.fullmatch(text):
        return _from_air(match, text)
    raise _not_understood(text)


def _not_understood(text: str) -> UsageError:
    shown = text if len(text) <= 80 else text[:77] + "…"
    return UsageError(f"{shown!r} names nothing on Civitai", f"give {_FORMS}")


def _from_url(text: str, site: str) -> Ref:
    try:
        url = urlsplit(text)
        host = url.hostname or ""
    except ValueError:
        raise _not_understood(text) from None
    known = {urlsplit(site).hostname, "localhost", "127.0.0.1", "::1"}
    if host not in known and not re.search(r"(^|\.)civitai\.(com|red)$", host):
        raise UsageError(f"{host or text!r} is not a Civitai address", f"give {_FORMS}")
    query = parse_qs(url.query).get("modelVersionId", [""])[0]
    version = _id(query)
    if match := _VERSION_PAGE.fullmatch(url.path):
        return Ref(version_id=_id(match["version"]))
    if match := _PAGE.fullmatch(url.path):
        return Ref(model_id=_id(match["model"]), version_id=version)
    raise _not_understood(text)


def _from_air(match: re.Match[str], text: str) -> Ref:
    if match["source"].lower() != "civitai":
        raise UsageError(f"{text!r} is an AIR of {match['source']}, not of Civitai", f"give {_FORMS}")
    model, version = _id(match["id"]), _id(match["version"] or "")
    if not model:
        raise _not_understood(text)
    return Ref(model_id=model, version_id=version)


def _id(text: str) -> int:
    number = int(text) if _NUMBER.fullmatch(text) else 0
    return number if number <= _LARGEST_ID else 0


def air(base_model: str, model_type: str, model_id: int, version_id: int) -> str:
    """The AIR of a version, such as ``urn:air:sdxl:lora:civitai:900001@910001``."""
    record = contract.base_models().get(base_model)
    kind = contract.air_types().get(model_type, "unknown")
    return f"urn:air:{record.air_ecosystem if record else 'other'}:{kind}:civitai:{model_id}@{version_id}"
