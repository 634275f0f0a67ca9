"""Fingerprints tell norms and inner products of dense changes, whatever the file's format, and are the same everywhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman.lora.arrays import open_arrays
from hubman.lora.common_names import block_of, common_name
from hubman.lora.delta_files import open_deltas
from hubman.lora.directions import IN, OUT, VECTOR, directions
from hubman.lora.fingerprints import Fingerprint, Layout, decoded, fingerprint
from hubman.lora.inner import inner_products
from hubman.lora.spectrum import spectrum
from registry.errors import DamagedFileError, HubError, NotFoundError
from tests.support import adapter_formulas as formulas
from tests.support.lora_arrays import (
    bfloat16,
    dense,
    flat,
    kohya,
    random_lora,
    save,
    turned,
)

MODULE = "lora_unet_mid_block_resnets_0_conv1"


def _cosine(one: Fingerprint, other: Fingerprint) -> float:
    inner = inner_products([one, other]).total
    return float(inner[0, 1] / np.sqrt(inner[0, 0] * inner[1, 1]))


# the directions --------------------------------------------------------------------------------------------------


def test_directions_are_the_same_numbers_on_every_machine_and_in_every_version() -> None:
    assert directions(3, 4, OUT).tolist() == PINNED
    taken = b"".join(
        directions(dimension, 16, side).tobytes() for dimension in (1, 320, 5000) for side in (OUT, IN, VECTOR)
    )
    assert hashlib.sha256(taken).hexdigest()[:16] == PINNED_HASH


PINNED = [[0.75, -0.75, 0.0, -0.5], [0.0, -1.0, 0.75, 2.25], [0.5, -1.0, -0.75, 1.5]]
PINNED_HASH = "823112a317cd1cff"


def test_directions_are_as_good_as_normal() -> None:
    sample = directions(20_000, 16, IN)
    assert abs(sample.mean()) < 0.01
    assert sample.var() == pytest.approx(1, abs=0.01)
    assert (sample**4).mean() == pytest.approx(2.97, abs=0.05)
    between = sample.T @ sample / len(sample) - np.eye(16)
    assert np.abs(between).max() < 0.03
    assert np.abs(sample.T @ directions(20_000, 16, OUT) / len(sample)).max() < 0.03


# every kind of adapter ---------------------------------------------------------------------------------------------

TOLD = [kind for kind in formulas.MATRIX if kind[:2] in ("Lo", "fu")]
UNTOLD = [kind for kind in formulas.MATRIX if kind not in TOLD]


def _write(path: Path, kind: str, shape: tuple[int, ...], module: str = MODULE) -> tuple[Path, np.ndarray]:
    rng = np.random.default_rng(3)
    case = formulas.Case(rng.standard_normal(shape).astype(np.float32))
    tensors, delta = (formulas.MATRIX | formulas.CONV)[kind](case)
    return save(path, {f"{module}.{name}": np.asarray(tensor) for name, tensor in tensors.items()}), delta


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        *((kind, shape) for kind in TOLD for shape in ((32, 24), (16, 8, 3, 3))),
        *((kind, (16, 8, 3, 3)) for kind in formulas.CONV),
    ],
)
def test_every_kind_without_the_base_is_told_as_its_definition_has_it(
    tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    path, delta = _write(tmp_path / "x.safetensors", kind, shape)
    wanted = delta.reshape(delta.shape[0], -1)
    with open_deltas(path) as file:
        ((name, found),) = file.deltas()
        np.testing.assert_allclose(found.dense(), wanted, atol=1e-5)
        np.testing.assert_allclose(found.rows(slice(4, 9)).dense(), wanted[4:9], atol=1e-5)
        values = spectrum(found).values
    singular = np.linalg.svd(wanted, compute_uv=False)
    np.testing.assert_allclose(values[: len(singular)], singular[: len(values)], atol=1e-4 * singular[0])
    rows = fingerprint(path).rows.reshape(16, 16)
    out, columns = wanted.shape
    np.testing.assert_allclose(rows, directions(out, 16, OUT).T @ wanted @ directions(columns, 16, IN) / 16, atol=1e-3)
    assert name == "unet/mid_block_resnets_0_conv1"


@pytest.mark.parametrize("kind", UNTOLD)
def test_what_is_made_of_the_bases_weights_is_counted_and_left_out(tmp_path: Path, kind: str) -> None:
    path, _ = _write(tmp_path / "x.safetensors", kind, (32, 24))
    found = fingerprint(path)
    assert (found.untold, found.rows.shape[0], found.norm) == (1, 0, 0.0)


def test_norms_and_biases_count_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    norm, bias = rng.standard_normal(640), rng.standard_normal(64)
    tensors = {"lora_unet_mid_block_norm.w_norm": norm, f"{MODULE}.diff_b": bias, f"{MODULE}.diff": np.zeros((64, 3))}
    found = fingerprint(save(tmp_path / "x.safetensors", tensors))
    assert found.layout.names == (
        "unet/mid_block_norm.norm",
        "unet/mid_block_resnets_0_conv1",
        "unet/mid_block_resnets_0_conv1.bias",
    )
    assert np.sqrt(found.squares()[[0, 2]]) == pytest.approx([np.linalg.norm(norm), np.linalg.norm(bias)], rel=0.15)


# accuracy and invariance -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loras")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Fingerprint:
    return fingerprint(save(folder / "plain.safetensors", kohya(random_lora(1, modules=120))))


def test_norm_and_cosines_are_those_of_the_dense_changes(folder: Path, plain: Fingerprint) -> None:
    one, other = random_lora(1, modules=120), random_lora(2, modules=120)
    mixed = {
        name: (np.hstack([up, 0.5 * other[name][0]]), np.vstack([down, other[name][1]]))
        for name, (up, down) in one.items()
    }
    found = fingerprint(save(folder / "mixed.safetensors", kohya(mixed)))
    assert plain.norm == pytest.approx(np.linalg.norm(flat(one)), rel=0.02)
    true = flat(one) @ flat(mixed) / np.linalg.norm(flat(one)) / np.linalg.norm(flat(mixed))
    assert _cosine(plain, found) == pytest.approx(true, abs=0.01)
    stranger = fingerprint(save(folder / "other.safetensors", kohya(other)))
    assert abs(_cosine(plain, stranger)) < 0.02
    assert found.ranks == 2 * plain.ranks == 120 * 8


@pytest.mark.parametrize("change", ["turned", "half", "bfloat16", "diffusers names", "PEFT names"])
def test_the_same_change_in_another_form_has_the_same_fingerprint(
    folder: Path, plain: Fingerprint, change: str
) -> None:
    lora = random_lora(1, modules=120)
    tensors: dict[str, np.ndarray] = {}
    if change == "turned":
        tensors = kohya(turned(lora))
    elif change == "half":
        tensors = kohya(lora, kind=np.float16)
    elif change == "bfloat16":
        tensors = {name: bfloat16(tensor) for name, tensor in kohya(lora).items()}
    else:
        prefix, parts = ("unet.", (".lora.up.weight", ".lora.down.weight"))
        if change == "PEFT names":
            prefix, parts = "base_model.model.unet.", (".lora_B.weight", ".lora_A.weight")
        for name, (up, down) in lora.items():
            path = prefix + _dotted(name)
            tensors |= {path + parts[0]: up.astype(np.float32), path + parts[1]: down.astype(np.float32)}
    found = fingerprint(save(folder / f"{change}.safetensors", tensors))
    assert found.layout == plain.layout
    assert _cosine(plain, found) > 0.9999
    assert found.norm == pytest.approx(plain.norm, rel=0.005)


def _dotted(name: str) -> str:
    """diffusers' path of a module of ``random_lora``."""
    block, layer, part = (
        name.removeprefix("lora_unet_").replace("_transformer_blocks_", "|").replace("_attn1_to_", "|").split("|")
    )
    path = {
        "input_blocks_7_1": "down_blocks.2.attentions.0",
        "middle_block_1": "mid_block.attentions.0",
        "output_blocks_1_1": "up_blocks.0.attentions.1",
    }[block]
    return f"{path}.transformer_blocks.{layer}.attn1.to_{part.replace('_', '.')}"


def test_a_fused_layer_is_the_three_that_diffusers_has(folder: Path) -> None:
    rng = np.random.default_rng(5)
    up, down = rng.standard_normal((72, 4)), rng.standard_normal((4, 24))
    mlp_up = rng.standard_normal((96, 4))
    fused = {
        "lora_unet_double_blocks_3_img_attn_qkv": (up, down),
        "lora_unet_single_blocks_7_linear1": (np.vstack([up, mlp_up]), down),
    }
    split = {}
    for block in ("transformer_blocks.3.attn", "single_transformer_blocks.7.attn"):
        for number, part in enumerate("qkv"):
            split[f"transformer.{block}.to_{part}"] = (up[24 * number : 24 * (number + 1)], down)
    split["transformer.single_transformer_blocks.7.proj_mlp"] = (mlp_up, down)
    one = fingerprint(save(folder / "fused.safetensors", kohya(fused)))
    tensors: dict[str, np.ndarray] = {}
    for name, (each, shared) in split.items():
        tensors |= {f"{name}.lora_B.weight": each, f"{name}.lora_A.weight": shared}
    other = fingerprint(save(folder / "split.safetensors", tensors))
    assert one.layout == other.layout
    np.testing.assert_allclose(one.rows, other.rows, atol=1e-3)


def test_the_alpha_of_pefts_header_counts(folder: Path) -> None:
    up, down = np.ones((8, 2)), np.ones((2, 8))
    path = "unet.mid_block.attentions.0.proj_in"
    tensors = {f"{path}.lora_B.weight": up, f"{path}.lora_A.weight": down}
    whole = fingerprint(save(folder / "without.safetensors", tensors))
    half = fingerprint(save(folder / "with.safetensors", tensors, lora_adapter_metadata='{"unet.lora_alpha": 1}'))
    assert half.norm == pytest.approx(whole.norm / 2)


@pytest.mark.parametrize(
    ("names", "common", "block"),
    [
        (("lora_unet_down_blocks_1_downsamplers_0_conv", "lora_unet_input_blocks_6_0_op", "unet.down_blocks.1.downsamplers.0.conv"),
         "unet/down_blocks_1_downsamplers_0_conv", "IN06"),
        (("lora_unet_output_blocks_5_2_conv", "unet.up_blocks.1.upsamplers.0.conv"), "unet/up_blocks_1_upsamplers_0_conv", "OUT05"),
        (("lora_unet_middle_block_2_in_layers_2", "diffusion_model.middle_block.2.in_layers.2", "lycoris_mid_block_resnets_1_conv1"),
         "unet/mid_block_resnets_1_conv1", "MID"),
        (("lora_te1_text_model_encoder_layers_3_mlp_fc1", "text_encoder.text_model.encoder.layers.3.mlp.fc1",
          "text_encoder.encoder.layers.3.mlp.fc1", "lora_te_text_model_encoder_layers_3_mlp_fc1",
          "base_model.model.text_model.encoder.layers.3.mlp.fc1"), "text_encoder/encoder_layers_3_mlp_fc1", "TE1"),
        (("lora_te2_text_model_encoder_layers_3_mlp_fc1", "text_encoder_2.text_model.encoder.layers.3.mlp.fc1"),
         "text_encoder_2/encoder_layers_3_mlp_fc1", "TE2"),
        (("down_blocks.0.attentions.1.transformer_blocks.0.attn1.processor.to_out_lora",
          "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_out_0"),
         "unet/down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_out_0", "IN02"),
        (("lora_unet_joint_blocks_4_context_block_mlp_fc2", "transformer.transformer_blocks.4.ff_context.net.2"),
         "unet/transformer_blocks_4_ff_context_net_2", "D04"),
        (("lora_unet_single_blocks_12_linear2", "diffusion_model.single_blocks.12.linear2",
          "transformer.single_transformer_blocks.12.proj_out"), "unet/single_transformer_blocks_12_proj_out", "S12"),
    ],
)  # fmt: skip
def test_one_module_has_one_name_in_all_formats(names: tuple[str, ...], common: str, block: str) -> None:
    assert {common_name(name).names for name in names} == {(common,)}
    assert block_of(common) == block


# what is kept ------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-12, 1e12), st.integers(0, 5), st.integers(0, 2**16))
def test_a_kept_fingerprint_is_right_to_half_precision_whatever_its_size(size: float, modules: int, seed: int) -> None:
    rows = (np.random.default_rng(seed).standard_normal((modules, 256)) * size).astype(np.float32)
    one = Fingerprint(Layout(tuple(f"unet/{i}" for i in range(modules))), rows, 0)
    again = decoded(one.layout, one.encoded())
    np.testing.assert_allclose(again.rows, rows, rtol=1e-3, atol=1e-6 * size)


def test_every_half_is_widened_exactly(tmp_path: Path) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    for name, halves in (("finite", finite), ("every", every)):
        path = save(tmp_path / f"{name}.safetensors", {"lora_unet_x.diff": halves.reshape(2, -1)})
        with open_arrays(path) as file:
            found = file.parts(file.modules[0])[0]["diff"].reshape(-1)
        np.testing.assert_array_equal(found, halves.astype(np.float32))


def test_eight_bits_are_read(tmp_path: Path) -> None:
    bits = np.array([[0x00, 0x01, 0x07, 0x08, 0x38, 0xB8], [0x39, 0x7E, 0xFE, 0x7F, 0x40, 0x80]], np.uint8)
    with open_arrays(save(tmp_path / "x.safetensors", {"lora_unet_x.diff": bits})) as file:
        found = file.parts(file.modules[0])[0]["diff"]
    wanted = [[0, 2**-9, 7 * 2**-9, 2**-6, 1, -1], [1.125, 448, -448, np.nan, 2, -0.0]]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))


# files that are none -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"conv.weight": np.ones((2, 2))}, "holds no LoRA"),
        ({"lora_unet_x.lora_down.weight": np.ones((2, 4))}, "do not fit together"),
        ({"lora_unet_x.lora_down.weight": np.ones((2, 4)), "lora_unet_x.lora_up.weight": np.ones((4, 3))}, "do not fit"),
        ({"lora_unet_x.diff": np.array([[1.0, np.nan]])}, "NaN or infinity"),
        ({"lora_unet_x.diff": np.ones((2, 2)), "lora_unet_x.alpha": np.ones(2)}, "alpha of shape"),
        ({"lora_unet_x.diff": np.ones((2, 2)), "unet.x.diff": np.ones((2, 2))}, "names one module twice"),
        ({f"lora_unet_x.hada_{part}": np.ones((1, 90_000) if part[-1] == "b" else (90_000, 1), np.float16)
          for part in ("w1_a", "w1_b", "w2_a", "w2_b")}, "do not fit together"),
        ({"lora_unet_x.lora_down.weight": np.ones((0, 4)), "lora_unet_x.lora_up.weight": np.ones((4, 0)),
          "lora_unet_x.alpha": np.array(1.0)}, "do not fit together"),
        ({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": np.ones((1, 4)),
          "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": np.ones((2, 1))}, "do not fit together"),
    ],
)  # fmt: skip
def test_what_is_no_lora_is_refused_in_one_line(tmp_path: Path, tensors: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(DamagedFileError, match=words):
        fingerprint(save(tmp_path / "x.safetensors", tensors))


@pytest.mark.parametrize("part", ["lora_down.weight", "lora_up.weight"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_one_broken_number_among_halves_is_found(tmp_path: Path, part: str, value: float) -> None:
    tensors = kohya(random_lora(1, modules=2), kind=np.float16)
    tensors[next(name for name in tensors if name.endswith(part))][3, 7 % 4] = value
    with pytest.raises(DamagedFileError, match="NaN or infinity"):
        fingerprint(save(tmp_path / "x.safetensors", tensors))


@pytest.mark.parametrize(("size", "columns"), [(1.0, 41), (30_000.0, 40), (1e-6, 40), (1.0, 70_001)])
def test_halves_of_any_size_and_width_are_projected_exactly(tmp_path: Path, size: float, columns: int) -> None:
    rng = np.random.default_rng(4)
    up, down = (rng.standard_normal(shape).clip(-2, 2) for shape in ((50, 4), (4, columns)))
    factors = ((up * size).astype(np.float16), down.astype(np.float16))
    found = fingerprint(save(tmp_path / "x.safetensors", kohya({"lora_unet_x": factors}, kind=np.float16)))
    left, right = directions(50, 16, OUT).astype(np.float64), directions(columns, 16, IN).astype(np.float64)
    wanted = left.T @ factors[0].astype(np.float64) @ factors[1].astype(np.float64) @ right / 16
    np.testing.assert_allclose(found.rows.reshape(16, 16), wanted, atol=1e-5 * np.abs(wanted).max())


def test_files_that_are_not_there_or_no_safetensors(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        fingerprint(tmp_path / "x.safetensors")
    (tmp_path / "x.pt").write_bytes(b"x")
    with pytest.raises(HubError, match="not a safetensors file"):
        fingerprint(tmp_path / "x.pt")


def test_a_dense_change_is_formed_by_no_low_rank(folder: Path, plain: Fingerprint) -> None:
    whole = dense(random_lora(1, modules=120))
    found = fingerprint(save(folder / "full.safetensors", {f"{name}.diff": delta for name, delta in whole.items()}))
    assert _cosine(plain, found) > 0.9999
