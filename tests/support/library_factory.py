"""Libraries to look at and to test with: any number of models, made through the registry's own functions."""

from __future__ import annotations

import hashlib
import io
import random
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image, ImageDraw

from registry import changes, ids, library, previews, projection, timestamps
from registry.database import Registry
from tests.support import drawings

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BASES = ("SDXL 1.0", "SD 1.5", "Flux.1 D", "Pony", "Illustrious", None)
TYPES = ("lora", "locon", "loha", "lokr")
WORDS = (
    *("Ink", "Wash", "Line", "Weight", "Night", "Market", "Old", "Paper", "Soft", "Clay", "Neon", "Rain"),
    *("Cut", "Wood", "Block", "Quiet", "Harbour", "Glass", "Orchid"),
)
TAGS = ("style", "character", "concept", "mono", "ink", "watercolour", "photo", "anime", "clothing", "background")
CREATORS = ("mori", "atelier9", "paperfox", "nullpoint", None)


FOLDERS = ("/models/styles/", "/models/characters/", "/models/loras/2025/", "/nas/loras/")
USES: tuple[list[str], ...] = (["Image"], ["Sell", "Image"], [])


def add_model(registry: Registry, number: int, *, seed: int = 0, rich: bool = False) -> str:
    """One model of one file that lies on another machine; what it says follows from ``number``. Returns its id.

    A ``rich`` one lies here, has one of many creators and tags, and often notes, a licence and a level.
    """
    draw = random.Random(f"{seed}/{number}")
    sha256 = hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()
    version = ids.item_id(sha256)
    name = f"{' '.join(draw.sample(WORDS, 2))} v{draw.randint(1, 4)} {number}"
    rank = draw.choice((4, 8, 16, 32, 64))
    facts = {
        "version_id": version,
        "name": f"{name.lower().replace(' ', '_')}.safetensors",
        "size": draw.randint(5_000_000, 900_000_000),
        "autov2": sha256[:10],
        "autov3": hashlib.sha256(sha256.encode()).hexdigest(),
        "crc32": sha256[:8].upper(),
        "format": "safetensors",
        "network_type": draw.choice(TYPES),
        "architecture": "sdxl",
        "rank": rank,
        "alpha": rank / 2,
        "dtype": "fp16",
        "tensor_count": 722,
        "metadata": {"ss_output_name": name},
        "added_at": timestamps.of(NOW - timedelta(hours=number * 7)),
    }
    with registry.transaction() as db:
        made = [["file", sha256, facts]]
        base, creator = draw.choice(BASES), draw.choice(CREATORS)
        said: list[tuple[str, object]] = [
            ("name", name),
            ("rating", draw.choice((0, 0, 3, 4, 5))),
            ("favourite", draw.random() < 0.1),
        ]
        said += [("base_model", base)] if base else []
        said += [("creator", creator)] if creator else []
        if draw.random() < 0.6:
            said += [("strength_min", 0.4), ("strength", 0.8), ("strength_max", 1.0)]
        made += [changes.set_field(db, version, "sidecar", field, value) for field, value in said]
        made += [changes.add_to_set(db, version, "tags", tag) for tag in draw.sample(TAGS, draw.randint(0, 3))]
        made += [changes.add_to_set(db, version, "trigger_words", f"{name.split(maxsplit=1)[0].lower()} style")]
        if rich:
            made += _enriched(db, draw, number, sha256, facts["name"])
        projection.rebuild(db, changes.record(db, made) | {version})
    return version


def _enriched(
    db: sqlite3.Connection, draw: random.Random, number: int, sha256: str, file: object
) -> list[changes.Change]:
    version = ids.item_id(sha256)
    place = f"{draw.choice(FOLDERS)}{draw.randint(1, 40)}/{file}"
    state = draw.choices(("present", "missing", "damaged"), (97, 2, 1))[0]
    db.execute(
        "INSERT INTO places VALUES (?, '/models', ?, 1000, 1, 1, ?, ?, NULL, '2026-01-01T00:00:00.000Z', NULL)",
        (place, sha256, number, state),
    )
    if draw.random() < 0.02:
        at = timestamps.of(NOW - timedelta(hours=number))
        drawings.draw(db, sha256, at=at)
    said: list[tuple[str, object]] = [("nsfw_level", draw.choice((1, 2, 4, 8, 16)))]
    said += [("creator", f"creator {draw.randint(1, 400)}")] if draw.random() < 0.7 else []
    said += [("permissions", {"allowCommercialUse": draw.choice(USES)})] if draw.random() < 0.7 else []
    made = [changes.set_field(db, version, "civitai", field, value) for field, value in said]
    made += [changes.add_to_set(db, version, "tags", f"theme {draw.randint(1, 300)}")]
    if draw.random() < 0.2:
        made.append(changes.write_text(db, version, "notes", f"best with {' '.join(draw.sample(WORDS, 6)).lower()}"))
    return made


def fill(registry: Registry, count: int, *, seed: int = 0, rich: bool = False) -> list[str]:
    """``count`` models in one transaction; their ids."""
    with registry.transaction():
        return [add_model(registry, number, seed=seed, rich=rich) for number in range(count)]


_COPIED = {
    "files": ("sha256", "version_id", "autov3"), "places": ("path", "sha256", "inode"), "versions": ("id", "model_id"),
    "models": ("id", "version_id", "search_id", "name"), "tags": ("model_id",), "usage": ("sha256",),
    "listing": ("id", "number", "name"),
}  # fmt: skip
"""Tables that lists and queries read, each with the columns that must differ from copy to copy."""


def fill_fast(registry: Registry, count: int, first: int = 2_500) -> None:
    """About ``count`` rich models, of which only the ``first`` are made and the others copied from table to table.

    The copies have nothing that was said of them, so they are to be read and not to be changed.
    """
    fill(registry, min(first, count), rich=True)
    with registry.transaction() as db:
        for copy in range(1, -(-count // first)):
            for table, differing in _COPIED.items():
                _copy(db, table, differing, copy)
            columns = "model_id, name, files, triggers, tags, notes, creator"
            db.execute(
                f"INSERT INTO search (rowid, {columns}) SELECT rowid + :by, {columns} FROM search "  # noqa: S608
                "WHERE rowid IN (SELECT number FROM listing WHERE id NOT LIKE '%/%')",
                {"by": copy},
            )


def _copy(db: sqlite3.Connection, table: str, differing: tuple[str, ...], copy: int) -> None:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(
        name if name not in differing
        else f"{name} + {copy}" if name in {"search_id", "number"}
        else f"{name} + {copy * 1_000_000}" if name == "inode"
        else f"{name} || '/{copy}'"
        for name in columns
    )  # fmt: skip
    db.execute(
        f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {differing[0]} NOT LIKE '%/_' "  # noqa: S608
        f"AND {differing[0]} NOT LIKE '%/__'"
    )


def picture(number: int, size: tuple[int, int] = (256, 320)) -> bytes:
    """A PNG of a few coloured shapes."""
    draw = random.Random(number)
    image = Image.new("RGB", size, tuple(draw.randint(20, 235) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = draw.randint(0, size[0]), draw.randint(0, size[1])
        radius = draw.randint(size[0] // 10, size[0] // 3)
        box = (x - radius, y - radius, x + radius, y + radius)
        color = tuple(draw.randint(0, 255) for _ in range(3))
        (pen.ellipse if draw.random() < 0.6 else pen.rectangle)(box, fill=color)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def write_pictures(folder: Path, count: int) -> list[Path]:
    """``count`` pictures as a dataset would hold them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:02}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(picture(number))
    return paths


def add_pictures(registry: Registry, models: list[str], folder: Path) -> None:
    """A preview for each of the models."""
    for number, (model, path) in enumerate(zip(models, write_pictures(folder, len(models)), strict=True)):
        version = library.show(registry, model).versions[0].id
        previews.add_preview(registry, version, path, generation={"prompt": f"picture {number}"})
