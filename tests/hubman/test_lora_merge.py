"""Merged files do what their parents do together: against dense sums in NumPy, whatever the ranks, ratios and kinds."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from hubman.lora.blocks import Block
from hubman.lora.derive.merge import Merged, merge
from hubman.lora.derive.name_blocks import block_of
from hubman.lora.derive.request import MergeRequest, Parent
from hubman.lora.names import Names, names_of
from hubman.lora.writing import serialise
from hubman.progress import Progress
from registry.errors import DamagedFileError, HubError
from registry.hashing import hash_file
from registry.headers import read_header

Array = np.ndarray
LINEAR, POINT, WIDE = (
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
    "lora_unet_mid_block_attentions_0_proj_in",
    "lora_unet_up_blocks_1_resnets_0_conv1",
)
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"
SHAPES = {LINEAR: (24, 20), POINT: (16, 24, 1, 1), WIDE: (12, 10, 3, 3), TEXT: (28, 18)}
FP16 = 2e-3


def make(
    path: Path, rank: int, seed: int, *, modules: Sequence[str] = tuple(SHAPES), alpha: float = 1.5, scale: float = 0.3,
    **metadata: str,
) -> dict[str, Array]:  # fmt: skip
    """A LoRA file, and the changes of its modules in NumPy and float64."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, Tensor] = {}
    deltas = {}
    for name in modules:
        out, *inputs = SHAPES[name]
        down = (rng.standard_normal((rank, *inputs)) * scale).astype(np.float32)
        up = (rng.standard_normal((out, rank)) * scale).astype(np.float32)
        ones = [1] * (len(inputs) - 1)
        tensors |= {
            f"{name}.lora_down.weight": torch.from_numpy(down),
            f"{name}.lora_up.weight": torch.from_numpy(up).reshape(out, rank, *ones),
            f"{name}.alpha": torch.tensor(alpha),
        }
        deltas[name] = (up.astype(np.float64) @ down.reshape(rank, -1).astype(np.float64)) * alpha / rank
    save_file(tensors, path, metadata)
    return deltas


def asked(out: Path, *parents: tuple[Path, float], **chosen: Any) -> MergeRequest:
    known = tuple(
        Parent(path=str(path), sha256=hash_file(path).sha256, name=path.stem, ratio=ratio) for path, ratio in parents
    )
    return MergeRequest(parents=known, out=str(out), **{"dtype": "fp32", **chosen})


def names(request: MergeRequest, base: Path | None = None) -> Names:
    return names_of({one.path: read_header(Path(one.path)) for one in request.parents}, base)


def write(request: MergeRequest) -> Merged:
    return merge(request, names(request))


def read(path: Path) -> dict[str, Array]:
    """The changes in a kohya file, whose alphas must be its ranks."""
    tensors = load_file(path)
    found = {}
    for name in {key.partition(".")[0] for key in tensors}:
        down, up = tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"]
        assert float(tensors[f"{name}.alpha"]) == down.shape[0] == up.shape[1]
        assert up.dim() == down.dim() == len(SHAPES[name])
        found[name] = up.flatten(1).double().numpy() @ down.flatten(1).double().numpy()
    return found


def apart(found: Mapping[str, Array], wanted: Mapping[str, Array]) -> float:
    assert found.keys() == wanted.keys()
    return max(float(np.linalg.norm(found[name] - wanted[name]) / np.linalg.norm(wanted[name])) for name in wanted)


def total(terms: Sequence[Array]) -> Array:
    summed: Array = np.stack(terms).sum(axis=0)
    return summed


def cut(delta: Array, rank: int) -> Array:
    left, values, right = np.linalg.svd(delta, full_matrices=False)
    best: Array = (left[:, :rank] * values[:rank]) @ right[:rank]
    return best


ratios = st.floats(-2, 2).filter(lambda x: abs(x) > 0.01)


@given(ranks=st.lists(st.integers(1, 12), min_size=1, max_size=3), drawn=st.data(), half=st.booleans())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sum_is_exact_at_any_ranks_and_ratios(
    tmp_path_factory: pytest.TempPathFactory, ranks: list[int], drawn: st.DataObject, half: bool
) -> None:
    folder = tmp_path_factory.mktemp("sum")
    chosen = [drawn.draw(ratios) for _ in ranks]
    made = [make(folder / f"{i}.safetensors", rank, i, alpha=0.7 * (i + 1)) for i, rank in enumerate(ranks)]
    parents = [(folder / f"{i}.safetensors", ratio) for i, ratio in enumerate(chosen)]
    done = write(
        asked(folder / "out.safetensors", *parents, method="concat", rank=None, dtype="fp16" if half else "fp32")
    )
    wanted = {name: total([ratio * one[name] for ratio, one in zip(chosen, made, strict=True)]) for name in SHAPES}
    error = apart(read(folder / "out.safetensors"), wanted)
    assert error <= (FP16 if half else 1e-6)
    # What it says of itself is true, and the rank is no more than the sum or the module.
    assert done.made.error <= error + 1e-7
    assert done.made.kept == pytest.approx(1, abs=1e-9)
    assert done.made.ranks[1] <= sum(ranks)


@given(ranks=st.tuples(st.integers(2, 10), st.integers(2, 10)), rank=st.integers(1, 12), ratio=ratios)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_above_the_rank_the_best_of_that_rank_is_kept_and_the_share_told(
    tmp_path_factory: pytest.TempPathFactory, ranks: tuple[int, int], rank: int, ratio: float
) -> None:
    folder = tmp_path_factory.mktemp("svd")
    a, b = (make(folder / f"{name}.safetensors", own, own) for name, own in zip("ab", ranks, strict=True))
    parents = (folder / "a.safetensors", 0.7), (folder / "b.safetensors", ratio)
    done = write(asked(folder / "out.safetensors", *parents, rank=rank))
    whole = {name: 0.7 * a[name] + ratio * b[name] for name in SHAPES}
    wanted = {name: cut(delta, rank) for name, delta in whole.items()}
    found = read(folder / "out.safetensors")
    lost = sum(np.linalg.norm(whole[name] - wanted[name]) ** 2 for name in SHAPES)
    energy = sum(np.linalg.norm(delta) ** 2 for delta in whole.values())
    assert done.made.kept == pytest.approx(1 - lost / energy, abs=1e-6)
    for name in SHAPES:
        best, ours = (float(np.linalg.norm(whole[name] - one[name])) for one in (wanted, found))
        assert ours <= best + 1e-5 * np.linalg.norm(whole[name])
    assert done.made.ranks[1] <= rank or sum(ranks) <= rank


def ties(deltas: Sequence[Array], density: float) -> Array:
    trimmed = []
    for delta in deltas:
        bound = np.sort(np.abs(delta).ravel())[delta.size - round(density * delta.size) - 1]
        trimmed.append(np.where(np.abs(delta) > bound, delta, 0))
    sign = np.sign(total(trimmed))
    agreeing = [np.where(np.sign(each) == sign, each, 0) for each in trimmed]
    mean: Array = total(agreeing) / np.maximum(np.stack([each != 0 for each in agreeing]).sum(0), 1)
    return mean


@pytest.mark.parametrize("method", ["ties", "prune"])
@pytest.mark.parametrize("density", [0.2, 0.5])
def test_ties_and_pruning_are_those_of_the_dense_changes_and_say_what_they_change(
    tmp_path: Path, method: str, density: float
) -> None:
    a, b = make(tmp_path / "a.safetensors", 6, 1), make(tmp_path / "b.safetensors", 6, 2)
    parents = (tmp_path / "a.safetensors", 0.7), (tmp_path / "b.safetensors", -0.5)
    done = write(asked(tmp_path / "out.safetensors", *parents, method=method, density=density, rank=None))
    wanted, plain = {}, {}
    for name in SHAPES:
        terms = [0.7 * a[name], -0.5 * b[name]]
        plain[name] = total(terms)
        wanted[name] = ties(terms, density) if method == "ties" else total([_pruned(each, density) for each in terms])
    assert apart(read(tmp_path / "out.safetensors"), wanted) <= 1e-5
    changed = math.sqrt(sum(np.linalg.norm(wanted[n] - plain[n]) ** 2 for n in SHAPES))
    assert done.changes_sum == pytest.approx(
        changed / math.sqrt(sum(np.linalg.norm(plain[n]) ** 2 for n in SHAPES)), abs=1e-4
    )


def _pruned(delta: Array, density: float) -> Array:
    bound = np.sort(np.abs(delta).ravel())[delta.size - round(density * delta.size) - 1]
    return np.where(np.abs(delta) > bound, delta, 0)


def test_dare_follows_from_its_seed_alone_and_keeps_entries_or_drops_them(tmp_path: Path) -> None:
    a, b = make(tmp_path / "a.safetensors", 6, 1), make(tmp_path / "b.safetensors", 6, 2)
    parents = (tmp_path / "a.safetensors", 1.0), (tmp_path / "b.safetensors", 1.0)
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        write(
            asked(
                tmp_path / f"{name}.safetensors", *parents, method="dare", density=0.5, seed=seed, rank=None, title="x"
            )
        )
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "same.safetensors").read_bytes()
    one, other = read(tmp_path / "one.safetensors"), read(tmp_path / "other.safetensors")
    assert apart(one, other) > 0.5
    possible = np.stack([np.zeros_like(a[LINEAR]), 2 * a[LINEAR], 2 * b[LINEAR], 2 * (a[LINEAR] + b[LINEAR])])
    assert np.abs(possible - one[LINEAR]).min(axis=0).max() < 1e-5
    assert json.loads(entries(tmp_path / "one.safetensors")["hubman.merge"])["seed"] == 7


def entries(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        found: dict[str, str] = file.metadata()
    return found


def test_modules_of_one_parent_alone_norms_and_biases_are_taken_over(tmp_path: Path) -> None:
    a = make(tmp_path / "a.safetensors", 3, 1, modules=[LINEAR])
    b = make(tmp_path / "b.safetensors", 3, 2, modules=[WIDE])
    norm = "lora_unet_mid_block_resnets_0_norm1"
    extra = {
        f"{norm}.w_norm": torch.full((8,), 0.5),
        f"{norm}.b_norm": torch.arange(8.0),
        f"{WIDE}.diff_b": torch.ones(12),
    }
    save_file({**load_file(tmp_path / "b.safetensors"), **extra}, tmp_path / "b.safetensors")
    write(asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 0.5), (tmp_path / "b.safetensors", -2.0)))
    tensors = load_file(tmp_path / "out.safetensors")
    assert torch.equal(tensors.pop(f"{norm}.w_norm"), torch.full((8,), -1.0))
    assert torch.equal(tensors.pop(f"{norm}.b_norm"), torch.arange(8.0) * -2)
    assert torch.equal(tensors.pop(f"{WIDE}.diff_b"), torch.full((12,), -2.0))
    save_file(tensors, tmp_path / "plain.safetensors")
    assert apart(read(tmp_path / "plain.safetensors"), {LINEAR: 0.5 * a[LINEAR], WIDE: -2 * b[WIDE]}) <= 1e-6
    assert entries(tmp_path / "out.safetensors")["ss_network_module"] == "lycoris.kohya"


@pytest.mark.parametrize(
    ("blocks", "kept"),
    [
        ("0.5," + ",".join(["0"] * 16), {TEXT: 0.5}),
        (",".join(["0"] * 7) + ",0.25" + ",0" * 9, {POINT: 0.25}),
        (",".join(["1"] * 26), dict.fromkeys(SHAPES, 1.0)),
        ("B-LoRA style", {}),
    ],
)
def test_block_weights_count_where_their_list_says(tmp_path: Path, blocks: str, kept: dict[str, float]) -> None:
    a = make(tmp_path / "a.safetensors", 3, 1)
    request = asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 0.5))
    parent = Parent(path=request.parents[0].path, sha256="", ratio=0.5, blocks=blocks)
    request = MergeRequest(parents=(parent,), out=request.out, dtype="fp32")
    if not kept:
        with pytest.raises(HubError, match="would change nothing"):
            write(request)
        assert not list(tmp_path.glob("*out*")) + list(tmp_path.glob(".*"))
        return
    write(request)
    assert (
        apart(read(tmp_path / "out.safetensors"), {name: 0.5 * weight * a[name] for name, weight in kept.items()})
        <= 1e-6
    )


def test_tiny_factors_keep_their_digits_in_half_precision(tmp_path: Path) -> None:
    # Alpha 1 at rank 32 puts 1/32 into the scale: folded into one side, fp16 would keep only some digits of it.
    a = make(tmp_path / "a.safetensors", 32, 1, alpha=1.0, scale=3e-4, modules=[LINEAR, WIDE])
    tensors = load_file(tmp_path / "a.safetensors")
    for name in tensors:
        tensors[name] = tensors[name] * (1e3 if "lora_down" in name else 1)
    save_file(tensors, tmp_path / "a.safetensors")
    done = write(asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 0.05), dtype="fp16"))
    assert apart(read(tmp_path / "out.safetensors"), {name: a[name] * 50 for name in a}) <= 1e-3
    assert done.made.error <= 1e-3


def test_parents_that_nearly_cancel_leave_a_difference_that_is_right(tmp_path: Path) -> None:
    a = make(tmp_path / "a.safetensors", 4, 1, modules=[LINEAR])
    near = load_file(tmp_path / "a.safetensors")
    near[f"{LINEAR}.lora_up.weight"] *= 1.001
    save_file(near, tmp_path / "b.safetensors")
    write(
        asked(
            tmp_path / "out.safetensors",
            (tmp_path / "b.safetensors", 1.0),
            (tmp_path / "a.safetensors", -1.0),
            dtype="fp16",
        )
    )
    assert apart(read(tmp_path / "out.safetensors"), {LINEAR: a[LINEAR] * 0.001}) <= 2e-3


def test_values_that_half_precision_has_not_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors", 2, 1, scale=1e6)
    with pytest.raises(HubError, match="fp32"):
        write(asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 1e6), dtype="fp16"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors"]


def test_what_half_precision_would_spoil_is_refused_and_fp32_has_it(tmp_path: Path) -> None:
    a = make(tmp_path / "a.safetensors", 2, 1, scale=1e-6, modules=[LINEAR])
    with pytest.raises(DamagedFileError, match="--dtype fp32"):
        write(asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 1.0), dtype="fp16"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors"]
    write(asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 1.0)))
    assert apart(read(tmp_path / "out.safetensors"), a) <= 1e-6


def test_the_header_has_what_readers_and_a_repetition_need(tmp_path: Path) -> None:
    said: dict[str, Any] = {"ss_base_model_version": "sd_v1", "ss_sd_model_name": "paper.safetensors"}
    make(tmp_path / "a.safetensors", 4, 1, ss_clip_skip="2", **said, ss_tag_frequency='{"5_x": {"zvk": 9, "ink": 3}}')
    make(tmp_path / "b.safetensors", 3, 2, ss_clip_skip="1", **said, sshs_model_hash="0" * 64)
    parents = (tmp_path / "a.safetensors", 0.7), (tmp_path / "b.safetensors", 0.5)
    request = asked(tmp_path / "out.safetensors", *parents, trigger_words=("zvk", "wash"), dtype="fp16")
    write(request)
    made = entries(tmp_path / "out.safetensors")
    assert made["ss_base_model_version"] == "sd_v1"
    assert made["ss_sd_model_name"] == "paper.safetensors"
    assert "ss_clip_skip" not in made
    assert (made["ss_network_module"], made["ss_network_dim"], made["ss_network_alpha"]) == (
        "networks.lora",
        "7",
        "7.0",
    )
    assert made["modelspec.merged_from"] == "a, b"
    assert made["modelspec.trigger_phrase"] == "zvk, wash"
    tags = json.loads(made["ss_tag_frequency"])
    assert list(tags["trigger"]) == ["zvk", "wash"]
    assert tags["5_x"] == {"zvk": 9, "ink": 3}
    recipe = json.loads(made["hubman.merge"])
    assert [(one["sha256"], one["ratio"]) for one in recipe["parents"]] == [
        (one.sha256, one.ratio) for one in request.parents
    ]
    assert str(tmp_path) not in json.dumps(made)
    # The hashes are those that sd-scripts would write, and the data lies as safetensors lays it out.
    again = serialise(load_file(tmp_path / "out.safetensors"), made)
    (tmp_path / "again.safetensors").write_bytes(again)
    assert entries(tmp_path / "again.safetensors") == made
    header = read_header(tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes()[8 + header.size :] == again[
        8 + read_header(tmp_path / "again.safetensors").size :
    ]


def test_the_same_request_gives_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors", 9, 1)
    make(tmp_path / "b.safetensors", 7, 2)
    parents = (tmp_path / "a.safetensors", 0.7), (tmp_path / "b.safetensors", 0.5)
    for folder in ("one", "two"):
        write(asked(tmp_path / folder / "x.safetensors", *parents, rank=6, dtype="fp16"))
    assert (tmp_path / "one/x.safetensors").read_bytes() == (tmp_path / "two/x.safetensors").read_bytes()


def test_a_large_file_has_the_legacy_hash_of_its_window(tmp_path: Path) -> None:
    rank = 700
    down, up = torch.randn(rank, 900), torch.randn(800, rank)
    save_file({f"{LINEAR}.lora_down.weight": down, f"{LINEAR}.lora_up.weight": up}, tmp_path / "a.safetensors")
    write(
        asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 1.0), rank=None, method="concat", dtype="fp16")
    )
    made = entries(tmp_path / "out.safetensors")
    (tmp_path / "again.safetensors").write_bytes(serialise(load_file(tmp_path / "out.safetensors"), made))
    assert entries(tmp_path / "again.safetensors")["sshs_legacy_hash"] == made["sshs_legacy_hash"] != "e3b0c442"


def test_an_alpha_that_a_precision_does_not_have_is_not_rounded(tmp_path: Path) -> None:
    down, up = torch.randn(257, 300), torch.randn(290, 257)
    save_file({f"{LINEAR}.lora_down.weight": down, f"{LINEAR}.lora_up.weight": up}, tmp_path / "a.safetensors")
    write(asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 1.0), rank=None, dtype="bf16"))
    assert load_file(tmp_path / "out.safetensors")[f"{LINEAR}.lora_down.weight"].shape == (258, 300)
    assert apart(read(tmp_path / "out.safetensors"), {LINEAR: (up.double() @ down.double()).numpy()}) <= 5e-3


def test_a_kill_leaves_nothing_that_counts_and_the_repetition_all(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors", 4, 1)
    request = asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 1.0))
    found = names(request)

    def kill(event: Progress) -> None:
        if event.done == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        merge(request, found, report=kill)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert not list(tmp_path.glob("out*"))
    write(request)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "out.safetensors"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors", 4, 1)
    request = asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 1.0))
    found = names(request)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, before[1]))
    try:
        with pytest.raises(HubError, match="cannot write"):
            merge(request, found)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_parent_is_never_written_over(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors", 4, 1)
    before = (tmp_path / "a.safetensors").read_bytes()
    with pytest.raises(HubError, match="is there already"):
        write(asked(tmp_path / "a.safetensors", (tmp_path / "a.safetensors", 2.0)))
    assert (tmp_path / "a.safetensors").read_bytes() == before


def test_numbers_that_are_none_in_a_parent_stop_it(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors", 2, 1)
    tensors = load_file(tmp_path / "a.safetensors")
    tensors[f"{WIDE}.lora_up.weight"][0] = math.nan
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(DamagedFileError, match="NaN"):
        write(asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 1.0)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1", Block("BASE")),
        ("lora_te3_encoder_block_0_layer_0_SelfAttention_q", Block("T5")),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", Block("IN04", attention=True)),
        ("lora_unet_down_blocks_1_attentions_0_proj_in", Block("IN04", attention=True)),
        ("lora_unet_input_blocks_3_0_op", Block("IN03")),
        ("lora_unet_output_blocks_2_2_conv", Block("OUT02")),
        ("lora_unet_up_blocks_2_resnets_1_conv2", Block("OUT07")),
        ("lora_unet_middle_block_1_proj_out", Block("MID", attention=True)),
        ("lora_unet_middle_block_0_in_layers_2", Block("MID")),
        ("lora_unet_double_blocks_12_img_mlp_0", Block("D12")),
        ("lora_unet_single_blocks_30_linear1", Block("S30", attention=True)),
        ("lora_unet_conv_in", Block("IN00")),
        ("lora_unet_final_layer_linear", Block("OUT")),
    ],
)
def test_every_name_is_in_the_block_that_lists_count(name: str, block: Block) -> None:
    assert block_of(name) == block
