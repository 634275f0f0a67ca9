"""What pictures say they were drawn with, in the forms of the programs, and any JSON or text at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.images import reading, tags
from hubman.images.found import Found, decoded, merged
from registry.usage import Used
from tests.support.drawings import graph, infotext, loader
from tests.support.patient import PATIENT

SHA = "ab" * 32


def _read(**texts: str) -> Found:
    found = reading.read(texts)
    assert found is not None
    return found


def _loras(found: Found | None) -> dict[str, float | None]:
    assert found is not None
    return {use.name: use.strength for use in found.uses if use.kind == "lora"}


def _graph_loras(*loaders: dict[str, Any]) -> dict[str, float | None]:
    return _loras(reading.read({"prompt": json.dumps(graph(*loaders))}))


# infotext ---------------------------------------------------------------------------------------------------------


def test_infotext_names_loras_embeddings_checkpoint_and_vae_with_their_hashes() -> None:
    text = infotext(
        "a lighthouse <lora:ink:0.8> <lyco:wash:0.5:0.25>",
        lora_hashes="ink: 0123456789ab, wash: ba9876543210",
        ti_hashes="badhands: 111111111111",
        model="base v2",
        model_hash="abcdef0123",
        VAE="fine.safetensors",
    ).replace("Vae:", "VAE hash: 2222222222, VAE:")
    found = _read(parameters=text)
    assert found.tool == "a1111"
    assert found.prompt.startswith("a lighthouse")
    assert set(found.uses) == {
        Used(kind="lora", name="ink", hash="0123456789ab", strength=0.8),
        Used(kind="lora", name="wash", hash="ba9876543210", strength=0.25),
        Used(kind="embedding", name="badhands", hash="111111111111"),
        Used(kind="checkpoint", name="base v2", hash="abcdef0123"),
        Used(kind="vae", name="fine.safetensors", hash="2222222222"),
    }


def test_hashes_as_json_civitais_resources_refiner_and_controlnet() -> None:
    text = (
        "x\nSteps: 1, Seed: 2, Size: 8x8, Refiner: refine [1234567890], "
        'ControlNet 0: "Module: canny, Model: control_canny [d14c016b], Weight: 1", '
        'Hashes: {"model": "abcdef0123", "lora:ink": "0123456789", "embed:neg": "9876543210"}, '
        'Civitai resources: [{"type":"lora","weight":0.7,"modelVersionId":135867},{"type":"checkpoint","modelVersionId":5}]'
    )
    assert set(_read(parameters=text).uses) == {
        Used(kind="lora", name="ink", hash="0123456789"),
        Used(kind="embedding", name="neg", hash="9876543210"),
        Used(kind="checkpoint", name="", hash="abcdef0123"),
        Used(kind="checkpoint", name="refine", hash="1234567890"),
        Used(kind="controlnet", name="control_canny", hash="d14c016b"),
        Used(kind="lora", name="", civitai_id=135867, strength=0.7),
        Used(kind="checkpoint", name="", civitai_id=5),
    }


@pytest.mark.parametrize(
    ("version", "tool"),
    [("v1.10.1", "a1111"), ("f2.0.1v1.10.1", "forge"), ("ComfyUI", "comfyui"), ("hubman 0.1", "hubman")],
)
def test_the_version_tells_the_program(version: str, tool: str) -> None:
    assert _read(parameters=infotext("<lora:ink:1>", version=version)).tool == tool


def test_a_lora_at_zero_is_off_unless_the_text_encoder_has_it() -> None:
    text = infotext("<lora:off:0> <lora:words:0.5:0>", lora_hashes="off: 0123456789ab")
    assert _loras(_read(parameters=text + ", Model: base")) == {"words": 0.5}


def test_an_ordinary_comment_is_no_prompt() -> None:
    assert reading.read({"Comment": "holiday, with <lora:of:1> nothing"}) is None
    assert reading.read({"parameters": "just words"}) is None
    assert reading.read({}) is None


# ComfyUI ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "found"),
    [
        (loader("LoraLoader", lora_name="style\\ink.safetensors", strength_model=0.8, strength_clip=0.5), {"style\\ink.safetensors": 0.8}),
        (loader("LoraLoaderModelOnly", lora_name="ink.safetensors", strength_model=0.7), {"ink.safetensors": 0.7}),
        (loader("LoraLoader", lora_name="ink.safetensors", strength_model=0, strength_clip=0), {}),
        (loader("LoraLoader", lora_name="ink.safetensors", strength_model=0, strength_clip=0.5), {"ink.safetensors": 0.5}),
        (loader("LoraLoader|pysssss", lora_name={"content": "ink.safetensors"}, strength_model=1), {"ink.safetensors": 1.0}),
        (
            loader(
                "Power Lora Loader (rgthree)",
                PowerLoraLoaderHeaderWidget={"type": "x"},
                lora_1={"on": True, "lora": "ink.safetensors", "strength": 0.6},
                lora_2={"on": False, "lora": "off.safetensors", "strength": 1},
            ),
            {"ink.safetensors": 0.6},
        ),
        (loader("Lora Loader Stack (rgthree)", lora_01="ink.pt", strength_01=0.4, lora_02="None", strength_02=1), {"ink.pt": 0.4}),
        (
            loader(
                "LoRA Stacker", input_mode="simple", lora_count=2, lora_name_1="a.safetensors", lora_wt_1=0.1, model_str_1=0.9,
                lora_name_2="b.safetensors", lora_wt_2=0.2, model_str_2=0.9, lora_name_3="c.safetensors", lora_wt_3=0.3,
            ),
            {"a.safetensors": 0.1, "b.safetensors": 0.2},
        ),
        (
            loader("LoRA Stacker", input_mode="advanced", lora_count=1, lora_name_1="a.safetensors", lora_wt_1=0.1, model_str_1=0.9),
            {"a.safetensors": 0.9},
        ),
        (
            loader(
                "CR LoRA Stack", switch_1="On", lora_name_1="a.safetensors", model_weight_1=0.5, clip_weight_1=1,
                switch_2="Off", lora_name_2="b.safetensors", model_weight_2=1,
            ),
            {"a.safetensors": 0.5},
        ),
        (
            loader("easy loraStack", toggle=True, mode="simple", num_loras=1, lora_1_name="a.pt", lora_1_strength=0.3, lora_2_name="b.pt"),
            {"a.pt": 0.3},
        ),
        (loader("easy loraStack", toggle=False, num_loras=1, lora_1_name="a.safetensors", lora_1_strength=0.3), {}),
        (
            loader(
                "Lora Loader (LoraManager)",
                text="<lora:ink:0.8> <lora:off:1>",
                loras={"__value__": [{"name": "ink", "strength": 0.8, "active": True}, {"name": "off", "strength": "1", "active": False}]},
            ),
            {"ink": 0.8},
        ),
        (loader("Lora Text Loader (LoraManager)", lora_syntax="<lora:ink:0.8:0.4> <lora:wash:1>"), {"ink": 0.8, "wash": 1.0}),
        (loader("ImpactWildcardEncode", populated_text="red <lora:ink:0.5>"), {"ink": 0.5}),
        (loader("WanVideoLoraSelect", lora="motion.safetensors", strength=0.9), {"motion.safetensors": 0.9}),
        (loader("Efficient Loader", ckpt_name="b.safetensors", lora_name="ink.pt", lora_model_strength=0.7), {"ink.pt": 0.7}),
    ],
)  # fmt: skip
def test_nodes_that_load_loras(node: dict[str, Any], found: dict[str, float]) -> None:
    assert _graph_loras(node) == found


def test_a_graph_tells_checkpoint_vae_embeddings_and_the_positive_prompt() -> None:
    told = graph(positive="a lighthouse, embedding:glow:1.2, (embedding:style\\soft.pt:0.8)")
    told["20"] = {"class_type": "VAELoader", "inputs": {"vae_name": "fine.safetensors"}}
    told["5"]["inputs"]["vae"] = ["20", 0]
    found = _read(prompt=json.dumps(told))
    assert found.tool == "comfyui"
    assert found.prompt.startswith("a lighthouse")
    assert {(use.kind, use.name) for use in found.uses} == {
        ("checkpoint", "base.safetensors"), ("vae", "fine.safetensors"), ("embedding", "glow"), ("embedding", "style\\soft.pt"),
    }  # fmt: skip


def test_a_loader_that_leads_to_no_picture_does_not_count() -> None:
    told = graph(loader("LoraLoader", lora_name="used.safetensors", strength_model=1))
    told["99"] = loader("LoraLoader", lora_name="loose.safetensors", strength_model=1, model=["1", 0])
    assert _loras(reading.read({"prompt": json.dumps(told)})) == {"used.safetensors": 1.0}


def test_names_and_strengths_that_other_nodes_give() -> None:
    told = graph(loader("LoraLoader", lora_name=["30", 0], strength_model=["31", 0]))
    told["30"] = {"class_type": "Lora Selector", "inputs": {"file": "ink.safetensors"}}
    told["31"] = {"class_type": "PrimitiveFloat", "inputs": {"value": 0.35}}
    assert _loras(reading.read({"prompt": json.dumps(told)})) == {"ink.safetensors": 0.35}


def test_a_graph_with_nan_in_it_is_read() -> None:
    told = graph(loader("LoraLoader", lora_name="ink.safetensors", strength_model=1)) | {
        "7": {"class_type": "X", "inputs": {}, "is_changed": [float("nan")]}
    }
    raw = json.dumps(told)
    assert "NaN" in raw
    assert _loras(reading.read({"prompt": raw})) == {"ink.safetensors": 1.0}


def test_a_workflow_alone_is_read_without_what_is_muted() -> None:
    told = {
        "nodes": [
            {"type": "LoraLoader", "mode": 0, "widgets_values": ["ink.safetensors", 0.8, 1]},
            {"type": "LoraLoader", "mode": 4, "widgets_values": ["off.safetensors", 1, 1]},
            {"type": "Power Lora Loader (rgthree)", "widgets_values": [{}, {"on": True, "lora": "power.safetensors", "strength": 0.5}, ""]},
            {"type": "CheckpointLoaderSimple", "widgets_values": ["base.safetensors"]},
        ],
        "definitions": {"subgraphs": [{"nodes": [{"type": "Lora Loader (LoraManager)", "widgets_values": ["<lora:text:0.4>"]}]}]},
    }  # fmt: skip
    found = reading.read({"workflow": json.dumps(told)})
    assert _loras(found) == {"ink.safetensors": 0.8, "power.safetensors": 0.5, "text": 0.4}
    assert found is not None
    assert Used(kind="checkpoint", name="base.safetensors") in found.uses


def test_graph_and_infotext_of_one_picture_are_one() -> None:
    prompt = json.dumps(graph(loader("LoraLoader", lora_name="style\\ink.safetensors", strength_model=0.8)))
    text = infotext("x", lora_hashes="ink: 0123456789ab", version="ComfyUI")
    found = _read(prompt=prompt, parameters=text)
    assert [use for use in found.uses if use.kind == "lora"] == [
        Used(kind="lora", name="style\\ink.safetensors", hash="0123456789ab", strength=0.8)
    ]


def test_where_a_webp_of_comfyui_has_its_graph() -> None:
    raw = json.dumps(graph(loader("LoraLoader", lora_name="ink.safetensors", strength_model=1)))
    assert _loras(reading.read({"Model": f"prompt:{raw}"})) == {"ink.safetensors": 1.0}
    assert _loras(reading.read({"Make": f"Prompt:{raw}"})) == {"ink.safetensors": 1.0}
    assert _loras(reading.read({"UserComment": json.dumps({"prompt": json.loads(raw), "workflow": {}})})) == {
        "ink.safetensors": 1.0
    }


# other programs ---------------------------------------------------------------------------------------------------


def test_hubmans_own_chunk_says_it_best() -> None:
    request = {
        "base": "base.safetensors", "base_sha256": "cd" * 32, "prompt": "a lighthouse",
        "loras": [
            {"name": "ink", "sha256": SHA, "strength": 0.5}, {"name": "full", "sha256": "ef" * 32},
            {"name": "off", "sha256": "aa" * 32, "strength": 0.0},
        ],
    }  # fmt: skip
    found = _read(hubman=json.dumps({"key": "k", "request": request}), parameters=infotext("<lora:ink:0.5>"))
    assert found == Found(
        tool="hubman",
        prompt="a lighthouse",
        uses=(
            Used(kind="lora", name="ink", hash=SHA, strength=0.5),
            Used(kind="lora", name="full", hash="ef" * 32, strength=1.0),
            Used(kind="checkpoint", name="base.safetensors", hash="cd" * 32),
        ),
    )


def test_swarmui() -> None:
    told = {
        "sui_image_params": {
            "prompt": "a lighthouse",
            "model": "sd/base",
            "loras": ["ink", "off"],
            "loraweights": ["0.6", "0"],
        },
        "sui_models": [
            {"name": "sd/base.safetensors", "param": "model", "hash": "0x" + "cd" * 32},
            {"name": "ink.safetensors", "param": "loras", "hash": "0x" + SHA},
        ],
    }
    found = _read(parameters=json.dumps(told))
    assert found.tool == "swarmui"
    assert set(found.uses) == {
        Used(kind="lora", name="ink", hash=SHA, strength=0.6),
        Used(kind="checkpoint", name="sd/base", hash="cd" * 32),
    }


def test_swarmui_as_older_versions_wrote_it() -> None:
    told = {"sui_image_params": {"model": "base", "loras": "ink,wash", "loraweights": "0.6,1"}}
    assert _loras(_read(UserComment=json.dumps(told))) == {"ink": 0.6, "wash": 1.0}


@pytest.mark.parametrize(
    "told",
    [
        {
            "positive_prompt": "a lighthouse",
            "model": {"key": "k", "name": "base", "hash": "blake3:" + "cd" * 32},
            "loras": [{"model": {"name": "ink", "hash": "blake3:" + SHA}, "weight": 0.75}],
        },
        {
            "positive_prompt": "a lighthouse",
            "model": {"model_name": "base", "hash": "cd" * 32},
            "loras": [{"lora": {"model_name": "ink", "hash": SHA}, "weight": 0.75}],
        },
    ],
)
def test_invokeai(told: dict[str, Any]) -> None:
    found = _read(invokeai_metadata=json.dumps(told))
    assert (found.tool, found.prompt) == ("invokeai", "a lighthouse")
    assert set(found.uses) == {
        Used(kind="lora", name="ink", hash=SHA, strength=0.75),
        Used(kind="checkpoint", name="base", hash="cd" * 32),
    }


def test_fooocus() -> None:
    told = {
        "prompt": "x",
        "base_model": "juggernaut",
        "base_model_hash": "aeb7e9e689",
        "loras": [["ink", 0.1, "0123456789"], ["off", 0, ""]],
    }
    assert set(_read(parameters=json.dumps(told)).uses) == {
        Used(kind="checkpoint", name="juggernaut", hash="aeb7e9e689"),
        Used(kind="lora", name="ink", hash="0123456789", strength=0.1),
    }


def test_a_recipe_behind_an_infotext() -> None:
    recipe = {
        "title": "x",
        "loras": [
            {"file_name": "ink", "hash": SHA, "strength": 0.5, "modelVersionId": 7},
            {"file_name": "left", "hash": "", "strength": 1, "exclude": True},
        ],
        "checkpoint": {"modelName": "Base", "modelVersionId": 9},
        "gen_params": {"prompt": "a lighthouse"},
    }
    told = f"{infotext('a lighthouse <lora:wash:1>')}\nRecipe metadata: {json.dumps(recipe)}"
    found = _read(UserComment=told)
    assert set(found.uses) == {
        Used(kind="lora", name="ink", hash=SHA, civitai_id=7, strength=0.5),
        Used(kind="lora", name="wash", strength=1.0),
        Used(kind="checkpoint", name="Base", civitai_id=9),
    }


# whatever it is ---------------------------------------------------------------------------------------------------

_WORDS = st.sampled_from([
    "inputs", "class_type", "lora_name", "lora_1", "loras", "__value__", "name", "strength_model", "text", "on", "lora", "prompt",
    "request",
    "sui_image_params", "sui_models", "model", "hash", "nodes", "widgets_values", "type", "LoraLoader", "SaveImage", "images", "lora_count",
    "checkpoint", "positive_prompt", "weight", "base_model", "gen_params", "definitions", "subgraphs", "x.safetensors", "switch_1", "key",
])  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)
_KEYWORDS = st.sampled_from(
    [
        "parameters",
        "prompt",
        "workflow",
        "hubman",
        "invokeai_metadata",
        "UserComment",
        "Comment",
        "Model",
        "Make",
        "ImageDescription",
    ]
)


@PATIENT
@given(st.dictionaries(_KEYWORDS, _JSON.map(json.dumps) | st.text(max_size=60), max_size=4))
def test_any_json_or_text_has_a_reading(texts: dict[str, str]) -> None:
    found = reading.read(texts)
    assert reading.content_of(texts, "f")
    if found is not None:
        assert found.uses
        for use in found.uses:
            assert use.name or use.hash or use.civitai_id
            (use.name + use.hash + found.prompt).encode()


@PATIENT
@given(
    st.dictionaries(
        st.text("0123456789", min_size=1, max_size=2),
        st.fixed_dictionaries({"class_type": _WORDS, "inputs": st.dictionaries(_WORDS, _JSON, max_size=5)}),
        max_size=6,
    )
)
def test_any_graph_has_a_reading(told: dict[str, Any]) -> None:
    reading.read({"prompt": json.dumps(told)})


def test_json_that_is_nested_without_end_is_none() -> None:
    assert decoded("[" * 200_000) is None
    assert reading.read({"prompt": '{"a":' * 200_000, "parameters": "[" * 100_000, "hubman": "{" * 100_000}) is None


def test_nodes_that_lead_round_in_circles_end() -> None:
    told = {
        str(number): loader(
            "SaveImage", images=[str((number + 1) % 40), 0], lora_name=[str(number), 0], positive=[str(number), 0]
        )
        for number in range(40)
    }
    assert reading.read({"prompt": json.dumps(told)}) is None


def test_a_text_of_nothing_but_beginnings_of_tags_is_read_in_time() -> None:
    assert list(tags.loras("<lora:a" * 200_000)) == []
    assert list(tags.loras("<lora:a:" * 200_000)) == []
    assert list(tags.loras("<lora:a" + ":1" * 200_000)) == []


def test_uses_are_bounded_and_each_model_is_one() -> None:
    many = [Used(kind="lora", name=f"lora {number}") for number in range(1000)]
    assert len(merged(many)) == 200
    assert merged([Used(kind="lora", name="Ink.safetensors"), Used(kind="lora", name="a/ink", strength=0.5)]) == (
        Used(kind="lora", name="Ink.safetensors", strength=0.5),
    )


def test_names_in_bytes_that_are_no_text_are_made_text() -> None:
    told = graph(loader("LoraLoader", lora_name="i\ud800nk\0.safetensors", strength_model=1))
    (name,) = _loras(reading.read({"prompt": json.dumps(told)}))
    assert name == "i?nk.safetensors"
