"""What a model file is, judged from its header alone: names and shapes first, metadata where they don't tell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import msgspec

from registry.headers import Header
from registry.identify_base import architecture, base_model
from registry.identify_modules import Module, modules
from registry.identify_triggers import trigger_candidates


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is. ``reasons`` says of each finding why; ``guesses`` names those that are usage, not evidence.

    ``architecture``: ``sd1 sd2 sdxl sd3 flux flux2 tiny`` or another family; ``base_model``: Civitai's exact name;
    ``kind``: ``lora checkpoint embedding vae controlnet other``; ``network_type``: ``lora locon dora loha lokr glora
    oft boft ia3 full norm``; ``format``: ``kohya lycoris diffusers peft transformer original checkpoint other`` (whose
    names the tensors have); ``parts``: what is trained, such as ``unet te``. ``rank`` is the commonest among the
    modules, ``ranks`` the least and the largest.
    """

    kind: str
    format: str
    architecture: str | None = None
    base_model: str | None = None
    network_type: str | None = None
    rank: int | None = None
    ranks: tuple[int, int] | None = None
    alpha: float | None = None
    dtype: str | None = None
    parts: tuple[str, ...] = ()
    modules: int = 0
    trigger_candidates: tuple[str, ...] = ()
    title: str | None = None
    reasons: dict[str, str] = {}
    guesses: tuple[str, ...] = ()


def identify(header: Header, alpha: float | None = None) -> Identity:
    """Identify a file; ``alpha`` is its alpha tensor's value if that was read (:func:`registry.headers.read_alpha`)."""
    metadata = header.metadata
    adapted = modules(header.tensors)
    reasons: dict[str, str] = {}
    family = architecture(adapted, header.tensors, metadata)
    if family:
        reasons["architecture"] = family.reason
    base, is_stated = base_model(family.value if family else None, adapted, metadata)
    if base:
        reasons["base_model"] = base.reason
    kind = "lora" if adapted else _kind(header, reasons)
    ranks = Counter(module.rank for module in adapted if module.rank is not None)
    rank = _rank(ranks, metadata, reasons)
    return Identity(
        kind=kind,
        format=_format([module.name for module in adapted] or list(header.tensors), kind),
        architecture=family.value if family else None,
        base_model=base.value if base else None,
        network_type=_network_type(adapted, reasons) if adapted else None,
        rank=rank if adapted else None,
        ranks=(min(ranks), max(ranks)) if ranks else None,
        alpha=_alpha(alpha, rank, metadata, reasons) if adapted else None,
        dtype=_dtype(header),
        parts=_parts(adapted, family.value if family else None),
        modules=len(adapted),
        trigger_candidates=trigger_candidates(metadata),
        title=_title(metadata),
        reasons=reasons,
        guesses=("base_model",) if base and not is_stated else (),
    )


def _kind(header: Header, reasons: dict[str, str]) -> str:
    """What a file without an adapter is."""
    names = header.tensors
    for kind, markers in _KINDS:
        found = next((name for name in names if name.startswith(markers)), None)
        if found:
            reasons["kind"] = f"it has a tensor {found}"
            return kind
    if 0 < len(names) <= 2 and all(len(tensor.shape) == 2 and max(tensor.shape) <= 8192 for tensor in names.values()):
        reasons["kind"] = "it has one or two matrices, as embeddings do"
        return "embedding"
    return "other"


_KINDS = (
    ("controlnet", ("control_model.", "controlnet_cond_embedding.", "lllite_")),
("checkpoint", (
        "model.diffusion_model.", "double_blocks.", "single_blocks.", "joint_blocks.", "transformer_blocks.",
        "model.double_blocks.", "model.joint_blocks.", "down_blocks.", "input_blocks.", "blocks.0.self_attn.",
    )),
    ("vae", ("first_stage_model.", "decoder.conv_in", "encoder.conv_in", "decoder.mid", "vae.")),
    ("embedding", ("emb_params", "clip_l", "clip_g", "string_to_param", "<")),
)  # fmt: skip


def _network_type(adapted: list[Module], reasons: dict[str, str]) -> str:
    present = Counter(part for module in adapted for part in module.parts)
    for name, part in _TYPES:
        if present[part]:
            reasons["network_type"] = f"{present[part]} of {len(adapted)} modules have a {part}"
            return name
    if present["oft_blocks"] or present["oft_diag"]:
        return "boft" if any(len(module.parts.get("oft_blocks", ())) == 4 for module in adapted) else "oft"
    if present["down"]:
        spatial = sum(module.is_spatial for module in adapted)
        reasons["network_type"] = f"{spatial or 'none'} of {len(adapted)} modules adapt a convolution"
        return "locon" if spatial else "lora"
    return "full" if present["diff"] else "norm"


_TYPES = (
    ("dora", "dora_scale"), ("loha", "hada_w1_a"), ("lokr", "lokr_w1"), ("lokr", "lokr_w1_a"), ("glora", "glora_a1"),
    ("ia3", "on_input"),
)  # fmt: skip


def _rank(ranks: Counter[int], metadata: Mapping[str, str], reasons: dict[str, str]) -> int | None:
    if ranks:
        # Linear layers and convolutions often differ: the commonest is the network's, the larger of equals.
        rank = max(ranks, key=lambda value: (ranks[value], value))
        reasons["rank"] = f"{ranks[rank]} of {ranks.total()} modules have rank {rank}"
        return rank
    stated = _number(metadata.get("ss_network_dim"))
    return int(stated) if stated is not None and 0 < stated < 1 << 31 else None


def _alpha(value: float | None, rank: int | None, metadata: Mapping[str, str], reasons: dict[str, str]) -> float | None:
    if value is not None:
        reasons["alpha"] = "its alpha tensor says so"
        return value
    for key in ("ss_network_alpha", "modelspec.network_alpha"):
        if (stated := _number(metadata.get(key))) is not None:
            reasons["alpha"] = f"{key} says so"
            return stated
    stated = _peft_alpha(metadata.get("lora_adapter_metadata", ""))
    if stated is not None:
        reasons["alpha"] = "lora_adapter_metadata says so"
        return stated
    if rank is not None:
        reasons["alpha"] = "no alpha means the rank"
    return None if rank is None else float(rank)


def _peft_alpha(text: str) -> float | None:
    try:
        content = msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError):
        return None
    entries = content.items() if isinstance(content, dict) else ()
    return next((_number(value) for key, value in entries if key.endswith("lora_alpha")), None)


def _number(text: object) -> float | None:
    try:
        value = float(text) if isinstance(text, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


_DTYPES = {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}


def _dtype(header: Header) -> str | None:
    """The type that most of the bytes have."""
    sizes: Counter[str] = Counter()
    for tensor in header.tensors.values():
        sizes[tensor.dtype] += tensor.offsets[1] - tensor.offsets[0]
    if not sizes:
        return None
    name = sizes.most_common(1)[0][0]
    return _DTYPES.get(name, name.lower())


_FORMATS = (
    ("lora_", "kohya"), ("lycoris_", "lycoris"), ("base_model.model.", "peft"), ("unet.", "diffusers"),
    ("text_encoder", "diffusers"), ("transformer.", "transformer"), ("diffusion_model.", "original"),
    ("model.diffusion_model.", "original"),
)  # fmt: skip


def _starts(names: list[str]) -> Counter[str]:
    """How often each beginning occurs, in so many characters as tell the families apart."""
    return Counter(name[:24] for name in names)


def _format(names: list[str], kind: str) -> str:
    counts: Counter[str] = Counter()
    for start, count in _starts(names).items():
        counts.update({form: count for prefix, form in _FORMATS if start.startswith(prefix)})
    if counts:
        return counts.most_common(1)[0][0]
    return "checkpoint" if kind == "checkpoint" else "other"


_PARTS = (
    ("te3", ("lora_te3_", "lycoris_te3_", "text_encoder_3.")),
    ("te2", ("lora_te2_", "lycoris_te2_", "text_encoder_2.")),
    ("te1", ("lora_te1_", "lycoris_te1_")),
    ("te", ("lora_te_", "lycoris_te_", "lycoris_text_", "text_encoder.")),
    ("transformer", ("transformer.", "lora_transformer_")),
    ("unet", ("lora_unet_", "lycoris_unet_", "lycoris_", "unet.", "diffusion_model.", "base_model.model.")),
)


_UNETS = {"sd1", "sd2", "sdxl", "tiny", None}


def _parts(adapted: list[Module], family: str | None) -> tuple[str, ...]:
    names = _starts([module.name for module in adapted])
    found = {next((part for part, starts in _PARTS if name.startswith(starts)), "other") for name in names}
    if family not in _UNETS:
        # Trainers write lora_unet_ whatever the denoiser is.
        found = {"transformer" if part == "unet" else part for part in found}
    return tuple(sorted(found, key=lambda part: (part != "unet", part)))


def _title(metadata: Mapping[str, str]) -> str | None:
    """A title that a person gave: trainers repeat the output's name there, which the file's name tells better."""
    title = metadata.get("modelspec.title", "").strip()
    return title if title and title != metadata.get("ss_output_name") else None
