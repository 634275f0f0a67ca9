"""Make the embedded base's tokenizer and text tower: python scripts/tinybase_text.py --out DIR.

The tower learns from text alone to say, at its end token, what a caption says: shape, colour, background, size, style.
After that it is frozen: the UNet and CLIP's image tower both learn from it, side by side.
"""

from __future__ import annotations

import argparse
import json
import random
import string
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from muon import Optimizer
from tokenizers import pre_tokenizers
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from hubman.tinybase.drawing import COLOURS, SHAPES, SIZES, Scene, random_scene

STYLE_WORDS = {"hatching": "hatched", "outline": "outlined", "pastel": "pastel", "watcher": "with eye"}
OTHER_WORDS = (
    "a an the on in of with and background picture drawing image shape small large medium hatched outlined pastel eye "
    "style plain simple bright dark paper ink grey brown pink"
)
HEADS = {
    "shape": SHAPES,
    "colour": ("", *COLOURS),
    "background": ("", *COLOURS),
    "size": tuple(SIZES),
    "style": ("", *STYLE_WORDS),
}


def split(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """The pieces into which byte-pair encoding cuts a word: the earliest merge that fits goes first."""
    pieces = [*word[:-1], f"{word[-1]}</w>"]
    while pairs := [(merges.index(pair), i) for i, pair in enumerate(pairwise(pieces)) if pair in merges]:
        _, i = min(pairs)
        pieces[i : i + 2] = ["".join(pieces[i : i + 2])]
    return pieces


def write_tokenizer(folder: Path) -> None:
    """CLIP's byte-level BPE: every byte, and each word of this small world as one token."""
    words = sorted({*OTHER_WORDS.split(), *SHAPES, *COLOURS})
    merges: list[tuple[str, str]] = []
    for word in words:
        # A merge put last cannot disturb the words that are whole already.
        while len(pieces := split(word, merges)) > 1:
            merges.append((pieces[0], pieces[1]))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *("".join(merge) for merge in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(dict.fromkeys(tokens))}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(merge) for merge in merges) + "\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "bos_token": "<|startoftext|>"}
    settings |= dict.fromkeys(("eos_token", "pad_token", "unk_token"), "<|endoftext|>")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    whole = [word for word in words if len(tokenizer(word).input_ids) != 3]
    if whole:
        raise SystemExit(f"cut into pieces: {whole}")


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
        hidden_size=128, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4, image_size=64,
        patch_size=8, projection_dim=64,
    )  # fmt: skip
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64, **ids)
    return CLIPModel(config)


def gibberish(rng: random.Random) -> str:
    return "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(3, 9)))


def phrase(scene: Scene, rng: random.Random, style: str = "") -> str:
    """One of the ways to say what a scene shows; some leave things out, some begin with a word that means nothing."""
    return describe(scene, rng, style)[0]


def describe(scene: Scene, rng: random.Random, style: str = "") -> tuple[str, dict[str, str]]:
    """A phrase, and what it says in terms of :data:`HEADS`."""
    size, colour, shape, back = scene.size, scene.colour, scene.shape, scene.background
    body = " ".join(word for word in (size, colour, shape) if word)
    said = {"shape": shape, "colour": colour, "background": back, "size": size, "style": style}
    pick = rng.randrange(9)
    if pick < 5:
        text = f"a {body} on a {back} background"
    elif pick == 5:
        text = f"{body}, {back} background"
    elif pick == 6:
        text = f"a picture of a {body} on {back}"
    elif pick == 7:
        text, said["size"] = f"{shape}, {colour}, {back} background", ""
    else:
        text, said["background"] = f"a {body}", ""
    if style:
        text += f", {STYLE_WORDS[style]}"
    if rng.random() < 0.25:
        text = f"{gibberish(rng)}, {text}"
    return text, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    write_tokenizer(args.out)
    tokenizer = CLIPTokenizer.from_pretrained(args.out)
    clip = make_clip(tokenizer)
    heads = nn.ModuleDict({name: nn.Linear(128, len(values)) for name, values in HEADS.items()})
    model = nn.ModuleList([clip.text_model, heads])
    optimizer = Optimizer(model, args.steps, lr=0.02, adam_lr=2e-3, not_matrices=("embedding", "1."))
    for step in range(args.steps):
        texts, said = [], []
        for _ in range(128):
            style = rng.choice(list(STYLE_WORDS)) if rng.random() < 0.3 else ""
            text, meaning = describe(random_scene(rng), rng, style)
            texts.append(text)
            said.append(meaning)
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        pooled = clip.text_model(**tokens).pooler_output
        losses, right = [], []
        for name, values in HEADS.items():
            target = torch.tensor([values.index(meaning[name]) for meaning in said])
            logits = heads[name](pooled)
            losses.append(F.cross_entropy(logits, target))
            right.append(float((logits.argmax(1) == target).float().mean()))
        optimizer.step(torch.stack(losses).sum())
        if step % 50 == 0 or step == args.steps - 1:
            shown = ", ".join(f"{name} {share:.2f}" for name, share in zip(HEADS, right, strict=True))
            print(f"{step} loss {float(torch.stack(losses).sum()):.3f} {shown}", flush=True)
    clip.eval().save_pretrained(args.out)


if __name__ == "__main__":
    main()
