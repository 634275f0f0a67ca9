"""What a person pastes to name something on Civitai: a page's URL, an AIR, a number, a hash, a creator or a collection."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from hubman.civitai import contract
from registry.errors import UsageError

_LARGEST_ID = 2**31 - 1
_HEX = r"[0-9a-fA-F]"
_HASH = re.compile(rf"{_HEX}{{8}}|{_HEX}{{10}}|{_HEX}{{12}}|{_HEX}{{64}}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_NAME = re.compile(r"[^\s/?#:]{1,100}")
_AIR = re.compile(
    r"(?:urn:)?(?:air:)?(?:(?P<ecosystem>[\w/-]+):)?(?:(?P<type>[\w/-]+):)?(?P<source>[\w/-]+):(?P<id>[\w./-]+?)"
    r"(?:@(?P<version>[\w./-]+?))?(?:\+(?P<file>\w+))?(?:\.(?P<format>\w+))?",
    re.ASCII,
)
_PREFIXED = re.compile(r"(?P<kind>[a-z0-9]+):(?P<value>.+)", re.ASCII | re.IGNORECASE)
_HASHES = frozenset(("hash", "autov1", "autov2", "autov3", "sha256", "blake3", "crc32"))
_PAGES = tuple(
    (kind, re.compile(pattern, re.ASCII))
    for kind, pattern in (
        ("hash", rf"/api/v1/model-versions/by-hash/(?P<value>{_HEX}+)/?"),
        ("model", r"/(?:api/v1/)?models/(?P<value>\d{1,10})(?:/.*)?"),
        ("version", r"/(?:api/v1/model-versions|model-versions|api/download/models)/(?P<value>\d{1,10})/?"),
        ("image", r"/images/(?P<value>\d{1,10})(?:/.*)?"),
        ("collection", r"/(?:api/v1/)?collections/(?P<value>\d{1,10})(?:/.*)?"),
        ("creator", r"/user/(?P<value>[^/]{1,300})(?:/(?:models)?)?"),
    )
)
_FORMS = (
    "a page's address (of a model, a version, a picture, a creator, a collection), an AIR (urn:air:…), a version's "
    "number, model:NUMBER, creator:NAME, collection:NUMBER, or a hash of 8, 10, 12 or 64 hex digits"
)
_FORMATS = {
    "safetensor": "SafeTensor", "safetensors": "SafeTensor", "ckpt": "PickleTensor", "pt": "PickleTensor",
    "pickletensor": "PickleTensor", "gguf": "GGUF", "diffusers": "Diffusers", "coreml": "Core ML", "onnx": "ONNX",
}  # fmt: skip


class Ref(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is named: a version, else a model's newest version, else whatever has this hash (lower case), and so on.

    ``file_id``, ``format``, ``size``, ``fp``, ``quant`` and ``type`` say which file of a version, where the reference
    says it.
    """

    version_id: int = 0
    model_id: int = 0
    hash: str = ""
    image_id: int = 0
    creator: str = ""
    collection_id: int = 0
    file_id: int = 0
    format: str = ""
    size: str = ""
    fp: str = ""
    quant: str = ""
    type: str = ""

    @property
    def is_many(self) -> bool:
        """Whether it may stand for more than a person has in mind: such a thing is planned before it is queued."""
        return bool(self.creator or self.collection_id)


def parse_ref(text: str, *, site: str = "https://civitai.com") -> Ref:
    """Understand ``text``; raises :class:`UsageError` when it is none of the known forms.

    Addresses count on civitai.com, civitai.red, their subdomains, this machine, and the host of ``site``.
    """
    text = text.strip()
    if "://" in text:
        return _from_url(text, text, site)
    if re.match(r"(?:[\w-]+\.)*civitai\.(?:com|red)/", text, re.ASCII):
        return _from_url(f"https://{text}", text, site)
    number = _id(text)
    if number:
        return Ref(version_id=number)
    if _HASH.fullmatch(text):
        return Ref(hash=text.lower())
    if (match := _PREFIXED.fullmatch(text)) and (found := _from_prefix(match["kind"].lower(), match["value"])):
        return found
    if match := _AIR.fullmatch(text):
        return _from_air(match, text)
    raise _not_understood(text)


def same_as(ref: Ref) -> str:
    """One text for all references to the same thing: a version is itself, whatever model it is said to be of."""
    if ref.version_id:
        ref = msgspec.structs.replace(ref, model_id=0)
    return msgspec.json.encode(ref).decode()


def _not_understood(text: str) -> UsageError:
    shown = text if len(text) <= 80 else text[:77] + "…"
    return UsageError(f"{shown!r} names nothing on Civitai", f"give {_FORMS}")


def _from_prefix(kind: str, value: str) -> Ref | None:
    """``model:7``, ``creator:NAME`` and their like; None where it is none of them."""
    if kind in _HASHES:
        return Ref(hash=value.lower()) if _HASH.fullmatch(value) else None
    if kind in {"creator", "user"}:
        name = value.removeprefix("@")
        return Ref(creator=name) if _NAME.fullmatch(name) and not name.startswith(".") else None
    return _numbered(kind, _id(value))


def _numbered(kind: str, number: int) -> Ref | None:
    makers = {
        "model": lambda: Ref(model_id=number), "version": lambda: Ref(version_id=number),
        "image": lambda: Ref(image_id=number), "collection": lambda: Ref(collection_id=number),
    }  # fmt: skip
    return makers[kind]() if number and kind in makers else None


def _from_url(address: str, text: str, site: str) -> Ref:
    try:
        url = urlsplit(address)
        host = url.hostname or ""
    except ValueError:
        raise _not_understood(text) from None
    known = {urlsplit(site).hostname, "localhost", "127.0.0.1", "::1"}
    if host not in known and not re.search(r"(^|\.)civitai\.(com|red)$", host):
        raise UsageError(f"{host or text!r} is not a Civitai address", f"give {_FORMS}")
    for kind, pattern in _PAGES:
        if match := pattern.fullmatch(url.path):
            value = unquote(match["value"])
            found = _from_prefix(kind, value)
            if found:
                return _with_query(found, url)
    raise _not_understood(text)


def _with_query(ref: Ref, url: SplitResult) -> Ref:
    """What the address says behind its question mark: the version of a model's page, the file of a download link."""
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    if ref.model_id:
        return msgspec.structs.replace(ref, version_id=_id(query.get("modelVersionId", "")))
    if ref.version_id:
        return msgspec.structs.replace(
            ref, file_id=_id(query.get("fileId", "")), format=query.get("format", ""), size=query.get("size", ""),
            fp=query.get("fp", ""), quant=query.get("quantType", ""), type=query.get("type", ""),
        )  # fmt: skip
    return ref


def _from_air(match: re.Match[str], text: str) -> Ref:
    if match["source"].lower() != "civitai":
        raise UsageError(f"{text!r} is an AIR of {match['source']}, not of Civitai", f"give {_FORMS}")
    model, version = _id(match["id"]), _id(match["version"] or "")
    if not model or (match["version"] and not version):
        raise _not_understood(text)
    form = match["format"] or ""
    return Ref(
        model_id=model, version_id=version, file_id=_id(match["file"] or ""), format=_FORMATS.get(form.lower(), form)
    )


def _id(text: str) -> int:
    number = int(text) if _NUMBER.fullmatch(text) else 0
    return number if number <= _LARGEST_ID else 0


def air(base_model: str, model_type: str, model_id: int, version_id: int) -> str:
    """The AIR of a version, such as ``urn:air:sdxl:lora:civitai:900001@910001``."""
    record = contract.base_models().get(base_model)
    kind = contract.air_types().get(model_type, "unknown")
    return f"urn:air:{record.air_ecosystem if record else 'other'}:{kind}:civitai:{model_id}@{version_id}"
