"""Single-file checkpoints load offline, in their own family, with the weights of their folder."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from hubman.generate.pipeline import load_base, sites_of
from hubman.train.architectures.clip import clip_tokenizer
from hubman.train.architectures.detect import detect
from hubman.train.architectures.layouts import LAYOUTS
from registry.errors import DamagedFileError, HubError
from tests.support.ldm_checkpoint import save_checkpoint
from tests.support.tiny_pipeline import make_tiny_pipeline

CROSS = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
FIRST = "model.diffusion_model.input_blocks.0.0.weight"


def test_a_checkpoint_has_the_weights_of_its_folder(tmp_path: Path) -> None:
    folder = make_tiny_pipeline(tmp_path / "tiny")
    file = save_checkpoint(folder, tmp_path / "tiny.safetensors")
    cpu = torch.device("cpu")
    one, other = load_base(folder, device=cpu), load_base(file, device=cpu, layout=folder)
    for part in ("unet", "text_encoder", "vae"):
        expected, found = ({**base.model.roots, "vae": base.model.vae}[part].state_dict() for base in (one, other))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected), part
    assert other.name == "tiny"
    assert other.model.clips[0].tokens("a red circle") == one.model.clips[0].tokens("a red circle")


def _header(
    path: Path, *, width: int = 768, channels: int = 4, extra: str = "x", metadata: dict[str, str] | None = None
) -> Path:
    tensors = {CROSS: torch.zeros(4, width), FIRST: torch.zeros(4, channels, 3, 3), extra: torch.zeros(1)}
    save_file(tensors, path, metadata)
    return path


@pytest.mark.parametrize(
    ("width", "extra", "metadata", "family"),
    [
        (768, "x", {}, "sd15"),
        (1024, "x", {}, "sd2_v"),
        (1024, "v_pred", {"modelspec.prediction_type": "epsilon"}, "sd2_v"),
        (1024, "x", {"modelspec.prediction_type": "epsilon"}, "sd2"),
        (1024, "x", {"modelspec.architecture": "stable-diffusion-v2-512"}, "sd2"),
    ],
)
def test_the_family_is_read_off_the_header(
    tmp_path: Path, width: int, extra: str, metadata: dict[str, str], family: str
) -> None:
    path = _header(tmp_path / "x.safetensors", width=width, extra=extra, metadata=metadata)
    assert detect(path).layout == family


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 9}, "inpainting checkpoint"),
        ({"width": 3072}, "not a checkpoint of a known family"),
    ],
)
def test_other_families_are_refused_by_name(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = _header(tmp_path / "x.safetensors", **changes)  # type: ignore[arg-type]
    with pytest.raises(HubError, match=message):
        load_base(path)


def test_a_damaged_checkpoint_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json at all.")
    with pytest.raises(DamagedFileError, match=r"x.safetensors cannot be loaded"):
        load_base(tmp_path / "x.safetensors")


@pytest.mark.parametrize(("family", "layers"), [("sd15", 12), ("sd2", 23), ("sd2_v", 23)])
def test_each_layout_has_the_topology_of_its_family(family: str, layers: int) -> None:
    folder = LAYOUTS / family
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(str(folder / "unet")))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(str(folder / "text_encoder")))
    paths = [site.path for site in sites_of("unet", unet) if not site.is_norm]
    assert len([path for path in paths if ".attentions." in path]) == 192
    assert (
        len([site for site in sites_of("text_encoder", text) if ".layers." in site.path and not site.is_norm])
        == 6 * layers
    )
    scheduler = msgspec.json.decode((folder / "scheduler" / "scheduler_config.json").read_bytes())
    assert (scheduler["prediction_type"] == "v_prediction") == (family == "sd2_v")


def test_the_tokenizer_gives_clips_own_numbers() -> None:
    tokenizer = clip_tokenizer()
    expected = [49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 49407]
    assert tokenizer("a photo of an astronaut riding a horse").input_ids == expected
    assert len(tokenizer) == 49408
    assert clip_tokenizer("!").pad_token_id == 0
