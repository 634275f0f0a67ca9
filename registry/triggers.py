"""Trigger words in groups: which belong together, and which go along when a LoRA is copied into a prompt.

A version's words are its set ``trigger_words``; its set ``trigger_groups`` says of some of them what they are, a member
a word: ``outfit: red coat`` (of the group *outfit*), ``outfit?: red hat`` (of it too, and left out of a copy unless
asked for), ``optional: wet paper`` (of no group, and left out). A word of which nothing is said is required. A person
writes the same, with several words after a colon and ``;`` between groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from registry.errors import UsageError

OPTIONAL = "optional"
"""The name that stands for no group in a word that is left out."""
_EXAMPLE = "for example: optional: wet paper; outfit: red coat; outfit?: red hat"


class Trigger(msgspec.Struct, frozen=True):
    """One trigger word, its group (empty for none), and whether it goes into a copy."""

    word: str
    group: str = ""
    is_required: bool = True

    @property
    def member(self) -> str | None:
        """What the set ``trigger_groups`` says of it; None for what needs no saying."""
        if self.is_required:
            return f"{self.group}: {self.word}" if self.group else None
        return f"{f'{self.group}?' if self.group else OPTIONAL}: {self.word}"


def of(words: Sequence[str], members: Iterable[str]) -> list[Trigger]:
    """The words with what is said of them, those of one group together. Members of other words say nothing."""
    said = {trigger.word: trigger for trigger in map(_read, members) if trigger is not None}
    found = [said.get(word, Trigger(word)) for word in words]
    groups = list(dict.fromkeys(["", *(trigger.group for trigger in found)]))
    return sorted(found, key=lambda trigger: groups.index(trigger.group))


def copied(words: Sequence[str], members: Iterable[str]) -> list[str]:
    """The words that go into a copy."""
    return [trigger.word for trigger in of(words, members) if trigger.is_required]


def members_of(triggers: Iterable[Trigger]) -> list[str]:
    """The members of ``trigger_groups`` that say this."""
    return [member for trigger in triggers if (member := trigger.member) is not None]


def parse(text: str) -> list[Trigger]:
    """What a person wrote, a later mention of a word instead of an earlier. Raises :class:`UsageError`."""
    found: dict[str, Trigger] = {}
    for part in filter(str.strip, text.split(";")):
        name, colon, words = part.partition(":")
        name = " ".join(name.split())
        if not colon or not name.removesuffix("?") or not words.strip(" ,"):
            raise UsageError(f"{part.strip()!r} is no group of trigger words", _EXAMPLE)
        for word in filter(None, (" ".join(one.split()) for one in words.split(","))):
            found[word] = _named(name, word)
    return list(found.values())


def shown(members: Iterable[str]) -> str:
    """Members as :func:`parse` reads them."""
    groups: dict[str, list[str]] = {}
    for member in members:
        name, _, word = member.partition(": ")
        groups.setdefault(name, []).append(word)
    return "; ".join(f"{name}: {', '.join(words)}" for name, words in groups.items())


def _named(name: str, word: str) -> Trigger:
    if name.casefold() in {OPTIONAL, f"{OPTIONAL}?"}:
        return Trigger(word, is_required=False)
    if name.casefold() == "required":
        return Trigger(word)
    return Trigger(word, name.removesuffix("?"), is_required=not name.endswith("?"))


def _read(member: str) -> Trigger | None:
    """A member, which may come from another machine; None for what is none."""
    name, colon, word = member.partition(": ")
    return _named(name, word) if colon and name.removesuffix("?") and word else None
