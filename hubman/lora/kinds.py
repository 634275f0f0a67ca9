"""The kinds of adapters, told by their parts, and the weight that each part's shapes make. No torch is needed here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hubman.lora.keys import Site

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

UNKNOWN = "unknown"
_BIASES = frozenset({"diff_b", "b_norm"})
_NEED_WEIGHT = frozenset({"OFT", "GLoRA", "(IA)3"})


def kind_of(parts: Mapping[str, object]) -> str:
    """The adapter kind that a module's parts make: LoRA, LoHa, LoKr, OFT, GLoRA, (IA)3, full difference, norm."""
    marks = {
        "oft_blocks": "OFT",
        "glora_a1": "GLoRA",
        "ia3_on_input": "(IA)3",
        "ia3_l": "(IA)3",
        "down": "LoRA",
        "up": "LoRA",
        "hada_w1_a": "LoHa",
        "diff": "full difference",
        "w_norm": "norm",
        "b_norm": "norm",
        "diff_b": "full difference",
    }
    if any(part.startswith("lokr_") for part in parts):
        return "LoKr"
    return next((kind for part, kind in marks.items() if part in parts), UNKNOWN)


def needs_weight(kind: str) -> bool:
    """Whether the change of this kind is made of the frozen weight."""
    return kind in _NEED_WEIGHT


def rank_of(parts: Mapping[str, Any]) -> int:
    """What the alpha of a module's tensors is divided by; 0 where no alpha counts."""
    for part in ("down", "hada_w1_b", "lokr_w1_b", "lokr_w2_b", "glora_a2"):
        if part in parts:
            return int(parts[part].shape[0])
    return 0


def fits(site: Site, shapes: Shapes) -> bool:
    """Whether tensors of these shapes make a change of the weight (or bias) at ``site``."""
    biases = [shape for part, shape in shapes.items() if part in _BIASES]
    vector = math.prod(shapes.get("dora_vector", site.shape[:1]))
    if any(shape != site.shape[:1] for shape in biases) or vector != site.shape[0] or not _has_axis(site, shapes):
        return False
    kind = kind_of(shapes)
    if site.is_norm:
        weight = shapes.get("w_norm", shapes.get("diff", site.shape))
        return kind in ("norm", "full difference") and weight == site.shape
    down = shapes.get("down", ())
    if len(down) == 4 and "mid" not in shapes and site.is_conv and down[1:] != site.shape[1:]:
        return False
    if kind in ("OFT", "(IA)3"):
        return _turns(site, shapes) if kind == "OFT" else _multiplies(site, shapes)
    if kind == "full difference" and "diff" not in shapes:
        return "dora_scale" not in shapes
    return _made(kind, shapes) == (site.shape[0], math.prod(site.shape[1:])) and _glora_inputs(site, shapes)


def _made(kind: str, shapes: Shapes) -> tuple[int, int] | None:
    """(rows, columns with any kernel flattened in) of the change that the shapes make; None if they make none."""
    if kind == "LoRA":
        return _lora(shapes)
    if kind == "LoHa":
        first, second = _matrix(shapes, "hada_w1"), _matrix(shapes, "hada_w2")
        return first if first == second else None
    if kind == "LoKr":
        outer, inner = _matrix(shapes, "lokr_w1"), _matrix(shapes, "lokr_w2")
        return (outer[0] * inner[0], outer[1] * inner[1]) if outer and inner else None
    if kind == "GLoRA":
        b1, b2, core = (shapes.get(f"glora_{name}", ()) for name in ("b1", "b2", "bm"))
        if len(b1) < 2 or len(b2) < 2 or (core and (len(core) != 4 or core[:2] != (b1[1], b2[0]))):
            return None
        return (b1[0], math.prod(b2[1:]) * math.prod(core[2:])) if core or b1[1] == b2[0] else None
    return _matrix(shapes, "diff")


def _matrix(shapes: Shapes, whole: str) -> tuple[int, int] | None:
    """As :func:`_made` of the tensor ``whole`` or of its factors ``whole_a`` and ``whole_b``."""
    if whole in shapes:
        shape = shapes[whole]
        return (shape[0], math.prod(shape[1:])) if len(shape) >= 2 else None
    a, b = shapes.get(f"{whole}_a"), shapes.get(f"{whole}_b")
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return None
    core = shapes.get(whole.replace("lokr_w", "lokr_t").replace("hada_w", "hada_t"))
    if core is not None:
        return (a[1], b[1] * math.prod(core[2:])) if core[:2] == (a[0], b[0]) else None
    return (a[0], math.prod(b[1:])) if a[1] == b[0] else None


def _lora(shapes: Shapes) -> tuple[int, int] | None:
    down, up, mid = shapes.get("down"), shapes.get("up"), shapes.get("mid")
    if down is None or up is None or len(down) < 2 or len(up) < 2:
        return None
    if mid is not None:
        fitting = len(mid) == 4 and mid[0] == up[1] and mid[1] == down[0]
        return (up[0], down[1] * math.prod(mid[2:])) if fitting else None
    return (up[0], math.prod(down[1:])) if down[0] == up[1] else None


def _glora_inputs(site: Site, shapes: Shapes) -> bool:
    if "glora_a1" not in shapes:
        return True
    a1, a2 = shapes["glora_a1"], shapes.get("glora_a2", ())
    inputs = site.shape[1]
    return len(a1) >= 2 and len(a2) >= 2 and a1[:2] == (inputs, a2[0]) and math.prod(a2[1:]) == inputs


def _has_axis(site: Site, shapes: Shapes) -> bool:
    """Whether DoRA's magnitudes are one for each output, or, behind an axis of 1, one for each input."""
    magnitude = shapes.get("dora_scale", site.shape[:1])
    count = math.prod(magnitude)
    if magnitude[:1] == site.shape[:1] and count == site.shape[0]:
        return True
    return len(magnitude) > 1 and magnitude[:2] == (1, *site.shape[1:2]) and count == magnitude[1]


def _turns(site: Site, shapes: Shapes) -> bool:
    blocks = shapes["oft_blocks"]
    rescale = shapes.get("rescale")
    square = len(blocks) in (3, 4) and blocks[-1] == blocks[-2]
    if not square or blocks[-3] * blocks[-1] != site.shape[0]:
        return False
    # The widest stage of a butterfly reaches over 2^(stages-1) blocks.
    mixes = len(blocks) == 3 or (blocks[-1] % 2 == 0 and site.shape[0] % (2 ** (blocks[0] - 1) * blocks[-1]) == 0)
    return mixes and (rescale is None or math.prod(rescale) == site.shape[0])


def _multiplies(site: Site, shapes: Shapes) -> bool:
    if "ia3_l" in shapes:
        return math.prod(shapes["ia3_l"]) in site.shape[:2]
    # Whether it is the input is in the data; the reshape refuses what does not fit.
    return math.prod(shapes.get("ia3_weight", (0,))) in site.shape[:2] and math.prod(shapes["ia3_on_input"]) == 1


def scale_of(alpha: float | None, rank: int) -> float:
    """Alpha / rank; 1 without an alpha."""
    return 1.0 if alpha is None else alpha / rank
