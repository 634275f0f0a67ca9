"""What was trained with last: folders of images, bases and kinds, to be suggested for the next training."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman.train.files import write_atomically
from registry.decodable import decodable

MOST = 12
_FILE = "recent-trainings.json"


class Recent(msgspec.Struct, frozen=True):
    """The newest first; ``kind`` is empty before the first training."""

    datasets: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    kind: str = ""


def recent(home: Path) -> Recent:
    """What is remembered in hubman's folder; folders that are gone are left out."""
    try:
        found = msgspec.json.decode((home / _FILE).read_bytes(), type=decodable(Recent))
    except (OSError, msgspec.DecodeError):
        return Recent()
    return msgspec.structs.replace(found, datasets=tuple(one for one in found.datasets if Path(one).is_dir()))


def remember(home: Path, *, dataset: Path | None = None, base: str = "", kind: str = "") -> Recent:
    """Put a folder, a base or a kind in front. Raises HubError where it can't be written."""
    before = recent(home)
    after = Recent(
        _in_front(str(dataset.absolute()) if dataset else "", before.datasets),
        _in_front(base, before.bases),
        kind or before.kind,
    )
    if after != before:
        write_atomically(home / _FILE, msgspec.json.encode(after))
    return after


def _in_front(one: str, others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((one, *others) if one else others))[:MOST]
