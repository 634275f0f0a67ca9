"""Files of every network type: what they hold, what they say, and that the generation engine draws what was trained."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from hubman.generate.pipeline import Base, load_base
from hubman.lora.load import LoraWeights, load_lora
from hubman.train.adapters.network import Network
from hubman.train.adapters.network_plan import make_network
from hubman.train.architectures import load
from hubman.train.output.export import Written, file_hashes, write_lora
from hubman.train.output.metadata import Origin
from hubman.train.presets import preset
from hubman.train.recipe import Recipe
from hubman.train.recipe_fields import changed
from hubman.train.settings.network import RankPattern
from registry.errors import DamagedFileError, UsageError
from tests.support.tiny_pipeline import make_tiny_pipeline

CPU = torch.device("cpu")
TYPES: dict[str, dict[str, Any]] = {
    "lora": {"network.type": "lora"},
    "rs-lora": {"network.rank_stabilized": True},
    "dora input": {"network.type": "dora"},
    "dora output": {"network.type": "dora", "network.dora_axis": "output"},
    "loha": {"network.type": "loha"},
    "loha tucker": {"network.type": "loha", "network.tucker": True},
    "lokr": {"network.type": "lokr"},
    "lokr factored": {"network.type": "lokr", "network.factor": 8, "network.decompose_both": True, "network.rank": 2},
}
SUFFIXES = {
    "lora": {"lora_down.weight", "lora_up.weight", "alpha"},
    "rs-lora": {"lora_down.weight", "lora_up.weight", "alpha"},
    "dora input": {"lora_down.weight", "lora_up.weight", "alpha", "dora_scale"},
    "dora output": {"lora_down.weight", "lora_up.weight", "alpha", "dora_scale"},
    "loha": {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "alpha"},
    "loha tucker": {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", "alpha"},
    "lokr": {"lokr_w1", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "alpha"},
    "lokr factored": {"lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b", "alpha"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("base") / "pipeline")


@pytest.fixture(scope="module")
def base(folder: Path) -> Base:
    return load_base(folder, device=CPU)


class Trained:
    """A network of a type, disturbed as a training would, and the file that comes of it."""

    def __init__(self, folder: Path, out: Path, changes: dict[str, Any], **origin: Any) -> None:
        sizes = {"network.rank": 4, "network.alpha": 2.0, "network.conv_rank": 2, "network.conv_alpha": 1.0}
        recipe = preset("style", "tiny", 20, base=str(folder), dataset="/home/someone/secret", output="my style")
        self.recipe: Recipe = changed(recipe, {"optimizer.text_lr": 1e-4, "trigger": "zvk", **sizes, **changes})
        architecture: Any = load(self.recipe, CPU)
        targets = architecture.targets(conv=True, text=True)
        # Some of each kind: a Linear, convolutions of both sizes, a text encoder.
        some = [target for target in targets if "mid_block" in target.key or "layers_0_self" in target.key]
        self.network: Network = make_network(some, self.recipe)
        self.origin = Origin(
            recipe=self.recipe,
            identity=architecture.identity,
            captions=["zvk, a red circle", "zvk, a hidden face"],
            sizes=[(64, 64), (64, 64)],
            dataset_fingerprint="f" * 64,
            batches_per_pass=1,
            step=20,
            epoch=1,
            started_at=1000.5,
            finished_at=1060.25,
            **{"sample_prompt": "zvk, a hidden face", **origin},
        )
        self.path = out / "file.safetensors"

    def disturb(self) -> Trained:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for _, parameter in self.network.named_parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        return self

    def write(self) -> Written:
        return write_lora(self.path, self.network, self.origin)

    def read(self, base: Base) -> LoraWeights:
        return load_lora(self.path, base.table, base=base.name, weight_of=base.weight_of)

    def header(self) -> dict[str, str]:
        with safe_open(self.path, framework="pt") as file:
            entries: dict[str, str] = file.metadata()
        return entries


@pytest.mark.parametrize("kind", TYPES)
def test_the_engine_draws_what_was_trained(folder: Path, base: Base, tmp_path: Path, kind: str) -> None:
    trained = Trained(folder, tmp_path, {**TYPES[kind], "file.dtype": "fp32"}).disturb()
    written = trained.write()
    tensors = load_file(trained.path)
    assert {name.partition(".")[2] for name in tensors} == SUFFIXES[kind]
    lora = trained.read(base)
    assert lora.coverage.matched == lora.coverage.total == written.modules == len(trained.network.layers)
    deltas = {adapter.target.path: adapter.delta() for adapter in trained.network.layers.values()}
    for site, factors in lora.factors.items():
        torch.testing.assert_close(factors.delta(), deltas[site.path], atol=1e-6, rtol=1e-4)
    assert written.delta_norm == pytest.approx(trained.network.delta_norm(), rel=1e-4)
    assert written.idle == written.warnings == ()
    assert written.norms.keys() == {"unet", "text_encoder"}
    assert sum(norm**2 for norm in written.norms.values()) == pytest.approx(written.delta_norm**2)


def test_scales_are_in_the_alphas(folder: Path, tmp_path: Path) -> None:
    stabilised = Trained(folder, tmp_path, {**TYPES["rs-lora"], "file.dtype": "fp32"})
    stabilised.write()
    alphas = {name: float(tensor) for name, tensor in load_file(stabilised.path).items() if name.endswith(".alpha")}
    assert alphas["lora_unet_mid_block_attentions_0_proj_in.alpha"] == pytest.approx(2 * 4**0.5)
    assert alphas["lora_unet_mid_block_resnets_0_conv1.alpha"] == pytest.approx(1 * 2**0.5)


@pytest.mark.parametrize(
    ("axis", "shapes"), [("input", [(1, 64, 1, 1), (1, 32)]), ("output", [(64, 1, 1, 1), (32, 1)])]
)
def test_dora_magnitudes_say_their_axis(folder: Path, tmp_path: Path, axis: str, shapes: list[tuple[int, ...]]) -> None:
    trained = Trained(folder, tmp_path, {"network.type": "dora", "network.dora_axis": axis})
    trained.write()
    tensors = load_file(trained.path)
    names = ("lora_unet_mid_block_attentions_0_proj_in", "lora_te_text_model_encoder_layers_0_self_attn_q_proj")
    assert [tuple(tensors[f"{name}.dora_scale"].shape) for name in names] == shapes


@pytest.mark.parametrize(
    ("kind", "module", "args"),
    [
        ("lora", "networks.lora", {"conv_dim": "2", "conv_alpha": "1.0"}),
        ("rs-lora", "networks.lora", {"conv_dim": "2", "conv_alpha": str(2**0.5)}),
        ("dora input", "lycoris.kohya", {"algo": "lora", "dora_wd": "True", "wd_on_output": "False"}),
        ("loha tucker", "lycoris.kohya", {"algo": "loha", "use_tucker": "True"}),
        ("lokr factored", "lycoris.kohya", {"algo": "lokr", "factor": "8", "decompose_both": "True"}),
    ],
)
def test_the_header_names_the_network(
    folder: Path, tmp_path: Path, kind: str, module: str, args: dict[str, str]
) -> None:
    trained = Trained(folder, tmp_path, {**TYPES[kind], "network.dropout": 0.1, "network.max_norm": 1.5})
    trained.write()
    entries = trained.header()
    assert entries["ss_network_module"] == module
    assert args.items() <= json.loads(entries["ss_network_args"]).items()
    assert "rs_lora" not in entries["ss_network_args"]
    assert (entries["ss_network_dropout"], entries["ss_scale_weight_norms"]) == ("0.1", "1.5")


@pytest.mark.parametrize("stabilized", [False, True])
def test_the_header_says_the_alphas_of_the_tensors(folder: Path, tmp_path: Path, stabilized: bool) -> None:
    trained = Trained(folder, tmp_path, {"network.rank_stabilized": stabilized, "network.conv_alpha": 0.0})
    trained.write()
    entries = trained.header()
    said = {float(entries["ss_network_alpha"]), float(json.loads(entries["ss_network_args"])["conv_alpha"])}
    kept = {float(tensor) for name, tensor in load_file(trained.path).items() if name.endswith(".alpha")}
    assert sorted(said) == pytest.approx(sorted(kept), rel=1e-3)
    assert min(said) == pytest.approx(2**0.5 if stabilized else 1.0)


@pytest.mark.parametrize("privacy", ["full", "private"])
def test_nothing_private_is_in_a_header(folder: Path, tmp_path: Path, privacy: str) -> None:
    changes = {
        "file.privacy": privacy,
        "watch.sample_prompts": ("zvk, a hidden face",),
        "captions.prefix": "of my aunt",
    }
    trained = Trained(folder, tmp_path, changes)
    trained.write()
    raw, entries = trained.path.read_bytes(), trained.header()
    assert b"someone" not in raw
    assert str(folder).encode() not in raw
    recipe = json.loads(entries["hubman.recipe"])
    assert "base" not in recipe
    assert recipe["network"]["rank"] == 4
    for needed in ("v2", "base_model_version", "network_module", "network_dim", "network_alpha", "network_args"):
        assert f"ss_{needed}" in entries
    assert entries["modelspec.trigger_phrase"] == "zvk"
    assert ("hidden" in raw.decode("latin-1")) == ("my aunt" in raw.decode("latin-1")) == (privacy == "full")
    told = {"ss_tag_frequency", "ss_dataset_dirs", "ss_session_id", "ss_training_started_at", "modelspec.date"}
    told |= {"ss_training_comment", "ss_sd_model_name", "hubman.sample_prompt", "hubman.dataset_fingerprint"}
    assert (told & entries.keys()) == (told if privacy == "full" else set())


def test_a_picture_stands_for_the_file(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (640, 320), "red").save(tmp_path / "sample.png")
    trained = Trained(folder, tmp_path, {}, preview=tmp_path / "sample.png")
    trained.write()
    kind, _, content = trained.header()["modelspec.thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (256, 128))
    (tmp_path / "sample.png").write_bytes(b"no picture")
    trained.write()
    assert "modelspec.thumbnail" not in trained.header()


@pytest.mark.parametrize("kind", ["dora input", "dora output", "lora"])
def test_a_file_that_does_nothing_is_reported(folder: Path, tmp_path: Path, kind: str) -> None:
    written = Trained(folder, tmp_path, TYPES[kind]).write()
    assert written.delta_norm == 0
    assert len(written.idle) == written.modules
    assert "changes nothing" in written.warnings[0]


def test_a_module_that_does_nothing_is_named(folder: Path, tmp_path: Path) -> None:
    trained = Trained(folder, tmp_path, {}).disturb()
    key, adapter = next(iter(trained.network.layers.items()))
    with torch.no_grad():
        adapter.tensors["lora_up.weight"].zero_()
    written = trained.write()
    assert written.idle == (key,)
    assert written.warnings == (f"1 of {written.modules} modules change nothing, first {key}",)


def test_baking_gives_plain_lora_that_is_as_near_as_the_rank_allows(folder: Path, base: Base, tmp_path: Path) -> None:
    kept = []
    for rank in (1, 64):
        changes = {"network.type": "dora", "file.bake_rank": rank, "file.dtype": "fp32"}
        trained = Trained(folder, tmp_path, changes).disturb()
        written = trained.write()
        assert {name.partition(".")[2] for name in load_file(trained.path)} == SUFFIXES["lora"]
        entries = trained.header()
        assert (entries["ss_network_module"], entries["ss_network_dim"]) == ("networks.lora", str(rank))
        deltas = {adapter.target.path: adapter.delta() for adapter in trained.network.layers.values()}
        lost = sum(
            float((factors.delta() - deltas[site.path]).square().sum())
            for site, factors in trained.read(base).factors.items()
        )
        whole = sum(float(delta.square().sum()) for delta in deltas.values())
        assert written.kept == pytest.approx(1 - lost / whole, abs=1e-4)
        kept.append(written.kept)
    assert kept[0] < 0.95
    assert kept[1] > 0.9999


def test_what_the_disk_gives_back_is_compared(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = Trained(folder, tmp_path, {}).disturb()

    def spoil(path: Path, content: bytes) -> None:
        start = 8 + int.from_bytes(content[:8], "little")
        # Every value half as large: finite, of the right shape, and wrong.
        values = np.frombuffer(content[start:], np.float16) / np.float16(2)
        path.write_bytes(content[:start] + values.tobytes())

    monkeypatch.setattr("hubman.train.output.export.write_atomically", spoil)
    with pytest.raises(DamagedFileError, match="differs from what was trained"):
        trained.write()


@pytest.mark.parametrize(
    ("pattern", "message"), [("resnets_9", "finds no module"), ("lora_", "the network has no modules")]
)
def test_patterns_that_leave_nothing_are_refused(folder: Path, tmp_path: Path, pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Trained(folder, tmp_path, {"network.patterns": (RankPattern(pattern, 0),)})


def test_a_base_that_was_replaced_is_hashed_again(tmp_path: Path) -> None:
    base = tmp_path / "base.safetensors"
    for content in (b"one base", b"another one"):
        base.write_bytes(content)
        assert file_hashes(base)[1] == hashlib.sha256(content).hexdigest()
