"""What all machines should show in the end, worked out from the changes that the edits made and from who had read what.

It knows the rules of the format and nothing of how they are kept: no table of the merge is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from registry import clock
from registry.changes import Change

SEEN = "seen_when_trashed"
Place = tuple[str, str]
"""(item, name of a field, text or set)"""


@dataclass
class Oracle:
    said: dict[Place, dict[str, str]] = field(default_factory=dict)
    """Of every field all that was ever said: stamp to value, as JSON."""
    members: dict[Place, dict[str, str]] = field(default_factory=dict)
    """Of every set all that was ever added: dot to value."""
    texts: dict[Place, dict[str, str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Stamps and dots that somebody who knew them replaced or removed."""
    trashed: dict[str, tuple[str, set[str] | None]] = field(default_factory=dict)
    """Of a model the stamp under which it was last trashed, and all that whoever did it had read, if that is told."""

    def note(self, made: Iterable[Change], known: Iterable[Change], chosen: Collection[str] = ()) -> None:
        """A machine that had read ``known`` made these changes; of the values ``chosen`` between (JSON) none is open any more."""
        known = list(known)
        for change in made:
            self._note(change, known, chosen)
            known.append(change)

    def trust(self, made: Iterable[Change]) -> None:
        """Take over what an undo says that it replaces: it brings back what stood, with all that raced."""
        for change in made:
            if change[0] == "rem":
                self.gone |= set(change[4])
            elif change[0] == "txt":
                self.gone |= set(change[5])
            if change[0] == "set" and change[2] == f"user.{SEEN}":
                self._see(change[1], change[4], None if change[3] is None else set(change[3]))
            else:
                self._note(change, [], ())

    def _note(self, change: Change, known: Sequence[Change], chosen: Collection[str]) -> None:
        kind, item, name, value, *rest = change
        if kind == "add":
            self.members.setdefault((item, name), {})[rest[0]] = value
        elif kind == "rem" and not name.startswith("user."):
            self.gone |= {one[4] for one in known if one[:4] == ["add", item, name, value]}
        elif kind == "txt":
            before = [one for one in known if one[:3] == ["txt", item, name]]
            self.gone |= {one[4] for one in before if not chosen or _json(one[3]) in chosen}
            self.texts.setdefault((item, name), {})[rest[0]] = value
        elif kind == "set" and name.startswith("user."):
            self._say(item, name.removeprefix("user."), value, rest[0], known, chosen)

    def _say(
        self, item: str, name: str, value: object, stamp: str, known: Sequence[Change], chosen: Collection[str]
    ) -> None:
        if name == SEEN:
            read = {one[4] for one in known if one[0] in {"set", "add", "txt"}}
            self._see(item, stamp, read)
            return
        before = {one[4]: _json(one[3]) for one in known if one[:3] == ["set", item, f"user.{name}"]}
        shown = max(before, default="")
        if shown and shown < stamp:
            alike = {before[shown], _json(value), *chosen}
            self.gone |= {one for one, said in before.items() if said in alike}
        self.said.setdefault((item, name), {})[stamp] = _json(value)

    def _see(self, item: str, stamp: str, read: set[str] | None) -> None:
        self.trashed[item] = max(self.trashed.get(item, ("", None)), (stamp, read), key=lambda one: one[0])

    # in the end -----------------------------------------------------------------------------------------------------

    def facts(self) -> dict[Place, tuple[str, str]]:
        """(value, stamp) of every field: the latest."""
        return {place: (said[max(said)], max(said)) for place, said in self.said.items()}

    def values(self, place: Place) -> set[str]:
        return {value for dot, value in self.members.get(place, {}).items() if dot not in self.gone}

    def standing(self, place: Place) -> dict[str, str]:
        return {dot: text for dot, text in self.texts.get(place, {}).items() if dot not in self.gone}

    def lost(self) -> set[tuple[str, str, str]]:
        """(item, field, value) of everything that was overwritten by somebody who had not read it, and not chosen since."""
        return {
            (*place, value)
            for place, said in self.said.items()
            for stamp, value in said.items()
            if stamp not in self.gone and value != said[max(said)] and _differ(place[1], value, said[max(said)])
        }

    def trashed_unread(self) -> set[tuple[str, tuple[str, ...]]]:
        """(model, what of it was edited) for every model in the trash by somebody who had not read these edits."""
        found = set()
        for item, (stamp, read) in self.trashed.items():
            said = self.said[item, "deleted_at"]
            if said[max(said)] == "null" or read is None:
                continue
            agree = {clock.device_of(one) for one, value in said.items() if one not in self.gone and value != "null"}
            agree |= {clock.device_of(stamp), clock.device_of(max(said))}
            unread = {name for name, one in self._stands(item) if one not in read and clock.device_of(one) not in agree}
            if unread:
                found.add((item, tuple(sorted(unread))))
        return found

    def _stands(self, item: str) -> Iterable[tuple[str, str]]:
        for (of, name), (value, stamp) in self.facts().items():
            if of == item and name != "deleted_at" and value != "null":
                yield name, stamp
        yield from (("notes", dot) for dot in self.standing((item, "notes")))
        for dot in self.members.get((item, "collections"), {}):
            if dot not in self.gone:
                yield "collections", dot


def _differ(name: str, one: str, other: str) -> bool:
    """Of times only whether there is one counts."""
    return name not in {"deleted_at", "removed_at"} or "null" in {one, other}


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
