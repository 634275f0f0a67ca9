"""How many pictures go through the denoiser together: as many as the free memory takes, by what one took here before.

Figures until this machine has its own: live tensors of one picture with guidance, in fp16 with an attention that does
not form its matrix; lower bounds, which is why they count twice. No torch here.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hubman.generate.files import replace_file
from registry.errors import HubError

BYTES_A_PIXEL: Mapping[str, int] = {"sd": 532, "sdxl": 318}
"""By the kind of a base: 0.13 GiB for 512x512 of SD 1.5, 0.31 GiB for 1024x1024 of SDXL."""
_UNKNOWN = 532
MARGIN = 0.8
"""The share of the free memory that is planned with."""
_DOUBT = 2
_GUIDED_ROWS = 2
MOST = {"cpu": 8, "cuda": 32, "mps": 8}
"""Beyond these a picture takes no less time, and stopping between two steps takes longer."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What the memory of one picture depends on."""

    kind: str
    """Of the base, see ``detect.Kind``."""
    family: str
    dtype_bytes: int
    size: tuple[int, int]
    rows: int
    """Rows of the denoiser's batch that one picture takes: 2 with guidance, more with AND."""

    @property
    def name(self) -> str:
        return f"{self.family} {self.size[0]}x{self.size[1]} x{self.rows} {8 * self.dtype_bytes} bit"

    @property
    def estimate(self) -> int:
        """Bytes, from the tables."""
        pixels = self.size[0] * self.size[1]
        each = BYTES_A_PIXEL.get(self.kind, _UNKNOWN) * self.dtype_bytes / 2
        return math.ceil(pixels * each * self.rows / _GUIDED_ROWS)


class Figures:
    """Bytes that a picture of each case took on this machine, remembered in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, int] = {}
        if path is not None:
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                self._known = msgspec.json.decode(path.read_bytes(), type=dict[str, int])

    def of(self, case: Case) -> int:
        """What one picture takes: as measured, otherwise estimated."""
        return max(1, self._known.get(case.name, case.estimate))

    def plan(self, case: Case, free: int, device: str) -> int:
        """Pictures that go together with ``free`` bytes to be had; at least one."""
        fit = int(free * MARGIN) // (_DOUBT * self.of(case))
        return max(1, min(fit, MOST.get(device, MOST["cpu"])))

    def measured(self, case: Case, peak: int, cells: int) -> None:
        """``cells`` pictures took ``peak`` bytes together."""
        each = peak // cells
        if each > self._known.get(case.name, 0):
            self._remember(case, each)

    def failed(self, case: Case, free: int, cells: int) -> None:
        """``cells`` did not fit into ``free`` bytes: plan with half as many where there is no more."""
        self._remember(case, max(self.of(case), int(free * MARGIN) // (_DOUBT * max(1, cells // 2))))

    def _remember(self, case: Case, each: int) -> None:
        self._known[case.name] = each
        if self._path is not None:
            # Without a file it is measured again next time.
            with contextlib.suppress(HubError):
                replace_file(self._path, lambda file: file.write(msgspec.json.encode(self._known)))
