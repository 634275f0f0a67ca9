"""What training reads of a caption this time: nothing, one of its lines and wildcards, its tags shuffled or left out.

Order and signs are those of sd-scripts, so that data sets made for it mean the same here.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace

from hubman.train.captioning.tags import split_tags
from hubman.train.settings.data import CaptionSettings

_WILDCARD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Variation:
    """What may happen to a caption; the default only joins its lines."""

    dropout: float = 0.0
    """Share of showings without any caption."""
    dropout_every: int = 0
    """Each so many passes over the data set, one runs without captions; 0 is never."""
    tag_dropout: float = 0.0
    """Share of the loose tags that is left out."""
    shuffle: bool = False
    """Puts the loose tags into any order."""
    keep_tokens: int = 0
    """Tags at the start that are not loose, unless a separator says which."""
    separator: str = "|||"
    """What stands before it stays at the start; what stands behind a second one stays at the end."""
    wildcards: bool = False
    """``{a|b|c}`` becomes one of its choices, and a caption of several lines one of its lines."""

    def apply(self, caption: str, rng: random.Random, pass_: int = 0) -> str:
        """The caption as it is read in pass ``pass_`` (from 0) over the data set."""
        if self.dropout_every and (pass_ + 1) % self.dropout_every == 0:
            return ""
        if self.dropout and rng.random() < self.dropout:
            return ""
        if self.wildcards:
            caption = choose(rng.choice(caption.splitlines() or [""]), rng)
        return self._arrange(" ".join(caption.split()), rng)

    def plain(self, caption: str) -> str:
        """One reading that is always the same: nothing dropped or moved, the same choice of each wildcard."""
        still = replace(self, dropout=0.0, dropout_every=0, tag_dropout=0.0, shuffle=False)
        return still.apply(caption, random.Random(0))

    def _arrange(self, caption: str, rng: random.Random) -> str:
        if not self.separator or self.separator not in caption:
            if not (self.shuffle or self.tag_dropout):
                return caption
            tags = split_tags(caption)
            return ", ".join(tags[: self.keep_tokens] + self._loosened(tags[self.keep_tokens :], rng))
        head, _, rest = caption.partition(self.separator)
        loose, _, tail = rest.partition(self.separator)
        return ", ".join(split_tags(head) + self._loosened(split_tags(loose), rng) + split_tags(tail))

    def _loosened(self, tags: list[str], rng: random.Random) -> list[str]:
        if self.shuffle:
            rng.shuffle(tags)
        return [tag for tag in tags if rng.random() >= self.tag_dropout] if self.tag_dropout else tags


def choose(text: str, rng: random.Random) -> str:
    """``text`` with each ``{a|b|c}`` replaced by one of its choices; ``{{`` and ``}}`` stand for braces."""
    text = text.replace("{{", "\0").replace("}}", "\1")
    text = _WILDCARD.sub(lambda found: rng.choice(found[1].split("|")), text)
    return text.replace("\0", "{").replace("\1", "}")


def variation_of(settings: CaptionSettings) -> Variation:
    """What a recipe lets happen to captions."""
    return Variation(
        dropout=settings.dropout,
        dropout_every=settings.dropout_every_epochs,
        tag_dropout=settings.tag_dropout,
        shuffle=settings.shuffle,
        keep_tokens=settings.keep_tokens,
        separator=settings.separator,
        wildcards=settings.wildcards,
    )
