"""Axes as a person writes them: ``strength:ink=0.5-1.0 (+0.1)``, ``seed=1-4``, ``combine=pairs``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast, get_args

import msgspec

from hubman.generate.axes import Axis, Cost, parse_decimals, parse_floats, parse_integers, parse_values
from hubman.generate.grids import lora_axes, prompt_axes, setting_axes
from hubman.generate.grids.lora_axes import Part, Sets
from hubman.generate.request import DrawRequest, LoraUse, Mode
from registry.errors import UsageError

_SPEC = re.compile(r'\s*([A-Za-z-]+)\s*(?::\s*("[^"]*"|[^=]*?)\s*)?=(.*)', re.DOTALL)
_RATIO = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*:\s*(\d+(?:\.\d*)?|\.\d+)\s*")
_SIZE = re.compile(r"\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*")

Target = Literal["", "lora", "pair", "slot"]


class AxisSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An axis as typed: ``kind`` is one of :data:`KINDS`, ``target`` the LoRA (empty = the only one), pair or slot."""

    kind: str
    values: str
    target: str = ""

    def __str__(self) -> str:
        target = f'"{self.target}"' if "=" in self.target else self.target
        return f"{self.kind}:{target}={self.values}" if target else f"{self.kind}={self.values}"


class Sources(Protocol):
    """Where the files that an axis names come from. Each raises ``HubError`` for what is not there."""

    def lora(self, name: str) -> LoraUse:
        """The LoRA of this name, at any strength."""
        ...

    def epochs(self, use: LoraUse) -> Sequence[tuple[int | None, LoraUse]]:
        """All states of the training that ``use`` is from, by epoch, itself among them; the last may have no number."""
        ...

    def base(self, ref: str) -> tuple[str, str, str]:
        """(name, path, SHA-256 or '') of a base model."""
        ...


Build = Callable[[AxisSpec, DrawRequest, Sources], Axis]


@dataclass(frozen=True)
class Kind:
    """What can vary: how it is called and written. ``target`` says what stands after its word."""

    help: str
    example: str
    target: Target
    build: Build


def parse_axis(text: str) -> AxisSpec:
    """Read ``kind=values`` or ``kind:target=values``. Raises ``UsageError``; the values are read when it is built."""
    match = _SPEC.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no axis", "write for instance strength:ink=0.5-1.0 (+0.1)")
    word = _ALIASES.get(match[1].lower(), match[1].lower())
    if word not in KINDS:
        raise UsageError(f"there is no axis {match[1]!r}", f"choose one of {', '.join(KINDS)}")
    target = (match[2] or "").strip('"')
    if target and not KINDS[word].target:
        raise UsageError(f"the axis {word} is of no LoRA", f"write {KINDS[word].example}")
    return AxisSpec(kind=word, target=target, values=match[3].strip())


def build_axis(spec: AxisSpec, request: DrawRequest, sources: Sources) -> Axis:
    """The axis over ``request``. Raises ``HubError`` that says which value cannot be used."""
    return KINDS[spec.kind].build(spec, request, sources)


def _strength(part: Part) -> Build:
    def build(spec: AxisSpec, request: DrawRequest, _: Sources) -> Axis:
        return lora_axes.strength_axis(request, spec.target, parse_floats(spec.values), part)

    return build


def _lora(spec: AxisSpec, request: DrawRequest, sources: Sources) -> Axis:
    return lora_axes.lora_axis(request, spec.target, [sources.lora(name) for name in parse_values(spec.values)])


def _epochs(spec: AxisSpec, request: DrawRequest, sources: Sources) -> Axis:
    use = request.loras[lora_axes.lora_index(request, spec.target)]
    found = list(sources.epochs(use))
    if spec.values not in {"", "all"}:
        wanted = parse_integers(spec.values)
        by_number = {number: file for number, file in found if number is not None}
        if lacking := [str(number) for number in wanted if number not in by_number]:
            known = ", ".join(map(str, by_number)) or "none"
            raise UsageError(f"{use.name} has no epoch {', '.join(lacking)} here", f"there are {known}")
        found = [(number, by_number[number]) for number in wanted]
    if len(found) < 2:
        raise UsageError(f"no other epoch of {use.name} is here", "pull or scan them first")
    return lora_axes.lora_axis(request, spec.target, [file for _, file in found])


def _combine(spec: AxisSpec, request: DrawRequest, _: Sources) -> Axis:
    words = parse_values(spec.values or "alone, all-but-one, all")
    for word in words:
        if word not in get_args(Sets):
            raise UsageError(f"{word!r} is no set of LoRAs", f"choose among {', '.join(get_args(Sets))}")
    return lora_axes.combination_axis(request, [cast("Sets", word) for word in words])


def _ratio(spec: AxisSpec, request: DrawRequest, _: Sources) -> Axis:
    names = [name.strip() for name in spec.target.split(":")] if spec.target else []
    if not names and len(request.loras) == 2:
        names = ["#1", "#2"]
    if len(names) not in {2, 3}:
        raise UsageError("a ratio is of two LoRAs", "write ratio:ink:neon=0-1 [5], or ratio:ink:neon:1.2=… for a total")
    a, b = (lora_axes.lora_index(request, name) for name in names[:2])
    total = request.loras[a].strength + request.loras[b].strength
    if len(names) == 3:
        total = parse_floats(names[2])[0]
    return lora_axes.ratio_axis(request, names[0], names[1], total, _shares(spec.values))


def _shares(text: str) -> list[float]:
    """The first one's parts of the total: ``1:3`` is 0.25, ``0-1 [5]`` a range of them."""
    shares: list[float] = []
    for item in parse_values(text):
        if match := _RATIO.fullmatch(item):
            first, second = float(match[1]), float(match[2])
            if first + second == 0:
                raise UsageError("a ratio of 0:0", "write for instance 1:3")
            shares.append(first / (first + second))
        else:
            shares += map(float, parse_decimals(item))
    if any(not 0 <= share <= 1 for share in shares):
        raise UsageError("a part of a total lies between 0 and 1", "write 0-1 [5], or 1:3, 1:1, 3:1")
    return shares


def _blocks(spec: AxisSpec, request: DrawRequest, _: Sources) -> Axis:
    return lora_axes.blocks_axis(request, spec.target, parse_values(spec.values))


def _step(field: Literal["start", "stop"]) -> Build:
    def build(spec: AxisSpec, request: DrawRequest, _: Sources) -> Axis:
        return lora_axes.step_axis(request, spec.target, field, parse_integers(spec.values))

    return build


def _slot(spec: AxisSpec, request: DrawRequest, _: Sources) -> Axis:
    if not spec.target:
        raise UsageError("the axis does not say which slot it fills", "write slot:subject=a cat, a dog")
    return prompt_axes.slot_axis(request, spec.target, parse_values(spec.values))


def _size(spec: AxisSpec, _request: DrawRequest, _: Sources) -> Axis:
    sizes = []
    for item in parse_values(spec.values):
        match = _SIZE.fullmatch(item)
        if match is None:
            raise UsageError(f"size {item!r} is not WIDTHxHEIGHT", "write for example 512x768")
        sizes.append((int(match[1]), int(match[2])))
    return setting_axes.size_axis(sizes)


def _base(spec: AxisSpec, _request: DrawRequest, sources: Sources) -> Axis:
    return setting_axes.base_axis([sources.base(ref) for ref in parse_values(spec.values)])


def _field(
    label: str, field: str, read: Callable[[str], Sequence[int] | Sequence[float] | Sequence[str]], cost: Cost
) -> Build:
    def build(spec: AxisSpec, _request: DrawRequest, _: Sources) -> Axis:
        return setting_axes.field_axis(label, field, read(spec.values), cost, spec.kind)

    return build


def _modes(text: str) -> Sequence[str]:
    values = parse_values(text)
    for value in values:
        if value not in get_args(Mode):
            raise UsageError(f"mode {value!r} is unknown", f"choose one of {', '.join(get_args(Mode))}")
    return values


def _integers(label: str, field: str, cost: Cost) -> Build:
    return _field(label, field, parse_integers, cost)


def _words(label: str, field: str, cost: Cost) -> Build:
    return _field(label, field, parse_values, cost)


KINDS: Mapping[str, Kind] = {
    "strength": Kind("strength of a LoRA", "strength:ink=0.5-1.0 (+0.1)", "lora", _strength("both")),
    "te": Kind("its text-encoder strength", "te:ink=0, 0.5, 1", "lora", _strength("te")),
    "unet": Kind("its UNet strength", "unet:ink=0-1 [5]", "lora", _strength("unet")),
    "lora": Kind("files in a LoRA's place", "lora:ink=ink-v1, ink-v2", "lora", _lora),
    "epochs": Kind("the epochs of a LoRA's training", "epochs:ink=all", "lora", _epochs),
    "combine": Kind("which LoRAs are on; also subsets", "combine=alone, pairs, all-but-one, all", "", _combine),
    "ratio": Kind("two LoRAs in a fixed total", "ratio:ink:neon=1:3, 1:1, 3:1", "pair", _ratio),
    "blocks": Kind("block weights of a LoRA", "blocks:ink=none, MIDD, B-LoRA style", "lora", _blocks),
    "start": Kind("the step from which a LoRA acts", "start:ink=0-8 (+2)", "lora", _step("start")),
    "stop": Kind("the step until which a LoRA acts", "stop:ink=8, 12, 16", "lora", _step("stop")),
    "seed": Kind("seed", "seed=1-4", "", _integers("Seed", "seed", Cost.SEED)),
    "prompt": Kind("search and replace: the first is searched", "prompt=a cat, a dog", "",
                   lambda spec, request, _: prompt_axes.replace_axis(request, parse_values(spec.values))),
    "order": Kind("every order of words of the prompt", "order=ink wash, a cat", "",
                  lambda spec, request, _: prompt_axes.order_axis(request, parse_values(spec.values))),
    "slot": Kind("what {subject} stands for", "slot:subject=a cat, a dog", "slot", _slot),
    "steps": Kind("sampling steps", "steps=8, 16, 32", "", _integers("Steps", "steps", Cost.SAMPLING)),
    "cfg": Kind("guidance", "cfg=3-9 (+2)", "", _field("CFG", "cfg", parse_floats, Cost.STRENGTH)),
    "sampler": Kind("sampler", "sampler=Euler a, DDIM", "", _words("Sampler", "sampler", Cost.SAMPLING)),
    "schedule": Kind("schedule type", "schedule=Automatic, Karras", "", _words("Schedule", "schedule", Cost.SAMPLING)),
    "checkpoint": Kind("base model", "checkpoint=tiny, ~/models/v1-5.safetensors", "", _base),
    "size": Kind("size in pixels", "size=512x512, 512x768", "", _size),
    "emphasis": Kind("how (word:1.2) acts", "emphasis=Original, No norm, Interpolate", "",
                     _words("Emphasis", "emphasis", Cost.PROMPT)),
    "clip-skip": Kind("layers of the text encoder left out", "clip-skip=1, 2", "",
                      _integers("Clip skip", "clip_skip", Cost.PROMPT)),
    "mode": Kind("how several LoRAs act", "mode=bank, switch, composite", "", _field("Mode", "mode", _modes, Cost.SAMPLING)),
    "denoise": Kind("how far img2img goes", "denoise=0.2-0.8 (+0.2)", "",
                    _field("Denoise", "denoise", parse_floats, Cost.SAMPLING)),
}  # fmt: skip
"""Every axis by its word."""

_ALIASES = {
    "scheduler": "schedule", "base": "checkpoint", "model": "checkpoint", "seeds": "seed", "s/r": "prompt", "sr": "prompt",
    "epoch": "epochs", "block": "blocks", "combination": "combine",
}  # fmt: skip
