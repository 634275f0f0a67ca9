"""Each guard rail speaks when it should, says why, and its fix silences it; what fits is judged from headers alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from hubman import tinybase
from hubman.cli.main import run
from hubman.generate import saved
from hubman.generate.grids.grid import make_grid
from hubman.generate.grids.lora_axes import strength_axis
from hubman.generate.guards import Guard, Known, Plan, PlannedAxis, drawn_guards, grid_guards, guards, know, refuse
from hubman.generate.guards.facts import LoraFacts
from hubman.generate.guards.grids import plan_of
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.sliders import is_slider
from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.lora.base_sites import table_of
from hubman.lora.conflict import Kinship, Meter, Reading
from hubman.lora.keys import UNetLayout, ldm_path
from hubman.lora.ldm import diffusers_namer
from registry import edits, library
from registry.database import Registry
from registry.errors import HubError
from registry.scan import index_file
from tests.support.model_files import Tensors, write_model

INK = LoraUse(path="", name="ink", sha256="a" * 64, strength=0.8, trigger_words=("inkwash",))
NEON = LoraUse(path="", name="neon", sha256="b" * 64, strength=0.5)
REQUEST = DrawRequest(base=str(tinybase.MODEL), prompt="inkwash circle", loras=(INK, NEON))
MODULE = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
TEXT = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"


def _lora(name: str, *, width: int = 128, **extra: list[int]) -> Tensors:
    return {
        f"{name}.lora_down.weight": ("F16", [4, width]),
        f"{name}.lora_up.weight": ("F16", [width, 4]),
        **{f"{name}.{part}": ("F16", shape) for part, shape in extra.items()},
    }


def _with(*uses: LoraUse, **changes: object) -> DrawRequest:
    return msgspec.structs.replace(REQUEST, loras=uses, **changes)


def _ink(**changes: object) -> LoraUse:
    return msgspec.structs.replace(INK, **changes)


def _meter(*, percentile: float | None = 50, interaction: float = 0.0, relations: tuple[Kinship, ...] = ()) -> Meter:
    return Meter(Reading("", 1.0, percentile, interaction, 0.0), relations=relations)


FOUR = tuple(_ink(strength=0.5 + i / 100, name=f"n{i}", sha256=str(i) * 64) for i in range(4))
KIN = Kinship("b" * 64, "a" * 64, "cut", 0.5, "is cut down from {}")


@pytest.mark.parametrize(
    ("code", "request_", "known"),
    [
        ("strength-high", _with(_ink(strength=0.95)), Known()),
        ("strength-high", _with(_ink(te_strength=1.2)), Known()),
        ("strength-negative", _with(_ink(strength=-0.5)), Known()),
        ("strength-slider", _with(_ink(strength=-20, slider=True)), Known()),
        ("trigger-missing", _with(INK, prompt="a circle"), Known()),
        ("accelerated", _with(_ink(name="SDXL-Lightning-4step")), Known()),
        ("accelerated", _with(INK, steps=20, cfg=1), Known({"a" * 64: LoraFacts(titles=("LCM distilled",))})),
        ("many-loras", _with(*FOUR), Known()),
        ("twice", _with(_ink(strength=0.5), _ink(strength=0.3)), Known()),
        ("te-without-part", _with(_ink(te_strength=0.4)), Known({"a" * 64: LoraFacts(text_modules=0)})),
        ("fits-nothing", REQUEST, Known({"a" * 64: LoraFacts(problem="ink fits nothing")})),
        ("over-budget", REQUEST, Known(meter=_meter(percentile=96))),
        ("reinforce", REQUEST, Known(meter=_meter(interaction=0.31))),
        ("kin-cut", REQUEST, Known(meter=_meter(relations=(KIN,)))),
        ("hash-disagrees", REQUEST, Known({"a" * 64: LoraFacts(called={"c" * 64: "/here/ink.safetensors"})})),
        ("name-ambiguous", REQUEST, Known({"a" * 64: LoraFacts(called={"a" * 64: "1", "c" * 64: "2"})})),
    ],
)
def test_a_guard_says_why_and_its_fix_changes_only_what_it_says(code: str, request_: DrawRequest, known: Known) -> None:
    (guard,) = guards(request_, known)
    assert guard.code == code
    assert guard.reason
    assert guard.fix
    assert guard.mend is not None
    before = msgspec.json.encode(request_)
    mended = guard.mend(request_)
    assert msgspec.json.encode(request_) == before
    assert mended != request_
    # The meter of a changed stack is another one, and a file's name goes with its hash.
    if known.meter is None and not known.loras.get("a" * 64, LoraFacts()).called:
        assert guard.code not in {other.code for other in guards(mended, known)}


def test_nothing_is_said_where_nothing_is_wrong() -> None:
    assert guards(REQUEST, Known(meter=_meter(percentile=95, interaction=0.3))) == ()
    assert guards(_with(_ink(strength=-9, slider=True))) == ()
    assert guards(_with(_ink(name="lcm"), cfg=2, steps=12)) == ()
    assert guards(_with(_ink(name="turboprop lcmx"))) == ()


def test_the_same_lora_twice_becomes_one_at_the_sum_and_a_derived_one_is_taken_over() -> None:
    (twice,) = guards(_with(_ink(strength=0.5), NEON, _ink(strength=0.3)))
    assert twice.mend is not None
    assert [
        (use.name, use.strength) for use in twice.mend(_with(_ink(strength=0.5), NEON, _ink(strength=0.3))).loras
    ] == [
        ("ink", 0.8),
        ("neon", 0.5),
    ]
    (kin,) = guards(REQUEST, Known(meter=_meter(relations=(KIN, replace(KIN, kind="related")))))
    assert kin.message == "neon is cut down from ink"
    assert kin.mend is not None
    assert [(use.name, use.strength) for use in kin.mend(REQUEST).loras] == [("ink", 1.05)]


def test_errors_come_first_and_are_refused() -> None:
    known = Known({"b" * 64: LoraFacts(problem="neon fits nothing", problem_hint="choose its base")})
    found = guards(_with(_ink(strength=0.95), NEON), known)
    assert [guard.level for guard in found] == ["error", "warning"]
    with pytest.raises(HubError, match="neon fits nothing: choose its base; take neon out"):
        refuse(found)
    refuse(found[1:])
    assert found[0].told()["level"] == "error"


# from the headers ---------------------------------------------------------------------------------------------------


def _known(registry: Registry, folder: Path, tensors: Tensors, **use: Any) -> tuple[DrawRequest, Known]:
    name = use.pop("name", folder.name)
    path = write_model(folder / f"{name}.safetensors", tensors)
    sha256 = library.version(registry, index_file(registry, path)).files[0].sha256
    request = _with(_ink(path=str(path), name=name, sha256=sha256, **use))
    return request, know(registry, request)


def _codes(request: DrawRequest, known: Known) -> set[str]:
    return {guard.code for guard in guards(request, known)}


def test_coverage_is_told_from_the_headers_of_file_and_base(registry: Registry, tmp_path: Path) -> None:
    assert _codes(*_known(registry, tmp_path / "fits", _lora(MODULE))) == set()
    half = {**_lora(MODULE), **_lora("lora_unet_nowhere_to_q")}
    request, known = _known(registry, tmp_path / "half", half)
    (guard,) = guards(request, known)
    assert (guard.code, guard.level) == ("coverage", "warning")
    assert "50%" in guard.message
    for name, wrong in (("width", _lora(MODULE, width=320)), ("names", _lora("lora_unet_nowhere_to_q"))):
        (guard,) = guards(*_known(registry, tmp_path / name, wrong))
        assert (guard.code, guard.level) == ("fits-nothing", "error")
    broken = tmp_path / "ink.safetensors"
    broken.write_bytes(b"no header")
    (guard,) = guards(_with(_ink(path=str(broken))), know(registry, _with(_ink(path=str(broken)))))
    assert guard.level == "error"


def test_a_file_without_text_encoder_has_no_use_for_te(registry: Registry, tmp_path: Path) -> None:
    assert _codes(*_known(registry, tmp_path / "a", _lora(MODULE), te_strength=0.2)) == {"te-without-part"}
    both = {**_lora(MODULE), **_lora(TEXT)}
    request, known = _known(registry, tmp_path / "b", both, te_strength=0.2)
    assert _codes(request, known) == set()
    assert known.of(request.loras[0].sha256).text_modules == 1


def test_dora_in_a_grid_costs_more_than_fused(registry: Registry, tmp_path: Path) -> None:
    request, known = _known(registry, tmp_path, _lora(MODULE, dora_scale=[128, 1]))
    plan = Plan(request, (PlannedAxis("strength", ("0", "0.5", "1"), "ink"),), known=known)
    (guard,) = grid_guards(plan)
    assert guard.code == "dense"
    assert "DoRA" in guard.message
    assert guard.mend is not None
    assert guard.mend(plan).request.mode == "fused"
    assert grid_guards(guard.mend(plan)) == ()
    request, known = _known(
        registry, tmp_path / "norm", {**_lora(MODULE), "lora_unet_mid_block_norm.w_norm": ("F16", [4])}
    )
    assert grid_guards(Plan(request, plan.axes, known=known)) == ()


def test_a_grid_that_is_built_has_the_plan_of_what_was_typed() -> None:
    grid = make_grid(_with(_ink()), [strength_axis(_with(_ink()), "ink", [0, 1], "te")], title="")
    assert plan_of(grid, Known()).axes == (PlannedAxis("te", ("0", "1"), "ink"),)


def test_two_files_of_one_name_are_told_apart(registry: Registry, tmp_path: Path) -> None:
    request, _ = _known(registry, tmp_path / "one", _lora(MODULE), name="ink")
    index_file(registry, write_model(tmp_path / "two" / "ink.safetensors", _lora(MODULE), seed=7))
    assert _codes(request, know(registry, request)) == {"name-ambiguous"}
    with registry.transaction() as db:
        db.execute("UPDATE places SET state = 'missing' WHERE path LIKE '%/two/ink.safetensors'")
    assert not _codes(request, know(registry, request)), "the one that is gone can't be meant"
    stranger = _with(_ink(path=request.loras[0].path, sha256="d" * 64))
    (guard,) = guards(stranger, know(registry, stranger))
    assert guard.code == "hash-disagrees"
    assert guard.mend is not None
    assert guard.mend(stranger).loras[0].sha256 != "d" * 64


def test_a_record_says_that_it_is_a_slider(registry: Registry, tmp_path: Path) -> None:
    index_file(registry, write_model(tmp_path / "ink.safetensors", _lora(MODULE)))
    model, version = library.resolve(registry, "ink")
    row = library.version(registry, version)
    assert not is_slider(library.show(registry, model), row)
    assert is_slider(msgspec.structs.replace(library.show(registry, model), tags=("Slider",)), row)
    assert is_slider(library.show(registry, model), msgspec.structs.replace(row, strength_max=8.0))


def test_the_original_names_of_a_unet_lead_back_to_its_paths() -> None:
    layout = UNetLayout(2, frozenset({0, 1}))
    inside = ["resnets.0.conv1", "resnets.1.time_emb_proj", "resnets.1.conv_shortcut", "attentions.1.proj_in"]
    paths = [f"{side}_blocks.{block}.{rest}" for side in ("down", "up") for block in (0, 1, 2) for rest in inside]
    paths += ["up_blocks.0.resnets.2.norm2", "up_blocks.1.attentions.2.transformer_blocks.1.attn2.to_k"]
    paths += [f"down_blocks.{block}.downsamplers.0.conv" for block in (0, 1)]
    paths += [f"up_blocks.{block}.upsamplers.0.conv" for block in (0, 1)]
    paths += ["mid_block.resnets.0.conv1", "mid_block.resnets.1.conv2", "mid_block.attentions.0.proj_out"]
    paths += ["conv_in", "conv_out", "time_embedding.linear_1", "add_embedding.linear_2"]
    original = [ldm_path(path, layout) or "" for path in paths]
    namer = diffusers_namer(original)
    assert list(map(namer, original)) == paths
    assert namer("nowhere.0.1") is None


def test_a_text_encoder_is_read_with_and_without_the_level_that_some_files_lack(tmp_path: Path) -> None:
    for level in ("", "text_model."):
        tensors: Tensors = {
            "model.diffusion_model.middle_block.1.proj_in.weight": ("F16", [64, 64]),
            f"cond_stage_model.transformer.{level}encoder.layers.0.mlp.fc1.weight": ("F16", [64, 32]),
        }
        table = table_of(write_model(tmp_path / f"{level}base.safetensors", tensors))
        assert table is not None
        assert table["lora_te_text_model_encoder_layers_0_mlp_fc1"].shape == (64, 32)


def test_a_single_file_publishes_the_names_of_its_parts(tmp_path: Path) -> None:
    tensors: Tensors = {
        "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight": ("F16", [64, 64]),
        "model.diffusion_model.middle_block.1.proj_in.weight": ("F16", [64, 64]),
        "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight": ("F16", [64, 32]),
        "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight": ("F16", [96, 32]),
        "first_stage_model.decoder.conv_in.weight": ("F16", [8, 4, 3, 3]),
    }
    table = table_of(write_model(tmp_path / "base.safetensors", tensors))
    assert table is not None
    assert table["lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"].shape == (64, 64)
    assert table["lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"].component == "unet"
    assert table["lora_te1_text_model_encoder_layers_0_mlp_fc1"].shape == (64, 32)
    assert table["lora_te2_text_model_encoder_layers_0_self_attn_v_proj"].shape == (32, 32)
    only_text = {name: kind for name, kind in tensors.items() if "diffusion_model" not in name}
    assert table_of(write_model(tmp_path / "transformer.safetensors", only_text)) is None


def test_the_command_line_refuses_errors_and_says_the_rest_with_its_fix(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry(home) as registry:
        for name, width in (("fits", 128), ("wrong", 320)):
            index_file(registry, write_model(tmp_path / f"{name}.safetensors", _lora(MODULE, width=width)))
        model, version = library.resolve(registry, "fits")
        edits.edit(registry, model, version, {"trigger_words": "inkwash", "strength": "1.2"})
    assert run(["generate", "a circle <lora:wrong:0.8>"]) == 1
    assert "wrong fits nothing in hubman-tinybase" in capsys.readouterr().err
    axes = ["--axis", "seed=1-20", "--axis", "cfg=1-20 (+1)"]
    assert run(["sweep", "fits", "a circle", *axes, "--dry-run", "--json"]) == 0
    warnings = " ".join(json.loads(capsys.readouterr().out)["warnings"])
    assert "fits is above 0.9: strong LoRAs often burn colours and drown the prompt (fix: 0.8)" in warnings
    assert "(fix: add inkwash)" in warnings
    assert "400 cells" in warnings


def test_a_recipe_is_kept_and_judged_when_it_is_drawn(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def ran(registry: Registry, job: Job) -> None:
        asked.append(job.request)
        store.finish(registry, job.id, "done", result={"images": []})

    monkeypatch.setattr(store, "spawn", ran)
    with Registry(home) as registry:
        index_file(registry, write_model(tmp_path / "fits.safetensors", _lora(MODULE)))
    assert run(["generate", "a circle <lora:fits:1.2>", "--save", "My circle", "--seed", "7"]) == 0
    recipe = saved.load(saved.file_of(home, "My circle"))
    assert (recipe.request.prompt, recipe.request.seed, recipe.request.loras[0].strength) == ("a circle", 7, 1.2)
    capsys.readouterr()
    assert run(["generate", "--recipe", "My circle"]) == 0
    assert "fits is above 0.9" in capsys.readouterr().err
    assert asked[1] == {"recipe": str(saved.file_of(home, "My circle"))}
    assert run(["generate", "--recipe", "nothing"]) == 1
    assert run(["generate", "a", "--recipe", "My circle"]) == 2
    assert run(["generate", "a", "--save", "/"]) == 2
    saved.file_of(home, "My circle").write_text("{")
    assert run(["generate", "--recipe", "My circle"]) == 1
    assert "can't be read" in capsys.readouterr().err


# grids --------------------------------------------------------------------------------------------------------------


def _plan(*counts: int, **more: Any) -> Plan:
    axes = tuple(PlannedAxis("seed", tuple(str(i) for i in range(count))) for count in counts)
    return Plan(REQUEST, axes, **more)


def _only(found: tuple[Guard[Plan], ...]) -> Guard[Plan]:
    (guard,) = found
    return guard


def test_large_grids_say_how_long_they_take() -> None:
    assert grid_guards(_plan(20, 10)) == ()
    plan = _plan(20, 15, seconds_each=2.0)
    guard = _only(grid_guards(plan))
    assert (guard.code, guard.message) == ("many-cells", "300 cells, about 10 min")
    assert guard.mend is not None
    fewer = guard.mend(plan)
    assert 50 <= fewer.cells <= 200
    assert all(
        {axis.values[0], axis.values[-1]} <= set(new.values) for axis, new in zip(plan.axes, fewer.axes, strict=True)
    )


def test_the_limit_of_time_counts_before_the_number_of_cells() -> None:
    plan = _plan(20, seconds_each=30.0, limit=300.0)
    guard = _only(grid_guards(plan))
    assert guard.code == "too-long"
    assert "your limit is 5 min" in guard.reason
    assert guard.mend is not None
    assert grid_guards(guard.mend(plan)) == ()
    assert grid_guards(replace(plan, limit=0.0)) == ()


def test_small_steps_are_no_work_for_bf16() -> None:
    plan = Plan(REQUEST, (PlannedAxis("strength", ("0.6", "0.65", "0.7", "0.75"), "ink"),), dtype="bfloat16")
    guard = _only(grid_guards(plan))
    assert guard.code == "small-steps"
    assert guard.mend is not None
    assert guard.mend(plan).axes[0].values == ("0.6", "0.7")
    assert grid_guards(guard.mend(plan)) == ()
    assert grid_guards(replace(plan, dtype="float16")) == ()
    assert grid_guards(replace(plan, axes=(PlannedAxis("cfg", ("6", "6.05")),))) == ()


def _picture(path: Path, color: str) -> Path:
    Image.new("RGB", (8, 8), color).save(path)
    return path


def test_a_lora_that_does_nothing_is_found_by_its_pictures(tmp_path: Path) -> None:
    same, other = _picture(tmp_path / "a.png", "red"), _picture(tmp_path / "b.png", "blue")
    weak, strong = _with(_ink(strength=0.2), NEON), _with(_ink(strength=0.8), NEON)
    assert drawn_guards([(weak, same), (strong, other)]) == ()
    (guard,) = drawn_guards([(weak, same), (strong, same), (_with(_ink(strength=0.2)), other)])
    assert guard.code == "does-nothing"
    assert "at 0.2 and 0.8" in guard.message
    assert guard.mend is not None
    assert guard.mend(REQUEST).loras == (NEON,)
    black = _picture(tmp_path / "black.png", "black")
    (guard,) = drawn_guards([(weak, black), (strong, black), (_with(NEON), other)])
    assert guard.code == "black", "not the LoRA's doing"
    # Another seed may look the same by chance; a damaged file tells nothing.
    assert drawn_guards([(weak, same), (msgspec.structs.replace(strong, seed=2), same)]) == ()
    (tmp_path / "c.png").write_bytes(b"")
    assert drawn_guards([(weak, tmp_path / "c.png"), (strong, tmp_path / "c.png")]) == ()
