"""A checkpoint's weights by the places that LoRAs change, read one at a time: single files and diffusers folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from hubman.lora.keys import Site
from hubman.lora.ldm import OPEN_CLIP, diffusers_namer
from hubman.lora.names import Names
from registry.errors import DamagedFileError, HubError, NotFoundError

_WEIGHT = ".weight"
_UNET = "model.diffusion_model."
_CLIPS = {
    "cond_stage_model.transformer.text_model.": "text_encoder",
    "cond_stage_model.transformer.": "text_encoder",
    "conditioner.embedders.0.transformer.text_model.": "text_encoder",
}
_OPEN_CLIPS = {
    "cond_stage_model.model.transformer.resblocks.": "text_encoder",
    "conditioner.embedders.1.model.transformer.resblocks.": "text_encoder_2",
}
_STACKS = re.compile(r"(double_blocks|single_blocks|joint_blocks)\.")
"""Where the transformers' own code has its blocks: FLUX.1, SD 3."""
_ADAPTED = re.compile(r"(down_blocks|up_blocks|mid_block)\.|encoder\.layers\.|" + _STACKS.pattern)
"""What trainers put LoRAs into: not the first and last layers, nor those that read the time."""


@dataclass(frozen=True)
class _Place:
    tensors: Any
    name: str
    rows: slice | None = None
    """Of a fused weight."""


@dataclass
class Checkpoint:
    """The Linears and convolutions of an opened checkpoint."""

    path: Path
    places: dict[Site, _Place] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict)

    def weight(self, site: Site) -> torch.Tensor:
        """The weight of a place, in the precision that it has."""
        place = self.places[site]
        tensor: torch.Tensor = place.tensors.get_tensor(place.name)
        return tensor if place.rows is None else tensor[place.rows]

    @property
    def names(self) -> Names:
        return Names(self.path.stem, tuple(self.places), originals=self.originals)

    @property
    def adapted(self) -> set[Site]:
        """The places that LoRAs are made for."""
        return {site for site in self.places if _ADAPTED.match(site.path)}


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """Open a ``.safetensors`` checkpoint or a diffusers folder.

    Raises ``NotFoundError`` for nothing, ``HubError`` for what is no such checkpoint, ``DamagedFileError``.
    """
    if not path.exists():
        raise NotFoundError(f"{path} is not there", "give a checkpoint or a diffusers folder")
    with ExitStack() as stack:
        made = Checkpoint(path)
        try:
            if path.is_dir():
                for component, file in _files(path):
                    _add_component(made, component, stack.enter_context(safe_open(str(file), framework="pt")))
            elif path.suffix in (".safetensors", ".sft"):
                _add_single(made, stack.enter_context(safe_open(str(path), framework="pt")))
            else:
                raise HubError(
                    f"{path.name} is not a safetensors file", "pickled files are never opened; convert it first"
                )
        except (SafetensorError, OSError) as error:
            raise DamagedFileError(f"{path} cannot be read ({error})", "download it again") from error
        if not made.adapted:
            raise HubError(
                f"{path.name} is no checkpoint whose layers are known here",
                "give one of SD 1.x, SD 2.x or SDXL, or a single file of FLUX.1 or SD 3 in its original names",
            )
        yield made


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Each component's files; of those in several precisions the plain ones, which have no word before the ending."""
    for component in ("unet", "text_encoder", "text_encoder_2"):
        files = sorted((folder / component).glob("*.safetensors"))
        plain = [file for file in files if re.fullmatch(r"[^.]+\.safetensors", file.name)]
        yield from ((component, file) for file in plain or files)


def _add_component(made: Checkpoint, component: str, tensors: Any) -> None:
    for name, shape in _matrices(tensors):
        if name.endswith(_WEIGHT):
            path = name.removesuffix(_WEIGHT).removeprefix("text_model.")
            made.places[Site(component, path, shape)] = _Place(tensors, name)


def _add_single(made: Checkpoint, tensors: Any) -> None:
    found = dict(_matrices(tensors))
    denoiser = {name.removeprefix(_UNET): name for name in found if name.endswith(_WEIGHT)}
    namer = diffusers_namer(path.removesuffix(_WEIGHT) for path in denoiser)
    for path, name in denoiser.items():
        bare = path.removesuffix(_WEIGHT)
        if _STACKS.match(bare):
            made.originals[bare] = bare
            made.places[Site("transformer", bare, found[name])] = _Place(tensors, name)
        elif name.startswith(_UNET) and (known := namer(bare)):
            made.places[Site("unet", known, found[name])] = _Place(tensors, name)
    for name, shape in found.items():
        for start, component in _CLIPS.items():
            if name.startswith(start) and name.endswith(_WEIGHT):
                made.places.setdefault(
                    Site(component, name.removeprefix(start).removesuffix(_WEIGHT), shape), _Place(tensors, name)
                )
                break
        for start, component in _OPEN_CLIPS.items():
            if name.startswith(start):
                _add_open_clip(made, component, name.removeprefix(start), _Place(tensors, name), shape)


def _add_open_clip(made: Checkpoint, component: str, name: str, place: _Place, shape: tuple[int, ...]) -> None:
    number, _, part = name.partition(".")
    block = f"encoder.layers.{number}"
    if part == "attn.in_proj_weight":
        rows = shape[0] // 3
        for i, letter in enumerate("qkv"):
            site = Site(component, f"{block}.self_attn.{letter}_proj", (rows, *shape[1:]))
            made.places[site] = _Place(place.tensors, place.name, slice(i * rows, (i + 1) * rows))
    elif part in OPEN_CLIP:
        made.places[Site(component, f"{block}.{OPEN_CLIP[part]}", shape)] = place


def _matrices(tensors: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name in tensors.keys():  # noqa: SIM118
        shape = tuple(tensors.get_slice(name).get_shape())
        if len(shape) in (2, 4):
            yield name, shape


def common(tuned: Checkpoint, base: Checkpoint) -> Mapping[str, Site]:
    """The places that both have, by kohya's names and in the order of files.

    Raises ``HubError`` where the two are of different architectures.
    """
    ours, theirs = tuned.adapted, base.adapted
    both = ours & theirs
    if len(both) < 0.9 * max(len(ours), len(theirs)):
        raise HubError(
            f"{tuned.path.name} and {base.path.name} are of different architectures "
            f"({len(both)} of {max(len(ours), len(theirs))} layers fit)",
            "give the base that it was tuned from",
        )
    namer = tuned.names.kohya_name
    return dict(sorted(((namer(site), site) for site in both), key=lambda one: f"{one[0]}."))
