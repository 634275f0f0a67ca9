"""What the engine keeps loaded: bases as far as the device's memory goes, LoRAs as far as the main memory goes."""

from __future__ import annotations

import gc
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch

from hubman.generate.batching import MARGIN
from hubman.generate.device import dtype_for, has_bf16
from hubman.generate.hanging import Hanging
from hubman.generate.pipeline import Base, load_base
from hubman.generate.previews import Previewer
from hubman.generate.protocol import KeptBase
from hubman.generate.request import LoraUse
from hubman.lora.load import LoraWeights, load_lora
from hubman.train.architectures.detect import Detected, detect
from hubman.train.capacity.base_size import base_size
from hubman.train.capacity.ladder import is_out_of_memory
from hubman.train.capacity.memory import Memory, give_back
from hubman.train.settings.network import NetworkSettings
from registry.errors import HubError

SHELF_SHARE = 0.25
"""The share of the main memory that is free which LoRAs may fill."""
SHELF_LEAST = 1 << 30
"""Bytes that they may have anyway; a rank-32 LoRA of SDXL is 0.35 GB in fp32."""


@dataclass
class Kept:
    """A base, the LoRAs that hang in it, and how it is shown while it draws."""

    base: Base
    detected: Detected
    hanging: Hanging
    previewer: Previewer
    is_tight: bool = False
    """Not even one picture fitted beside the text encoders."""

    def bytes(self) -> int:
        """Of the weights that are in memory now, LoRAs in the bank not counted."""
        model = self.base.model
        frozen = sum(each.numel() for each in model.denoiser.parameters())
        return int(frozen + model.loaded("text") + model.loaded("image")) * model.dtype.itemsize

    def told(self) -> KeptBase:
        return KeptBase(
            name=self.base.name, path=str(self.base.path), dtype=str(self.base.model.dtype).removeprefix("torch."),
            bytes=self.bytes(), loras=self.hanging.bank.size,
        )  # fmt: skip


class Bases:
    """Loaded bases, the one that was used last at the end."""

    def __init__(
        self, memory: Memory, device: torch.device, dtype: torch.dtype | None, *, compiled: bool = False
    ) -> None:
        self.memory, self.device, self._dtype, self._compiled = memory, device, dtype, compiled
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __contains__(self, path: str) -> bool:
        return _key(path) in self._kept

    @property
    def available(self) -> int:
        """Bytes of the device that can still be had."""
        return max(0, self.memory.free - self.memory.used)

    def get(self, path: str) -> Kept:
        """The base at ``path``, loaded unless it is there; those that were not used longest make room for it."""
        key = _key(path)
        if key not in self._kept:
            self._kept[key] = self._load(key)
        self._kept.move_to_end(key)
        return self._kept[key]

    def keep_only(self, path: str) -> None:
        """Give up all others, and what their memory was used for."""
        for other in [each for each in self._kept if each != _key(path)]:
            self._drop(other)
        self._give_back()

    def clear(self) -> None:
        self._kept.clear()
        self._give_back()

    def told(self) -> tuple[KeptBase, ...]:
        return tuple(kept.told() for kept in list(self._kept.values()))

    def _load(self, path: str) -> Kept:
        place = Path(path)
        detected = detect(place)
        kind = self.device.type
        dtype = self._dtype or dtype_for(kind, detected.kind, has_bf16=has_bf16(self.device))
        if self._kept:
            self._make_room(_weight(place, dtype))
        base = self._load_beside(place, dtype)
        if base is None:
            self.clear()
            base = self._load_alone(place, dtype)
        hanging = Hanging(base)
        if self._compiled:
            hanging.compile()
        return Kept(base, detected, hanging, Previewer(base.model))

    def _load_beside(self, place: Path, dtype: torch.dtype) -> Base | None:
        """The base beside those that are kept; None where the memory does not suffice. What it had loaded by then is held
        by the error's traceback, so the caller tries again only after this has returned.
        """
        try:
            return load_base(place, device=self.device, dtype=dtype)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        return None

    def _load_alone(self, place: Path, dtype: torch.dtype) -> Base:
        try:
            return load_base(place, device=self.device, dtype=dtype)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._give_back()
            raise HubError(f"{place.name} does not fit into the memory", "close what else uses it") from error

    def _make_room(self, need: int) -> None:
        while self._kept and self.available * MARGIN < need:
            self._drop(next(iter(self._kept)))
            self._give_back()

    def _drop(self, path: str) -> None:
        self._kept.pop(path).hanging.take_down()

    def _give_back(self) -> None:
        gc.collect()  # modules and their hooks refer to each other
        give_back(self.device)


def _key(path: str) -> str:
    """The same for all ways to write a path."""
    return str(Path(path))


def _weight(place: Path, dtype: torch.dtype) -> int:
    """Bytes that a base is going to take, by the headers of its files."""
    size = base_size(place, NetworkSettings())
    return (size.parameters + size.reading) * dtype.itemsize


class Shelf:
    """LoRA files as read for a base, in main memory; those that were not used longest go first."""

    def __init__(self, share: float = SHELF_SHARE, least: int = SHELF_LEAST) -> None:
        self._share, self._least = share, least
        self._memory = Memory(torch.device("cpu"))
        self._held: OrderedDict[tuple[object, ...], tuple[LoraWeights, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes(self) -> int:
        return sum(size for _, size in list(self._held.values()))

    def get(self, base: Base, use: LoraUse) -> LoraWeights:
        """The LoRA for that base, read unless its file lies here unchanged."""
        file = Path(use.path)
        stat = file.stat() if file.is_file() else None
        place = (base.path, use.path, stat.st_size if stat else 0, stat.st_mtime_ns if stat else 0)
        if place not in self._held:
            read = load_lora(file, base.table, base=base.name, weight_of=base.weight_of)
            self._held[place] = read, _bytes(read)
        self._held.move_to_end(place)
        self._shrink()
        return self._held[place][0]

    def clear(self) -> None:
        self._held.clear()

    def _shrink(self) -> None:
        """Down to what may be held, but never the one that is wanted now."""
        free = self._memory.free - self._memory.used
        most = max(self._least, self._share * (free + self.bytes))
        while len(self._held) > 1 and self.bytes > most:
            self._held.popitem(last=False)


def _bytes(lora: LoraWeights) -> int:
    tensors = [each for change in lora.changes.values() for each in (change.norm, change.bias)]
    tensors += [each for factors in lora.factors.values() for each in (factors.down, factors.up)]
    return sum(each.numel() * each.element_size() for each in tensors if each is not None)
