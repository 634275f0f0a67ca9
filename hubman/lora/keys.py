"""Every name that a LoRA file may give a module, looked up in a table made from the model itself.

Splitting names at underscores is ambiguous (``to_out_0``, ``ff_net_0_proj``), so nothing is guessed: each place of the
loaded model publishes all its spellings once, and a file's names are looked up. No torch is needed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hubman.lora.transformer_keys import transformer_aliases

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")

_LEVEL = "text_model."
_KOHYA_TEXT_PREFIXES = {
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
    "text_encoder_3": ("lora_te3_",),
}
RESNET_LDM = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
    "norm1": "in_layers.0",
    "norm2": "out_layers.0",
}
TOP_LDM = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "conv_norm_out": "out.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_BLOCK = re.compile(r"(down_blocks|up_blocks)\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_MID = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
_ATTENTION = re.compile(r"(.*\.attn\d)\.(to_q|to_k|to_v|to_out\.0)")


@dataclass(frozen=True)
class Site:
    """A Linear, Conv2d or norm of a loaded model: which component, its module path, and the shape of its weight."""

    component: str
    path: str
    shape: tuple[int, ...]
    of: Site | None = None
    """The fused layer of which this is a part: files may split what the model has in one."""
    first_row: int = 0
    """Where it begins there."""

    @property
    def is_conv(self) -> bool:
        return len(self.shape) == 4

    @property
    def is_norm(self) -> bool:
        return len(self.shape) == 1


@dataclass(frozen=True)
class UNetLayout:
    """What the LDM spelling of a diffusers path depends on."""

    resnets_down: int
    attention_up_blocks: frozenset[int]

    @classmethod
    def of(cls, paths: Iterable[str]) -> UNetLayout:
        """Read the layout off the module paths of a ``UNet2DConditionModel``."""
        down, attention = 0, set()
        for path in paths:
            match = _BLOCK.fullmatch(path)
            if match and match[1] == "down_blocks" and match[3] == "resnets":
                down = max(down, int(match[4]) + 1)
            if match and match[1] == "up_blocks" and match[3] == "attentions":
                attention.add(int(match[2]))
        return cls(down or 2, frozenset(attention))


def ldm_path(path: str, layout: UNetLayout) -> str | None:
    """The original (LDM) name of a diffusers UNet module path, or None if it has none."""
    if path in TOP_LDM:
        return TOP_LDM[path]
    if match := _MID.fullmatch(path):
        part, number, rest = match[1], int(match[2]), match[3]
        place = 2 * number if part == "resnets" else 2 * number + 1
        return f"middle_block.{place}.{RESNET_LDM.get(rest, rest) if part == 'resnets' else rest}"
    match = _BLOCK.fullmatch(path)
    if not match:
        return None
    side, block, part, number, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    stride = layout.resnets_down + 1
    if part == "downsamplers":
        return f"input_blocks.{stride * (block + 1)}.0.op"
    if part == "upsamplers":
        place = 2 if block in layout.attention_up_blocks else 1
        return f"output_blocks.{stride * block + stride - 1}.{place}.{rest}"
    first = f"input_blocks.{1 + stride * block + number}" if side == "down_blocks" else ""
    first = first or f"output_blocks.{stride * block + number}"
    return f"{first}.0.{RESNET_LDM.get(rest, rest)}" if part == "resnets" else f"{first}.1.{rest}"


def flat(path: str) -> str:
    return path.replace(".", "_")


def kohya_unet(path: str, layout: UNetLayout | None = None) -> str:
    """Kohya's name of a denoiser's module; with ``layout`` in LDM blocks, as SDXL's files have it."""
    return f"lora_unet_{flat((ldm_path(path, layout) if layout else None) or path)}"


def kohya_clip(prefix: str, path: str) -> str:
    """Kohya's name of a CLIP's module; ``prefix`` is ``lora_te``, ``lora_te1`` or ``lora_te2``."""
    return f"{prefix}_{flat(with_level(path))}"


def with_level(path: str) -> str:
    """A path in a CLIP with the level that files always have and transformers 5 dropped."""
    return _LEVEL + path if path.startswith("encoder.layers.") else path


def _unet_aliases(path: str, layout: UNetLayout) -> Iterator[str]:
    ldm = ldm_path(path, layout)
    for spelling in (path, ldm) if ldm else (path,):
        yield f"lora_unet_{flat(spelling)}"
        yield f"lycoris_{flat(spelling)}"
        yield f"lycoris_unet_{flat(spelling)}"
        yield spelling
        for prefix in ("unet.", "base_model.model.", "unet.base_model.model.", "base_model.model.unet."):
            yield prefix + spelling
        yield f"diffusion_model.{spelling}"
        yield f"model.diffusion_model.{spelling}"
    if match := _ATTENTION.fullmatch(path):
        old = f"{match[1]}.processor.{match[2].removesuffix('.0')}_lora"
        yield old
        yield f"unet.{old}"


def _text_aliases(component: str, path: str) -> Iterator[str]:
    bare = path.removeprefix(_LEVEL)
    for spelling in (bare, _LEVEL + bare):
        for prefix in _KOHYA_TEXT_PREFIXES[component]:
            yield prefix + flat(spelling)
        yield f"lycoris_{component}_{flat(spelling)}"
        yield f"{component}.{spelling}"
        yield f"base_model.model.{component}.{spelling}"
        yield f"{component}.base_model.model.{spelling}"
        if component == "text_encoder":
            yield f"base_model.model.{spelling}"


def alias_table(sites: Iterable[Site], originals: Mapping[str, str] = MappingProxyType({})) -> dict[str, Site]:
    """Map every accepted name to its place. A name claimed by two places keeps the first (text encoders come last).

    ``originals`` are the original names of a transformer's modules by their paths; a UNet's follow from its paths.
    """
    ordered = sorted(sites, key=lambda site: site.component in TEXT_ENCODERS)
    layout = UNetLayout.of(site.path for site in ordered if site.component == "unet")
    table: dict[str, Site] = {}
    for site in ordered:
        for name in _aliases(site, layout, originals):
            table.setdefault(name, site)
    return table


def _aliases(site: Site, layout: UNetLayout, originals: Mapping[str, str]) -> Iterator[str]:
    if site.component == "unet":
        return _unet_aliases(site.path, layout)
    if site.component in TEXT_ENCODERS:
        return _text_aliases(site.component, site.path)
    return transformer_aliases(originals.get(site.path, site.path), site.path)


_PARTS: Mapping[str, str] = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_magnitude_vector.default.weight": "dora_vector",
    ".lora_magnitude_vector.weight": "dora_vector",
    ".lora_magnitude_vector": "dora_vector",
    ".down.weight": "down",
    ".up.weight": "up",
    ".a1.weight": "glora_a1",
    ".a2.weight": "glora_a2",
    ".b1.weight": "glora_b1",
    ".b2.weight": "glora_b2",
    ".bm.weight": "glora_bm",
    ".on_input": "ia3_on_input",
    ".weight": "ia3_weight",
    ".ia3_l": "ia3_l",
    **{f".{part}": part for part in ("alpha", "dora_scale", "diff", "diff_b", "w_norm", "b_norm")},
    ".oft_blocks": "oft_blocks",
    ".rescale": "rescale",
    **{f".hada_{part}": f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{part}": f"lokr_{part}" for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
}
_SUFFIXES = sorted(_PARTS, key=len, reverse=True)


def split_name(name: str) -> tuple[str, str] | None:
    """Split a tensor name into (module name, part), as ``("lora_unet_…_to_q", "down")``; None if no suffix is known.

    Parts: ``down up mid alpha dora_scale dora_vector hada_* lokr_* diff diff_b w_norm b_norm oft_blocks rescale glora_* ia3_*``.
    """
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix), _PARTS[suffix]
    return None
