"""Tensor names taken apart: which module of the model a tensor adapts, and which part of the adapter it is."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from registry.headers import Header

Shape = tuple[int, ...]

_DOWN, _UP = "down", "up"
_LAST = {
    **{name: name for name in (
        "alpha", "dora_scale", "diff", "diff_b", "w_norm", "b_norm", "oft_blocks", "oft_diag", "rescale", "on_input",
        "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
        "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t1", "lokr_t2",
    )},
    "lora_A": _DOWN, "lora_B": _UP, "lora_magnitude_vector": "dora_scale", "ia3_l": "on_input",
    "oft_R": "oft_blocks", "oft_r": "oft_blocks", "boft_R": "boft_R", "boft_s": "rescale",
}  # fmt: skip
"""The last piece of a name, to the part that it is."""

_BEFORE_WEIGHT = {
    "lora_down": _DOWN, "lora_up": _UP, "lora_mid": "mid", "lora_A": _DOWN, "lora_B": _UP,
    "lora_magnitude_vector": "dora_scale", "oft_R": "oft_blocks",
    "a1": "glora_a1", "a2": "glora_a2", "b1": "glora_b1", "b2": "glora_b2",
}  # fmt: skip
"""The piece before ``weight``, to the part that it is."""

_WHOLE = {f"{name}.weight": part for name, part in _BEFORE_WEIGHT.items()} | _LAST
"""All that follows a module's name without dots."""

_IN_LORA = {"down": _DOWN, "up": _UP}
_LORA_PIECE = re.compile(r"_lora(?P<number>\d?)$")
_STRONG = frozenset({*_LAST.values(), *_BEFORE_WEIGHT.values()}) - {
    "alpha",
    "rescale",
    "glora_a1",
    "glora_a2",
    "glora_b2",
}
START = 28
"""Characters of a name's beginning that are looked at to tell the parts of a model apart."""
_SMALL = 512 << 10
_SAMPLED = 40
_LONGEST = 300
_NUMBER = re.compile(r"_\d+(?=[_\n])")


@dataclass(frozen=True)
class Layout:
    """What the names of a file's tensors alone tell, without their shapes.

    ``modules`` are the adapted modules with their parts' tensors, in the order of the header; in a file that is no
    adapter, its layers with their ``weight``. ``starts`` counts the beginnings of the modules' names, ``down_mask``
    has a 1 for each tensor of the header that is a down matrix, ``memo`` is what others found out from the names alone, for the next file.
    """

    is_adapter: bool
    modules: Mapping[str, Mapping[str, str]]
    parts: Mapping[str, int]
    starts: Mapping[str, int]
    sample: str
    down_mask: bytes = b""
    memo: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def text(self) -> str:
        """The modules' names, one a line, with underscores for dots: what is searched where a sample doesn't do."""
        return "\n".join(self.modules).replace(".", "_")

    @cached_property
    def underscored(self) -> list[str]:
        """The modules' names in their order, with underscores for dots."""
        return self.text.split("\n")

    def meant(self, is_meant: Callable[[str], bool]) -> list[str]:
        """The modules that ``is_meant``, which is asked with underscores for dots."""
        return [module for module, name in zip(self.modules, self.underscored, strict=False) if is_meant(name)]

    def first(self, pattern: str) -> str | None:
        """The first module whose whole name has ``pattern`` in it."""
        # Names that nobody gives a layer are cut: they would make some patterns take time without end.
        return first_line(pattern, "\n".join([module[:_LONGEST] for module in self.modules]))


class Adapted:
    """A header's modules with the shapes of their parts."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.layout = layout_of(header)

    def parts(self, module: str) -> dict[str, Shape]:
        tensors = self.header.tensors
        return {part: tensors[name].shape for part, name in self.layout.modules[module].items()}

    def first_width(self, is_meant: Callable[[str], bool]) -> tuple[str, int] | None:
        """The first module that ``is_meant`` (asked with dots as underscores) whose inputs can be told, with their number."""
        names = zip(self.layout.modules, self.layout.underscored, strict=False)
        return next(self.widths_of(module for module, name in names if is_meant(name)), None)

    def widths_of(self, modules: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Each of ``modules`` whose inputs can be told, with their number."""
        for module in modules:
            if width := input_width(self.parts(module)):
                yield module, width


def input_width(parts: Mapping[str, Shape]) -> int | None:
    """Inputs of the adapted layer (channels, for a convolution), or None if the shapes of its parts don't tell."""
    for part in ("down", "glora_a2", "diff", "weight"):
        if len(shape := parts.get(part, ())) >= 2:
            return shape[1]
    if "mid" not in parts and "hada_t1" not in parts and len(shape := parts.get("hada_w1_b", ())) == 2:
        return shape[1]
    factors = [parts.get(name) or parts.get(f"{name}_b") or () for name in ("lokr_w1", "lokr_w2")]
    return math.prod(shape[1] for shape in factors) if all(len(shape) >= 2 for shape in factors) else None


def output_width(parts: Mapping[str, Shape]) -> int | None:
    """Outputs of the adapted layer, or None if the shapes of its parts don't tell."""
    for part in ("up", "hada_w1_a", "diff", "weight"):
        if len(shape := parts.get(part, ())) >= 2:
            return shape[0]
    return None


def split(name: str) -> tuple[str, str] | None:
    """(module, part) of a tensor's name, or None if it is no adapter's."""
    head, _, last = name.rpartition(".")
    part = _LAST.get(last)
    if last == "weight":
        head, _, last = head.rpartition(".")
        part = _BEFORE_WEIGHT.get(last)
        if last in _IN_LORA:
            return _in_lora(head, _IN_LORA[last])
        if part is None:
            # PEFT puts the adapter's own name between: lora_A.default.weight.
            head, _, last = head.rpartition(".")
            part = _BEFORE_WEIGHT.get(last) if last.startswith("lora_") else None
    return (head, part) if part and head else None


def _in_lora(head: str, part: str) -> tuple[str, str] | None:
    """Older names of diffusers: a piece ``lora``, or the module's own piece with ``_lora`` behind."""
    for piece in (".lora", ".lora_linear_layer"):
        if head.endswith(piece):
            return head[: -len(piece)], part
    found = _LORA_PIECE.search(head)
    return (head[: found.start()].replace(".processor.", ".") + found["number"], part) if found else None


def layout_of(header: Header) -> Layout:
    """The layout of a file. Files of one trainer share theirs, so the last few are remembered."""
    names = tuple(header.tensors)
    return remembered(names) if header.size <= _SMALL else _layout(names)


def _layout(names: tuple[str, ...]) -> Layout:
    found: dict[str, dict[str, str]] = {}
    whole = _WHOLE.get
    for name in names:
        # kohya's names have no dot before the part, which makes them the cheapest to take apart.
        module, _, rest = name.partition(".")
        part = whole(rest)
        if part is None:
            if (place := split(name)) is None:
                continue
            module, part = place
        if parts := found.get(module):
            parts[part] = name
        else:
            found[module] = {part: name}
    counts, strays = _counted(found)
    if strays == len(found):
        return _plain(names)
    if strays:
        found = {module: parts for module, parts in found.items() if not _STRONG.isdisjoint(parts)}
    downs = {parts[_DOWN] for parts in found.values() if _DOWN in parts}
    mask = bytes([name in downs for name in names])
    return Layout(True, found, counts, Counter([module[:START] for module in found]), _sample(list(found)), mask)


def _counted(modules: Mapping[str, Mapping[str, str]]) -> tuple[dict[str, int], int]:
    """(how many modules have each part, how many have none that makes an adapter)."""
    counts: dict[str, int] = {}
    strays = 0
    for parts, count in Counter([tuple(parts) for parts in modules.values()]).items():
        if _STRONG.isdisjoint(parts):
            strays += count
            continue
        for part in parts:
            counts[part] = counts.get(part, 0) + count
    return counts, strays


remembered = lru_cache(maxsize=16)(_layout)


def _plain(names: tuple[str, ...]) -> Layout:
    found = {name[:-7]: {"weight": name} for name in names if name.endswith(".weight")}
    return Layout(False, found, {}, Counter(name[:START] for name in names), _sample(list(names)))


_PREFIX = re.compile(
    r"^(?:base_model\.model\.|model\.diffusion_model\.|diffusion_model\.|transformer\.|unet\.|net\.|model\.|"
    r"lora_unet_|lora_transformer_|lycoris_unet_|lycoris_)+",
    re.MULTILINE,
)


def _sample(names: list[str]) -> str:
    """Some names, one a line, without what stands before the model's own, with underscores for dots and N for numbers.

    Every block of a model has the names that tell its family, so a few dozen tell as much as thousands.
    """
    step, last = len(names) // _SAMPLED + 1, len(names) - 1
    # Blocks repeat: a constant step could meet the same one of their names each time.
    some = [names[min(at + turn % step, last)] for turn, at in enumerate(range(0, len(names), step))]
    text = _PREFIX.sub("", "\n".join(some)).replace(".", "_")
    return f"\n{_NUMBER.sub('_N', text)}\n"


def first_line(pattern: str, text: str) -> str | None:
    """The first line of ``text`` that has ``pattern`` in it: one search through all of them, not one each."""
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        return None
    end = text.find("\n", found.end())
    return text[text.rfind("\n", 0, found.end()) + 1 : end if end >= 0 else len(text)]


def highest(pattern: str, text: str) -> int:
    """The highest number that ``pattern``, which has one group of at most six digits, finds in ``text``; -1 for none."""
    return max(map(int, re.findall(pattern, text)), default=-1)
