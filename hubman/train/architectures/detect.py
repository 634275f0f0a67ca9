"""Which family a base model is of, from its header or its folder's configuration: never asked, and without torch.

Block names and widths are those of the models' own code; ``v_pred`` and ``ztsnr`` are the empty tensors by which
v-prediction bases of SDXL mark their files (NoobAI's, read by ComfyUI, Forge and others).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hubman.train.loss.process import Prediction
from registry.errors import DamagedFileError, HubError, NotFoundError
from registry.headers import Header, read_header
from registry.identify_base import SDXL_FAMILIES

Kind = Literal["sd", "sdxl", "flux", "sd3", "zimage"]
"""An adapter; several families share one."""

FLOW: frozenset[Kind] = frozenset({"flux", "sd3", "zimage"})
"""Those that undo flow matching."""

CHECKPOINTS = (".safetensors", ".sft")
HINT = "choose a base of Stable Diffusion 1.x, 2.x, SDXL, FLUX.1, SD 3.5 or Z-Image"

_PIPELINES: Mapping[str, Kind] = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "FluxPipeline": "flux",
    "StableDiffusion3Pipeline": "sd3",
    "ZImagePipeline": "zimage",
}
_TINY_WIDTH = 128
_UNET = "model.diffusion_model."
_CROSS_ATTENTION = f"{_UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_IN = f"{_UNET}input_blocks.0.0.weight"


@dataclass(frozen=True)
class Detected:
    """What a base is."""

    family: str
    """A key of :data:`hubman.train.presets.FAMILIES`: where its presets stand."""
    kind: Kind
    v_prediction: bool = False
    zero_terminal_snr: bool = False
    layout: str = ""
    """The folder of ``hubman/generate/families`` that a single file is laid out like; a folder has its own."""
    variant: str = ""
    """Which of a family's transformers it is: ``dev`` or ``schnell``, or how many blocks it has."""

    @property
    def prediction(self) -> Prediction:
        """What the base answers."""
        if self.kind in FLOW:
            return "flow"
        return "v" if self.v_prediction else "epsilon"


def detect(path: Path) -> Detected:
    """Read what the base at ``path`` is off a folder's configuration or a single file's header.

    Raises NotFoundError for nothing, DamagedFileError for what cannot be read, and HubError for a base of a family
    that is not known here or that is made for other work than drawing from text.
    """
    if not path.exists():
        raise NotFoundError(f"the base {path} is not there", "give a diffusers folder or a .safetensors file")
    if path.is_dir():
        return _of_folder(path)
    if path.suffix not in CHECKPOINTS:
        raise HubError(f"{path.name} is not a safetensors file", "pickled files are never opened; convert it first")
    try:
        header = read_header(path)
    except (DamagedFileError, OSError) as error:
        raise DamagedFileError(f"{path.name} cannot be loaded ({error})", "download it again") from error
    return _of_file(path, header)


def marked(detected: Detected, path: Path) -> Detected:
    """``detected`` with what the marker tensors of the single file at ``path`` say."""
    names = read_header(path).tensors.keys()
    velocity = detected.v_prediction or "v_pred" in names
    return replace(detected, v_prediction=velocity, zero_terminal_snr=detected.zero_terminal_snr or "ztsnr" in names)


def _of_folder(path: Path) -> Detected:
    if not (path / "model_index.json").is_file():
        raise DamagedFileError(f"{path} is no diffusers folder", "it needs a model_index.json")
    index = _config(path / "model_index.json")
    name = str(index.get("_class_name"))
    kind = _PIPELINES.get(name)
    if kind is None:
        raise HubError(f"{path.name} is a {name}, which is of no known family", HINT)
    if kind in FLOW:
        sizes = _config(path / "transformer" / "config.json")
        if sizes.get("out_channels") not in (None, sizes.get("in_channels")):
            raise HubError(f"{path.name} is a base that is given pictures besides text", HINT)
        if kind == "flux":
            return Detected("flux", kind, variant="dev" if sizes.get("guidance_embeds") else "schnell")
        if kind == "sd3":
            return Detected("sd35", kind, variant=str(sizes.get("num_layers", 18)))
        return Detected(_of_zimage(path.name), kind, variant=str(sizes.get("n_layers", 30)))
    unet, scheduler = (_config(path / part) for part in ("unet/config.json", "scheduler/scheduler_config.json"))
    if unet.get("in_channels") in (8, 9):
        raise HubError(f"{path.name} is a base for inpainting or editing", HINT)
    family = "sdxl" if kind == "sdxl" else _sd_family(unet.get("cross_attention_dim"))
    if kind == "sdxl":
        family = _of_sdxl(f"{path.name} {index.get('_name_or_path', '')}")
    velocity = scheduler.get("prediction_type") == "v_prediction"
    return Detected(family, kind, velocity, bool(scheduler.get("rescale_betas_zero_snr")))


def _config(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{path} can't be read ({error})", "copy the base model again") from error
    if not isinstance(read, dict):
        raise DamagedFileError(f"{path} can't be read (it is no JSON object)", "copy the base model again")
    return read


def _sd_family(width: object) -> str:
    return {_TINY_WIDTH: "tiny", 1024: "sd2"}.get(width if isinstance(width, int) else 0, "sd15")


def _of_sdxl(said: str) -> str:
    """Pony, Illustrious and NoobAI are SDXL to the last tensor: only what they are called tells them."""
    return next((name.lower() for pattern, name in SDXL_FAMILIES if re.search(pattern, said.lower())), "sdxl")


def _of_zimage(said: str) -> str:
    """Turbo, which is drawn in few steps without guidance, has the base's tensors."""
    return "zimage_turbo" if "turbo" in said.lower() else "zimage"


def _of_file(path: Path, header: Header) -> Detected:
    names = header.tensors.keys()
    stated = _stated(header.metadata)
    if any(name.startswith("conditioner.embedders.") for name in names):
        _refuse_other_channels(path, header)
        said = f"{path.stem} {header.metadata.get('modelspec.title', '')}"
        return Detected(_of_sdxl(said), "sdxl", "v_pred" in names or _says_velocity(stated), "ztsnr" in names, "sdxl")
    if _any(header, "double_blocks.0.img_attn.qkv.weight") and _any(header, "single_blocks.0.linear1.weight"):
        return Detected("flux", "flux", variant="dev" if _any(header, "guidance_in.in_layer.weight") else "schnell")
    if _any(header, "joint_blocks.0.x_block.attn.qkv.weight"):
        return Detected("sd35", "sd3", variant=_depth(header, "joint_blocks"))
    if _any(header, "noise_refiner.0.attention.qkv.weight") and _any(header, "cap_embedder.1.weight"):
        return Detected(_of_zimage(path.stem), "zimage", variant=_depth(header, "layers"))
    if _CROSS_ATTENTION not in names:
        raise HubError(f"{path.name} is not a checkpoint of a known family", HINT)
    _refuse_other_channels(path, header)
    width = header.tensors[_CROSS_ATTENTION].shape[-1]
    if width == 768:
        return Detected("sd15", "sd", "v_pred" in names or _says_velocity(stated), "ztsnr" in names, "sd15")
    if width == 1024:
        # SD 2.x comes in both kinds with the same tensors: most files are v-prediction.
        velocity = "v_pred" in names or not ("epsilon" in stated or "v2-512" in stated)
        return Detected("sd2", "sd", velocity, "ztsnr" in names, "sd2_v" if velocity else "sd2")
    raise HubError(f"{path.name} is not a checkpoint of a known family", HINT)


def _any(header: Header, name: str) -> bool:
    return any(prefix + name in header.tensors for prefix in ("", _UNET))


def _depth(header: Header, stack: str) -> str:
    numbers = (re.match(rf"(?:{re.escape(_UNET)})?{stack}\.(\d+)\.", name) for name in header.tensors)
    return str(1 + max((int(match[1]) for match in numbers if match), default=-1))


def companion(path: Path, detected: Detected) -> Path | None:
    """A diffusers folder beside the single file at ``path`` that is of the same family and variant: a transformer's
    file lacks the encoders of text, which are the same for all that were made from one base.
    """
    for folder in sorted(path.parent.iterdir()):
        if (folder / "model_index.json").is_file():
            with contextlib.suppress(HubError):
                found = detect(folder)
                if (found.kind, found.variant) == (detected.kind, detected.variant):
                    return folder
    return None


def _stated(metadata: Mapping[str, str]) -> str:
    return metadata.get("modelspec.prediction_type", "") + metadata.get("modelspec.architecture", "")


def _says_velocity(stated: str) -> bool:
    return stated.startswith("v") or "_v_pred" in stated


def _refuse_other_channels(path: Path, header: Header) -> None:
    if _IN in header.tensors and header.tensors[_IN].shape[1:2] != (4,):
        raise HubError(f"{path.name} is an inpainting checkpoint, which is made for other work", HINT)
