"""The places of a base model, read off the headers of its files: which LoRAs fit is known before a model is loaded.

Single files have the original (LDM) names of Stability AI's and OpenCLIP's code (``ldm.py``). No torch is needed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from hubman.lora.keys import TEXT_ENCODERS, Site, alias_table
from hubman.lora.ldm import OPEN_CLIP, diffusers_namer
from registry.errors import DamagedFileError
from registry.headers import read_header

Shapes = Mapping[str, tuple[int, ...]]

_UNET = "model.diffusion_model."
_RESBLOCK = re.compile(r"(?:model\.)?transformer\.resblocks\.(\d+)\.(.+)")
_TEXT_PREFIXES = (
    ("cond_stage_model.", "text_encoder"),
    ("conditioner.embedders.0.", "text_encoder"),
    ("conditioner.embedders.1.", "text_encoder_2"),
)


def table_of(base: Path) -> Mapping[str, Site] | None:
    """Every name that files give the modules of ``base``; None where headers alone can't tell: for transformers.

    ``base`` is a diffusers folder or a single file. Raises ``DamagedFileError``.
    """
    try:
        return _table(base, tuple(sorted((path, path.stat().st_mtime_ns) for path in _files(base))))
    except OSError as error:
        raise DamagedFileError(f"{base.name} can't be read ({error})", "copy the base model again") from error


@lru_cache(maxsize=4)
def _table(base: Path, files: tuple[tuple[Path, int], ...]) -> Mapping[str, Site] | None:
    found = list(_of_folder(path for path, _ in files) if base.is_dir() else _of_file(_shapes(base)))
    if not any(site.component == "unet" for site in found):
        return None
    return alias_table(found)


def _files(base: Path) -> list[Path]:
    """The single file, or of each component of a folder the files that are loaded, not their variants."""
    if not base.is_dir():
        return [base]
    found: list[Path] = []
    for component in ("unet", *TEXT_ENCODERS):
        for stem in ("diffusion_pytorch_model", "model"):
            whole = base / component / f"{stem}.safetensors"
            parts = sorted((base / component).glob(f"{stem}-[0-9]*-of-[0-9]*.safetensors"))
            variants = sorted((base / component).glob(f"{stem}.*.safetensors"))
            found += [whole] if whole.is_file() else parts or variants[:1]
    return found


def _shapes(path: Path) -> Shapes:
    return {name: tensor.shape for name, tensor in read_header(path).tensors.items()}


def _of_folder(files: Iterable[Path]) -> Iterator[Site]:
    for path in files:
        for name, shape in _shapes(path).items():
            if name.endswith(".weight") and len(shape) in (1, 2, 4):
                yield Site(path.parent.name, _own(path.parent.name, name.removesuffix(".weight")), shape)


def _own(component: str, path: str) -> str:
    return path.removeprefix("text_model.") if component in TEXT_ENCODERS else path


def _of_file(shapes: Shapes) -> Iterator[Site]:
    unet = {
        name.removeprefix(_UNET).removesuffix(".weight"): shape
        for name, shape in shapes.items()
        if name.startswith(_UNET) and name.endswith(".weight")
    }
    namer = diffusers_namer(unet)
    for name, shape in unet.items():
        if (path := namer(name)) is not None:
            yield Site("unet", path, shape)
    for name, shape in shapes.items():
        for prefix, component in _TEXT_PREFIXES:
            if name.startswith(prefix):
                yield from _of_text(component, name.removeprefix(prefix), shape)


def _of_text(component: str, name: str, shape: tuple[int, ...]) -> Iterator[Site]:
    """The places of a CLIP in a single file, in transformers' naming or in OpenCLIP's with its joint q, k and v."""
    match = _RESBLOCK.fullmatch(name)
    if match is None:
        if name.startswith("transformer.") and name.endswith(".weight"):
            # Some files lack the level text_model.
            path = name.removeprefix("transformer.").removeprefix("text_model.")
            yield Site(component, path.removesuffix(".weight"), shape)
        return
    layer = f"encoder.layers.{match[1]}"
    if match[2] == "attn.in_proj_weight":
        for part in ("q_proj", "k_proj", "v_proj"):
            yield Site(component, f"{layer}.self_attn.{part}", (shape[0] // 3, *shape[1:]))
    elif match[2] in OPEN_CLIP:
        yield Site(component, f"{layer}.{OPEN_CLIP[match[2]]}", shape)
