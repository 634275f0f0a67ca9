"""Changes in a person's words: ``rating of Ink 3 → 4``, ``tag ink added to 12 models``.

Equal edits of many models stand on one line; what programs found out by themselves is only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import msgspec

from hubman.sync.care import asks, devices
from hubman.sync.policies.policy import PINS
from hubman.sync.records import incoming
from registry import collection_tree, fields, ids, races, rivals, settled, whereabouts
from registry.changes import Change
from registry.database import Registry

Before = Callable[[str, str, str], object]
"""(item, field, stamp of the edit) to the value that the edit takes the place of; None where there is none."""

MOST = 500
"""Lines that are told; how many more there are is the last one."""

_SOURCES = {
    "sweep": "strengths that sweeps found",
    "training": "what trainings say",
    "civitai": "what Civitai says",
    "sidecar": "what sidecar files say",
    "header": "what file headers say",
    "file": "what files say",
    "guess": "what was guessed",
}
_SETS = {"tags": "tag", "trigger_words": "trigger word", "trigger_groups": "group of trigger words"}
_ABOUT = {
    "deleted_at": ("{0} into the trash", "{0} out of the trash"),
    "favourite": ("{0} {1} favourite", "{0} {1} no longer favourite"),
    "cover": ("first picture of {0}", "first picture of {0}"),
    whereabouts.RETIRED: ("{0} forgotten", "{0} in use again"),
}
"""What an edit is called, with a value and without."""
_ITEMS = {
    ids.VIEW: "view @{}",
    ids.FOLLOW: "whether {} is followed",
    ids.IGNORE: "ignored updates of Civitai's {}",
}
_RECORDS = {"run": "training", "preview": "picture"}
_CUT = 60


def in_words(registry: Registry, made: Iterable[Change], before: Before) -> list[str]:
    """What ``made`` says, a person's edits first. Of changes that make no sense only the number is told."""
    gathered = _Gathered()
    for change in made:
        gathered.take(change)
    lines = _Lines(registry, gathered, before)
    found = list(islice(lines.all(), MOST + 1))
    if len(found) <= MOST:
        return found
    return [*found[:MOST], "and more of the same kinds"]


class _Gathered:
    """The changes by what they have in common."""

    def __init__(self) -> None:
        self.facts: dict[tuple[str, str], tuple[object, str]] = {}
        """(item, field) that a person set, to the newest value and the oldest stamp."""
        self.added: dict[tuple[str, str], dict[str, None]] = {}
        """(set, value) to items; an ordered set of them."""
        self.removed: dict[tuple[str, str], dict[str, None]] = {}
        self.texts: dict[tuple[str, str], str] = {}
        self.files: dict[str, tuple[str, str]] = {}
        """SHA-256 to (name of the file, version)."""
        self.found: dict[str, dict[str, None]] = {}
        """Source that is no person, to items."""
        self.counted: dict[str, None] = {}
        self.holders: Counter[tuple[str, bool]] = Counter()
        """(device, whether it has them) to files."""
        self.devices: dict[str, str] = {}
        self.pictures: Counter[str] = Counter()
        """Version to pictures."""
        self.records: Counter[str] = Counter()
        self.strange = 0
        self.names: dict[str, str] = {}
        """What the changes themselves call an item."""

    def take(self, change: Change) -> None:
        handler: Callable[..., None] | None = getattr(self, f"_take_{change[0]}", None)
        if handler is None or not incoming.is_sound(change):
            self.strange += 1
        else:
            handler(*change[1:])

    def _take_set(self, item: str, field: str, value: object, stamp: str) -> None:
        source, _, name = field.partition(".")
        if name == "name" and isinstance(value, str):
            self.names[item] = value
        if name == races.SEEN:
            return
        if source == "user":
            oldest = self.facts.get((item, name), (None, stamp))[1]
            self.facts[item, name] = (value, oldest)
        else:
            self.found.setdefault(source, {})[item] = None

    def _take_add(self, item: str, name: str, value: str, dot: str) -> None:
        del dot
        self.removed.get((name, value), {}).pop(item, None)
        self.added.setdefault((name, value), {})[item] = None

    def _take_rem(self, item: str, name: str, value: str, dots: list[str]) -> None:
        del dots
        # Under a field's own name stands which earlier words an edit replaces: that edit is told already.
        if item and not name.startswith(rivals.USER):
            self.added.get((name, value), {}).pop(item, None)
            self.removed.setdefault((name, value), {})[item] = None

    def _take_txt(self, item: str, field: str, value: str, dot: str, replaced: list[str]) -> None:
        self.texts[item, field] = "" if dot in replaced else value

    def _take_cnt(self, item: str, name: str, device: str, total: int) -> None:
        del name, device, total
        self.counted[item] = None

    def _take_file(self, sha256: str, facts: dict[str, Any]) -> None:
        self.files[sha256] = (facts["name"], facts["version_id"])
        self.names.setdefault(facts["version_id"], facts["name"].rpartition(".")[0] or facts["name"])

    def _take_have(self, device: str, sha256: str, state: str, stamp: str) -> None:
        del sha256, stamp
        self.holders[device, state == "present"] += 1

    def _take_dev(self, device: str, facts: dict[str, Any], stamp: str) -> None:
        del stamp
        self.devices[device] = str(facts.get("name") or "")

    def _take_rec(self, kind: str, record_id: str, body: dict[str, Any]) -> None:
        del body
        if kind == "preview":
            self.pictures[record_id.partition("/")[0]] += 1
        else:
            self.records[kind] += 1


class _Lines:
    def __init__(self, registry: Registry, gathered: _Gathered, before: Before) -> None:
        self._db = registry.db
        self._found = gathered
        self._before = before

    def all(self) -> Iterable[str]:
        yield from self._facts()
        for verb, sets in (("added to", self._found.added), ("taken from", self._found.removed)):
            for (name, value), items in sets.items():
                if items and name != "previews":
                    yield self._member(name, value, verb, items)
        for (item, field), text in self._found.texts.items():
            length = f"({_count(len(text), 'character')})" if text else "emptied"
            yield f"{field} of {self._name(item)} {length}"
        yield from self._files()
        yield from self._counts()

    def _facts(self) -> Iterable[str]:
        alike: dict[tuple[str, str], list[tuple[str, str, object]]] = {}
        for (item, field), (value, stamp) in self._found.facts.items():
            encoded = msgspec.json.encode(value, order="sorted").decode()
            alike.setdefault((field, encoded), []).append((item, stamp, value))
        for (field, _), edits in alike.items():
            item, stamp, value = edits[0]
            noun = "collection" if collection_tree.is_collection(item) else "model"
            who = self._name(item) if len(edits) == 1 else _count(len(edits), noun)
            special = self._special(field, value, who, item, is_one=len(edits) == 1)
            if special is not None:
                yield special
                continue
            old = self._before(item, field, stamp) if len(edits) == 1 else None
            was = "" if old is None else f" {shown(field, old)}"
            yield f"{_field(field)} of {who}{was} → {shown(field, value)}"

    def _special(self, field: str, value: object, who: str, item: str, *, is_one: bool) -> str | None:
        """Edits that read oddly as ``field of Ink old → new``."""
        said = _ABOUT.get(field)
        if asks.repo_of(item) is not None:
            return f"{who} is at {shown(field, value)} now"
        if collection_tree.is_collection(item):
            word = {"removed_at": "removed" if value else "brought back", "parent": "moved"}.get(field, "named")
            return f"{'collection ' if is_one else ''}{who} {word}"
        for prefix, text in _ITEMS.items():
            if item.startswith(prefix):
                return text.format(who)
        if said is not None:
            verb = "is" if is_one else "are"
            return said[0 if value else 1].format(who, verb)
        return f"levels of pictures of {who}" if field not in fields.FIELDS and "/" in field else None

    def _member(self, name: str, value: str, verb: str, items: dict[str, None]) -> str:
        one = next(iter(items))
        if name == PINS:
            said = "pinned on" if verb == "added to" else "no longer pinned on"
            return f"{self._name(value)} {said} {self._device(one)}"
        if name == asks.NEEDED:
            return f"{self._asked(value)} {'is asked for' if verb == 'added to' else 'is asked for no more'}"
        what = f"collection {self._name(value)}" if name == "collections" else f"{_SETS.get(name, name)} {value}"
        return f"{what} {verb} {self._name(one) if len(items) == 1 else _count(len(items), 'model')}"

    def _files(self) -> Iterable[str]:
        if len(self._found.files) == 1:
            ((name, version),) = self._found.files.values()
            yield f"{self._name(version)} is new ({name})"
        elif self._found.files:
            yield f"{len(self._found.files):,} new files"
        for version, count in self._found.pictures.items():
            yield f"{_count(count, 'picture')} of {self._name(version)}"

    def _counts(self) -> Iterable[str]:
        for (device, has), count in self._found.holders.items():
            name = self._device(device)
            yield f"{name} {'has' if has else 'no longer has'} {_count(count, 'file')}"
        for device in self._found.devices:
            yield f"{self._device(device)}: its name and what it keeps"
        for source, items in self._found.found.items():
            yield f"{_SOURCES.get(source, source)} of {_count(len(items), 'model')}"
        if self._found.counted:
            yield f"how often {_count(len(self._found.counted), 'model')} were used"
        for kind, count in self._found.records.items():
            yield _count(count, _RECORDS.get(kind, f"{kind} record"))
        if self._found.strange:
            yield f"{_count(self._found.strange, 'change')} that this version does not understand"

    def _name(self, item: str) -> str:
        for prefix in (ids.VIEW, ids.FOLLOW, ids.IGNORE):
            if item.startswith(prefix):
                return item.removeprefix(prefix)
        if collection_tree.is_collection(item):
            return self._collection(item)
        if (repo := asks.repo_of(item)) is not None:
            return self._remote(repo)
        if incoming.DEVICE.fullmatch(item):
            return self._device(item)
        sql = "SELECT name FROM models WHERE id = :item OR id = (SELECT model_id FROM versions WHERE id = :item)"
        row = self._db.execute(sql, {"item": settled.version_of(self._db, item)}).fetchone()
        return _short(row[0] if row else self._found.names.get(item, item))

    def _remote(self, repo: str) -> str:
        row = self._db.execute("SELECT name FROM remotes WHERE repo = ?", (repo,)).fetchone()
        return f"the remote {row[0]}" if row else "another remote"

    def _asked(self, what: str) -> str:
        """What a check found to be absent or wrong on a remote."""
        sha256 = asks.asked_for(what)
        row = self._db.execute("SELECT name FROM files WHERE sha256 = ?", (sha256,)).fetchone()
        known = row[0] if row else sha256[:8] if incoming.SHA256.fullmatch(sha256) else "a part of a log"
        return _short(known)

    def _collection(self, item: str) -> str:
        made = self._found.facts.get((item, collection_tree.NAME))
        if made is not None and isinstance(made[0], str):
            return _short(made[0])
        sql = "SELECT c.name FROM collection_aliases a JOIN collections c ON c.id = a.shown WHERE a.id = ?"
        row = self._db.execute(sql, (item,)).fetchone()
        return _short(row[0]) if row else item

    def _device(self, device: str) -> str:
        known = devices.name_of(self._db, device)
        if known == device:
            known = self._found.devices.get(device) or f"device {device[:6]}"
        return _short(known)


def shown(field: str, value: object) -> str:
    """A value on one line: ``nothing`` for None."""
    return "nothing" if value in (None, "") else _short(fields.shown(field, value))


def _field(name: str) -> str:
    return {"model": "the model", "version_name": "version name"}.get(name, name.replace("_", " "))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CUT else f"{line[: _CUT - 1]}…"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
