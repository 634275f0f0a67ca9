"""Resizing and extracting against dense NumPy, and the commands: refusals, lineage, permissions, repetition."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hubman import tinybase
from hubman.civitai import checks_licence, form_fill
from hubman.cli.main import run
from hubman.generate.pipeline import Base, load_base
from hubman.jobs.handlers import deriving
from hubman.lora.derive import parents, planning
from hubman.lora.derive.checkpoint import open_checkpoint
from hubman.lora.derive.extract import extract
from hubman.lora.derive.merge import merge
from hubman.lora.derive.produce import Made
from hubman.lora.derive.request import ExtractRequest, ResizeRequest
from hubman.lora.derive.resize import resize
from hubman.lora.load import load_lora
from hubman.lora.names import names_of
from hubman.progress import never, silent
from registry import library, licence, lineage
from registry.database import Registry
from registry.errors import HubError
from registry.hashing import hash_file
from registry.headers import read_header
from registry.scan import index_file
from tests.hubman.test_lora_merge import SHAPES, Array, asked, cut, entries, make, read
from tests.support import adapter_formulas as formulas
from tests.support.jobs import fake_job
from tests.support.ldm_checkpoint import save_checkpoint
from tests.support.tiny_bases import make_tiny_flux
from tests.support.tiny_pipeline import make_tiny_pipeline


def resized(source: Path, out: Path, **rules: Any) -> Made:
    request = ResizeRequest(parent=asked(out, (source, 1.0)).parents[0], out=str(out), dtype="fp32", **rules)
    return resize(request, names_of({str(source): read_header(source)}, None))


def energies(delta: Array) -> Array:
    squares = np.linalg.svd(delta, compute_uv=False) ** 2
    shares: Array = np.cumsum(squares) / squares.sum()
    return shares


@given(
    rank=st.integers(2, 14), keep=st.sampled_from([None, 0.7, 0.9, 0.95, 1.0]), most=st.sampled_from([None, 1, 3, 50]),
    ratio=st.sampled_from([None, 1.0, 1.5, 4.0]),
)  # fmt: skip
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_module_keeps_what_all_rules_allow_and_the_best_of_it(
    tmp_path_factory: pytest.TempPathFactory, rank: int, keep: float | None, most: int | None, ratio: float | None
) -> None:
    folder = tmp_path_factory.mktemp("resize")
    deltas = make(folder / "a.safetensors", rank, rank)
    resized(folder / "a.safetensors", folder / "b.safetensors", rank=most, keep=keep, sv_ratio=ratio)
    tensors = load_file(folder / "b.safetensors")
    found = read(folder / "b.safetensors")
    for name, delta in deltas.items():
        own = min(rank, *delta.shape)
        values = np.linalg.svd(delta, compute_uv=False)[:own]
        counts = [own, most or own]
        counts += [int(np.searchsorted(energies(delta)[:own], keep**2 - 1e-7)) + 1] if keep else []
        counts += [int((values * ratio >= values[0] * (1 - 1e-9)).sum())] if ratio else []
        kept = tensors[f"{name}.lora_down.weight"].shape[0]
        assert kept == max(1, min(*counts, own))
        assert np.linalg.norm(found[name] - cut(delta, kept)) <= 1e-5 * np.linalg.norm(delta)


def test_a_count_is_of_the_largest_values_of_the_whole_file(tmp_path: Path) -> None:
    deltas = make(tmp_path / "a.safetensors", 5, 1)
    done = resized(tmp_path / "a.safetensors", tmp_path / "b.safetensors", count=11)
    values = sorted((float(v) for d in deltas.values() for v in np.linalg.svd(d, compute_uv=False)[:5]), reverse=True)
    tensors = load_file(tmp_path / "b.safetensors")
    kept = {name: tensors[f"{name}.lora_down.weight"].shape[0] for name in SHAPES}
    assert sum(kept.values()) == 11
    assert done.kept == pytest.approx(sum(v**2 for v in values[:11]) / sum(v**2 for v in values), abs=1e-6)
    assert json.loads(entries(tmp_path / "b.safetensors")["hubman.resize"])["count"] == 11


def test_norms_stay_when_the_rest_is_cut(tmp_path: Path) -> None:
    make(tmp_path / "a.safetensors", 5, 1)
    norm = {"lora_unet_mid_block_resnets_0_norm1.w_norm": torch.arange(8.0)}
    save_file({**load_file(tmp_path / "a.safetensors"), **norm}, tmp_path / "a.safetensors")
    resized(tmp_path / "a.safetensors", tmp_path / "b.safetensors", rank=1)
    assert torch.equal(next(iter(norm.values())), load_file(tmp_path / "b.safetensors")[next(iter(norm))])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("base") / "pipeline")


@pytest.fixture(scope="module")
def base(folder: Path) -> Base:
    return load_base(folder, device=torch.device("cpu"), dtype=torch.float32)


LINEAR, WIDE = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q", "mid_block.resnets.0.conv1"


@pytest.mark.parametrize(
    "kind", ["LoHa", "LoKr", "DoRA output", "DoRA input", "Diag-OFT", "GLoRA", "IA3 input", "full"]
)
def test_other_kinds_are_merged_as_what_they_do(base: Base, folder: Path, tmp_path: Path, kind: str) -> None:
    tensors: dict[str, torch.Tensor] = {}
    wanted = {}
    for site in base.modules:
        if site.path == LINEAR:
            made, delta = formulas.MATRIX[kind](formulas.Case(base.weight_of(site).numpy(), 3))
            tensors |= {f"lora_unet_{site.path.replace('.', '_')}.{n}": torch.tensor(a) for n, a in made.items()}
            wanted[site.path] = delta
    save_file(tensors, tmp_path / "a.safetensors")
    request = asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", -0.5), rank=None)
    done = merge(request, names_of({one.path: read_header(Path(one.path)) for one in request.parents}, folder))
    found = load_lora(tmp_path / "out.safetensors", base.table, base=base.name)
    for site, factors in found.factors.items():
        exact = -0.5 * wanted[site.path].reshape(site.shape)
        assert np.linalg.norm(factors.delta().numpy() - exact) <= 2e-5 * np.linalg.norm(exact)
    assert ("base" in done.parents[0]) == (kind not in ("LoHa", "LoKr", "full"))


def tuned(folder: Path, out: Path, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Path:
    """The pipeline in ``folder`` with other weights in UNet and text encoder."""
    shutil.copytree(folder, out)
    for file in (out / "unet/diffusion_pytorch_model.safetensors", out / "text_encoder/model.safetensors"):
        save_file({name: change(name, tensor) for name, tensor in load_file(file).items()}, file)
    return out


def grown(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Changes of rank 2 in queries and wide convolutions of both."""
    if not name.endswith(("to_q.weight", "q_proj.weight", "conv1.weight")):
        return tensor
    generator = torch.Generator().manual_seed(len(name))
    flat = tensor.flatten(1)
    delta = torch.randn(flat.shape[0], 2, generator=generator) @ torch.randn(2, flat.shape[1], generator=generator)
    return (flat + 0.02 * delta).view(tensor.shape)


@pytest.mark.parametrize("single", [("tuned",), ("base",), ("tuned", "base"), ()])
def test_an_extraction_gives_the_difference_back_from_files_and_folders(
    base: Base, folder: Path, tmp_path: Path, single: tuple[str, ...]
) -> None:
    sides = {"base": folder, "tuned": tuned(folder, tmp_path / "tuned", grown)}
    for name in single:
        sides[name] = save_checkpoint(sides[name], tmp_path / f"{name}.safetensors")
    out = str(tmp_path / "out.safetensors")
    done = extract(
        ExtractRequest(tuned=str(sides["tuned"]), base=str(sides["base"]), out=out, rank=4, keep=0.9999, dtype="fp32")
    )
    found = load_lora(tmp_path / "out.safetensors", base.table, base=base.name)
    assert {site.component for site in found.changes} == {"unet", "text_encoder"}
    assert found.coverage.share == 1
    for site, factors in found.factors.items():
        before = base.weight_of(site)
        wanted = (
            grown(f"{site.path}.weight" if site.component == "unet" else f"text_model.{site.path}.weight", before)
            - before
        )
        if site.component == "unet":
            assert float((factors.delta() - wanted).norm()) <= 1e-3 * float(wanted.norm())
        assert factors.rank == 2
    assert done.kept > 0.9999
    assert not any("conv_in" in name for name in load_file(tmp_path / "out.safetensors"))


def test_rounding_to_a_shorter_precision_is_no_difference(folder: Path, tmp_path: Path) -> None:
    other = tuned(folder, tmp_path / "tuned", lambda _, tensor: tensor.half())
    with pytest.raises(HubError, match="would change nothing"):
        extract(ExtractRequest(tuned=str(other), base=str(folder), out=str(tmp_path / "out.safetensors")))
    assert not (tmp_path / "out.safetensors").exists()


def test_checkpoints_of_other_sizes_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tuned(folder, tmp_path / "tuned", lambda _, tensor: torch.cat([tensor, tensor]))
    with pytest.raises(HubError, match="different architectures"):
        extract(ExtractRequest(tuned=str(other), base=str(folder), out=str(tmp_path / "out.safetensors")))
    save_file({"a": torch.zeros(2, 2)}, tmp_path / "none.safetensors")
    with pytest.raises(HubError, match="whose layers are known"), open_checkpoint(tmp_path / "none.safetensors"):
        pass


def test_an_open_clip_is_read_by_its_parts(tmp_path: Path) -> None:
    fused = torch.arange(48.0).view(12, 4)
    start = "conditioner.embedders.1.model.transformer.resblocks.0."
    save_file(
        {f"{start}attn.in_proj_weight": fused, f"{start}mlp.c_fc.weight": torch.ones(8, 4)}, tmp_path / "x.safetensors"
    )
    with open_checkpoint(tmp_path / "x.safetensors") as opened:
        weights = {site.path: opened.weight(site) for site in opened.places}
        names = {opened.names.kohya_name(site) for site in opened.places}
    assert torch.equal(weights["encoder.layers.0.self_attn.k_proj"], fused[4:8])
    assert "lora_te2_text_model_encoder_layers_0_mlp_fc1" in names


def test_flux_is_extracted_in_its_original_names(tmp_path: Path) -> None:
    name = "double_blocks.0.img_attn.qkv"
    save_file({f"{name}.weight": torch.zeros(12, 4)}, tmp_path / "base.safetensors")
    save_file({f"model.diffusion_model.{name}.weight": torch.ones(12, 4)}, tmp_path / "tuned.safetensors")
    tuned, base, out = (str(tmp_path / f"{name}.safetensors") for name in ("tuned", "base", "out"))
    done = extract(ExtractRequest(tuned=tuned, base=base, out=out, rank=3))
    tensors = load_file(tmp_path / "out.safetensors")
    key = f"lora_unet_{name.replace('.', '_')}"
    product = tensors[f"{key}.lora_up.weight"].float() @ tensors[f"{key}.lora_down.weight"].float()
    assert torch.allclose(product, torch.ones(12, 4), atol=2e-3)
    assert done.kept == pytest.approx(1)


# the commands -------------------------------------------------------------------------------------------------------

OPEN = {"allowNoCredit": True, "allowDerivatives": True, "allowDifferentLicense": True, "allowCommercialUse": ["Sell"]}


def test_the_strictest_of_all_permissions_is_what_each_allows() -> None:
    strict = {**OPEN, "allowDerivatives": False, "allowCommercialUse": ["Image", "Rent"]}
    assert licence.strictest([OPEN, strict]) == {**strict, "allowCommercialUse": ["Image", "RentCivit", "Rent"]}
    assert licence.strictest([OPEN, {"allowNoCredit": False}]) == {
        "allowNoCredit": False, "allowCommercialUse": ["Image", "RentCivit", "Rent", "Sell"],
    }  # fmt: skip
    assert licence.strictest([{}]) == {}
    assert licence.strictest([{**OPEN, "allowCommercialUse": "{None}"}])["allowCommercialUse"] == []


def work(registry: Registry, kind: str, request: Any) -> dict[str, Any]:
    """Run a job's handler here."""
    job = fake_job(registry, kind, kind, msgspec.to_builtins(request))
    found: dict[str, Any] = getattr(deriving, kind)(registry, job, silent, never)
    return found


def test_a_merge_becomes_a_model_with_its_parents_words_and_the_strictest_permissions(
    registry: Registry, tmp_path: Path
) -> None:
    for name, rank, words in (("ink", 3, "zvk"), ("paper", 4, "wash")):
        make(tmp_path / f"{name}.safetensors", rank, rank, ss_base_model_version="sd_v1")
        version = index_file(registry, tmp_path / f"{name}.safetensors")
        model = library.version(registry, version).model_id
        uses = ["Image"] if name == "ink" else ["Sell"]
        library.set_facts(registry, model, "civitai", {"permissions": {**OPEN, "allowCommercialUse": uses}})
        library.update_set(registry, version, "trigger_words", add=[words])
    request, known = planning.merge(registry, ["ink:0.7", "paper:-0.5"], "both", None, (), {})
    assert parents.notes(registry, known) == []
    done = work(registry, "merge", request)
    row = library.version(registry, done["version_id"])
    shown = library.show(registry, row.model_id)
    assert Path(done["path"]) == registry.models_folder / "merged" / "both.safetensors"
    assert (shown.name, shown.origin, shown.permissions["allowCommercialUse"]) == ("both", "merged", ["Image"])
    assert set(row.trigger_words) == {"zvk", "wash"}
    assert row.strength == 1.0
    past = lineage.of(registry, row)
    assert [(one.name, one.ratio, bool(one.version_id)) for one in past.parents] == [
        ("ink", 0.7, True),
        ("paper", -0.5, True),
    ]
    assert past.merged_words == ("ink x 0.7", "paper x -0.5")
    form = form_fill.filled(registry, [done["version_id"]])
    assert form.permissions.commercial_use == ("Image",)
    assert form.sources["commercial_use"] == "parents"
    # A job that was killed before its file was registered, and is resumed.
    assert work(registry, "merge", request) == {"path": done["path"], "version_id": done["version_id"]}
    with pytest.raises(HubError, match="is there already"):
        work(registry, "merge", msgspec.structs.replace(request, density=0.4, method="prune"))
    with pytest.raises(HubError, match="a model is called ink already"):
        planning.merge(registry, ["paper"], "ink", None, (), {})
    alone, _ = planning.merge(registry, ["paper"], None, None, (), {})
    assert Path(alone.out).name == "paper-2.safetensors"
    again, known = planning.repeated(registry, "both", str(tmp_path / "again.safetensors"), None)
    assert [one.parent.name for one in known] == ["ink", "paper"]
    work(registry, "merge", again)
    assert load_file(tmp_path / "again.safetensors").keys() == load_file(done["path"]).keys()
    third, _ = planning.repeated(registry, "both", str(tmp_path / "other/both.safetensors"), None)
    work(registry, "merge", third)
    assert (tmp_path / "other/both.safetensors").read_bytes() == Path(done["path"]).read_bytes()


def test_a_parent_that_forbids_merges_is_known_by_its_content_and_stops_a_publication(
    registry: Registry, tmp_path: Path
) -> None:
    make(tmp_path / "ink.safetensors", 2, 1)
    parent = index_file(registry, tmp_path / "ink.safetensors")
    model = library.version(registry, parent).model_id
    library.set_facts(
        registry, model, "civitai", {"name": "Ink Wash", "permissions": {**OPEN, "allowDerivatives": False}}
    )
    request, known = planning.resize(registry, "Ink Wash", "small", None, {"rank": 1, "dtype": "fp16"})
    assert parents.notes(registry, [known]) == ["ink allows no merges: this one can't be published"]
    done = work(registry, "resize", request)
    form = form_fill.filled(registry, [done["version_id"]])
    assert not form.permissions.allow_derivatives
    found = list(checks_licence.of_part(registry, form, form.parts[0], "me"))
    assert [(one.code, one.level) for one in found] == [("parent-forbids", "error")]
    library.set_facts(
        registry,
        model,
        "civitai",
        {"permissions": {**OPEN, "allowDifferentLicense": None, "allowCommercialUse": ["Image"]}},
    )
    (terms,) = checks_licence.of_part(registry, form, form.parts[0], "me")
    assert (terms.code, terms.level) == ("parent-terms", "warning")


def test_a_converted_file_of_the_library_keeps_its_parent(home: Path, tmp_path: Path) -> None:
    tensors = {"lora_down.weight": torch.ones(2, 768), "lora_up.weight": torch.ones(320, 2), "alpha": torch.tensor(2.0)}
    key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    save_file({f"{key}.{part}": tensor for part, tensor in tensors.items()}, tmp_path / "ink.safetensors")
    with Registry(home) as registry:
        parent = index_file(registry, tmp_path / "ink.safetensors")
        model = library.version(registry, parent).model_id
        library.set_facts(registry, model, "civitai", {"permissions": {**OPEN, "allowNoCredit": False}})
    assert run(["convert", str(tmp_path / "ink.safetensors"), "--to", "diffusers"]) == 0
    with Registry(home) as registry:
        (found,) = [one.id for one in library.list_models(registry) if one.id != model]
        shown = library.show(registry, found)
        assert (shown.origin, shown.permissions["allowNoCredit"]) == ("converted", False)
        assert [one.version_id for one in lineage.of(registry, shown.versions[0]).parents] == [parent]


def test_a_lora_of_the_embedded_base_is_converted_by_its_name(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry(home) as registry:
        index_file(registry, Path(shutil.copy(tinybase.SAMPLE_LORA, tmp_path / "sample.safetensors")))
    assert run(["convert", "sample", "--to", "diffusers"]) == 0
    assert (tmp_path / "sample.diffusers.safetensors").is_file()
    assert run(["convert", "sample", "--to", "diffusers"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert run(["convert", "nothing", "--to", "diffusers"]) == 2


def test_files_in_ldm_and_diffusers_names_are_merged_in_the_names_that_readers_know(tmp_path: Path) -> None:
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    down, up = torch.randn(2, 2048), torch.randn(640, 2)
    save_file({f"unet.{path}.lora_A.weight": down, f"unet.{path}.lora_B.weight": up}, tmp_path / "a.safetensors")
    key = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    save_file({f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}, tmp_path / "b.safetensors")
    request = asked(
        tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 0.75), (tmp_path / "b.safetensors", -0.5)
    )
    merge(request, names_of({one.path: read_header(Path(one.path)) for one in request.parents}, None))
    tensors = load_file(tmp_path / "out.safetensors")
    assert set(tensors) == {f"{key}.{part}" for part in ("lora_down.weight", "lora_up.weight", "alpha")}
    product = tensors[f"{key}.lora_up.weight"] @ tensors[f"{key}.lora_down.weight"]
    assert float((product - 0.25 * up @ down).norm()) <= 1e-6 * float(product.norm())


def test_parts_of_fused_layers_are_merged_with_the_whole(tmp_path: Path) -> None:
    folder = make_tiny_flux(tmp_path / "base")
    base = load_base(folder, device=torch.device("cpu"), dtype=torch.float32)
    part = next(site for site in base.table.values() if site.of and site.path.endswith("attn.to_k"))
    assert part.of is not None
    rows, columns = part.shape
    down, up = torch.randn(2, columns), torch.randn(rows, 2)
    name = f"transformer.{part.path}"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, tmp_path / "a.safetensors")
    key = f"lora_unet_{base.model.original_names[part.of.path].replace('.', '_')}"
    whole = torch.randn(3, columns), torch.randn(part.of.shape[0], 3)
    save_file({f"{key}.lora_down.weight": whole[0], f"{key}.lora_up.weight": whole[1]}, tmp_path / "b.safetensors")
    request = asked(tmp_path / "out.safetensors", (tmp_path / "a.safetensors", 2.0), (tmp_path / "b.safetensors", 0.5))
    merge(request, names_of({one.path: read_header(Path(one.path)) for one in request.parents}, folder))
    tensors = load_file(tmp_path / "out.safetensors")
    wanted = 0.5 * whole[1] @ whole[0]
    wanted[part.first_row : part.first_row + rows] += 2 * up @ down
    product = tensors[f"{key}.lora_up.weight"] @ tensors[f"{key}.lora_down.weight"]
    assert float((product - wanted).norm()) <= 1e-5 * float(wanted.norm())


def test_an_extraction_names_its_base_and_what_it_was_taken_from(
    registry: Registry, folder: Path, tmp_path: Path
) -> None:
    before = save_checkpoint(folder, tmp_path / "plain.safetensors")
    after = save_checkpoint(tuned(folder, tmp_path / "tuned", grown), tmp_path / "inked.safetensors")
    parent = index_file(registry, after)
    library.set_facts(
        registry,
        library.version(registry, parent).model_id,
        "civitai",
        {"permissions": {**OPEN, "allowNoCredit": False}},
    )
    rules = {"rank": 3, "conv_rank": 0, "text": False, "dtype": "fp16"}
    done = work(registry, "extract", planning.extract(registry, after, before, None, rules))
    row = library.version(registry, done["version_id"])
    shown = library.show(registry, row.model_id)
    assert (shown.origin, shown.permissions["allowNoCredit"]) == ("extracted", False)
    assert [one.version_id for one in lineage.of(registry, row).parents] == [parent]
    made = entries(Path(done["path"]))
    assert made["ss_sd_model_name"] == "plain"
    assert made["ss_new_sd_model_hash"] == hash_file(before).sha256
    kinds = {(name.partition("_")[2][:2], tensor.dim()) for name, tensor in load_file(done["path"]).items()}
    assert kinds == {("un", 0), ("un", 2)}


def test_the_commands_refuse_in_one_line_before_any_work(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reads_text = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    for name, width in (("a", 768), ("b", 2048), ("dora", 768)):
        pair = {"lora_down.weight": torch.ones(2, width), "lora_up.weight": torch.ones(320, 2)}
        parts = {**pair, "dora_scale": torch.ones(320, 1)} if name == "dora" else pair
        tensors = {f"{reads_text}.{part}": tensor for part, tensor in parts.items()}
        save_file(tensors, tmp_path / f"{name}.safetensors")
    a, b, dora = (str(tmp_path / f"{name}.safetensors") for name in ("a", "b", "dora"))
    for arguments, status, words in (
        (["merge", a, b], 2, "merge LoRAs of one architecture"),
        (["merge", a, f"{a}:0.5"], 2, "named twice"),
        (["merge", f"{a}:0"], 2, "the ratio of"),
        (["merge", dora], 2, "add --base BASE"),
        (["merge", "nothing"], 1, "no model called nothing"),
        (["merge"], 2, "nothing is named"),
        (["merge", a, "-o", a], 2, "is there already"),
        (["merge", a, "--seed", "1"], 2, "--seed is for dare"),
        (["merge", a, "--method", "concat", "--rank", "4"], 2, "concat keeps every rank"),
        (["merge", a, "--density", "0.5"], 2, "--density is for"),
        (["merge", a, "--blocks", "1,2"], 2, "2 block weights are given"),
        (["merge", "--from", a], 2, "does not say what it was merged from"),
        (["resize", a], 2, "no rule says"),
        (["extract", a, "--base", a], 2, "both are the same"),
        (["extract", str(tmp_path / "none"), "--base", a], 1, "is not there"),
        (["extract", a, "--base", str(tmp_path / "none")], 1, "no base model at"),
        (["extract", str(tinybase.MODEL), "--base", "tiny"], 2, "both are the same"),
    ):
        assert run(arguments) == status, arguments
        told = " ".join(capsys.readouterr().err.split())
        assert words in told, (arguments, told)


def test_the_command_merges_as_a_job(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    modules = list(SHAPES)[::2]
    for name, rank in (("a", 2), ("b", 3)):
        make(tmp_path / f"{name}.safetensors", rank, rank, modules=modules)
    out = tmp_path / "out.safetensors"
    paths = [str(tmp_path / "a.safetensors"), f"{tmp_path / 'b.safetensors'}:0.5"]
    assert run(["merge", *paths, "-o", str(out), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["modules"], done["ranks"], done["path"]) == (len(modules), [5, 5], str(out))
    with Registry(home) as registry:
        assert library.show(registry, library.version(registry, done["version_id"]).model_id).origin == "merged"
