"""How large a base model and an adapter on it are, from the headers of its files alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hubman.train.settings.network import NetworkSettings
from registry.errors import NotFoundError
from registry.headers import read_header

_DENOISERS = ("unet", "transformer")
_PREFIX = "model.diffusion_model."
_READERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
_READER_PREFIXES = ("cond_stage_model.", "conditioner.embedders.")
_ADAPTED = re.compile(
    r"(^|\.)(attentions|transformer_blocks|single_transformer_blocks|\w+_blocks\.\d+\.1)\."
    r"|^(double_blocks|single_blocks|joint_blocks|layers|noise_refiner|context_refiner)\."
)
"""Blocks by their names in diffusers, in LDM's UNets, and in the originals of FLUX.1, SD 3.5 and Z-Image."""
_LINEAR = 2


class BaseSize(msgspec.Struct, frozen=True):
    """Numbers of parameters."""

    parameters: int
    """Of the model that predicts."""
    trained: int
    """Of the adapter."""
    reading: int = 0
    """Of the text encoders; 0 for a file that comes without them."""


def base_size(base: Path, network: NetworkSettings) -> BaseSize:
    """Count a diffusers folder or a single file. Raises NotFoundError where there is no model that predicts.

    The adapter counts as factors around the attention and feed-forward layers, and around all wide convolutions where
    these are trained; other types of networks are of the same order.
    """
    parameters = trained = 0
    for name, shape in _weights(base):
        parameters += math.prod(shape)
        if name.endswith(".weight"):
            trained += _factors(name, shape, network)
    if not parameters:
        raise NotFoundError(f"{base.name} holds no model that predicts", "give a diffusers folder or a checkpoint")
    return BaseSize(parameters, trained, sum(math.prod(shape) for _, shape in _reading(base)))


def _weights(base: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each tensor of the model that predicts."""
    if base.is_file():
        found = read_header(base).tensors
        inside = any(name.startswith(_PREFIX) for name in found)
        for name, info in found.items():
            if name.startswith(_PREFIX) or not inside:
                yield name.removeprefix(_PREFIX), tuple(info.shape)
        return
    yield from _in_folder(base, _DENOISERS)


def _reading(base: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The same of the text encoders."""
    if base.is_dir():
        yield from _in_folder(base, _READERS)
        return
    for name, info in read_header(base).tensors.items():
        if name.startswith(_READER_PREFIXES):
            yield name, tuple(info.shape)


def _in_folder(base: Path, parts: Sequence[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in parts:
        files = sorted((base / part).glob("*.safetensors"))
        # A precision of its own has its own files beside the ordinary ones.
        plain = [file for file in files if ".fp16." not in file.name] or files
        for file in plain:
            for name, info in read_header(file).tensors.items():
                yield name, tuple(info.shape)


def _factors(name: str, shape: tuple[int, ...], network: NetworkSettings) -> int:
    """Parameters of the two factors of one layer; 0 where it is not adapted."""
    if len(shape) < _LINEAR:
        return 0
    wide = math.prod(shape[2:]) > 1
    if not wide and not _ADAPTED.search(name):
        return 0
    rank = network.conv_rank if wide else network.rank
    return rank * (shape[0] + math.prod(shape[1:]))
