"""Block weights: a strength for each block of the denoiser, as lists of numbers or by a preset's name (``lbw=``).

Lists as kohya's scripts and LoRA Block Weight for A1111 have them. A block that a list doesn't name has weight 0, and every
module is in a block: those before the first count to it, those behind the last to that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from hubman.lora.keys import TEXT_ENCODERS, Site, UNetLayout, ldm_path
from registry.errors import UsageError

_IN, _OUT = [f"IN{n:02d}" for n in range(12)], [f"OUT{n:02d}" for n in range(12)]
_UNET = ("BASE", *_IN, "MID", *_OUT)
LISTS: Mapping[int, tuple[str, ...]] = {
    12: ("BASE", "IN04", "IN05", "IN07", "IN08", "MID", *_OUT[:6]),
    17: ("BASE", *(_IN[n] for n in (1, 2, 4, 5, 7, 8)), "MID", *_OUT[3:]),
    20: ("BASE", *_IN[:9], "MID", *_OUT[:9]),
    26: _UNET,
    61: ("CLIP", "T5", "IN", *(f"D{n:02d}" for n in range(19)), *(f"S{n:02d}" for n in range(38)), "OUT"),
}
"""Blocks by how many numbers a list has: SDXL's attention, SD 1.x's attention, all of SDXL, all of SD 1.x, FLUX.1."""


@dataclass(frozen=True)
class Block:
    """Where a module is: ``name`` as in :data:`LISTS`, and whether it is in an attention of it."""

    name: str
    attention: bool = False


@dataclass(frozen=True)
class BlockWeights:
    """Weights by block; what is not named has 0."""

    weights: Mapping[str, float]
    rest: float = 0.0
    """The weight of what is not named."""
    attention_only: bool = False

    def of(self, block: Block) -> float:
        """The weight of a module there."""
        if self.attention_only and not block.attention and block.name not in ("BASE", "CLIP", "T5"):
            return 0.0
        return self.weights.get(block.name, self.rest)

    @property
    def text(self) -> float:
        """The weight of the text encoders that read CLIP's way."""
        return self.weights.get("CLIP", self.weights.get("BASE", self.rest))

    def fits(self, kind: str) -> bool:
        """Whether a base of that kind has these blocks: ``unet``, ``flux``, or another, of which no list tells."""
        return not self.weights or kind == ("flux" if "CLIP" in self.weights else "unet")


def _of_list(text: str) -> Mapping[str, float]:
    numbers = [float(each) for each in text.split(",")]
    return dict(zip(LISTS[len(numbers)], numbers, strict=True))


PRESETS: Mapping[str, BlockWeights] = {
    "NONE": BlockWeights({}),
    "ALL": BlockWeights({}, rest=1.0),
    "INS": BlockWeights(_of_list("1,1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0")),
    "IND": BlockWeights(_of_list("1,0,0,0,1,1,1,0,0,0,0,0,0,0,0,0,0")),
    "INALL": BlockWeights(_of_list("1,1,1,1,1,1,1,0,0,0,0,0,0,0,0,0,0")),
    "MIDD": BlockWeights(_of_list("1,0,0,0,1,1,1,1,1,1,1,1,0,0,0,0,0")),
    "OUTD": BlockWeights(_of_list("1,0,0,0,0,0,0,0,1,1,1,1,0,0,0,0,0")),
    "OUTS": BlockWeights(_of_list("1,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1")),
    "OUTALL": BlockWeights(_of_list("1,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1")),
    # B-LoRA (Frenkel et al. 2024): SDXL's first two stacks of transformers in the first up block.
    "B-LORA CONTENT": BlockWeights({"OUT00": 1.0}, attention_only=True),
    "B-LORA STYLE": BlockWeights({"OUT01": 1.0}, attention_only=True),
}


@lru_cache(maxsize=256)
def read_blocks(text: str) -> BlockWeights | None:
    """What ``lbw=`` says; None for nothing. Raises ``UsageError`` for what is neither a preset nor a list that is known."""
    text = text.strip()
    if not text:
        return None
    if preset := PRESETS.get(text.upper().replace("_", " ")):
        return preset
    try:
        numbers = [float(each) for each in re.split(r"[,;\s]+", text)]
    except ValueError:
        raise UsageError(
            f"block weights {text[:40]!r} are unknown", f"choose {', '.join(PRESETS)}, or a list"
        ) from None
    if len(numbers) not in LISTS:
        known = ", ".join(str(count) for count in LISTS)
        raise UsageError(f"{len(numbers)} block weights are given", f"lists have {known} numbers")
    if not all(math.isfinite(number) for number in numbers):
        raise UsageError(f"block weights {text[:40]!r} are not finite", "write numbers such as 0 and 1")
    return BlockWeights(dict(zip(LISTS[len(numbers)], numbers, strict=True)))


def blocks_of(sites: Iterable[Site], originals: Mapping[str, str]) -> dict[Site, Block]:
    """The block of each place of a base. ``originals`` are a transformer's original names by paths, see ``alias_table``."""
    places = list(sites)
    layout = UNetLayout.of(site.path for site in places if site.component == "unet")
    unet = {site: ldm_path(site.path, layout) or "" for site in places if site.component == "unet"}
    last = max((int(match[1]) for name in unet.values() if (match := _OUTPUT.match(name))), default=0)
    found = {site: _unet_block(name, last) for site, name in unet.items()}
    for site in places:
        if site.component in TEXT_ENCODERS:
            found[site] = Block("BASE" if unet else "T5" if site.component == "text_encoder_2" else "CLIP")
        elif site.component != "unet":
            found[site] = _flux_block(originals.get(site.path, site.path))
    return found


_INPUT = re.compile(r"input_blocks\.(\d+)\.(\d+)")
_OUTPUT = re.compile(r"output_blocks\.(\d+)\.(\d+)")
_STREAM = re.compile(r"(?:model\.)?(double|single)_blocks\.(\d+)\.(.*)")
_ATTENTION = re.compile(r"\.(attn\d?|transformer_blocks|proj_in|proj_out)(\.|$)")


def _unet_block(name: str, last: int) -> Block:
    attention = bool(_ATTENTION.search(name))
    if match := _INPUT.match(name):
        return Block(f"IN{int(match[1]):02d}", attention)
    if match := _OUTPUT.match(name):
        return Block(f"OUT{int(match[1]):02d}", attention)
    if name.startswith("middle_block."):
        return Block("MID", attention)
    return Block(f"OUT{last:02d}" if name.startswith("out.") else "IN00")


def _flux_block(name: str) -> Block:
    if match := _STREAM.match(name):
        return Block(f"{match[1][0].upper()}{int(match[2]):02d}", "attn" in match[3] or match[1] == "single")
    return Block("OUT" if name.startswith("final_layer") else "IN")
