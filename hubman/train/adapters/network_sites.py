"""The network's adapters as places of the base, under every name that files give them."""

from __future__ import annotations

from torch import nn

from hubman.lora.keys import Site, alias_table
from hubman.train.adapters.network import Network, Target
from hubman.train.architectures.fused import parts_of

_ADAPTER_PARTS = (".base_layer", ".lora_A", ".lora_B")
_COMPONENTS = {"te": "text_encoder", "te1": "text_encoder", "te2": "text_encoder_2", "te3": "text_encoder_3"}


def places(network: Network) -> dict[str, Site]:
    """The place of each adapter in the model, by file key."""
    return {
        key: Site(_component(adapter.target), adapter.target.path, tuple(adapter.base.weight.shape))
        for key, adapter in network.layers.items()
    }


def names(network: Network) -> dict[str, Site]:
    """Every name of every module of the models that are trained, as the engine makes it from the models themselves."""
    own = places(network)
    sites: dict[Site, None] = dict.fromkeys(own.values())
    roots = {_component(adapter.target): adapter.target.root for adapter in network.layers.values()}
    for component, root in roots.items():
        for path, module in root.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and not any(part in path for part in _ADAPTER_PARTS):
                sites[Site(component, path, tuple(module.weight.shape))] = None
        wholes = {site.path: site for site in sites if site.component == component}
        for path, whole, start, stop in parts_of(root):
            of = wholes[whole]
            sites[Site(component, path, (stop - start, *of.shape[1:]), of=of, first_row=start)] = None
    # Names that only the original code of a transformer has are not in its module paths.
    originals = {key: site for key, site in own.items() if site.component == "transformer"}
    return {**originals, **alias_table(sites)}


def _component(target: Target) -> str:
    part = target.key.split("_")[1]
    if part == "unet" and not hasattr(target.root, "down_blocks"):
        return "transformer"
    return _COMPONENTS.get(part, part)
