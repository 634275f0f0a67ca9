"""Network types, ranks and alphas: one for all modules or different from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from registry.headers import Header, TensorInfo, read_alphas, read_header
from registry.identify import Identity, identify
from tests.support.model_files import Tensors, real_keys, write_model

_UNET = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
Parts = dict[str, list[int]]


def _identify(tensors: Tensors, metadata: dict[str, str] | None = None, alphas: Sequence[float] = ()) -> Identity:
    infos = {name: TensorInfo(dtype, tuple(shape), (0, 1)) for name, (dtype, shape) in tensors.items()}
    return identify(Header(metadata or {}, infos, 0), alphas=alphas)


def _module(parts: Parts, module: str = _UNET) -> dict[str, tuple[str, list[int]]]:
    return {f"{module}.{part}": ("F16", shape) for part, shape in parts.items()}


_LORA = {"lora_down.weight": [8, 768], "lora_up.weight": [320, 8]}
_LOHA = {"hada_w1_a": [320, 6], "hada_w1_b": [6, 768], "hada_w2_a": [320, 6], "hada_w2_b": [6, 768]}


@pytest.mark.parametrize(
    ("parts", "network_type", "rank"),
    [
        (_LORA, "lora", 8),
        ({"lora_A.weight": [8, 768], "lora_B.weight": [320, 8]}, "lora", 8),
        ({"lora_A.default.weight": [8, 768], "lora_B.default.weight": [320, 8]}, "lora", 8),
        ({"lora_A.my_style.weight": [8, 768], "lora_B.my_style.weight": [320, 8]}, "lora", 8),
        ({"lora.down.weight": [8, 768], "lora.up.weight": [320, 8]}, "lora", 8),
        ({"lora_linear_layer.down.weight": [8, 768], "lora_linear_layer.up.weight": [320, 8]}, "lora", 8),
        ({"lora_down.weight": [8, 320, 1, 1], "lora_up.weight": [320, 8, 1, 1]}, "lora", 8),
        ({"lora_down.weight": [8, 320, 3, 3], "lora_up.weight": [320, 8, 1, 1]}, "locon", 8),
        ({**_LORA, "dora_scale": [320, 1]}, "dora", 8),
        ({**_LORA, "dora_scale": [1, 768]}, "dora", 8),
        ({"lora_A.weight": [8, 768], "lora_B.weight": [320, 8], "lora_magnitude_vector": [320]}, "dora", 8),
        ({"lora_A.weight": [8, 768], "lora_B.weight": [320, 8], "lora_magnitude_vector.weight": [320]}, "dora", 8),
        (_LOHA, "loha", 6),
        ({"hada_w1_a": [6, 320], "hada_w1_b": [6, 320], "hada_w2_a": [6, 320], "hada_w2_b": [6, 320],
          "hada_t1": [6, 6, 3, 3], "hada_t2": [6, 6, 3, 3]}, "loha", 6),
        ({"lokr_w1": [16, 24], "lokr_w2_a": [20, 5], "lokr_w2_b": [5, 32]}, "lokr", 5),
        ({"lokr_w1_a": [16, 2], "lokr_w1_b": [2, 24], "lokr_w2": [20, 32]}, "lokr", 2),
        ({"lokr_w1": [16, 24], "lokr_w2": [20, 32]}, "lokr", None),
        ({"a1.weight": [768, 3], "a2.weight": [3, 768], "b1.weight": [320, 3], "b2.weight": [3, 320]}, "glora", 3),
        ({"oft_blocks": [4, 80, 80]}, "oft", None),
        ({"oft_diag": [4, 80, 80]}, "oft", None),
        ({"oft_R.weight": [4, 3160]}, "oft", None),
        ({"oft_blocks": [3, 4, 80, 80]}, "boft", None),
        ({"boft_R": [3, 4, 80, 80], "boft_s": [320, 1]}, "boft", None),
        ({"weight": [320], "on_input": []}, "ia3", None),
        ({"diff": [320, 768]}, "full", None),
        ({"diff_b": [320]}, "full", None),
        ({"w_norm": [320], "b_norm": [320]}, "norm", None),
    ],
)  # fmt: skip
def test_the_network_type_follows_from_the_parts(
    tmp_path: Path, parts: Parts, network_type: str, rank: int | None
) -> None:
    found = identify(read_header(write_model(tmp_path / "a.safetensors", _module({**parts, "alpha": []}))))
    assert (found.kind, found.network_type, found.rank, found.modules) == ("lora", network_type, rank, 1)
    assert found.reasons["network_type"].endswith("in 1 of 1 modules")


@pytest.mark.parametrize(
    "parts",
    [
        {"lokr_w1": [16, 24], "lokr_w2_a": [20, 5], "lokr_w2_b": [5, 32]},
        {"lokr_w1_a": [16, 2], "lokr_w1_b": [2, 24], "lokr_w2": [20, 32]},
        {"hada_w1_a": [320, 6], "hada_w1_b": [6, 768]},
        {"a1.weight": [768, 3], "a2.weight": [3, 768], "b1.weight": [320, 3], "b2.weight": [3, 320]},
        {"diff": [320, 768]},
    ],
)
def test_factored_networks_tell_the_width_of_their_layer(parts: Parts) -> None:
    assert _identify(_module(parts)).architecture == "sd1"


def test_a_file_with_several_types_says_how_many_modules_are_which() -> None:
    tensors = {**_module(_LORA), **_module(_LORA, "lora_unet_a"), **_module({"w_norm": [320]}, "lora_unet_b")}
    found = _identify(tensors)
    assert (found.network_type, found.mix, found.modules) == ("lora", {"lora": 2, "norm": 1}, 3)
    assert _identify(_module(_LORA)).mix == {}


def test_what_a_network_has_besides_is_said() -> None:
    parts = {"lora_down.weight": [8, 320, 1, 1], "lora_mid.weight": [8, 8, 3, 3], "lora_up.weight": [320, 8, 1, 1]}
    assert _identify(_module(parts)).features == ("tucker",)
    assert _identify(_module({"diff": [320, 768], "diff_b": [320]})).features == ("bias",)
    assert _identify(_module(_LORA)).features == ()


def test_a_rank_that_differs_is_mixed() -> None:
    one, other = {"lora_down.weight": [8, 768]}, {"lora_down.weight": [4, 768]}
    found = _identify({**_module(one, "lora_unet_a"), **_module(one, "lora_unet_b"), **_module(other, "lora_unet_c")})
    assert (found.rank, found.ranks, found.rank_modules) == (8, (4, 8), {8: 2, 4: 1})
    assert found.reasons["rank"] == "2 of 3 modules have rank 8, the others 4 to 8: mixed"
    same = _identify(_module(one))
    assert (same.ranks, same.reasons["rank"]) == ((8, 8), "1 of 1 modules have rank 8")


def test_the_stated_rank_stands_where_shapes_tell_none() -> None:
    full = _module({"lokr_w1": [16, 24], "lokr_w2": [20, 32]})
    found = _identify(full, {"ss_network_dim": "10000"})
    assert (found.rank, found.ranks, found.contradictions) == (10000, None, ())


def test_alpha_is_read_from_all_its_tensors(tmp_path: Path) -> None:
    metadata, tensors = real_keys("sds_single_te")
    path = write_model(tmp_path / "a.safetensors", tensors, metadata)
    header = read_header(path)
    values = read_alphas(path, header)
    assert len(values) == 350
    found = identify(header, alphas=values)
    assert (found.alpha, found.alphas) == (0.0, None)
    assert found.contradictions == ("ss_network_alpha says 4, but no alpha tensor does",)


def test_alphas_that_differ_are_mixed() -> None:
    found = _identify(_module(_LORA), {"ss_network_alpha": "4"}, alphas=[4.0, 4.0, 1.0])
    assert (found.alpha, found.alphas, found.contradictions) == (4.0, (1.0, 4.0), ())
    assert found.reasons["alpha"] == "2 of 3 alpha tensors say so"


def test_rank_stabilised_networks_may_state_another_alpha() -> None:
    metadata = {"ss_network_alpha": "4", "ss_network_args": '{"rs_lora": "True"}'}
    assert _identify(_module(_LORA), metadata, alphas=[11.3]).contradictions == ()


def test_peft_says_alpha_for_all_and_for_single_layers() -> None:
    stated = '{"unet.r": 8, "unet.lora_alpha": 16, "unet.alpha_pattern": {"conv_in": 2}}'
    found = _identify(_module(_LORA), {"lora_adapter_metadata": stated})
    assert (found.alpha, found.alphas) == (16.0, (2.0, 16.0))


def test_the_type_of_most_bytes_is_the_precision() -> None:
    mixed = {
        "a.lora_down.weight": TensorInfo("F32", (1, 1), (0, 4)),
        "a.lora_up.weight": TensorInfo("BF16", (9, 1), (4, 22)),
    }
    found = identify(Header({}, mixed, 0))
    assert (found.dtype, found.reasons["dtype"]) == ("bf16", "81 % of its bytes are BF16")


def test_trained_parts_are_counted() -> None:
    names = ("lora_te1_a", "lora_te2_b", "lora_unet_input_blocks_4_1_x", "lora_unet_input_blocks_4_1_y")
    tensors = {key: value for name in names for key, value in _module(_LORA, name).items()}
    assert _identify(tensors).part_modules == {"unet": 2, "te1": 1, "te2": 1}
