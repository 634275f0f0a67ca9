"""Makes the model folders that the benchmarks scan: files with real headers, pictures and sidecars, but few bytes.

A library is the same for the same count and seed. Headers are what kohya's scripts write: the tensor names of real
files, dozens of ``ss_*`` entries. Tensors have few columns, except one by which the architecture is told, and their data is a
hole in the file, so 50,000 files are some gigabytes on disk.

    python benchmarks/library_maker.py FOLDER [--models 50000] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

import msgspec

from benchmarks.library_pictures import Pictures
from tests.support.library_factory import TAGS, WORDS
from tests.support.model_files import real_keys

PICTURED, DESCRIBED = 5, 7
"""Every so many models have a picture, a sidecar."""

_BASES = (
    ("sd_v1", "v1-5-pruned-emaonly.safetensors", "sds_diffusers"),
    ("sd_v1", "anything-v4.5.ckpt", "sds_single_te"),
    ("sdxl_base_v1-0", "sd_xl_base_1.0.safetensors", "sdxl_kohya_lora_r8"),
    ("sdxl_base_v1-0", "ponyDiffusionV6XL.safetensors", "sdxl_kohya_locon_r8_c4"),
    ("sdxl_base_v1-0", "Illustrious-XL-v1.0.safetensors", "sdxl_kohya_lora_r8"),
)
_MODULES = (88, 88, 100, 120, 160, 264)
"""Each has three tensors: a header of 20 to 75 KB."""
_RANKS = (4, 8, 16, 32, 64)
_NARROW = 2
_FIRST_TIME, _SPAN = 1_650_000_000, 100_000_000
"""Seconds: when the oldest file was written, and how many later the newest."""


@dataclass(frozen=True)
class _Template:
    """What files of one base, rank and size have in common; ``tensors`` is the inside of a JSON object."""

    base: str
    checkpoint: str
    rank: int
    tensors: bytes
    length: int


def _template(base: str, checkpoint: str, keys: str, rank: int, modules: int) -> _Template:
    _, real = real_keys(keys)
    names = [name.removesuffix(".alpha") for name in real if name.endswith(".alpha") and "unet" in name]
    told = next(name for name in names if name.endswith("attn2_to_k"))
    header: dict[str, object] = {}
    end = 0
    for name in [told, *(name for name in names if name != told)][:modules]:
        columns = real[f"{told}.lora_down.weight"][1][1] if name == told else _NARROW
        shapes: tuple[tuple[str, list[int]], ...]
        shapes = (
            ("alpha", []),
            ("lora_down.weight", [rank, columns]),
            ("lora_up.weight", [_NARROW, rank]),
        )
        for part, shape in shapes:
            size = 2 * math.prod(shape)
            header[f"{name}.{part}"] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
            end += size
    return _Template(base, checkpoint, rank, msgspec.json.encode(header)[1:-1], end)


_SETTINGS = {
    "ss_v2": "False", "ss_network_module": "networks.lora", "ss_network_args": "{}", "ss_learning_rate": "0.0001",
    "ss_unet_lr": "0.0001", "ss_text_encoder_lr": "5e-05", "ss_lr_scheduler": "cosine_with_restarts",
    "ss_lr_warmup_steps": "100", "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1)",
    "ss_max_grad_norm": "1.0", "ss_num_reg_images": "0", "ss_num_batches_per_epoch": "210", "ss_num_epochs": "10",
    "ss_max_train_steps": "2100", "ss_gradient_accumulation_steps": "1", "ss_mixed_precision": "fp16",
    "ss_full_fp16": "False", "ss_gradient_checkpointing": "True", "ss_cache_latents": "True", "ss_lowram": "True",
    "ss_noise_offset": "0.0357", "ss_multires_noise_iterations": "None", "ss_multires_noise_discount": "0.3",
    "ss_adaptive_noise_scale": "None", "ss_zero_terminal_snr": "False", "ss_min_snr_gamma": "5.0",
    "ss_prior_loss_weight": "1.0", "ss_caption_dropout_rate": "0.0", "ss_caption_dropout_every_n_epochs": "0",
    "ss_caption_tag_dropout_rate": "0.0", "ss_shuffle_caption": "True", "ss_keep_tokens": "1", "ss_clip_skip": "2",
    "ss_max_token_length": "225", "ss_resolution": "(768, 768)", "ss_enable_bucket": "True",
    "ss_bucket_no_upscale": "True", "ss_min_bucket_reso": "256", "ss_max_bucket_reso": "1024", "ss_random_crop": "False",
    "ss_color_aug": "False", "ss_flip_aug": "False", "ss_face_crop_aug_range": "None", "ss_reg_dataset_dirs": "{}",
    "ss_batch_size_per_device": "2", "ss_total_batch_size": "2", "ss_training_comment": "None",
    "ss_sd_scripts_commit_hash": "5050971ac687dca70ba0486a583d283e8ae324e2", "ss_steps": "2100", "ss_epoch": "10",
}  # fmt: skip


def _metadata(template: _Template, name: str, draw: random.Random) -> dict[str, str]:
    images = draw.randint(15, 200)
    tags = {
        f"{draw.choice(TAGS)} {word.lower()} {number}": draw.randint(1, images) for number, word in enumerate(WORDS * 3)
    }
    folder = f"10_{name.split('_', maxsplit=1)[0]}"
    return {
        **_SETTINGS,
        "ss_output_name": name,
        "ss_session_id": str(draw.getrandbits(31)),
        "ss_training_started_at": f"{_FIRST_TIME + draw.randint(0, _SPAN)}.25",
        "ss_base_model_version": template.base,
        "ss_sd_model_name": template.checkpoint,
        "ss_new_sd_model_hash": f"{draw.getrandbits(256):064x}",
        "ss_network_dim": str(template.rank),
        "ss_network_alpha": str(template.rank / 2),
        "ss_num_train_images": str(10 * images),
        "ss_seed": str(draw.getrandbits(31)),
        "ss_dataset_dirs": msgspec.json.encode({folder: {"n_repeats": 10, "img_count": images}}).decode(),
        "ss_tag_frequency": msgspec.json.encode({folder: tags}).decode(),
        "sshs_model_hash": f"{draw.getrandbits(256):064x}",
        "sshs_legacy_hash": f"{draw.getrandbits(32):08x}",
    }


def _write_model(path: str, template: _Template, name: str, draw: random.Random) -> None:
    metadata = msgspec.json.encode(_metadata(template, name, draw))
    header = b'{"__metadata__":' + metadata + b"," + template.tensors + b"}"
    header += b" " * (-len(header) % 8)
    written = draw.randint(_FIRST_TIME, _FIRST_TIME + _SPAN)
    with open(path, "wb", buffering=0) as file:  # noqa: PTH123 - paths stay texts here, for speed
        # The first alpha, then numbers that make these tensors unlike all others.
        file.write(len(header).to_bytes(8, "little") + header + b"\0\x44" + draw.randbytes(8))
        file.truncate(8 + len(header) + template.length)
        os.utime(file.fileno(), (written, written))


def _sidecar(path: str, number: int, draw: random.Random) -> None:
    """What A1111's extra networks tab or its Civitai helper writes."""
    word = draw.choice(WORDS).lower()
    if number % 2:
        content: dict[str, object] = {
            "description": f"a {word} look", "sd version": "SDXL", "activation text": f"{word} style",
            "preferred weight": draw.choice((0.6, 0.8, 1)), "notes": "" if number % 3 else f"mine, best with {word}",
        }  # fmt: skip
        path += ".json"
    else:
        model = {"name": f"{word.title()} {number}", "type": "LORA", "nsfw": False, "tags": draw.sample(TAGS, 3)}
        content = {
            "id": 2 * number + 1, "modelId": number + 1, "name": "v1", "baseModel": "SDXL 1.0",
            "trainedWords": [f"{word} style"], "model": model, "description": f"<p>{'about it. ' * 40}</p>",
        }  # fmt: skip
        path += ".civitai.info"
    Path(path).write_bytes(msgspec.json.encode(content))


def _folders(count: int, draw: random.Random) -> Iterator[tuple[str, int]]:
    """(folder, how many files it has): two or three deep, 50 to 500 files each."""
    number = 0
    while count > 0:
        files = min(count, draw.randint(50, 500))
        kind, creator = draw.choice(("styles", "characters", "concepts", "clothing")), f"creator-{number % 37}"
        yield (f"{kind}/{creator}/set-{number}" if number % 3 else f"{kind}/set-{number}"), files
        count -= files
        number += 1


def make_library(folder: Path, count: int, *, seed: int = 0) -> None:
    """``count`` model files below ``folder``, about 45 KB of disk each."""
    draw = random.Random(seed)
    templates = [
        _template(*draw.choice(_BASES), rank=draw.choice(_RANKS), modules=modules)
        for modules in _MODULES
        for _ in range(4)
    ]
    pictures = Pictures(seed)
    number = 0
    for inner, files in _folders(count, draw):
        (folder / inner).mkdir(parents=True)
        for _ in range(files):
            name = f"{'_'.join(draw.sample(WORDS, 2)).lower()}_v{draw.randint(1, 4)}_{number}"
            path = f"{folder}/{inner}/{name}"
            _write_model(f"{path}.safetensors", draw.choice(templates), name, draw)
            if number % PICTURED == 0:
                pictures.write(path, number)
            if number % DESCRIBED == 0:
                _sidecar(path, number, draw)
            number += 1


def make_large_files(folder: Path, total: int, *, seed: int = 0) -> None:
    """Safetensors files of 10 to 150 MB, ``total`` bytes together, no two blocks of them alike and none of zeros."""
    draw = random.Random(seed)
    folder.mkdir(parents=True)
    block = draw.randbytes(4 << 20)
    number = 0
    while total > 0:
        size = min(total, draw.randint(10_000_000, 150_000_000))
        header = msgspec.json.encode({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
        with (folder / f"large_{number}.safetensors").open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for start in range(0, size, len(block)):
                file.write((draw.randbytes(16) + block[16:])[: size - start])
        total -= size
        number += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begin = perf_counter()
    make_library(options.folder, options.models, seed=options.seed)
    print(f"{options.models:,} models in {perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
