"""What a file without an adapter is: a checkpoint or one of its parts, a control network, an embedding, an upscaler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from registry.headers import TensorInfo
from registry.identify_evidence import Evidence, Family
from registry.identify_modules import START, Adapted

Tensors = Mapping[str, TensorInfo]


@dataclass(frozen=True)
class Kind:
    """``value``: ``checkpoint controlnet t2i-adapter ip-adapter vae embedding upscaler text-encoder image-encoder motion
    other``; ``parts``: of a checkpoint, which models it holds; ``family``: where the kind alone tells it.
    """

    value: str
    reason: str = ""
    parts: tuple[str, ...] = ()
    variant: Evidence | None = None
    family: Family | None = None


_CONTROL = (
    ("ip-adapter", ("ip_adapter.", "image_proj.", "ip_adapter_proj_model.")),
    ("t2i-adapter", ("adapter.body.", "adapter.conv_in.", "body.0.block1.", "body.0.resnets.")),
    ("controlnet", (
        "control_model.", "controlnet_cond_embedding.", "controlnet_down_blocks.", "controlnet_mid_block.", "lora_controlnet",
        "controlnet_blocks.", "controlnet_x_embedder.", "lllite_", "control_layers.", "control_all_x_embedder.",
        "controlnet_mode_embedder", "input_hint_block.", "zero_convs.",
    )),
)  # fmt: skip
"""(kind, how a tensor's name begins): asked first, since these hold parts of other models, adapters even."""

_CONTROL_STARTS = tuple((kind, tuple(start[:START] for start in starts)) for kind, starts in _CONTROL)

_UPSCALER = (
    "model.1.sub.", "conv_first.", "RRDB_trunk.", "trunk_conv.", "body.0.rdb1.", "layers.0.residual_group.", "upsampler.",
)  # fmt: skip
_MODELS = (
    ("te1", ("cond_stage_model.", "conditioner.embedders.0.", "text_encoders.clip_l.", "text_encoder.")),
    ("te2", ("conditioner.embedders.1.", "text_encoders.clip_g.", "text_encoder_2.")),
    ("te3", ("text_encoders.t5xxl.", "text_encoder_3.")),
    ("te", ("text_encoders.",)),
    ("vae", ("first_stage_model.", "vae.")),
)  # fmt: skip
_VAE = (
    "first_stage_model.", "vae.", "decoder.", "encoder.", "quant_conv.", "post_quant_conv.", "conv1.", "conv2.",
    "per_channel_statistics.", "vquantizer.", "bn.", "loss.", "latents_mean", "latents_std", "timestep_scale_multiplier",
)  # fmt: skip


def control_kind(adapted: Adapted) -> Kind | None:
    """What a control network or image adapter is; None for all else."""
    starts = adapted.layout.starts
    for kind, prefixes in _CONTROL_STARTS:
        if any(start.startswith(prefixes) for start in starts):
            tensors = adapted.header.tensors
            found = next(name for name in tensors if name.startswith(prefixes))
            return Kind(kind, f"it has a tensor {found}", family=_ip_family(tensors) if kind == "ip-adapter" else None)
    return None


def _ip_family(tensors: Tensors) -> Family | None:
    for name, tensor in tensors.items():
        if name.endswith("to_k_ip.weight") and len(tensor.shape) == 2:
            family = {768: "sd1", 1024: "sd2", 2048: "sdxl"}.get(tensor.shape[1])
            return Family(family, f"{name} takes {tensor.shape[1]} inputs") if family else None
        if name.startswith("double_blocks."):
            return Family("flux", f"it has a tensor {name}")
    return None


def kind(adapted: Adapted, family: Family | None) -> Kind:
    """What a file that neither adapts nor controls is, by the names and shapes of its tensors."""
    tensors = adapted.header.tensors
    return _embedding(tensors) or _encoder(tensors) or _motion(tensors) or _upscaler(tensors) or _vae(tensors) or (
        _checkpoint(tensors, family)
    )  # fmt: skip


def _checkpoint(tensors: Tensors, family: Family | None) -> Kind:
    starts = {name[:START] for name in tensors}
    if family is None and not any(start.startswith(_DENOISERS) for start in starts):
        return Kind("other")
    denoiser = "unet" if family is None or family.architecture in UNETS else "transformer"
    parts = {next((part for part, prefixes in _MODELS if start.startswith(prefixes)), denoiser) for start in starts}
    found = tuple(sorted(parts, key=lambda part: (part != denoiser, part)))
    whole = len(found) > 1
    reason = "it has a diffusion model and " + ", ".join(found[1:]) if whole else "it is a bare diffusion model"
    return Kind("checkpoint", reason, found)


UNETS = frozenset({"sd1", "sd2", "sdxl", "kolors", "svd", "cascade", "tiny"})
_DENOISERS = (
    "model.diffusion_model.", "double_blocks.", "single_blocks.", "joint_blocks.", "transformer_blocks.", "diffusion_model.",
    "model.double_blocks.", "model.joint_blocks.", "down_blocks.", "input_blocks.", "blocks.0.", "layers.0.attention",
)  # fmt: skip


def _vae(tensors: Tensors) -> Kind | None:
    if not tensors or not all(name.startswith(_VAE) for name in tensors):
        return None
    reason = f"all its tensors are a VAE's, such as {next(iter(tensors))}"
    channels = next(
        (
            tensor.shape[1]
            for name, tensor in tensors.items()
            if name.endswith("decoder.conv_in.weight") and len(tensor.shape) > 1
        ),
        None,
    )
    variant = Evidence(f"{channels} channels", f"decoder.conv_in takes {channels} channels") if channels else None
    for needle, architecture in _VAES:
        if found := next((name for name in tensors if needle in name), None):
            return Kind(
                "vae",
                reason,
                ("vae",),
                variant,
                Family(architecture, f"it has a tensor {found}", is_guess=architecture == "wan"),
            )
    return Kind("vae", reason, ("vae",), variant)


_VAES = (
    ("decoder.middle.0.residual.0.gamma", "wan"), (".norm1.gamma", "wan"), ("bn.running_mean", "flux2"),
    ("last_time_embedder", "ltx"), ("per_channel_statistics", "ltx"), ("last_scale_shift_table", "ltx"),
    ("vquantizer.", "cascade"), ("decoder.mid.attn_1.q.conv", "hunyuan-video"),
    ("decoder.mid.block_1.conv1.conv.", "hunyuan-video"), ("decoder.stages.", "sana"), ("to_qkv_multiscale", "sana"),
)  # fmt: skip
"""(what only its names have, architecture): VAEs that go with one."""


_ENCODERS = (
    ("image-encoder", "CLIP vision", ("vision_model.", "visual.", "model.visual.")),
    ("text-encoder", "CLIP", ("text_model.", "transformer.text_model.", "transformer.resblocks.", "text_projection")),
    ("text-encoder", "T5", ("encoder.block.0.layer.0.SelfAttention", "shared.", "transformer.encoder.block.")),
    ("text-encoder", "language model", ("model.layers.", "model.embed_tokens.", "model.language_model.", "layers.0.self_attn.")),
)  # fmt: skip
_CLIP_WIDTHS = {768: "CLIP-L", 1024: "CLIP-H", 1280: "CLIP-G"}
_EMBEDDINGS = ("token_embedding.weight", "embed_tokens.weight", "shared.weight")


def _encoder(tensors: Tensors) -> Kind | None:
    names = list(tensors)
    heads = {name[:40] for name in names}
    for value, label, prefixes in _ENCODERS:
        count = sum(head.startswith(prefixes) for head in heads)
        if 2 * count > len(heads):
            if value == "image-encoder" and any(head.startswith("text_model.") for head in heads):
                continue
            found = next(name for name in names if name.startswith(prefixes))
            return Kind(
                value, f"most of its tensors are an encoder's, such as {found}", ("te",), _encoder_size(tensors, label)
            )
    return None


def _encoder_size(tensors: Tensors, label: str) -> Evidence:
    for name, tensor in tensors.items():
        if name.endswith(_EMBEDDINGS) and len(tensor.shape) == 2:
            width = tensor.shape[1]
            text = {"CLIP": _CLIP_WIDTHS.get(width, "CLIP"), "T5": "T5-XXL" if width == 4096 else "T5"}.get(
                label, label
            )
            return Evidence(text, f"{name} is {width} wide")
    return Evidence(label, "its tensors' names say so")


def _motion(tensors: Tensors) -> Kind | None:
    motion = [name for name in tensors if "motion_modules." in name]
    if not motion or 2 * len(motion) < len(tensors):
        return None
    variant = Evidence("v2", "it has a middle block") if any("mid_block." in name for name in motion) else None
    levels = {name.partition("blocks.")[2][:1] for name in motion if "down_blocks." in name}
    family = {"3": Family("sd1", "its UNet has four levels"), "2": Family("sdxl", "its UNet has three levels")}.get(
        max(levels, default="")
    )
    return Kind("motion", f"it has a tensor {motion[0]}", variant=variant, family=family)


def _upscaler(tensors: Tensors) -> Kind | None:
    if found := next((name for name in tensors if name.startswith(_UPSCALER)), None):
        return Kind("upscaler", f"it has a tensor {found}")
    if len(tensors) < 200 and tensors and all(name.startswith("body.") for name in tensors):
        return Kind("upscaler", "all its tensors are in one body, as in compact upscalers")
    return None


_WIDTHS = {768: "sd1", 1024: "sd2", 1280: "sdxl", 2048: "sdxl"}
_NAMED = ("emb_params", "clip_l", "clip_g", "string_to_param", "t5xxl", "<")


def _embedding(tensors: Tensors) -> Kind | None:
    """Textual inversions: one matrix of token vectors for each text encoder, as wide as the encoder."""
    if not 0 < len(tensors) <= 4:
        return None
    if not all(0 < len(tensor.shape) <= 2 and max(tensor.shape) <= 8192 for tensor in tensors.values()):
        return None
    named = next((name for name in tensors if name.startswith(_NAMED)), None)
    if named is None and (len(tensors) > 2 or any("." in name for name in tensors)):
        return None
    reason = f"it has a tensor {named}" if named else "it has one or two matrices, as embeddings do"
    return Kind("embedding", reason, family=_embedding_family(tensors))


def _embedding_family(tensors: Tensors) -> Family | None:
    if "clip_g" in tensors:
        return Family(
            "sdxl", "it has vectors for both of SDXL's text encoders" if "clip_l" in tensors else "it has clip_g"
        )
    if len(tensors) > 1 or "clip_l" in tensors:
        return None
    width = next(iter(tensors.values())).shape[-1]
    return Family(_WIDTHS[width], f"its vectors are {width} wide") if width in _WIDTHS else None
