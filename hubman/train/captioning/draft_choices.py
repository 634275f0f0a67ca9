"""How captions were drafted last, to be suggested for the next set."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman.train.captioning.drafts import DraftRequest
from hubman.train.files import write_atomically
from registry.decodable import decodable

_FILE = "caption-drafts.json"


def remembered(home: Path, folder: Path, trigger: str) -> DraftRequest:
    """What was chosen last, for ``folder`` now; the defaults where nothing can be read."""
    try:
        last = msgspec.json.decode((home / _FILE).read_bytes(), type=decodable(DraftRequest))
    except (OSError, msgspec.DecodeError):
        last = DraftRequest(folder="")
    return msgspec.structs.replace(last, folder=str(folder), trigger=trigger, redraft=False)


def remember(home: Path, request: DraftRequest) -> None:
    """Raises HubError where it can't be written."""
    write_atomically(home / _FILE, msgspec.json.encode(request))
