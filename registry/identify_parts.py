"""Whose names a file's tensors have, which parts of the model it trains, and which program wrote it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from registry.identify_evidence import Evidence
from registry.identify_kinds import UNETS
from registry.identify_modules import Layout

_FORMATS = (
    ("lora_", "kohya"), ("lycoris_", "lycoris"), ("base_model.model.", "peft"), ("unet.", "diffusers"),
    ("text_encoder", "diffusers"), ("transformer.", "transformer"), ("diffusion_model.", "original"),
    ("model.diffusion_model.", "original"), ("clip_l.", "omi"), ("clip_g.", "omi"), ("t5.", "omi"),
    ("double_blocks.", "bfl"), ("single_blocks.", "bfl"), ("transformer_blocks.", "transformer"),
    ("single_transformer_blocks.", "transformer"), ("blocks.", "original"), ("layers.", "original"), ("bundle_emb.", "kohya"),
)  # fmt: skip
"""(how a name begins, whose names they are)."""


def naming(layout: Layout, kind: str, metadata: Mapping[str, str]) -> Evidence:
    """``kohya lycoris diffusers peft transformer original omi xlabs bfl checkpoint other``, with the reason."""
    if metadata.get("ot_branch", "").startswith("omi") or metadata.get("modelspec.implementation", "") == _OMI:
        return Evidence(
            "omi", "ot_branch says omi_format" if "ot_branch" in metadata else f"its implementation is {_OMI}"
        )
    counts = _forms(layout)
    if counts and (layout.is_adapter or kind != "checkpoint"):
        name, count = counts.most_common(1)[0]
        if name == "bfl" and layout.is_adapter and _is_xlabs(layout):
            return Evidence("xlabs", "its tensors are attention processors'")
        return Evidence(name, f"{count} of {sum(layout.starts.values())} names begin so")
    if kind == "checkpoint":
        return Evidence("checkpoint", "its names are a model's own")
    return Evidence("other", "its names begin like those of no known writer")


def _forms(layout: Layout) -> Counter[str]:
    if "forms" not in layout.memo:
        counts: Counter[str] = Counter()
        for start, count in layout.starts.items():
            if form := next((form for prefix, form in _FORMATS if start.startswith(prefix)), None):
                counts[form] += count
        layout.memo["forms"] = counts
    found: Counter[str] = layout.memo["forms"]
    return found


_OMI = "https://github.com/Open-Model-Initiative/OMI-Model-Standards"


def _is_xlabs(layout: Layout) -> bool:
    parts = next(iter(layout.modules.values()))
    return ".processor." in next(iter(parts.values()))


_PARTS = (
    ("te3", ("lora_te3_", "lycoris_te3_", "text_encoder_3.", "text_encoders.t5xxl.", "t5.", "lora_t5")),
    ("te2", ("lora_te2_", "lycoris_te2_", "text_encoder_2.", "text_encoders.clip_g.", "clip_g.")),
    ("te1", ("lora_te1_", "lycoris_te1_", "text_encoders.clip_l.", "clip_l.")),
    ("te", (
        "lora_te_", "lycoris_te_", "lycoris_text_", "text_encoder.", "text_encoders.", "lora_prior_te_", "text_model.",
        "base_model.model.text_",
    )),
    ("transformer", ("transformer.", "lora_transformer_")),
    ("unet", ("lora_unet_", "lycoris_unet_", "lycoris_", "unet.", "diffusion_model.", "base_model.model.", "lora_prior_unet_")),
)  # fmt: skip


def trained_parts(layout: Layout, architecture: str | None) -> dict[str, int]:
    """Adapted modules by part of the model (``unet transformer te te1 te2 te3 other``), the denoiser first."""
    if "parts" not in layout.memo:
        counts: Counter[str] = Counter()
        for start, count in layout.starts.items():
            counts[next((part for part, starts in _PARTS if start.startswith(starts)), "other")] += count
        layout.memo["parts"] = counts
    found: Counter[str] = Counter()
    for part, count in layout.memo["parts"].items():
        if part in {"unet", "other"} and architecture is not None:
            # Trainers write lora_unet_ whatever the denoiser is, and some nothing.
            part = "unet" if architecture in UNETS else "transformer"  # noqa: PLW2901
        found[part] += count
    return dict(sorted(found.items(), key=lambda item: (item[0] not in {"unet", "transformer"}, item[0])))


_LAYERS = (
    ("modulation", ("modulation", "_mod_", "adaln", "norm1_linear", "norm_linear", "norm1_context_linear")),
    ("time embedding", ("time_emb", "emb_layers", "time_embed", "timestep", "label_emb", "add_embedding", "guidance")),
    ("convolution", ("resnets", "conv", "in_layers", "out_layers", "skip_connection", "sampler", "_op")),
    ("attention", ("attn", "attention", "_qkv", "linear1", "linear2")),
    ("feed-forward", ("ff_", "_mlp", "ffn", "feed_forward", "proj_mlp")),
    ("projection", ("proj_in", "proj_out", "embedder", "img_in", "txt_in", "final_layer", "proj")),
    ("norm", ("norm",)),
)  # fmt: skip


def layers(layout: Layout) -> dict[str, int]:
    """Adapted modules by what they are in the model: ``attention``, ``convolution``, ``feed-forward``, …"""
    found: Counter[str] = Counter()
    for module in layout.modules:
        name = module.replace(".", "_").lower()
        found[next((layer for layer, needles in _LAYERS if any(one in name for one in needles)), "other")] += 1
    return dict(found.most_common())


def trainer(metadata: Mapping[str, str]) -> Evidence | None:
    """The program that wrote the file, where the metadata tells."""
    for key, name in _SIGNS:
        if metadata.get(key):
            return Evidence(name, f"it has the entry {key}")
    software = metadata.get("software", "")
    if "ai-toolkit" in software:
        return Evidence("ai-toolkit", "software says so")
    module = metadata.get("ss_network_module", "")
    for start, name in _NETWORK_MODULES:
        if module.startswith(start):
            return Evidence(name, f"ss_network_module says {module[:80]}")
    return None


_SIGNS = (
    ("hubman.recipe", "hubman"), ("ot_revision", "OneTrainer"), ("ot_branch", "OneTrainer"), ("ot_config", "OneTrainer"),
    ("ss_sd_scripts_commit_hash", "sd-scripts"), ("lora_adapter_metadata", "diffusers"),
)  # fmt: skip
_NETWORK_MODULES = (("lycoris.", "LyCORIS"), ("networks.", "sd-scripts"))
