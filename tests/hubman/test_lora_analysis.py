"""What LoRAs do together and where one comes from, against dense changes; kept by hash, in the background."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file

from hubman import tinybase
from hubman.cli.main import run
from hubman.lora import fingerprint_store
from hubman.lora.analysis import compare, sizes
from hubman.lora.background import Background
from hubman.lora.conflict import meter
from hubman.lora.fingerprints import fingerprint
from hubman.lora.relatives import Origin, origin
from hubman.lora.stack import Products, together
from registry import fingerprints as kept
from registry import roots, scan
from registry.database import Registry
from registry.errors import HubError
from registry.hashing import hash_file
from tests.support import adapter_formulas as formulas
from tests.support.lora_arrays import (
    Lora,
    bfloat16,
    dense,
    flat,
    kohya,
    merged,
    random_lora,
    reduced,
    save,
    scaled,
    turned,
)


def _quiet(_done: int, _total: int) -> None:
    """Nobody watches."""


A, B, C = (random_lora(seed) for seed in (1, 2, 3))


def _half(lora: Lora) -> Lora:
    """Without the blocks of the decoder."""
    return {name: factors for name, factors in lora.items() if "output_blocks" not in name}


def _epoch(lora: Lora) -> Lora:
    """A bit further in the same training: of the same rank, and near."""
    rng = np.random.default_rng(8)
    return {
        name: (up + rng.standard_normal(up.shape) * up.std() * 0.2, down * 1.05) for name, (up, down) in lora.items()
    }


LIBRARY = {"A": A, "B": B, "C": C, "E": random_lora(5, rank=8)}
MADE: Mapping[str, Lora] = {
    "strong": scaled(A, 1.6),
    "turned": turned(scaled(A, 0.5)),
    "resized": reduced(LIBRARY["E"], 5),
    "halved": _half(A),
    "epoch": _epoch(A),
    "merge": turned(merged((0.7, A), (0.5, C))),
    "three": merged((0.6, A), (0.5, B), (-0.3, C)),
    "cut merge": reduced(merged((0.7, A), (0.5, C)), 5),
    "stranger": random_lora(77),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four LoRAs."""
    folder = tmp_path_factory.mktemp("library")
    for name, lora in LIBRARY.items():
        save(folder / f"{name}.safetensors", kohya(lora))
    return folder


@pytest.fixture(scope="module")
def ready(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a registry that knows them and has their fingerprints."""
    home = tmp_path_factory.mktemp("ready") / "home"
    with Registry(home) as registry:
        scan.scan(registry, roots=[roots.add(registry, library)])
        assert fingerprint_store.make_missing(registry, _quiet) == (4, [])
    return home


def _sha256(path: Path) -> str:
    return hash_file(path).sha256


def _origin(ready: Path, path: Path) -> Origin:
    with Registry(ready) as registry:
        return origin(fingerprint(path), fingerprint_store.each_stored(registry))


# together ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**20), st.lists(st.floats(-15, 15), min_size=1, max_size=4), st.integers(1, 5))
def test_budget_and_interaction_are_those_of_the_sum(seed: int, strengths: list[float], modules: int) -> None:
    rng = np.random.default_rng(seed)
    changes = rng.standard_normal((modules, len(strengths), 7))
    changes[rng.random((modules, len(strengths))) < 0.3] = 0
    inner = np.einsum("mia,mja->mij", changes, changes)
    found = together(Products(tuple(map(str, range(modules))), inner), strengths)
    scaled_ = changes * np.array(strengths)[None, :, None]
    own = (scaled_**2).sum()
    whole = (scaled_.sum(axis=1) ** 2).sum()
    assert found.budget == pytest.approx(np.sqrt(whole), rel=1e-6, abs=1e-6)
    if own > 1e-9:
        pairs = sum(2 * (scaled_[:, i] * scaled_[:, j]).sum() for i in range(len(strengths)) for j in range(i))
        assert found.interaction == pytest.approx(pairs / own, abs=1e-6)
        shared = [(scaled_[m] ** 2).sum() for m in range(modules) if ((scaled_[m] ** 2).sum(axis=1) > 0).sum() > 1]
        assert found.overlap == pytest.approx(sum(shared) / own, abs=1e-6)


def test_a_stack_is_told_exactly(tmp_path: Path) -> None:
    mixed = merged((0.5, A), (0.5, _half(B)))
    paths = [save(tmp_path / f"{i}.safetensors", kohya(each)) for i, each in enumerate((A, mixed, _half(B)))]
    found = compare(paths, _quiet)
    vectors = [_in_order(each, list(dense(A))) for each in (A, mixed, _half(B))]
    np.testing.assert_allclose(found.products.total, np.array(vectors) @ np.array(vectors).T, rtol=1e-4, atol=1e-3)
    strengths = (0.8, -0.4, 1.2)
    whole = together(found.products, strengths)
    assert whole.budget == pytest.approx(float(np.linalg.norm(np.array(strengths) @ np.array(vectors))), rel=1e-4)
    assert set(found.products.by_block()) == {"IN07", "MID", "OUT01"}
    pairs = {(pair.one, pair.other): pair for pair in found.pairs}
    # B lies within what it was mixed into; A meets it by chance alone.
    assert pairs[2, 1].output_overlap == pytest.approx(1, abs=0.01)
    assert pairs[1, 2].output_overlap == pytest.approx(_overlap(mixed, _half(B)), abs=0.01)
    assert abs(pairs[0, 2].output_overlap) < 0.05
    # Columns that depend on each other are no more outputs than one of them.
    doubled = save(tmp_path / "doubled.safetensors", kohya(merged((0.5, _half(B)), (0.5, _half(B)))))
    again = compare([paths[1], doubled], _quiet).pairs[0]
    assert again.output_overlap == pytest.approx(pairs[1, 2].output_overlap, abs=0.01)


def _in_order(lora: Lora, names: Sequence[str]) -> NDArray[np.float64]:
    whole = dense(lora)
    return np.concatenate([whole[name].reshape(-1) if name in whole else np.zeros(48 * 40) for name in names])


def _overlap(one: Lora, other: Lora) -> float:
    """Straight from its definition, with a basis of each module's outputs."""
    inside = 0.0
    for name, delta in dense(one).items():
        if name in other:
            basis, _ = np.linalg.qr(other[name][0])
            chance = basis.shape[1] / basis.shape[0]
            energy = float((delta**2).sum())
            inside += (float(((basis.T @ delta) ** 2).sum()) - chance * energy) / (1 - chance)
    return inside / float((flat(one) ** 2).sum())


def test_a_change_of_full_rank_is_compared_with_one_of_low_rank(tmp_path: Path) -> None:
    low = save(tmp_path / "low.safetensors", kohya(A))
    full = save(tmp_path / "full.safetensors", {f"{name}.diff": delta for name, delta in dense(A).items()})
    more = save(tmp_path / "more.safetensors", {f"{name}.diff": 2 * delta for name, delta in dense(A).items()})
    wanted = float((flat(A) ** 2).sum()) * np.array([[1, 1, 2], [1, 1, 2], [2, 2, 4]])
    np.testing.assert_allclose(compare([low, full, more], _quiet).products.total, wanted, rtol=1e-5)


def test_sizes_by_block_are_those_of_the_dense_changes(tmp_path: Path) -> None:
    lora = {name: (up * (3 if "middle" in name else 1), down) for name, (up, down) in A.items()}
    found = sizes(save(tmp_path / "x.safetensors", kohya(lora)), _quiet)
    whole = dense(lora)
    assert found.norm == pytest.approx(float(np.linalg.norm(flat(lora))), rel=1e-5)
    middle = next(block for block in found.blocks if block.name == "MID")
    energy = sum(float((delta**2).sum()) for name, delta in whole.items() if "middle" in name)
    assert middle.norm == pytest.approx(energy**0.5, rel=1e-5)
    assert middle.share == pytest.approx(energy / found.norm**2, rel=1e-5)
    first = found.modules[0]
    values = np.linalg.svd(next(iter(whole.values())), compute_uv=False)[:4]
    np.testing.assert_allclose(first.values, values, rtol=1e-5)
    shares = values**2 / (values**2).sum()
    assert first.effective_rank == pytest.approx(float(np.exp(-(shares * np.log(shares)).sum())), rel=1e-5)
    assert first.stable_rank == pytest.approx(float((values**2).sum() / values[0] ** 2), rel=1e-5)


def test_loras_of_two_bases_are_not_compared(tmp_path: Path) -> None:
    other = save(tmp_path / "b.safetensors", kohya(random_lora(1, columns=24)))
    with pytest.raises(HubError, match="different bases"):
        compare([save(tmp_path / "a.safetensors", kohya(A)), other], _quiet)


class _Weights:
    """A base of one module."""

    def __init__(self, weight: NDArray[np.float32]) -> None:
        self._weight = weight

    def weight(self, module: str) -> NDArray[np.float32]:
        return self._weight.reshape(len(self._weight), -1)

    def delta(self, module: str, parts: Mapping[str, NDArray[np.float32]], alpha: float | None) -> None:
        return None


def test_changes_are_told_as_shares_of_the_bases_weights(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((48, 40)).astype(np.float32)
    lora = random_lora(4, modules=1)
    found = sizes(save(tmp_path / "x.safetensors", kohya(lora)), _quiet, _Weights(weight))
    wanted = float(np.linalg.norm(flat(lora)) / np.linalg.norm(weight))
    assert found.relative == found.blocks[0].relative == pytest.approx(wanted, rel=1e-4)
    both = compare([tmp_path / "x.safetensors"] * 2, _quiet, _Weights(weight))
    assert both.weights == pytest.approx(float(np.linalg.norm(weight)), rel=1e-5)


def test_a_dora_is_told_with_the_embedded_base(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = "lora_unet_mid_block_attentions_0_proj_in"
    weights = tinybase.MODEL / "unet" / "diffusion_pytorch_model.safetensors"
    weight = load_file(weights)["mid_block.attentions.0.proj_in.weight"].astype(np.float32)
    case = formulas.Case(weight)
    tensors, delta = formulas.MATRIX["DoRA output"](case)
    path = save(tmp_path / "dora.safetensors", {f"{module}.{part}": np.asarray(each) for part, each in tensors.items()})
    assert run(["analyze", str(path)]) == 1
    assert "--base" in capsys.readouterr().err
    told = _json(capsys, "analyze", str(path), "--base", "tiny")
    assert told["sizes"]["norm"] == pytest.approx(float(np.linalg.norm(delta)), rel=1e-4)  # type: ignore[index]
    assert told["sizes"]["untold"] == 0  # type: ignore[index]


@pytest.mark.parametrize("words", [["{}"], ["{}", "A"], ["{}", "--relatives"]])
def test_a_file_that_diverged_is_told_in_one_line(
    home: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = kohya(A, kind=np.float16)
    tensors[next(iter(tensors))][0, 0] = np.inf
    path = save(tmp_path / "burnt.safetensors", tensors)
    assert run(["analyze", *(word.format(path) for word in words)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "burnt.safetensors holds NaN or infinity" in line


# where it comes from -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["float32", "half", "bfloat16"])
@pytest.mark.parametrize(("name", "kind", "of", "ratio"), [
    ("strong", "same", "A", 1.6), ("turned", "same", "A", 0.5), ("resized", "cut", "E", None),
    ("halved", "cut", "A", None), ("epoch", "epoch", "A", None),
])  # fmt: skip
def test_relatives_are_found_in_any_form(
    ready: Path, tmp_path: Path, name: str, kind: str, of: str, ratio: float | None, form: str, library: Path
) -> None:
    tensors = kohya(MADE[name], kind=np.float16 if form == "half" else np.float32)
    if form == "bfloat16":
        tensors = {each: bfloat16(tensor) for each, tensor in tensors.items()}
    found = _origin(ready, save(tmp_path / "x.safetensors", tensors))
    (relative,) = found.relatives
    assert (relative.kin.kind, relative.sha256, relative.is_turned) == (
        kind, _sha256(library / f"{of}.safetensors"), False,
    )  # fmt: skip
    assert found.recipe is None
    assert ratio is None or relative.kin.ratio == pytest.approx(ratio, rel=0.01)
    share = np.linalg.norm(flat(MADE[name])) / np.linalg.norm(flat(LIBRARY[of]))
    assert kind != "cut" or relative.kin.cosine == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(
    ("name", "recipe"), [("merge", {"A": 0.7, "C": 0.5}), ("three", {"A": 0.6, "B": 0.5, "C": -0.3})]
)
def test_the_recipe_of_a_merge_is_found(
    ready: Path, tmp_path: Path, name: str, recipe: Mapping[str, float], library: Path
) -> None:
    found = _origin(ready, save(tmp_path / "x.safetensors", kohya(MADE[name], kind=np.float16))).recipe
    assert found is not None
    assert found.is_exact
    assert found.residual < 0.01
    hashes = {_sha256(library / f"{part}.safetensors"): coefficient for part, coefficient in recipe.items()}
    assert dict(found.parts) == pytest.approx(hashes, abs=0.005)


def test_a_merge_that_was_cut_down_is_likely_one(ready: Path, tmp_path: Path, library: Path) -> None:
    found = _origin(ready, save(tmp_path / "x.safetensors", kohya(MADE["cut merge"]))).recipe
    assert found is not None
    assert not found.is_exact
    parts = dict(found.parts)
    assert 0.5 < parts[_sha256(library / "A.safetensors")] < 0.7
    assert 0.2 < parts[_sha256(library / "C.safetensors")] < 0.5


def test_a_stranger_has_no_relatives(ready: Path, tmp_path: Path) -> None:
    found = _origin(ready, save(tmp_path / "x.safetensors", kohya(MADE["stranger"])))
    assert (found.relatives, found.recipe, found.compared) == ((), None, 4)
    assert all(abs(cosine) < 0.03 for _, cosine in found.nearest)


# kept by hash ------------------------------------------------------------------------------------------------------


def test_the_background_makes_each_fingerprint_once_and_tells_what_has_none(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    save(folder / "a.safetensors", kohya(A))
    shutil.copyfile(folder / "a.safetensors", folder / "copy.safetensors")
    broken = kohya(B)
    broken[next(iter(broken))][0, 0] = np.nan
    save(folder / "broken.safetensors", broken)
    save(folder / "gone.safetensors", kohya(C))
    scan.scan(registry, roots=[roots.add(registry, folder)])
    gone = _sha256(folder / "gone.safetensors")
    (folder / "gone.safetensors").unlink()
    work = Background(registry)
    assert [work() for _ in range(4)] == [True, True, True, False]
    assert fingerprint_store.stored(registry, _sha256(folder / "a.safetensors")) is not None
    ((problem,),) = registry.db.execute("SELECT problem FROM fingerprints WHERE problem IS NOT NULL").fetchall()
    assert "NaN" in problem
    assert [each.sha256 for each in kept.wanted(registry)] == [gone]
    assert not work()
    assert not [path for path in (registry.home / "fingerprints").rglob("*") if path.name.startswith(".")]


_MAKER = """
import sys
from pathlib import Path
from hubman.lora import fingerprint_store
from registry.database import Registry
with Registry(Path(sys.argv[1])) as registry:
    fingerprint_store.make_missing(registry, lambda done, total: print(done, flush=True))
"""


def test_work_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    for seed in range(60):
        save(tmp_path / "loras" / f"{seed}.safetensors", kohya(random_lora(seed, modules=12)))
    with Registry(tmp_path / "home") as registry:
        scan.scan(registry, roots=[roots.add(registry, tmp_path / "loras")])
    with subprocess.Popen(
        [sys.executable, "-c", _MAKER, str(tmp_path / "home")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "5":
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    with Registry(tmp_path / "home") as registry:
        before = list(kept.all_norms(registry))
        assert 5 <= len(before) <= 60
        assert len(list(fingerprint_store.each_stored(registry))) == len(before)
        made, problems = fingerprint_store.make_missing(registry, _quiet)
        assert (made, problems) == (60 - len(before), [])
        assert len(list(fingerprint_store.each_stored(registry))) == 60


def test_lost_numbers_are_made_again(ready: Path, tmp_path: Path) -> None:
    shutil.copytree(ready, tmp_path / "home")
    with Registry(tmp_path / "home") as registry:
        one, other, *_ = sorted((registry.home / "fingerprints").rglob(f"*.{kept.ARITHMETIC}"))
        one.unlink()
        other.write_bytes(b"")
        assert fingerprint_store.stored(registry, one.name.partition(".")[0]) is None
        assert fingerprint_store.stored(registry, other.name.partition(".")[0]) is None
        assert fingerprint_store.make_missing(registry, _quiet) == (2, [])


# the meter ---------------------------------------------------------------------------------------------------------


def test_the_meter_reads_what_is_kept(ready: Path, library: Path) -> None:
    hashes = {name: _sha256(library / f"{name}.safetensors") for name in LIBRARY}
    with Registry(ready) as registry:
        found = meter(registry, [(hashes["A"], 0.8), (hashes["B"], -0.5), ("0" * 64, 1.0)])
    true = float(np.linalg.norm(0.8 * flat(A) - 0.5 * flat(B)))
    assert found.total.budget == pytest.approx(true, rel=0.03)
    assert abs(found.total.interaction) < 0.03
    assert found.total.overlap == pytest.approx(1)
    assert found.missing == ("0" * 64,)
    assert found.total.percentile is None
    assert [block.name for block in found.blocks] == ["IN07", "MID", "OUT01"]
    assert found.words


def test_the_meter_compares_with_the_library_and_tells_relations(tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    for number in range(12):
        save(folder / f"{number}.safetensors", kohya(random_lora(100 + number, modules=12, size=1 + number / 10)))
    twin = random_lora(111, modules=12, size=2.1)
    save(folder / "twin.safetensors", kohya(turned(scaled(twin, 0.9))))
    with Registry(tmp_path / "home") as registry:
        scan.scan(registry, roots=[roots.add(registry, folder)])
        fingerprint_store.make_missing(registry, _quiet)
        last, twins = (_sha256(folder / f"{name}.safetensors") for name in ("11", "twin"))
        alone = meter(registry, [(last, 0.55)])
        both = meter(registry, [(twins, 1.0), (last, 1.0)])
    assert alone.total.percentile is not None
    assert 5 < alone.total.percentile < 40
    assert both.total.percentile == 100
    assert both.total.interaction == pytest.approx(1, abs=0.02)
    (kinship,) = both.relations
    assert (kinship.one, kinship.other, kinship.kind) == (twins, last, "same")
    assert kinship.ratio == pytest.approx(0.9, abs=0.01)
    assert "may" in both.words[0]
    assert any("reinforce" in words for words in both.words)


# the command -------------------------------------------------------------------------------------------------------


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert run([*words, "--json"]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


@pytest.fixture
def home(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ready, tmp_path / "home")
    monkeypatch.setenv("HUBMAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_analyze_tells_of_one_of_a_stack_and_of_relatives(
    home: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "new one.safetensors", kohya(MADE["merge"]))
    assert _json(capsys, "analyze", "A")["sizes"]["norm"] == pytest.approx(np.linalg.norm(flat(A)), rel=1e-4)  # type: ignore[index]
    stack = _json(capsys, "analyze", "A:0.8", f"{path}:-.5", "B")
    assert (stack["names"], stack["strengths"]) == (["A", "new one", "B"], [0.8, -0.5, 1.0])
    summed = 0.8 * flat(A) - 0.5 * flat(MADE["merge"]) + flat(B)
    assert stack["total"]["budget"] == pytest.approx(np.linalg.norm(summed), rel=1e-4)  # type: ignore[index]
    assert run(["analyze", str(path), "--relatives"]) == 0
    assert "new one is a merge: 0.70·A + 0.50·C (residual 0.000)" in capsys.readouterr().out
    assert run(["analyze", "A", "B"]) == 0
    assert "█" in capsys.readouterr().out
    assert run(["analyze", "A", "--modules"]) == 0
    assert "unet/mid_block_attentions_0_transformer_blocks_0_attn1_to_q" in capsys.readouterr().out
    assert _json(capsys, "analyze") == {"made": 0, "problems": []}
    weights = _json(capsys, "show", "E")["versions"][0]["weights"]  # type: ignore[index]
    assert (weights["less"], weights["others"]) == (3, 3)


def test_without_numpy_it_is_skipped_and_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert run(["analyze", "A"]) == 1
    assert "pip install 'hubman[ml]'" in capsys.readouterr().err
    with Registry(home) as registry:
        assert not Background(registry)()
        assert meter(registry, [("0" * 64, 1.0)]).missing == ("0" * 64,)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["nobody"], 1, "no model called nobody"),
        (["A", "B", "--relatives"], 2, "asks about one LoRA"),
        (["A", "A:0.5"], 2, "named twice"),
        (["A", ""], 2, "an empty name"),
    ],
)
def test_analyze_says_what_is_wrong(
    home: Path, words: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", *words]) == status
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1
