"""Block weights: every length of list, every preset, every module in a block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.lora.blocks import LISTS, PRESETS, Block, blocks_of, read_blocks
from hubman.lora.keys import Site
from registry.errors import UsageError


def _site(path: str, component: str = "unet") -> Site:
    return Site(component, path, (4, 4))


SD15 = {
    "conv_in": "IN00",
    "time_embedding.linear_1": "IN00",
    "down_blocks.0.resnets.0.conv1": "IN01",
    "down_blocks.0.downsamplers.0.conv": "IN03",
    "down_blocks.1.attentions.1.transformer_blocks.0.attn1.to_q": "IN05",
    "down_blocks.3.resnets.1.conv2": "IN11",
    "mid_block.attentions.0.proj_in": "MID",
    "up_blocks.0.resnets.0.conv1": "OUT00",
    "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.2": "OUT05",
    "up_blocks.3.resnets.2.conv_shortcut": "OUT11",
    "conv_out": "OUT11",
}


def test_every_module_of_a_unet_is_in_the_block_that_ldm_has_it_in() -> None:
    sites = {_site(path): block for path, block in SD15.items()} | {
        _site("encoder.layers.0.mlp.fc1", "text_encoder"): "BASE"
    }
    found = blocks_of(sites, {})
    assert {site: block.name for site, block in found.items()} == sites
    assert found[_site("mid_block.attentions.0.proj_in")].attention
    assert not found[_site("conv_in")].attention


def test_every_module_of_flux_is_in_its_block() -> None:
    originals = {
        "transformer_blocks.3.attn.qkv": "double_blocks.3.img_attn.qkv",
        "single_transformer_blocks.37.proj_out": "single_blocks.37.linear2",
        "x_embedder": "img_in",
        "proj_out": "final_layer.linear",
    }
    sites = [_site(path, "transformer") for path in originals] + [_site("encoder.layers.0.mlp.fc1", "text_encoder")]
    found = {site.path: block.name for site, block in blocks_of(sites, originals).items()}
    assert found == dict(zip((site.path for site in sites), ("D03", "S37", "IN", "OUT", "CLIP"), strict=True))


@pytest.mark.parametrize("count", LISTS)
def test_a_list_gives_each_named_block_its_number_and_the_others_nothing(count: int) -> None:
    weights = read_blocks(",".join(str(number + 1) for number in range(count)))
    assert weights is not None
    assert [weights.of(Block(name)) for name in LISTS[count]] == list(range(1, count + 1))
    everything = {name for names in LISTS.values() for name in names}
    assert all(weights.of(Block(name)) == 0 for name in everything - set(LISTS[count]))
    assert weights.text == 1
    assert weights.fits("flux") == (count == 61) != weights.fits("unet")
    assert not weights.fits("transformer")


def test_presets_are_read_in_any_case_and_b_lora_takes_attention_only() -> None:
    style = read_blocks("b-lora_style")
    assert style is PRESETS["B-LORA STYLE"]
    assert style.of(Block("OUT01", attention=True)) == 1
    assert style.of(Block("OUT01")) == style.of(Block("OUT00", attention=True)) == style.text == 0
    every = read_blocks("all")
    assert every is not None
    assert every.fits("transformer")
    assert every.of(Block("D07")) == every.of(Block("IN00")) == every.text == 1
    assert read_blocks(" ") is None


@given(st.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    said = ""
    try:
        read_blocks(text)
    except UsageError as error:
        said = str(error)
    assert "\n" not in said
