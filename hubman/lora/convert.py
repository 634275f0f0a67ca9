"""A LoRA file in another format, verified before it is written: the same change of every module."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from hubman.lora import forms
from hubman.lora.forms import Converted, Format, Module
from hubman.lora.fusing import fused, split
from hubman.lora.headers import entries_for
from hubman.lora.keys import Site
from hubman.lora.load import OpenLora, open_lora
from hubman.lora.names import ADAPTER, Names
from hubman.lora.peft_header import CONFIG
from hubman.lora.reduce import low_rank
from hubman.lora.same import largest_difference
from hubman.lora.writing import serialise
from hubman.train.files import write_atomically
from registry.errors import DamagedFileError, HubError, UsageError
from registry.hashing import hash_file

TOLERANCE = 1e-6
"""Largest error of a module's change, relative to its Frobenius norm."""


@dataclass(frozen=True)
class Conversion:
    """What was written."""

    files: tuple[Path, ...]
    modules: int
    error: float
    """Largest relative error of a module's change."""
    kept: float = 1.0
    """Share of the change's energy that baking kept."""


def convert(source: Path, to: Format, out: Path, names: Names, *, bake: int = 0) -> Conversion:
    """Write ``source`` (a file, or a folder of PEFT's) to ``out``: a file, for PEFT a folder.

    ``bake`` above 0 makes every module a plain LoRA of at most that rank, as near as it can be (needs the frozen
    weights). Raises ``UsageError`` where ``out`` is there already, ``HubError`` for modules that the base or the format
    has no place for, ``DamagedFileError`` for a file that cannot be read or whose result would differ.
    """
    if out.exists():
        raise UsageError(f"{out} is there already", "name another file with --out")
    with ExitStack() as stack:
        opened = [stack.enter_context(each) for each in _open(source, names)]
        given = [Module(site, *_of(file, site)) for file in opened for site in file.resolved.modules]
        modules, kept = _baked(opened, bake) if bake else (given, 1.0)
        metadata = opened[0].metadata
    if to == "kohya":
        made = forms.kohya(fused(modules), names.sites, names.originals)
    else:
        pieces = split(modules, names.parts, names.reordered)
        made = forms.diffusers(pieces) if to == "diffusers" else forms.peft(pieces)
    parents = [hash_file(file.file).sha256 for file in opened]
    known = {**(names.header if to == "kohya" else {}), **metadata}
    content = _files(made, entries_for(known, to, modules, baked=bake, parents=parents))
    with tempfile.TemporaryDirectory() as folder:
        error = _verify(content, Path(folder), modules, names)
    written = tuple(_place(out, name) for name in content)
    for path, data in zip(written, content.values(), strict=True):
        write_atomically(path, data)
    return Conversion(written, len(modules), error, kept)


def _open(source: Path, names: Names) -> Iterator[AbstractContextManager[OpenLora]]:
    """The files of ``source``: itself, or what a folder of PEFT's holds for one or several components."""
    single = source / ADAPTER if source.is_dir() else source
    if not source.is_dir() or single.is_file():
        return iter([open_lora(single, names.table, base=names.base, weight_of=names.weight_of)])
    parts = {site.component: source / site.component / ADAPTER for site in names.sites}
    found = {component: path for component, path in parts.items() if path.is_file()}
    if not found:
        raise UsageError(f"{source} holds no {ADAPTER}", "give a LoRA file, or a folder that PEFT wrote")
    return (
        open_lora(path, _native(component, [*names.sites, *names.parts]), base=names.base, weight_of=names.weight_of)
        for component, path in found.items()
    )


def _native(component: str, sites: Sequence[Site]) -> dict[str, Site]:
    return {f"base_model.model.{site.path}": site for site in sites if site.component == component}


def _of(opened: OpenLora, site: Site) -> tuple[Mapping[str, torch.Tensor], float | None]:
    coverage = opened.resolved.coverage
    if coverage.share < 1:
        raise HubError(f"{opened.file.name} holds modules that would be lost ({coverage})", "name its base with --base")
    parts = opened.parts(site)
    return parts, opened.alpha(site, parts)


def _baked(opened: Sequence[OpenLora], rank: int) -> tuple[list[Module], float]:
    modules = []
    whole = kept = 0.0
    for file in opened:
        for site in file.resolved.modules:
            change = file.change(site)
            if change.factors is None or change.bias is not None:
                raise HubError(f"{site.path} changes a norm or a bias, which no LoRA can", "convert it without --bake")
            delta = change.factors.delta()
            down, up, share = low_rank(delta, rank)
            ones = [1] * (delta.dim() - 2)
            parts = {"down": down, "up": up.reshape(*up.shape, *ones), "alpha": torch.tensor(float(down.shape[0]))}
            modules.append(Module(site, parts, None))
            energy = float(delta.double().square().sum())
            whole, kept = whole + energy, kept + share * energy
    return modules, kept / whole if whole else 1.0


def _files(made: Converted, entries: Mapping[str, str]) -> dict[str, bytes]:
    """The bytes of each file by its path below the output; the output itself is ``""``."""
    if not made.configs:
        return {"": serialise({name: tensor.contiguous() for name, tensor in made.tensors.items()}, entries)}
    files = {}
    for component, config in made.configs.items():
        prefix = f"{component}/"
        own = {
            name.removeprefix(prefix): tensor.contiguous()
            for name, tensor in made.tensors.items()
            if name.startswith(prefix)
        }
        folder = prefix if len(made.configs) > 1 else ""
        files[folder + ADAPTER] = serialise(own, entries)
        files[folder + CONFIG] = forms.config_text(config).encode()
    return files


def _verify(content: Mapping[str, bytes], folder: Path, modules: Sequence[Module], names: Names) -> float:
    """The largest relative error of a module, read back from ``content``. Raises DamagedFileError above the bound."""
    root = folder / ("converted.safetensors" if "" in content else "converted")
    for name, data in content.items():
        path = _place(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with ExitStack() as stack:
        opened = [stack.enter_context(each) for each in _open(root, names)]
        found = [Module(site, *_of(file, site)) for file in opened for site in file.resolved.modules]
    error = largest_difference(modules, found)
    if not error <= TOLERANCE:
        raise DamagedFileError(
            f"the conversion would change the LoRA by {error:.1e}; nothing was written",
            "report it with the file's name",
        )
    return error


def _place(out: Path, name: str) -> Path:
    return out / name if name else out
