from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.training_settings import Setting, training_settings
from tests.support.model_files import real_keys


def _table(metadata: dict[str, str]) -> dict[str, str]:
    return {row.name: row.value for row in training_settings(metadata)}


def test_a_real_file_tells_how_it_was_trained() -> None:
    metadata, _ = real_keys("sds_single_te")
    table = _table(metadata)
    expected = {
        "base model": "sd15-random.safetensors", "network": "networks.lora", "rank": "8", "alpha": "4.0", "steps": "1",
        "epoch": "1", "learning rate": "0.0001", "rate of the text encoder": "5e-05", "schedule": "constant",
        "optimizer": "torch.optim.adamw.AdamW", "images": "8", "repeats": "4", "images with repeats": "32",
        "resolution": "512x512", "batch size": "1", "network settings": "conv_dim 4, conv_alpha 1", "seed": "1",
        "begun": "2026-11-23 12:21",
    }  # fmt: skip
    assert expected.items() <= table.items()
    assert all(row.reason in metadata for row in training_settings(metadata))


def test_what_says_nothing_makes_no_row() -> None:
    assert training_settings({}) == ()
    assert training_settings({"ss_vae_name": "None", "ss_noise_offset": "None", "ss_flip_aug": "False"}) == ()


def test_each_row_names_its_entry() -> None:
    assert training_settings({"ss_clip_skip": "2", "ss_noise_offset": "0.05"}) == (
        Setting("clip skip", "2", "ss_clip_skip"),
        Setting("noise offset", "0.05", "ss_noise_offset"),
    )


def test_sizes_of_several_sets_are_listed_once_each() -> None:
    sets = [{"resolution": [512, 768], "batch_size_per_device": 2}, {"resolution": 640}, {"resolution": [512, 768]}]
    assert _table({"ss_datasets": json.dumps(sets)}) == {"resolution": "512x768, 640", "batch size": "2"}


def test_folders_are_summed_up() -> None:
    folders = {"10_zxq": {"n_repeats": 10, "img_count": 20}, "3_reg": {"n_repeats": 3, "img_count": 5}}
    assert _table({"ss_dataset_dirs": json.dumps(folders)}) == {"images": "25", "repeats": "10, 3"}


def test_other_trainers_entries_are_read() -> None:
    assert _table({"training_info": '{"step": 1500, "epoch": 3}'}) == {"steps": "1500", "epoch": "3"}
    peft = {
        "lora_adapter_metadata": '{"unet.r": 8, "unet.lora_alpha": 16.0, "unet.use_dora": true, "unet.use_rslora": false}'
    }
    assert _table(peft) == {"rank": "8", "alpha": "16.0", "DoRA": "True"}


def test_values_are_short_and_on_one_line() -> None:
    (row,) = training_settings({"ss_training_comment": "a\nb " * 5000})
    assert len(row.value) <= 200
    assert "\n" not in row.value


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resolution", "img_count", "n_repeats", "step", "unet.r", "batch_size_per_device", "x"]),
            inner, max_size=4,
        )
    ),
    max_leaves=8,
)  # fmt: skip
_KEYS = st.sampled_from([
    "ss_datasets", "ss_dataset_dirs", "ss_network_args", "lora_adapter_metadata", "training_info", "ss_training_started_at",
    "ss_steps", "ss_training_comment",
])  # fmt: skip
_HOSTILE = st.sampled_from(["[" * 100_000, "9" * 5000, "1e999", "nan", '{"step": ' + "9" * 5000 + "}", "-1"])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_KEYS, st.text(max_size=20) | _HOSTILE | _JSON.map(json.dumps), max_size=5))
def test_whatever_the_metadata_says_it_makes_a_table(metadata: dict[str, str]) -> None:
    for row in training_settings(metadata):
        assert row.name
        assert len(row.value) <= 400
