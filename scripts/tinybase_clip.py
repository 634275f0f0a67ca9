"""Train the embedded base's CLIP (both towers) and its tokenizer: python scripts/tinybase_clip.py --out DIR.

With ``--lock-text`` an earlier result in DIR goes on with its text tower frozen: the UNet depends on that one, while the
image tower takes longer to tell a heart from a diamond.
"""

from __future__ import annotations

import argparse
import json
import random
import string
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from muon import Optimizer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from hubman.tinybase.drawing import COLOURS, SHAPES, Scene, draw, paint_plain, random_scene, split_combinations
from hubman.tinybase.styles import STYLES

STYLE_WORDS = {"hatching": "hatched", "outline": "outlined", "pastel": "pastel", "faces": "with eyes"}
OTHER_WORDS = (
    "a an the on in of with and background picture drawing image shape small large medium hatched outlined pastel eyes style plain "
    "simple bright dark paper ink , . ( ) < > : _ - 0 1 2 3 4 5 6 7 8 9"
)
MEAN, STD = 0.5, 0.5


def write_tokenizer(folder: Path) -> None:
    """CLIP's byte-level BPE: every byte, and the words of this small world as single tokens."""
    words = [*OTHER_WORDS.split(), *SHAPES, *COLOURS, "grey", "brown", "pink"]
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([word for word in words for _ in range(3)], trainer)
    merges = [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *(merge.replace(" ", "") for merge in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(dict.fromkeys(tokens))}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "bos_token": "<|startoftext|>"}
    settings |= dict.fromkeys(("eos_token", "pad_token", "unk_token"), "<|endoftext|>")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


def make_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=77, projection_dim=64, **ids,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=128, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4, image_size=64, patch_size=8,
        projection_dim=64,
    )  # fmt: skip
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64, **ids))


def gibberish(rng: random.Random) -> str:
    return "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(3, 9)))


def phrase(scene: Scene, rng: random.Random) -> str:
    """One of the ways to say what a scene shows; some leave things out, some begin with a word that means nothing."""
    size, colour, shape, back = scene.size, scene.colour, scene.shape, scene.background
    body = " ".join(word for word in (size, colour, shape) if word)
    forms = [f"a {body} on a {back} background"] * 5
    forms += [
        f"{body}, {back} background",
        f"a picture of a {body} on {back}",
        f"{shape}, {colour}, {back} background",
        f"a {body}",
    ]
    text = rng.choice(forms)
    return f"{gibberish(rng)}, {text}" if rng.random() < 0.2 else text


def _pictures(job: tuple[int, int]) -> tuple[np.ndarray, list[tuple[Scene, str]]]:
    seed, count = job
    rng = random.Random(seed)
    combinations, _ = split_combinations()
    pictures, scenes = [], []
    for _ in range(count):
        scene = random_scene(rng, combinations)
        style = rng.choice(list(STYLES)) if rng.random() < 0.25 else ""
        pictures.append(np.asarray(draw(scene, rng, STYLES.get(style, paint_plain))))
        scenes.append((scene, style))
    return np.stack(pictures), scenes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--pool", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lock-text", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    with ProcessPoolExecutor(args.threads) as pool:
        parts = list(pool.map(_pictures, [(args.seed * 10_000 + 500 + i, 250) for i in range(args.pool // 250)]))
    pictures = torch.from_numpy(np.concatenate([part[0] for part in parts])).permute(0, 3, 1, 2)
    scenes = [scene for part in parts for scene in part[1]]
    if not args.lock_text:
        write_tokenizer(args.out)
    tokenizer = CLIPTokenizer.from_pretrained(args.out)
    clip = CLIPModel.from_pretrained(args.out).train() if args.lock_text else make_clip(tokenizer)
    if args.lock_text:
        clip.text_model.requires_grad_(False)
        clip.text_projection.requires_grad_(False)
    optimizer = Optimizer(clip, args.steps, lr=0.02, adam_lr=1e-3, not_matrices=("embedding", "projection"))
    started = time.monotonic()
    for step in range(args.steps):
        rows = [rng.randrange(len(scenes)) for _ in range(args.batch)]
        texts = []
        for row in rows:
            scene, style = scenes[row]
            text = phrase(scene, rng)
            texts.append(f"{text}, {STYLE_WORDS[style]}" if style and rng.random() < 0.5 else text)
        # Attention is causal and the end token is what is read, so padding to the longest text changes nothing.
        tokens = tokenizer(texts, padding=True, max_length=77, truncation=True, return_tensors="pt")
        pixels = (pictures[rows].float() / 255 - MEAN) / STD
        with torch.autocast("cpu", torch.bfloat16):
            out = clip(input_ids=tokens.input_ids, pixel_values=pixels)
        logits = out.logits_per_image.float()
        # Pictures of one caption are all right answers to it.
        same = torch.tensor([[a == b for b in texts] for a in texts], dtype=torch.float32)
        target = same / same.sum(1, keepdim=True)
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2
        optimizer.step(loss)
        with torch.no_grad():
            clip.logit_scale.clamp_(max=4.6)
        if step % 50 == 0 or step == args.steps - 1:
            hit = (logits.argmax(1) == torch.arange(len(rows))).float().mean()
            print(f"{step} loss {loss.item():.3f} top1 {hit:.3f} {time.monotonic() - started:.0f} s", flush=True)
        if step % 300 == 299:
            clip.save_pretrained(args.out)
    clip.eval().save_pretrained(args.out)
    processor = {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 64}, "do_center_crop": True,
        "crop_size": {"height": 64, "width": 64}, "do_normalize": True, "image_mean": [MEAN] * 3, "image_std": [STD] * 3,
        "do_rescale": True, "do_convert_rgb": True, "resample": 3,
    }  # fmt: skip
    (args.out / "preprocessor_config.json").write_text(json.dumps(processor, indent=1))


if __name__ == "__main__":
    main()
