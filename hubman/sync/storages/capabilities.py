"""What the place of a remote can do, as it was tried out (:mod:`hubman.sync.storages.probe`) and is remembered here.

Nothing of it is needed for sync to be right. It tells a person what they have, and turns rare double work into a clean
refusal where a place can refuse.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from registry import timestamps

EVERY = timedelta(days=7)


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Of one place, at one time."""

    probed_at: str = ""
    creates_once: bool = False
    """A second create of one name is refused, also when both come at once."""
    compares: Literal["quoted", "unquoted", "both", "never"] = "never"
    """How the tag must be written for "only while it is this content" to hold; ``never``: ignored, or refused."""
    deletes_by_tag: bool = False
    """A deletion that names another content is refused."""
    reads_ranges: bool = False
    lists_after: bool = False
    """A listing begins behind a name, and has what was just written."""
    reads_own_writes: bool = False
    gives_addresses: bool = False
    """What is there can be fetched by a signed address, without a key."""


def is_old(known: Capabilities | None) -> bool:
    """Whether it is time to try again."""
    return known is None or not known.probed_at or datetime.now(UTC) - timestamps.parse(known.probed_at) > EVERY


def lacks(known: Capabilities | None, kind: str) -> list[str]:
    """What a person may want to know of a place of ``kind``, a few words each; empty when it can all that helps."""
    if known is None:
        return ["not tried out yet"]
    said = {
        "may create one name twice": not known.creates_once,
        "shows what was written only later": not (known.reads_own_writes and known.lists_after),
    }
    if kind == "cloud":
        said |= {
            "reads no ranges": not known.reads_ranges,
            "signs no addresses": not known.gives_addresses,
            "compares no tags": known.compares == "never",
            "compares tags without quotes": known.compares == "unquoted",
            "deletes whatever the tag": not known.deletes_by_tag,
        }
    return [words for words, is_so in said.items() if is_so]
