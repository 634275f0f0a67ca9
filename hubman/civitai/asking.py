"""What the steps of one run of ``enrich`` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hubman.civitai.allowance import Allowance
from hubman.civitai.client import Civitai
from hubman.progress import Report
from registry import upstream_hashes
from registry.database import Registry
from registry.upstream_hashes import Known


@dataclass(frozen=True)
class Asking:
    """``versions`` are those of the library that it is about, None all; ``again``: also what was asked lately.

    ``read`` collects the models whose pages this run asked for.
    """

    registry: Registry
    client: Civitai
    report: Report
    versions: Sequence[str] | None
    now: str
    allowance: Allowance
    again: bool
    read: set[int] = field(default_factory=set)

    def known(self) -> list[Known]:
        return upstream_hashes.known(self.registry, self.versions)
