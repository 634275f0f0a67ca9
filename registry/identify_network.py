"""What kind of network an adapter is, its rank and its alpha: constant, or different from layer to layer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import compress
from operator import attrgetter

import msgspec

from registry.headers import TensorInfo
from registry.identify_modules import Adapted, Layout

_TYPES = (
    ("dora", "dora_scale"), ("loha", "hada_w1_a"), ("lokr", "lokr_w1"), ("lokr", "lokr_w1_a"), ("glora", "glora_b1"),
    ("ia3", "on_input"), ("boft", "boft_R"),
)  # fmt: skip
"""(type, part that only it has)."""

_RANK_OF = ("down", "hada_w1_b", "lokr_w1_b", "lokr_w2_b", "glora_a2")
"""The parts of which one has the rank's number of rows, in the order in which they are asked."""

_SHAPE = attrgetter("shape")


@dataclass(frozen=True)
class Network:
    """What an adapter is. ``mix``: modules by type, where several are in one file; ``ranks``: modules by rank."""

    type: str
    reason: str
    mix: Mapping[str, int]
    ranks: Mapping[int, int]
    features: Mapping[str, str]


def network(adapted: Adapted) -> Network:
    """The type that the adapter's most telling part has, and how its modules spread over ranks and types."""
    layout, tensors = adapted.layout, adapted.header.tensors
    parts, total = layout.parts, len(layout.modules)
    ranks, spatial = _ranks(layout, tensors)
    features = _features(parts)
    name, reason = _type(layout, tensors, spatial)
    return Network(name, f"{reason} of {total} modules" if reason else "", _mix(parts, name, total), ranks, features)


def _type(layout: Layout, tensors: Mapping[str, TensorInfo], spatial: int) -> tuple[str, str]:
    parts = layout.parts
    for name, part in _TYPES:
        if parts.get(part):
            return name, f"{part} in {parts[part]}"
    if count := parts.get("oft_blocks", 0) + parts.get("oft_diag", 0):
        is_boft = any(len(tensors[p["oft_blocks"]].shape) == 4 for p in layout.modules.values() if "oft_blocks" in p)
        return ("boft", f"oft_blocks in stages in {count}") if is_boft else ("oft", f"oft_blocks in {count}")
    if parts.get("down"):
        return (
            ("locon", f"a convolution in {spatial}")
            if spatial
            else ("lora", f"matrices down and up in {parts['down']}")
        )
    if count := max(parts.get("diff", 0), parts.get("diff_b", 0)):
        return "full", f"a whole difference in {count}"
    return "norm", f"a norm's weights in {max(parts.get('w_norm', 0), parts.get('b_norm', 0))}"


def _ranks(layout: Layout, tensors: Mapping[str, TensorInfo]) -> tuple[Counter[int], int]:
    """(modules by rank, how many adapt a convolution larger than 1x1)."""
    sources = [part for part in _RANK_OF if part in layout.parts]
    # Layers come in a few shapes, so what follows looks at each shape once.
    if sources == ["down"]:
        shapes = Counter(map(_SHAPE, compress(tensors.values(), layout.down_mask)))
    else:
        found = (next((parts[part] for part in sources if part in parts), None) for parts in layout.modules.values())
        shapes = Counter(tensors[name].shape for name in found if name)
    ranks: Counter[int] = Counter()
    for shape, count in shapes.items():
        if shape:
            ranks[shape[0]] += count
    return ranks, sum(count for shape, count in shapes.items() if len(shape) >= 4 and shape[-1] > 1)


_KIND_OF = {
    "down": "lora", "hada_w1_a": "loha", "lokr_w1": "lokr", "lokr_w1_a": "lokr", "glora_b1": "glora", "on_input": "ia3",
    "oft_blocks": "oft", "oft_diag": "oft", "boft_R": "boft", "diff": "full", "w_norm": "norm",
}  # fmt: skip


def _mix(parts: Mapping[str, int], main: str, total: int) -> dict[str, int]:
    """Modules by type, if there is more than one; ``main`` stands for what it is made of."""
    counts: Counter[str] = Counter()
    for part, kind in _KIND_OF.items():
        if count := parts.get(part):
            counts[kind] += count
    inner = {"dora": next(iter(counts), ""), "locon": "lora", "boft": "oft"}.get(main, main)
    if len(counts) < 2:
        return {}
    return {main if kind == inner else kind: min(count, total) for kind, count in counts.most_common()}


def _features(parts: Mapping[str, int]) -> dict[str, str]:
    """What else the network has, with the reason."""
    found = {}
    for name, sign in (
        ("tucker", ("mid", "hada_t1", "lokr_t2", "lokr_t1")),
        ("rescale", ("rescale",)),
        ("bias", ("diff_b",)),
    ):
        if part := next((part for part in sign if parts.get(part)), None):
            found[name] = f"{part} in {parts[part]} modules"
    return found


def commonest(ranks: Mapping[int, int]) -> int | None:
    """The rank that most modules have, the larger of equals: linear layers and convolutions often differ."""
    return max(ranks, key=lambda value: (ranks[value], value), default=None)


# alpha ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alpha:
    """The alpha that most modules have, and the least and the largest if they differ."""

    value: float
    reason: str
    spread: tuple[float, float] | None = None
    contradiction: str | None = None


def alpha(
    first: float | None, rank: int | None, metadata: Mapping[str, str], every: Iterable[float] = ()
) -> Alpha | None:
    """Alpha by its tensors, else by the metadata, else the rank; ``every`` has each tensor's value if all were read."""
    if values := Counter(every):
        common = max(values, key=lambda value: (values[value], value))
        spread = (min(values), max(values)) if len(values) > 1 else None
        reason = f"{values[common]} of {values.total()} alpha tensors say so"
        stated = number(metadata.get("ss_network_alpha"))
        # Tensors are rounded to their dtype; with rs_lora trainers state what they multiplied with the root of the rank.
        is_known = stated is None or any(math.isclose(stated, value, rel_tol=1e-2) for value in values)
        is_known = is_known or "rs_lora" in metadata.get("ss_network_args", "")
        contradiction = None if is_known else f"ss_network_alpha says {stated:g}, but no alpha tensor does"
        return Alpha(common, reason, spread, contradiction)
    if first is not None:
        return Alpha(first, "its alpha tensor says so")
    for key in ("ss_network_alpha", "modelspec.network_alpha"):
        if (stated := number(metadata.get(key))) is not None:
            return Alpha(stated, f"{key} says so")
    if found := _peft(metadata.get("lora_adapter_metadata", "")):
        return found
    return None if rank is None else Alpha(float(rank), "no alpha means the rank")


def _peft(text: str) -> Alpha | None:
    """Alpha of diffusers' entry, in which single layers may have their own (``alpha_pattern``)."""
    try:
        content = msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError):
        return None
    entries = content.items() if isinstance(content, dict) else ()
    value = next((number(value) for key, value in entries if key.endswith("lora_alpha")), None)
    if value is None:
        return None
    patterns = [one for key, one in entries if key.endswith("alpha_pattern") and isinstance(one, dict)]
    others = [found for one in patterns for stated in one.values() if (found := number(stated)) is not None]
    spread = (min([value, *others]), max([value, *others])) if others else None
    return Alpha(value, "lora_adapter_metadata says so", spread)


def number(text: object) -> float | None:
    """A finite number, from a value or a text of the metadata; None for anything else."""
    try:
        value = float(text) if isinstance(text, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
