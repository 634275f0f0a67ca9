"""Pictures that say what they were drawn with: as rows of the registry, and as files in the formats of the programs."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from registry import usage

MADE_AT = "2026-03-01T00:00:00.000Z"


def draw(
    db: sqlite3.Connection,
    *files: str,
    at: str = MADE_AT,
    content: str = "",
    strength: float | None = None,
    prompt: str = "",
) -> int:
    """A picture that was drawn with these files (SHA-256s); without a ``content`` a new one. Inside a transaction."""
    uses = tuple(usage.Used(kind="lora", name="", hash=sha256, strength=strength) for sha256 in dict.fromkeys(files))
    number = db.execute("SELECT count(*) FROM images").fetchone()[0]
    drawing = usage.Drawing(
        content=content or f"picture {number}",
        made_at=at,
        tool="a1111",
        path=f"/nowhere/{number}.png",
        uses=uses,
        prompt=prompt,
    )
    return usage.record(db, [drawing])[0]


def write_png(path: Path, texts: Mapping[str, str], *, number: int = 0, international: bool = False) -> Path:
    """A PNG whose pixels follow from ``number``, with a text chunk for each keyword."""
    chunks = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        if international:
            chunks.add_itxt(keyword, text, zip=True)
        else:
            chunks.add_text(keyword, text, zip=len(text) > 2000)
    path.parent.mkdir(parents=True, exist_ok=True)
    _pixels(number).save(path, "PNG", pnginfo=chunks)
    return path


def write_exif(path: Path, tags: Mapping[int, Any], *, number: int = 0) -> Path:
    """A JPEG or WebP, by its ending, with these tags; 0x9286 (UserComment) goes where the format wants it."""
    exif = Image.Exif()
    for tag, value in tags.items():
        if tag == 0x9286:
            exif.get_ifd(0x8769)[tag] = value
        else:
            exif[tag] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    _pixels(number).save(path, exif=exif)
    return path


def _pixels(number: int) -> Image.Image:
    image = Image.new("RGB", (16, 16))
    image.putdata([((number * 37 + at) % 256, (number * 91 + at * 7) % 256, at % 256) for at in range(256)])
    return image


def comment(text: str) -> bytes:
    """A UserComment as A1111 writes it."""
    return b"UNICODE\0" + text.encode("utf-16-be")


def infotext(prompt: str, **fields: str) -> str:
    """As A1111 writes it. ``lora_hashes`` and the like become the fields ``Lora hashes``."""
    named = {name.replace("_", " ").capitalize(): value for name, value in fields.items()}
    named = {name.replace("Ti hashes", "TI hashes"): value for name, value in named.items()}
    told = ", ".join(
        f'{name}: "{value}"' if "," in value or ":" in value else f"{name}: {value}" for name, value in named.items()
    )
    return f"{prompt}\nNegative prompt: ugly\nSteps: 20, Sampler: Euler a, Seed: 1" + (f", {told}" if told else "")


def graph(
    *loaders: Mapping[str, Any], positive: str = "a lighthouse", ckpt: str = "base.safetensors"
) -> dict[str, Any]:
    """A graph in the API form: checkpoint, the loaders one after the other, text, sampler, picture."""
    nodes: dict[str, Any] = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ckpt}}}
    model = "1"
    for number, loader in enumerate(loaders, 10):
        inputs = {"model": [model, 0], "clip": ["1", 1], **loader["inputs"]}
        nodes[str(number)] = {"class_type": loader["class_type"], "inputs": inputs}
        model = str(number)
    nodes["2"] = {"class_type": "CLIPTextEncode", "inputs": {"text": positive, "clip": [model, 1]}}
    nodes["3"] = {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": [model, 1]}}
    nodes["4"] = {"class_type": "KSampler", "inputs": {"model": [model, 0], "positive": ["2", 0], "negative": ["3", 0]}}
    nodes["5"] = {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}}
    nodes["6"] = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}}
    return nodes


def loader(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def set_time(path: Path, seconds: float) -> Path:
    os.utime(path, (seconds, seconds))
    return path


def as_json(value: object) -> str:
    return json.dumps(value)
