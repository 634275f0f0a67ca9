"""The header of a converted file: what the source said, and what readers of the new format need."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from hubman.lora.forms import Format, Module
from hubman.lora.keys import Site
from hubman.lora.kinds import kind_of, rank_of
from hubman.lora.peft_header import ENTRY

_CROSS = ("attn2.to_k", "attn2_to_k")
_BASES = {
    768: ("sd_v1", "False", "stable-diffusion-v1/lora", "diffusers"),
    1024: ("sd_v2", "True", "stable-diffusion-v2-512/lora", "diffusers"),
    2048: (
        "sdxl_base_v1-0",
        "False",
        "stable-diffusion-xl-v1-base/lora",
        "https://github.com/Stability-AI/generative-models",
    ),
}
"""By the width of the text that cross attention reads: ``ss_base_model_version``, ``ss_v2``, ``modelspec`` entries."""


def entries_for(
    metadata: Mapping[str, str], to: Format, modules: Sequence[Module], *, baked: int = 0, parents: Sequence[str] = ()
) -> dict[str, str]:
    """``metadata`` copied through, a note of the conversion, and for kohya what A1111 and Forge sort files by.

    ``parents`` are the SHA-256 of the files that were converted.
    PEFT's alphas are left out: they are in the new file's own form.
    """
    entries = {name: value for name, value in metadata.items() if name != ENTRY}
    done = {"to": to, **({"bake": baked} if baked else {}), "parents": [{"sha256": one} for one in parents]}
    entries["hubman.converted"] = json.dumps(done)
    if to != "kohya":
        return {**entries, "format": "pt"}
    network = _network(modules)
    return {**base_entries(module.site for module in modules), **network, **entries, **(network if baked else {})}


def base_entries(sites: Iterable[Site]) -> dict[str, str]:
    """What A1111 and Forge sort a file by, as far as the width of cross attention tells it."""
    site = next((site for site in sites if _reads_text(site)), None)
    known = _BASES.get(site.shape[1]) if site else None
    if known is None:
        return {}
    version, v2, architecture, implementation = known
    return {
        "ss_base_model_version": version,
        "ss_v2": v2,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": architecture,
        "modelspec.implementation": implementation,
    }


def _reads_text(site: Site) -> bool:
    return site.component == "unet" and site.path.endswith(_CROSS)


def _network(modules: Sequence[Module]) -> dict[str, str]:
    plain = all(kind_of(module.parts) == "LoRA" and "dora_scale" not in module.parts for module in modules)
    ranks = Counter(rank_of(module.parts) for module in modules if rank_of(module.parts))
    alphas = Counter(
        float(module.parts["alpha"]) if "alpha" in module.parts else module.alpha or float(rank_of(module.parts))
        for module in modules
        if rank_of(module.parts)
    )
    sizes = (
        {"ss_network_dim": str(ranks.most_common(1)[0][0]), "ss_network_alpha": str(alphas.most_common(1)[0][0])}
        if ranks
        else {}
    )
    return {
        "ss_network_module": "networks.lora" if plain else "lycoris.kohya",
        **sizes,
        "ss_network_args": "{}",
    }
