"""The settings that pictures of other programs tell, in A1111's words; and which files here their names mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.generate.importing import find_lora, import_picture
from hubman.generate.request import Hires
from hubman.images.telling import tell
from hubman.images.told import Told, ToldLora
from registry.database import Registry
from registry.errors import NotFoundError
from tests.support.drawings import graph, infotext, loader, write_png
from tests.support.library import add_entry
from tests.support.patient import PATIENT

NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def _told(**texts: str) -> Told:
    found = tell(texts)
    assert found is not None
    return found


def _graph(*loaders: dict[str, Any], **sampler: Any) -> dict[str, Any]:
    told = graph(*loaders, positive="a (big:1.3) (b (c:1.5):1.2) [x]")
    told["7"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}}
    given = {
        "seed": 5,
        "steps": 20,
        "cfg": 6.5,
        "sampler_name": "dpmpp_2m",
        "scheduler": "karras",
        "latent_image": ["7", 0],
    }
    told["4"]["inputs"] |= {**given, **sampler}
    return told


# what is told -----------------------------------------------------------------------------------------------------


def test_a_prompt_may_begin_with_a_brace() -> None:
    told = _told(parameters=infotext("{a} b <lora:ink:0.5>", rng="CPU"))
    assert told.prompt == "{a} b"
    assert told.loras == (ToldLora(name="ink", strength=0.5),)


def test_infotext_tells_its_loras_with_both_strengths_and_hashes_and_what_stays_behind() -> None:
    text = infotext(
        "a <lora:ink (v1):0.5:0.25> <lyco:wash:0.8:start=3>",
        lora_hashes="ink (v1): 0123456789ab, other: ba9876543210",
        ensd="31337",
    )
    told = _told(UserComment=text)
    assert told.loras == (
        ToldLora(name="ink (v1)", hash="0123456789ab", strength=0.25, te_strength=0.5),
        ToldLora(name="wash", strength=0.8, start=3),
    )
    assert (told.negative, told.seed, told.steps, told.sampler) == ("ugly", 1, 20, "Euler a")
    remarks = " ".join(told.remarks)
    assert "GPU" in remarks
    assert "other" in remarks


def test_a_second_pass_of_a1111_is_told() -> None:
    fields = {
        "denoising_strength": "0.4",
        "hires_resize": "1000x1500",
        "hires_steps": "8",
        "hires_upscaler": "R-ESRGAN 4x+",
    }
    told = _told(parameters=infotext("a", rng="CPU", **fields))
    assert told.hires == Hires(width=1000, height=1496, steps=8, denoise=0.4, upscaler="Lanczos")
    assert told.remarks[-1] == "its second pass was upscaled with R-ESRGAN 4x+"


def test_a_graph_tells_both_strengths_its_sampler_and_words_with_comfyuis_weights() -> None:
    loaders = [
        loader("LoraLoader", lora_name="style\\ink.safetensors", strength_model=0.8, strength_clip=0.4),
        loader("LoraLoaderModelOnly", lora_name="unet.safetensors", strength_model=0.5),
        loader("Power Lora Loader (rgthree)", lora_1={"on": True, "lora": "power.safetensors", "strength": 0.3, "strengthTwo": 0.1}),
        loader("LoraLoader", lora_name="off.safetensors", strength_model=0, strength_clip=0),
    ]  # fmt: skip
    told = _told(prompt=json.dumps(_graph(*loaders)))
    assert set(told.loras) == {
        ToldLora(name="ink", strength=0.8, te_strength=0.4),
        ToldLora(name="unet", strength=0.5, te_strength=0.0),
        ToldLora(name="power", strength=0.3, te_strength=0.1),
    }
    assert told.prompt == r"a (big:1.3) (b :1.2)(c:1.5) \[x\]"
    assert (told.negative, told.model, told.emphasis) == ("ugly", "base", "Interpolate")
    assert (told.seed, told.steps, told.cfg, told.sampler, told.schedule) == (5, 20, 6.5, "DPM++ 2M", "Karras")
    assert (told.width, told.height, told.remarks) == (512, 768, ())


def test_the_first_of_two_passes_is_told() -> None:
    nodes = _graph()
    nodes["8"] = loader("LatentUpscale", samples=["4", 0], width=1024, height=1536)
    nodes["9"] = loader(
        "KSampler", seed=9, steps=5, latent_image=["8", 0], positive=["2", 0], negative=["3", 0], model=["1", 0]
    )
    nodes["5"]["inputs"]["samples"] = ["9", 0]
    told = _told(prompt=json.dumps(nodes))
    assert (told.seed, told.steps, told.width) == (5, 20, 512)
    assert "2 passes" in told.remarks[0]


def _node(
    number: int, kind: str, widgets: list[Any], inputs: dict[str, tuple[str, int]], *outputs: str, mode: int = 0
) -> dict[str, Any]:
    slots = [{"name": name, "type": kind, "link": link} for name, (kind, link) in inputs.items()]
    return {"id": number, "type": kind, "mode": mode, "widgets_values": widgets, "inputs": slots,
            "outputs": [{"type": output} for output in outputs]}  # fmt: skip


def test_a_drawing_alone_is_read_as_the_graph_that_it_draws() -> None:
    nodes = [
        _node(1, "CheckpointLoaderSimple", ["base.safetensors"], {}, "MODEL", "CLIP", "VAE"),
        _node(2, "LoraLoader", ["off.safetensors", 1, 1], {"model": ("MODEL", 1), "clip": ("CLIP", 2)}, "MODEL", "CLIP", mode=4),
        _node(3, "LoraLoader", ["ink.safetensors", 0.7, 0.3], {"model": ("MODEL", 3), "clip": ("CLIP", 4)}, "MODEL", "CLIP"),
        _node(4, "CLIPTextEncode", ["a cat"], {"clip": ("CLIP", 5)}, "CONDITIONING"),
        _node(5, "CLIPTextEncode", ["bad"], {"clip": ("CLIP", 5)}, "CONDITIONING"),
        _node(6, "EmptyLatentImage", [512, 640, 1], {}, "LATENT"),
        _node(
            7, "KSampler", [42, "fixed", 25, 6, "euler", "normal", 1],
            {"model": ("MODEL", 6), "positive": ("C", 7), "negative": ("C", 8), "latent_image": ("LATENT", 9)}, "LATENT",
        ),
        _node(8, "SaveImage", ["x"], {"images": ("IMAGE", 10)}),
    ]  # fmt: skip
    links = [
        [1, 1, 0],
        [2, 1, 1],
        [3, 2, 0],
        [4, 2, 1],
        [5, 3, 1],
        [6, 3, 0],
        [7, 4, 0],
        [8, 5, 0],
        [9, 6, 0],
        [10, 7, 0],
    ]
    told = _told(workflow=json.dumps({"nodes": nodes, "links": links}))
    assert told.loras == (ToldLora(name="ink", strength=0.7, te_strength=0.3),)
    assert (told.prompt, told.negative, told.model, told.seed, told.steps) == ("a cat", "bad", "base", 42, 25)
    assert (told.width, told.height, told.sampler) == (512, 640, "Euler")


def test_invokeais_record_is_read_with_compels_weights() -> None:
    record = {
        "positive_prompt": "a cat+ (b c)1.3", "negative_prompt": "bad-", "seed": 3, "steps": 9, "cfg_scale": 5, "width": 64, "height": 96,
        "scheduler": "dpmpp_2m_k", "clip_skip": 1, "rand_device": "cuda", "model": {"name": "base", "hash": "blake3:" + "cd" * 32},
        "loras": [{"model": {"name": "ink", "hash": "blake3:" + "ab" * 32}, "weight": 0.75}],
    }  # fmt: skip
    told = _told(invokeai_metadata=json.dumps(record))
    assert (told.prompt, told.negative) == ("a (cat:1.1) (b c:1.3)", "(bad:0.9)")
    assert (told.sampler, told.schedule, told.clip_skip, told.seed) == ("DPM++ 2M", "Karras", 2, 3)
    assert told.loras == (ToldLora(name="ink", hash="ab" * 32, strength=0.75),)
    assert "cuda" in told.remarks[0]


_WORDS = st.sampled_from([
    "inputs", "class_type", "lora_name", "loras", "name", "strength_model", "text", "nodes", "links", "widgets_values", "type", "mode",
    "KSampler", "LoraLoader", "SaveImage", "images", "latent_image", "positive", "model", "seed", "steps", "cfg", "positive_prompt", "id",
    "outputs", "link", "Reroute", "stop_at_clip_layer", "width", "scheduler",
])  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=6),
    max_leaves=30,
)
_KEYWORDS = st.sampled_from(["parameters", "prompt", "workflow", "invokeai_metadata", "UserComment", "Model"])


@PATIENT
@given(st.dictionaries(_KEYWORDS, _JSON.map(json.dumps) | st.text(max_size=60), max_size=4))
def test_any_texts_tell_something_or_nothing(texts: dict[str, str]) -> None:
    told = tell(texts)
    assert told is None or told.tool


# which files are meant --------------------------------------------------------------------------------------------


def test_a_name_of_this_machine_beats_a_hash_that_points_elsewhere(registry: Registry) -> None:
    named, hashed = (
        registry.db.execute("SELECT sha256 FROM files WHERE version_id = ?", (item,)).fetchone()[0]
        for item in (
            add_entry(registry, "ink", place="/models/ink.safetensors"),
            add_entry(registry, "other", place="/models/other.safetensors", autov3="cd" * 32),
        )
    )
    both = ToldLora(name="ink", hash="cd" * 6)
    assert find_lora(registry, both).sha256 == named
    assert find_lora(registry, both).elsewhere
    assert find_lora(registry, both, trust_hash=True).sha256 == hashed
    for digits in (hashed[:12], "cd" * 6):  # of the file, of its tensors
        found = find_lora(registry, ToldLora(name="renamed", hash=digits))
        assert (found.sha256, found.elsewhere) == (hashed, False)
    assert find_lora(registry, ToldLora(name="ink", hash="99" * 6)).elsewhere
    assert not find_lora(registry, ToldLora(name="ink", hash=named[:10])).elsewhere


def test_the_hash_of_nothing_means_no_file(registry: Registry) -> None:
    add_entry(registry, "repackaged", place="/models/repackaged.safetensors", autov3=NOTHING)
    assert find_lora(registry, ToldLora(name="stranger", hash=NOTHING[:12])).sha256 is None


def test_a_picture_of_another_program_becomes_a_request(registry: Registry, tmp_path: Path) -> None:
    item = add_entry(registry, "ink", place=str(tmp_path / "ink.safetensors"))
    (tmp_path / "ink.safetensors").write_bytes(b"x")
    sha256 = registry.db.execute("SELECT sha256 FROM files WHERE version_id = ?", (item,)).fetchone()[0]
    text = infotext("(a:1.2) <lora:ink:0.5:0.25:lbw=MIDD> <lora:gone:1>", lora_hashes="ink: 999999999999", size="60x64")
    imported = import_picture(registry, write_png(tmp_path / "x.png", {"parameters": text}), "tiny")
    (use,) = imported.request.loras
    assert (use.sha256, use.strength, use.te_strength, use.blocks) == (sha256, 0.25, 0.5, "MIDD")
    assert (imported.request.prompt, imported.request.negative) == ("(a:1.2)", "ugly")
    assert (imported.request.width, imported.request.steps, imported.request.sampler) == (56, 20, "Euler a")
    remarks = " ".join(imported.remarks)
    assert "gone is not on this machine" in remarks
    assert "the name counts" in remarks
    with pytest.raises(NotFoundError, match="base model"):
        import_picture(registry, tmp_path / "x.png")
    with pytest.raises(NotFoundError, match="does not tell"):
        import_picture(registry, write_png(tmp_path / "y.png", {}))
