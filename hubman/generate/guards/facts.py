"""What the library and the headers of files say of the LoRAs of a request. Neither a model nor torch is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hubman.generate.request import DrawRequest, LoraUse
from hubman.lora import base_sites, conflict, resolve
from hubman.lora.keys import TEXT_ENCODERS, split_name
from hubman.lora.kinds import kind_of
from registry.errors import DamagedFileError, HubError
from registry.headers import Header, read_header

if TYPE_CHECKING:
    from registry.database import Registry

_TEXT = ("lora_te", "text_encoder", "lycoris_text_encoder", "base_model.model.text_", "clip_", "t5xxl")
_DENSE = frozenset({"OFT", "GLoRA", "(IA)3", "full difference"})
_GPUS = ("/dev/nvidiactl", "/dev/kfd")
_TITLES = ("ss_output_name", "modelspec.title")


@dataclass(frozen=True)
class LoraFacts:
    """What is known of one LoRA file."""

    coverage: resolve.Coverage | None = None
    """How much of it the base knows; None where that can't be told before it is loaded."""
    problem: str = ""
    """Why it can't be drawn on this base, in words; empty where it can."""
    problem_hint: str = ""
    text_modules: int | None = None
    """Its modules in text encoders; None if the file could not be read."""
    dense: frozenset[str] = frozenset()
    """The kinds in it that are no low-rank factors: DoRA, full difference, OFT …"""
    titles: tuple[str, ...] = ()
    """What the file calls itself."""
    called: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 to path of the library's files that prompts call by the name of the use."""


_NOTHING = LoraFacts()


@dataclass(frozen=True)
class Known:
    """Facts by SHA-256 (lower case), and the reading of the conflict meter; None where no fingerprint is stored."""

    loras: Mapping[str, LoraFacts] = field(default_factory=dict)
    meter: conflict.Meter | None = None

    def of(self, sha256: str) -> LoraFacts:
        return self.loras.get(sha256.lower(), _NOTHING)


def know(registry: Registry, request: DrawRequest) -> Known:
    """Gather the facts of a request's LoRAs: their headers, the base's, and the library. Some ms each; for a thread."""
    facts = {use.sha256.lower(): _facts(registry, use, Path(request.base)) for use in request.loras}
    return Known(facts, _meter(registry, request))


def _meter(registry: Registry, request: DrawRequest) -> conflict.Meter | None:
    """What stored fingerprints tell of the LoRAs that are on; None where none is stored."""
    stack = [(use.sha256.lower(), use.strength) for use in request.loras if use.strength and use.sha256]
    if not stack:
        return None
    meter = conflict.meter(registry, stack)
    return None if len(meter.missing) == len({sha256 for sha256, _ in stack}) else meter


def expected_dtype(base: Path) -> str:
    """What a base is drawn in on this machine, as far as that can be told without loading torch.

    Flow models are drawn in bf16 on a GPU, since fp16 overflows in them; all others in fp16 there, and in fp32 on a CPU.
    """
    from hubman.train.architectures.detect import FLOW, detect

    if not any(Path(device).exists() for device in _GPUS):
        return "float32"
    try:
        return "bfloat16" if detect(base).kind in FLOW else "float16"
    except HubError:
        return "float16"


def _facts(registry: Registry, use: LoraUse, base: Path) -> LoraFacts:
    called = files_called(registry, use.name)
    path = Path(use.path) if use.path else None
    try:
        header = _header(path, path.stat().st_mtime_ns) if path else None
    except (DamagedFileError, OSError) as error:
        return LoraFacts(problem=f"{use.name} can't be read ({error})", problem_hint="download it again", called=called)
    if header is None:
        return LoraFacts(called=called)
    told = _told(header)
    titles = tuple(header.metadata[key] for key in _TITLES if header.metadata.get(key))
    try:
        table = base_sites.table_of(base)
        if table is None:
            return LoraFacts(text_modules=told[0], dense=told[1], titles=titles, called=called)
        shapes = {name: tensor.shape for name, tensor in header.tensors.items()}
        found = resolve.resolve(shapes, table, file=use.name, base=_base_name(base))
    except HubError as error:
        return LoraFacts(None, error.message, error.hint, told[0], told[1], titles, called)
    text = sum(site.component in TEXT_ENCODERS for site in found.modules)
    return LoraFacts(found.coverage, text_modules=text, dense=told[1], titles=titles, called=called)


def _base_name(base: Path) -> str:
    from hubman import bases

    return bases.display_name(base)


@lru_cache(maxsize=64)
def _header(path: Path, stamp: int) -> Header:
    del stamp
    return read_header(path)


def _told(header: Header) -> tuple[int, frozenset[str]]:
    """(modules in text encoders, kinds that are no factors), by names and shapes alone."""
    modules: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in header.tensors.items():
        split = split_name(name)
        if split is not None:
            modules.setdefault(split[0], {})[split[1]] = tensor.shape
    dense = {kind for parts in modules.values() if (kind := kind_of(parts)) in _DENSE}
    if any("dora_scale" in parts or "dora_vector" in parts for parts in modules.values()):
        dense.add("DoRA")
    return sum(name.startswith(_TEXT) for name in modules), frozenset(dense)


def files_called(registry: Registry, name: str) -> dict[str, str]:
    """SHA-256 (lower case) to path, or nothing where it is elsewhere, of the library's files that prompts call ``name``."""
    from registry import library, prompt_name

    found: dict[str, str] = {}
    for _, version in prompt_name.called(registry, name):
        for file in library.version(registry, version).files:
            if file.sha256:
                here = [place.path for place in file.places if place.state == "present"]
                found[file.sha256.lower()] = here[0] if here else ""
    return found
