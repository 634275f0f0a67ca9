"""What lies on a remote and how it is called.

Every object but ``hub.json`` and ``heads/*`` holds the hash of its bytes in its name and never changes; a head is
written by its own device only. So no copying program can make a conflict, and anything of another name is junk.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from registry.errors import HubError

FORMAT = 1
MIN_READER = MIN_WRITER = 1
"""The formats that a hubman must know to read, and to write, a remote of format :data:`FORMAT`."""
NEWEST = 2
"""The newest format that this hubman reads and writes: that of a remote which is signed or encrypted."""
ENCODINGS = ("none", "hmac", "age")
HUB = "hub.json"
HEADS = "heads/"
BLOBS = "blob/"
FOLDERS = frozenset({"blob", "gc", "heads", "keys", "log", "probe", "snap"})
SNAPSHOTS = "snap/"
MARKS = "gc/"
KEYS = "keys/"
DEFAULT_PART = 256 << 20
"""Bytes in one part of a file on the remote; a smaller file is one object."""

HUB_CAP = HEAD_CAP = 64 << 10
KEY_CAP = 4 << 10
MAX_BLOB = 64 << 30
PICTURE_CAP = 32 << 20
MAX_DEVICES = 256
MAX_SEQ = 9_999_999_999
MAX_PARTS = 100_000
TAIL = 64
"""Batch names in a head: a device that was away for fewer batches needs no listing."""

_DEVICE = r"[0-9a-f]{16}"
_HEAD_KEY = re.compile(rf"heads/({_DEVICE})")
_BATCH_NAME = re.compile(r"([0-9]{10})-([0-9a-f]{32})")
_KEY = re.compile(
    rf"""hub\.json | heads/{_DEVICE} | log/{_DEVICE}/[0-9]{{10}}-[0-9a-f]{{32}}
    | blob/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}(\.p/[0-9]{{5}})?
    | keys/{_DEVICE}-[0-9a-f]{{32}}
    | snap/[0-9a-f]{{16}}-{_DEVICE}-[0-9a-f]{{32}} | gc/[0-9a-f]{{16}}-{_DEVICE}-[0-9a-f]{{32}} | probe/[0-9a-z]+""",
    re.VERBOSE,
)


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """``hub.json``: what the remote is. Written once."""

    format: int
    repo: str
    part: int = DEFAULT_PART
    enc: str = "none"
    """One of :data:`ENCODINGS`."""
    check: str = ""
    """Of a remote with a key: 16 hex digits by which it is known, and that tell nothing of it."""
    min_reader: int = 1
    min_writer: int = 1

    @property
    def is_writable(self) -> bool:
        """Whether this version may write there; one that may not can still read."""
        return self.min_writer <= NEWEST


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """``heads/<device>``: how far a device's log goes, and how far it has read those of the others."""

    v: int
    seq: int
    tail: list[str]
    """The names of the newest batches, oldest first; the last one has number ``seq``."""
    hlc: str
    acks: dict[str, int] = {}


class UnreadableError(HubError):
    """An object that is not what its name says, or from a newer hubman."""


def is_known(key: str) -> bool:
    """Whether a key is one that hubman writes."""
    return _KEY.fullmatch(key) is not None


def head_key(device: str) -> str:
    return HEADS + device


def is_device(text: str) -> bool:
    return re.fullmatch(_DEVICE, text) is not None


def head_device(key: str) -> str | None:
    """The device whose head this is, or None for junk."""
    found = _HEAD_KEY.fullmatch(key)
    return found[1] if found else None


def log_prefix(device: str) -> str:
    return f"log/{device}/"


def batch_name(seq: int, body: bytes) -> str:
    return f"{seq:010d}-{hash32(body)}"


def batch_label(device: str, seq: int) -> str:
    """What a batch is sealed for (:class:`hubman.sync.secrecy.codec.Codec`): its name without the hash."""
    return f"{log_prefix(device)}{seq:010d}"


def batch_seq(name: str) -> int | None:
    """The number in a batch's name, or None for junk."""
    found = _BATCH_NAME.fullmatch(name)
    return int(found[1]) if found else None


def stamp_of(name: str) -> str:
    """The clock's stamp in the name of a snapshot or a mark, which ends in its hash."""
    return name[:33]


def stamped_label(prefix: str, stamp: str) -> str:
    """What a snapshot or mark is sealed for: its key without the hash."""
    return prefix + stamp


def is_intact(name: str, body: bytes) -> bool:
    """Whether ``body`` is the batch that ``name`` names, whole."""
    return name.endswith("-" + hash32(body))


def is_content(sha256: str, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == sha256


def hash32(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def blob_keys(sha256: str, size: int, part: int) -> list[tuple[str, int, int]]:
    """(key, start, length) of the objects that a file of ``size`` bytes is stored as."""
    key = f"{BLOBS}{sha256[:2]}/{sha256}"
    if size <= part:
        return [(key, 0, size)]
    starts = range(0, size, part)
    if len(starts) > MAX_PARTS:
        raise UnreadableError(f"a file of {size} bytes has more parts than can be named", "it stays where it is")
    return [(f"{key}.p/{number:05d}", start, min(part, size - start)) for number, start in enumerate(starts)]


def encode(record: Hub | Head) -> bytes:
    return msgspec.json.encode(record, order="sorted")


def decode_hub(data: bytes) -> Hub:
    """Raises :class:`UnreadableError` for what is no ``hub.json`` or needs a newer hubman."""
    try:
        hub = msgspec.json.decode(data, type=Hub)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError("hub.json of the remote is damaged", "restore it from a copy of the remote") from error
    if max(hub.format, hub.min_reader) > NEWEST or hub.enc not in ENCODINGS:
        raise UnreadableError("the remote was made by a newer hubman", "update hubman on this machine")
    if not 64 << 20 <= hub.part <= 512 << 20:
        raise UnreadableError("hub.json of the remote names an impossible part size", "restore it from a copy")
    return hub


def decode_head(data: bytes) -> Head:
    """Raises :class:`UnreadableError`."""
    try:
        head = msgspec.json.decode(data, type=Head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError("its head is damaged", "sync on that machine writes it anew") from error
    if head.v > FORMAT:
        raise UnreadableError("its head was written by a newer hubman", "update hubman on this machine")
    numbers = [batch_seq(name) for name in head.tail]
    if (
        not 0 <= head.seq <= MAX_SEQ
        or len(head.acks) > MAX_DEVICES
        or any(not 0 <= seq <= MAX_SEQ or not is_device(name) for name, seq in head.acks.items())
    ):
        raise UnreadableError("its head claims numbers that make no sense", "sync on that machine writes it anew")
    if numbers != list(range(head.seq - len(numbers) + 1, head.seq + 1)) or len(numbers) > min(TAIL, head.seq):
        raise UnreadableError("its head names batches that make no sense", "sync on that machine writes it anew")
    return head
