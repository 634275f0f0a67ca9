"""A VAE that is chosen instead of the base's own: a diffusers folder, or a file with diffusers' or the original names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.errors import DamagedFileError, HubError, NotFoundError


def state_of(path: str) -> tuple[object, ...]:
    """What changes with the VAE at ``path``: the place, size and time of each of its files."""
    place = Path(path)
    files = sorted(each for each in place.rglob("*") if each.is_file()) if place.is_dir() else [place]
    stats = [(str(each), each.stat()) for each in files if each.is_file()]
    return (path, *((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


def load_vae(path: str, config: Mapping[str, Any]) -> Any:
    """The VAE at ``path``; a file is built as ``config``, that of the base's own, says. Nothing is downloaded.

    Raises ``NotFoundError``, ``DamagedFileError``, and ``HubError`` for one with other latents than the base's.
    """
    place = Path(path)
    if not place.exists():
        raise NotFoundError(f"the VAE {place} is not there", "give a diffusers folder or a .safetensors file")
    if place.is_file() and place.suffix != ".safetensors":
        raise HubError(f"{place.name} is not a safetensors file", "pickled files are never opened; convert it first")
    try:
        vae = _folder(place) if place.is_dir() else _file(place, config)
    except Exception as error:  # the loaders raise everything from KeyError to their own
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        hint = "check that it is an AutoencoderKL for this kind of base"
        raise DamagedFileError(f"VAE {place.name} cannot be loaded ({reason})", hint) from error
    theirs, ours = (int(each["latent_channels"]) for each in (vae.config, config))
    if theirs != ours:
        raise HubError(f"VAE {place.name} has latents of {theirs} channels", f"this base needs one of {ours}")
    return vae


def _folder(place: Path) -> Any:
    from diffusers import AutoencoderKL

    inside = place / "vae" if (place / "vae").is_dir() else place
    return AutoencoderKL.from_pretrained(str(inside), local_files_only=True, use_safetensors=True)


def _file(place: Path, config: Mapping[str, Any]) -> Any:
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
    from safetensors.torch import load_file

    tensors = load_file(str(place))
    prefix = next((each for each in ("first_stage_model.", "vae.") if any(n.startswith(each) for n in tensors)), "")
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    vae: Any = AutoencoderKL.from_config(dict(config))
    is_original = any(name.startswith(("encoder.down.", "decoder.up.")) for name in named)
    vae.load_state_dict(convert_ldm_vae_checkpoint(named, dict(config)) if is_original else named)
    return vae
