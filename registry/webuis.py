"""The folders where other programs keep their models, so that all of them are indexed with one command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from registry import roots
from registry.database import Registry
from registry.errors import UsageError
from registry.webui_settings import command_line, extra_paths, invoke_models, swarm_paths


class ModelFolder(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of models of one kind; ``stated`` names the setting that leads there, if it is not the usual place."""

    path: Path
    kind: str
    stated: str = ""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of models and the root that covers it now; ``is_new`` unless it was indexed before."""

    path: Path
    kind: str
    stated: str
    root: Path
    is_new: bool


_Folders = Iterator[ModelFolder]


def folders(preset: str, base: Path) -> list[ModelFolder]:
    """The model folders of the program ``preset`` that is installed in ``base``; only those that exist, each once.

    ``base`` may also be the program's folder of models. Raises :class:`UsageError` for an unknown program and for a
    folder without any.
    """
    if preset not in PRESETS:
        raise UsageError(f"there is no preset {preset}", f"use one of {', '.join(PRESETS)}")
    full = roots.absolute(base)
    for candidate in (
        full,
        *(full / name for name in _INSIDE),
        *([full.parent] if full.name.lower() == "models" else []),
    ):
        found = list(_existing(PRESETS[preset](candidate)))
        if found:
            return found
    raise UsageError(f"{base} has no model folders of {preset}", "give the folder where it is installed")


def take(registry: Registry, found: list[ModelFolder]) -> list[Taken]:
    """Index these folders from the next scan on. One that an indexed folder leads to already is left alone."""
    taken = []
    with registry.transaction():
        for folder in found:
            covering = _covering(registry, folder.path)
            root = covering or roots.add(registry, folder.path)
            is_new = covering is None
            taken.append(Taken(path=folder.path, kind=folder.kind, stated=folder.stated, root=root, is_new=is_new))
    return taken


def is_covered(registry: Registry, found: Iterable[ModelFolder]) -> bool:
    """Whether all of these folders are indexed already."""
    return all(_covering(registry, folder.path) for folder in found)


def _covering(registry: Registry, folder: Path) -> Path | None:
    """The root below which ``folder`` lies, in its own name or where links lead."""
    real = Path(os.path.realpath(folder))
    for root in roots.all_roots(registry):
        if folder.is_relative_to(root) or real.is_relative_to(os.path.realpath(root)):
            return root
    return None


def _existing(wanted: _Folders) -> _Folders:
    seen: set[str] = set()
    for folder in wanted:
        real = os.path.realpath(folder.path)
        if real not in seen and folder.path.is_dir() and roots.is_text(str(folder.path)):
            seen.add(real)
            yield folder


_INSIDE = ("ComfyUI", "Data", "webui")
"""Where portable builds keep the program inside their own folder."""

_WEBUI = {
    "lora": "lora", "lycoris": "lora", "stable-diffusion": "checkpoint", "vae": "vae", "embeddings": "embedding",
    "controlnet": "controlnet", "diffusion_models": "checkpoint",
}  # fmt: skip
_COMFY = {
    "loras": "lora", "checkpoints": "checkpoint", "diffusion_models": "checkpoint", "unet": "checkpoint", "vae": "vae",
    "embeddings": "embedding", "controlnet": "controlnet",
}  # fmt: skip
_MATRIX = {
    "lora": "lora", "lycoris": "lora", "stablediffusion": "checkpoint", "diffusionmodels": "checkpoint",
    "unet": "checkpoint", "vae": "vae", "embeddings": "embedding", "textualinversion": "embedding",
    "controlnet": "controlnet",
}  # fmt: skip
_OPTIONS = {"lora": "lora", "lyco": "lora", "ckpt": "checkpoint", "vae": "vae", "embeddings": "embedding"}
_SWARM = {
    "SDLoraFolder": ("lora", ["Lora"]), "SDModelFolder": ("checkpoint", ["Stable-Diffusion"]),
    "SDVAEFolder": ("vae", ["VAE"]), "SDEmbeddingFolder": ("embedding", ["Embeddings"]),
    "SDControlNetsFolder": ("controlnet", ["controlnet"]),
}  # fmt: skip


def _below(folder: Path, kinds: dict[str, str], stated: str = "") -> _Folders:
    """The folders in ``folder`` of these names, however they are capitalised; links to folders count as folders."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return
    for name in sorted(names, key=lambda name: list(kinds).index(name.lower()) if name.lower() in kinds else -1):
        if name.lower() in kinds:
            yield ModelFolder(path=folder / name, kind=kinds[name.lower()], stated=stated)


def _webui(base: Path) -> _Folders:
    options = list(command_line(base))
    data = [path for option, path in options if option == "data-dir"]
    models = [path for option, path in options if option == "models-dir"]
    yield from _below(base / "models", _WEBUI)
    yield from _below(base, {"embeddings": "embedding"})
    for folder in (*models, *(path / "models" for path in data)):
        yield from _below(folder, _WEBUI, "webui-user")
    for path in data:
        yield from _below(path, {"embeddings": "embedding"}, "webui-user")
    for option, path in options:
        kind = _OPTIONS.get(option.partition("-dir")[0])
        if kind:
            yield ModelFolder(path=path, kind=kind, stated=f"--{option}")


def _comfyui(base: Path) -> _Folders:
    yield from _below(base / "models", _COMFY)
    for name in ("extra_model_paths.yaml", "extra_models_config.yaml"):
        for key, path in extra_paths(base / name):
            if key in _COMFY:
                yield ModelFolder(path=path, kind=_COMFY[key], stated=name)


def _invokeai(base: Path) -> _Folders:
    if (base / "invokeai.yaml").is_file() or (base / "databases").is_dir():
        yield ModelFolder(path=invoke_models(base), kind="any")


def _stabilitymatrix(base: Path) -> _Folders:
    yield from _below(base / "Models", _MATRIX)


def _swarmui(base: Path) -> _Folders:
    stated = swarm_paths(base)
    for root in stated.get("ModelRoot", ["Models"]):
        for name, (kind, usual) in _SWARM.items():
            for folder in stated.get(name, usual):
                yield ModelFolder(path=base / root / folder, kind=kind, stated="Settings.fds" if name in stated else "")


PRESETS: dict[str, Callable[[Path], _Folders]] = {
    "a1111": _webui,
    "forge": _webui,
    "comfyui": _comfyui,
    "invokeai": _invokeai,
    "stabilitymatrix": _stabilitymatrix,
    "swarmui": _swarmui,
}
"""Program to what finds its model folders below the folder where it is installed."""
