"""Base models by name: the embedded one, and whatever checkpoint or diffusers folder a person points at."""

from __future__ import annotations

from pathlib import Path

from hubman import tinybase
from registry.errors import DamagedFileError, NotFoundError

EMBEDDED = "tiny"


def find(ref: str) -> Path:
    """The folder or file of a base model: ``tiny`` for the embedded one, otherwise a path.

    Raises :class:`NotFoundError` when there is nothing to load at that path.
    """
    if ref in {"", EMBEDDED, tinybase.NAME}:
        return tinybase.MODEL
    path = Path(ref).expanduser().absolute()
    if (path / "model_index.json").is_file() or (path.is_file() and path.suffix in {".safetensors", ".sft"}):
        return path
    if path.exists():
        raise NotFoundError(
            f"{ref} is no base model", "give a diffusers folder (with model_index.json) or a .safetensors checkpoint"
        )
    raise NotFoundError(f"no base model at {ref}", f"give a path, or {EMBEDDED} for the embedded one")


def family(base: Path) -> str:
    """The presets' family for a base: ``tiny``, ``sd15``, ``sd2`` or ``sdxl``, from its folder or header alone.

    Raises :class:`DamagedFileError` for a config or header that can't be read.
    """
    if base == tinybase.MODEL:
        return "tiny"
    width = _cross_attention_width(base)
    return {1024: "sd2", 2048: "sdxl"}.get(width, "sd15")


def _cross_attention_width(base: Path) -> int:
    if base.is_dir():
        return _configured_width(base / "unet" / "config.json")
    from registry.headers import read_header

    header = read_header(base)
    widths = [info.shape[-1] for name, info in header.tensors.items() if name.endswith("attn2.to_k.weight")]
    return widths[0] if widths else 0


def _configured_width(path: Path) -> int:
    import msgspec

    try:
        settings = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError) as error:
        raise DamagedFileError(f"{path} can't be read", "copy the base model again") from error
    width = settings.get("cross_attention_dim")
    return width if isinstance(width, int) else 0


def display_name(base: Path) -> str:
    """A base's plain name for metadata: never a path."""
    return tinybase.NAME if base == tinybase.MODEL else base.stem if base.is_file() else base.name
