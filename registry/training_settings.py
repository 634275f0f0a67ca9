"""How a file was trained, read from its metadata: a table for people, each row with the entry that says so.

Entries as sd-scripts, LyCORIS, OneTrainer, ai-toolkit and diffusers write them. All values are texts from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from registry.identify_network import number
from registry.identify_stated import shortened

_LONGEST = 200


class Setting(msgspec.Struct, frozen=True):
    """One row: what it is called, its value, and the metadata's entry that it was read from."""

    name: str
    value: str
    reason: str


_PLAIN = (
    ("base model", "ss_sd_model_name"), ("base hash", "ss_new_sd_model_hash"), ("base hash (old)", "ss_sd_model_hash"),
    ("base version", "ss_base_model_version"), ("architecture", "modelspec.architecture"), ("VAE", "ss_vae_name"),
    ("network", "ss_network_module"), ("rank", "ss_network_dim"), ("alpha", "ss_network_alpha"),
    ("dropout", "ss_network_dropout"), ("steps", "ss_steps"), ("steps planned", "ss_max_train_steps"), ("epoch", "ss_epoch"),
    ("epochs planned", "ss_num_epochs"), ("batch size", "ss_total_batch_size"), ("batch size", "ss_batch_size_per_device"),
    ("accumulation", "ss_gradient_accumulation_steps"), ("learning rate", "ss_learning_rate"), ("rate of the UNet", "ss_unet_lr"),
    ("rate of the text encoder", "ss_text_encoder_lr"), ("schedule", "ss_lr_scheduler"), ("warm-up", "ss_lr_warmup_steps"),
    ("optimizer", "ss_optimizer"), ("images with repeats", "ss_num_train_images"), ("regularisation images", "ss_num_reg_images"),
    ("resolution", "ss_resolution"), ("resolution", "modelspec.resolution"), ("clip skip", "ss_clip_skip"),
    ("noise offset", "ss_noise_offset"), ("multires noise", "ss_multires_noise_iterations"), ("min-SNR gamma", "ss_min_snr_gamma"),
    ("zero-terminal SNR", "ss_zero_terminal_snr"), ("loss", "ss_loss_type"), ("precision", "ss_mixed_precision"),
    ("caption dropout", "ss_caption_dropout_rate"), ("captions shuffled", "ss_shuffle_caption"), ("tags kept", "ss_keep_tokens"),
    ("flipped images", "ss_flip_aug"), ("prediction", "modelspec.prediction_type"), ("seed", "ss_seed"),
    ("comment", "ss_training_comment"), ("merged from", "modelspec.merged_from"),
)  # fmt: skip
"""(name, entry): the first entry of a name that says something makes the row."""

_NOTHING = frozenset({"", "None", "none", "null", "False", "0.0", "{}", "[]"})


def training_settings(metadata: Mapping[str, str]) -> tuple[Setting, ...]:
    """The table, empty if the metadata tells nothing; values are short and on one line."""
    rows: dict[str, Setting] = {}
    for name, key in _PLAIN:
        value = metadata.get(key, "").strip()
        if value not in _NOTHING and name not in rows:
            rows[name] = Setting(name, shortened(value, _LONGEST), key)
    for setting in _composed(metadata):
        rows.setdefault(setting.name, setting)
    return tuple(rows.values())


def _composed(metadata: Mapping[str, str]) -> Iterator[Setting]:
    """Rows whose value is inside a document or must be made readable."""
    yield from _datasets(metadata)
    yield from _folders(metadata)
    yield from _arguments(metadata)
    yield from _peft(metadata)
    yield from _ai_toolkit(metadata)
    for name, key in (("begun", "ss_training_started_at"), ("finished", "ss_training_finished_at")):
        if when := _moment(metadata.get(key)):
            yield Setting(name, when, key)


def _datasets(metadata: Mapping[str, str]) -> Iterator[Setting]:
    found = _document(metadata.get("ss_datasets"))
    datasets = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    resolutions = [value for one in datasets if (value := _size(one.get("resolution")))]
    if resolutions:
        yield Setting("resolution", _listed(resolutions), "ss_datasets")
    if batches := _counts(datasets, "batch_size_per_device"):
        yield Setting("batch size", _listed(batches), "ss_datasets")


def _size(value: object) -> str | None:
    if isinstance(value, list) and value and all(map(_is_count, value)):
        return "x".join(map(str, value[:2]))
    return str(value) if _is_count(value) else None


def _is_count(value: object) -> bool:
    """Whether it is a whole number that a trainer may have written; others can have more digits than may be printed."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def _counts(documents: list[dict[str, Any]], field: str) -> list[int]:
    return [one[field] for one in documents if _is_count(one.get(field))]


def _listed(values: Iterable[object]) -> str:
    return shortened(", ".join(dict.fromkeys(map(str, values))), _LONGEST)


def _folders(metadata: Mapping[str, str]) -> Iterator[Setting]:
    found = _document(metadata.get("ss_dataset_dirs"))
    folders = [one for one in found.values() if isinstance(one, dict)] if isinstance(found, dict) else []
    if images := _counts(folders, "img_count"):
        yield Setting("images", str(sum(images)), "ss_dataset_dirs")
    if repeats := _counts(folders, "n_repeats"):
        yield Setting("repeats", _listed(repeats), "ss_dataset_dirs")


def _arguments(metadata: Mapping[str, str]) -> Iterator[Setting]:
    found = _document(metadata.get("ss_network_args"))
    if isinstance(found, dict) and found:
        text = ", ".join(
            f"{name} {value}" for name, value in found.items() if isinstance(value, str | float) or _is_count(value)
        )
        yield Setting("network settings", shortened(text, _LONGEST), "ss_network_args")


def _peft(metadata: Mapping[str, str]) -> Iterator[Setting]:
    found = _document(metadata.get("lora_adapter_metadata"))
    for key, value in found.items() if isinstance(found, dict) else ():
        for field, name in (
            (".r", "rank"),
            (".lora_alpha", "alpha"),
            (".use_rslora", "rank-stabilised"),
            (".use_dora", "DoRA"),
        ):
            if key.endswith(field) and (value is True or isinstance(value, float) or _is_count(value)):
                yield Setting(name, str(value), f"lora_adapter_metadata: {shortened(key)}")


def _ai_toolkit(metadata: Mapping[str, str]) -> Iterator[Setting]:
    found = _document(metadata.get("training_info"))
    for name, key in (("steps", "step"), ("epoch", "epoch")):
        value = found.get(key) if isinstance(found, dict) else None
        if _is_count(value):
            yield Setting(name, str(value), "training_info")


def _moment(text: str | None) -> str | None:
    """Seconds since 1970 as a date with its time in UTC."""
    seconds = number(text)
    if seconds is None or not 0 < seconds < 1 << 34:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _document(text: str | None) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError):
        return None
