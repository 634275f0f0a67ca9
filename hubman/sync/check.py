"""Look a remote over without changing anything: is everything there that should be, whole, and nothing else?"""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import msgspec

from hubman.sync import layout, queue, remotes, snapshots
from hubman.sync.batches import PACKED_CAP, decode
from hubman.sync.codec import Codec, blob_objects
from hubman.sync.codecs import codec_of
from hubman.sync.folder import is_temporary
from hubman.sync.incoming import STAMP, is_sound
from hubman.sync.readonly import open_remote
from hubman.sync.remote import Remote, find
from hubman.sync.session import Session
from hubman.sync.storage import Storage
from registry import clock
from registry.database import Registry
from registry.errors import HubError
from registry.ids import HASHED

_CLOCK_MINUTES = 5


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it should be. ``missing`` data is nowhere on the remote; ``note`` needs nothing done."""

    level: Literal["note", "repairable", "missing"]
    about: str
    """The object or device."""
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.about}: {self.message}"


def check(registry: Registry, remote_name: str = "", *, storage: Storage | None = None) -> list[Finding]:
    """The quick look: heads, logs without gaps, names that fit their bytes, blobs of the right size, strange names.

    Raises :class:`HubError` when the remote can't be reached or is another one.
    """
    remote = find(registry, remote_name)
    place = open_remote(remote, storage)
    remotes.check_is_same(place, remote)
    survey = _Survey(place, codec_of(registry, remote))
    findings = survey.strange
    covered = snapshots.covered(Session(registry, remote, place, codec=survey.codec))
    for device in sorted(survey.heads | set(survey.logs)):
        findings += _log_findings(place, survey, device, covered.get(device, 0))
    findings += _blob_findings(registry, remote, survey)
    return sorted(findings, key=lambda one: (one.level, one.about))


class _Survey:
    """One listing of everything."""

    def __init__(self, storage: Storage, codec: Codec) -> None:
        self.codec = codec
        self.heads: set[str] = set()
        self.logs: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        self.blobs: dict[str, int] = {}
        """Bytes by object."""
        self.strange: list[Finding] = []
        for entry in storage.entries(""):
            self._sort(entry.key, entry.size)

    def _sort(self, key: str, size: int) -> None:
        name = key.rpartition("/")[2]
        device = layout.head_device(key)
        if not layout.is_known(key):
            if not name.startswith(".") or is_temporary(name):
                self.strange.append(Finding(level="note", about=key, message="is nothing of hubman's"))
        elif device:
            self.heads.add(device)
        elif key.startswith(layout.BLOBS):
            self.blobs[key] = size
        elif key.startswith("log/"):
            self.logs[key.split("/")[1]][layout.batch_seq(name) or 0].append(name)


def _log_findings(storage: Storage, survey: _Survey, device: str, covered: int) -> list[Finding]:
    log = survey.logs[device]
    try:
        head = _head(storage, survey.codec, device)
    except HubError as error:
        return [Finding(level="repairable", about=layout.head_key(device), message=error.message)]
    findings: list[Finding] = []

    def found(level: Literal["note", "repairable", "missing"], about: str, message: str) -> None:
        findings.append(Finding(level=level, about=about, message=message))

    if head is None:
        found("repairable", layout.head_key(device), "is missing; a deep sync reads the log all the same")
    for seq in sorted(set(range(covered + 1, max([head.seq if head else 0, *log]) + 1)) - set(log)):
        found("missing", f"log/{device}/{seq:010d}", "is missing")
    for name in head.tail if head else []:
        seq = layout.batch_seq(name) or 0
        if name not in log.get(seq, [name]) and seq > covered:
            found("repairable", f"log/{device}/{name}", "stands in the head and is not there")
    for seq, names in sorted(log.items()):
        if len(names) > 1:
            found("note", f"device {device}", f"was copied: {len(names)} batches have number {seq}")
        for name in names:
            if problem := _batch_problem(storage, survey.codec, device, name):
                found("repairable", f"log/{device}/{name}", problem)
    ahead = (clock.stamp_ms(head.hlc) - clock.wall_ms()) / 60_000 if head and _is_stamp(head.hlc) else 0
    if ahead > _CLOCK_MINUTES:
        found("note", f"device {device}", f"has a clock {ahead:.0f} minutes ahead of this one")
    return findings


def _head(storage: Storage, codec: Codec, device: str) -> layout.Head | None:
    key = layout.head_key(device)
    fetched = storage.get(key, codec.cap(layout.HEAD_CAP))
    return layout.decode_head(codec.open(fetched.data, layout.HEAD_CAP, key)) if fetched else None


def _batch_problem(storage: Storage, codec: Codec, device: str, name: str) -> str | None:
    try:
        fetched = storage.get(layout.log_prefix(device) + name, codec.cap(PACKED_CAP))
        if fetched is None:
            return "has gone meanwhile"
        if not layout.is_intact(name, fetched.data):
            return "is not whole"
        label = layout.batch_label(device, layout.batch_seq(name) or 0)
        packed = codec.open(fetched.data, PACKED_CAP, label)
        strange = sum(not is_sound(change) for change in decode(packed))
    except HubError as error:
        return error.message
    return f"holds {strange} changes that make no sense" if strange else None


def _is_stamp(text: str) -> bool:
    return STAMP.fullmatch(text) is not None


def _blob_findings(registry: Registry, remote: Remote, survey: _Survey) -> list[Finding]:
    """Blobs that somebody said to hold and that are not there whole; and those that nobody speaks of."""
    findings: list[Finding] = []
    named: set[str] = set()
    for row in registry.db.execute(f"SELECT sha256, size, name FROM files WHERE {HASHED}"):  # noqa: S608 - a name of ours
        objects = blob_objects(survey.codec, row["sha256"], row["size"], remote.part)
        named |= {one.key for one in objects}
        there = [survey.blobs.get(one.key) == one.stored for one in objects]
        if not any(there) and not any(one.key in survey.blobs for one in objects):
            if _was_sent(registry, remote, row["sha256"]):
                findings.append(Finding(level="missing", about=row["name"], message="is not on the remote any more"))
        elif not all(there):
            findings.append(Finding(level="repairable", about=row["name"], message="is not whole on the remote"))
    for wanted in queue.known_blobs(registry.db):
        if wanted.kind == "picture":
            (picture,) = blob_objects(survey.codec, wanted.sha256, 0, remote.part)
            named.add(picture.key)
            if picture.key not in survey.blobs and _was_sent(registry, remote, wanted.sha256):
                findings.append(Finding(level="missing", about=picture.key, message="is not on the remote any more"))
    findings += [
        Finding(level="note", about=key, message="is a blob that nothing here speaks of")
        for key in sorted(set(survey.blobs) - named)
    ]
    return findings


def _was_sent(registry: Registry, remote: Remote, sha256: str) -> bool:
    row = registry.db.execute("SELECT 1 FROM remote_blobs WHERE remote = ? AND sha256 = ?", (remote.repo, sha256))
    return row.fetchone() is not None
