"""What the header of a model file tells of its owner: folders, names, secrets and prompts; and a copy that doesn't.

The weights stay byte for byte, so AutoV3 stays too (it counts what follows the header). Paths keep their last part;
an entry that tells more than a path goes as a whole.
"""

from __future__ import annotations

import getpass
import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from hubman.generate.files import replace_file
from registry import raw_metadata
from registry.errors import DamagedFileError
from registry.hashing import MAX_HEADER, FileHashes, hash_file
from registry.headers import read_header

Kind = Literal["secret", "path", "user", "e-mail", "prompt", "picture", "captions"]
KINDS: dict[Kind, str] = {
    "secret": "a key or password",
    "path": "a folder of a machine",
    "user": "the name of a user",
    "e-mail": "an e-mail address",
    "prompt": "a prompt",
    "picture": "a picture inside the header",
    "captions": "the tags of the training captions",
}
STRIPPED: frozenset[Kind] = frozenset({"secret", "path", "user", "e-mail", "prompt"})
"""What a stripped copy tells no more. Pictures and tags of captions are meant to be read."""

_SHOWN = 60
_PATH = re.compile(
    r"(?<![\w:/.\\])(?:(?i:file):/{1,2}[^\s\"'<>|]{1,1000}"
    r"|(?:~|(?:\./)?\.\.)?/(?:[\w .@+-]+/)+[\w .@+%()\[\]-]*|[A-Za-z]:[\\/](?:[^\\/:*?\"<>|\n]+[\\/])*[^\\/:*?\"<>|\n]*"
    r"|\\\\[\w.-]+\\[^:*?\"<>|\n]+|\.\.\\(?:[^\\/:*?\"<>|\n]+\\)+[^\\/:*?\"<>|\n]*)"
)
_USER = re.compile(r"(?:[\\/](?:home|Users|Documents and Settings)[\\/])([^\\/\s\"']{1,64})", re.IGNORECASE)
_SECRET = re.compile(
    r"hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|civitai_[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY|xox[abpr]-[\w-]{10,}|https?://[^\s/:@]+:[^\s/@]+@"
    r"|(?i:bearer\s+[a-z0-9._-]{16,})"
)
_SECRET_NAME = re.compile(r"(?i)(^|[._-])(api_?keys?|access_?keys?|token|secret\w*|passw\w*|credentials?)$")
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_PROMPT_NAME = re.compile(r"(?i)(^|[._])(prompt|prompts|sample_prompts?|workflow|negative_prompt|parameters)$")
_CAPTIONS = frozenset({"ss_tag_frequency", "tag_frequency"})
_OWN_USER = 3
"""A user's name that is shorter is found in too many words."""


class Revealed(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the entry ``name`` tells; ``shown`` is a short part of it, and nothing of a secret but its start."""

    name: str
    kind: Kind
    shown: str


def of(metadata: Mapping[str, str], *, public: Collection[str] = ()) -> tuple[Revealed, ...]:
    """What a header tells, by entry. A prompt among the ``public`` ones tells nothing that the page doesn't."""
    return tuple(found for name, value in sorted(metadata.items()) for found in _entry(name, value, public))


def _entry(name: str, value: str, public: Collection[str]) -> Iterator[Revealed]:
    """What one entry tells. Of one with a secret nothing else is shown: a prompt or a folder may hold the secret too."""
    found = list(_told(name, value, public))
    has_secret = any(one.kind == "secret" for one in found)
    for one in found:
        is_hidden = has_secret and one.kind != "secret"
        yield msgspec.structs.replace(one, shown=f"{len(one.shown)} characters") if is_hidden else one


def _told(name: str, value: str, public: Collection[str]) -> Iterator[Revealed]:
    if raw_metadata.told(name, value) != value:
        yield Revealed(name=name, kind="picture", shown=raw_metadata.told(name, value))
        return
    if secret := _SECRET.search(value):
        yield Revealed(name=name, kind="secret", shown=f"{secret[0][:6]}…")
    elif hidden := next(_named_secrets(name, value), ""):
        yield Revealed(name=name, kind="secret", shown=f"{len(hidden)} characters")
    if mail := _MAIL.search(value):
        yield Revealed(name=name, kind="e-mail", shown=mail[0][:_SHOWN])
    for path in dict.fromkeys(_paths(value)):
        yield Revealed(name=name, kind="path", shown=_short(path))
    if user := _user(value):
        yield Revealed(name=name, kind="user", shown=user)
    if _PROMPT_NAME.search(name) and value.strip() not in {"", "None", "null", "[]", "{}"}:
        if value.strip() not in public:
            yield Revealed(name=name, kind="prompt", shown=_short(value))
    elif name in _CAPTIONS or '"tag_frequency"' in value:
        yield Revealed(name=name, kind="captions", shown=_short(value))


def _named_secrets(name: str, value: str) -> Iterator[str]:
    """What stands under a name that only secrets have, here or anywhere inside a value that is JSON."""
    waiting: list[tuple[str, Any]] = [(name, value)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, str):
            document = _document(one)
            if document is not None:
                waiting.append((name, document))
            elif _SECRET_NAME.search(name) and one.strip() not in {"", "None", "null"}:
                yield one
        elif isinstance(one, dict):
            waiting += one.items()
        elif isinstance(one, list):
            waiting += [(name, inner) for inner in one]


def _paths(value: str) -> Iterator[str]:
    for text in _texts(value):
        for match in _PATH.finditer(text):
            yield match[0].strip()


def _texts(value: str) -> Iterator[str]:
    """The texts inside a value that may be JSON, also as a text in JSON: backslashes of Windows are doubled there."""
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            document = _document(one)
            if document is None:
                yield one
            else:
                waiting.append(document)


def _document(value: str) -> Any:
    if not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _user(value: str) -> str:
    """A user that a home folder is named after, or this machine's, as a word of its own."""
    for text in _texts(value):
        if match := _USER.search(text):
            return match[1]
    name = own_user()
    if len(name) > _OWN_USER and re.search(rf"(?i)(?<!\w){re.escape(name)}(?!\w)", value):
        return name
    return ""


def own_user() -> str:
    """The name of this machine's user; empty where it is nobody's."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return ""
    return (
        ""
        if name.lower() in {"root", "user", "admin", "ubuntu", "runner", "nobody", "default", "style", "model"}
        else name
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


# a copy that tells less ------------------------------------------------------------------------------------------------


def stripped(metadata: Mapping[str, str], *, autov3: str, public: Collection[str] = ()) -> dict[str, str]:
    """The metadata without what :data:`STRIPPED` names, and without hashes that are wrong or would become so."""
    kept: dict[str, str] = {}
    for name, value in metadata.items():
        for less in (value, _without_folders(value)):
            if not {found.kind for found in _entry(name, less, public)} & STRIPPED:
                kept[name] = less
                break
    kept.pop("sshs_legacy_hash", None)
    if kept.get("sshs_model_hash", autov3) != autov3:
        del kept["sshs_model_hash"]
    return kept


def _without_folders(value: str) -> str:
    document = _document(value)
    if document is None:
        return _PATH.sub(lambda match: _last(match[0]), value)
    return json.dumps(_mapped(document), ensure_ascii=False)


def _mapped(value: Any) -> Any:
    if isinstance(value, dict):
        return {_mapped(name): _mapped(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner) for inner in value]
    return _without_folders(value) if isinstance(value, str) else value


def _last(path: str) -> str:
    return re.split(r"[\\/]", path.strip().rstrip("\\/"))[-1]


def kept_copy(source: Path, target: Path, metadata: Mapping[str, str]) -> FileHashes | None:
    """The hashes of ``target`` where it is such a copy already, so that an upload that was cut off finds it untouched."""
    try:
        copy, original = read_header(target), read_header(source)
    except (OSError, DamagedFileError):
        return None
    if copy.metadata != metadata or copy.tensors != original.tensors:
        return None
    hashes = hash_file(target)
    return hashes if hashes.autov3 == hash_file(source).autov3 else None


def write_copy(source: Path, target: Path, metadata: Mapping[str, str]) -> FileHashes:
    """Write ``source`` to ``target`` with other metadata; returns the copy's hashes. The weights are the same bytes.

    Raises :class:`DamagedFileError` if ``source`` is no sound safetensors file, or if the copy came out otherwise.
    """
    header = read_header(source)
    with source.open("rb") as file:
        file.seek(8)
        document = json.loads(file.read(header.size))
        entries = {
            "__metadata__": dict(metadata),
            **{name: one for name, one in document.items() if name != "__metadata__"},
        }
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
        # Tensors begin at a multiple of 8 bytes, as the reference writes them.
        text += b" " * (-len(text) % 8)
        if len(text) > MAX_HEADER:
            raise DamagedFileError(f"{source.name} has a header that is too long", "export it again")

        def write(copy: Any) -> None:
            copy.write(len(text).to_bytes(8, "little") + text)
            file.seek(8 + header.size)
            shutil.copyfileobj(file, copy, 1 << 20)

        replace_file(target, write)
    hashes = hash_file(target)
    if read_header(target).tensors != header.tensors or hashes.autov3 != hash_file(source).autov3:
        raise DamagedFileError(f"{source.name} changed while it was copied", "try again")
    return hashes
