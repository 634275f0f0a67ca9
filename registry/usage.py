"""Which pictures were drawn with which files: how often, when last, and as what the pictures name them.

A picture counts once, by its content, wherever it lies and whoever drew it; that it was deleted since takes nothing
back. What it names is kept even where no file fits (:mod:`registry.usage_match` looks again). All of it is known to
this machine only: two that look into one shared folder would otherwise count each picture twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

Kind = Literal["lora", "checkpoint", "embedding", "vae", "controlnet"]

MAX_PROMPT = 1000
"""Characters of a prompt that are kept."""


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture says that it was drawn with.

    ``name`` may have folders and an ending, ``hash`` is lower-case hex of any of the usual kinds and lengths,
    ``civitai_id`` a version's number there (0 if not told), ``strength`` that of the diffusion model.
    """

    kind: Kind
    name: str
    hash: str = ""
    civitai_id: int = 0
    strength: float | None = None


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """One picture. ``content`` tells it from any other picture, ``made_at`` is a timestamp, ``path`` where it lies."""

    content: str
    made_at: str
    tool: str
    path: str
    uses: tuple[Used, ...]
    prompt: str = ""


def drawn_here(key: str) -> str:
    """``Drawing.content`` of the picture that hubman draws for the request with this key, in whatever folder."""
    return f"hubman:{key}"


def record(db: sqlite3.Connection, drawings: Iterable[Drawing]) -> list[int]:
    """Note the pictures and count those that are new; returns a number for each. Call inside a transaction.

    Names that were never seen before count from the next :func:`registry.usage_match.refresh` on, except SHA-256s of
    files that are known.
    """
    images: list[int] = []
    counted: dict[str, tuple[int, str]] = {}
    redated: set[str] = set()
    for drawing in drawings:
        known = db.execute("SELECT id, made_at FROM images WHERE content = ?", (drawing.content,)).fetchone()
        if known is None:
            image, files = _insert(db, drawing)
            for sha256 in files:
                times, last_at = counted.get(sha256, (0, ""))
                counted[sha256] = times + 1, max(last_at, drawing.made_at)
        else:
            image = int(known[0])
            db.execute("UPDATE images SET path = ? WHERE id = ?", (drawing.path, image))
            # A copy is often younger than what it was copied from.
            if drawing.made_at < known[1]:
                db.execute("UPDATE images SET made_at = ? WHERE id = ?", (drawing.made_at, image))
                redated |= _files_in(db, image)
        images.append(image)
    _add(db, counted)
    recount(db, redated)
    return images


def _insert(db: sqlite3.Connection, drawing: Drawing) -> tuple[int, set[str]]:
    """(number, SHA-256s of the known files that it was drawn with)."""
    image = db.execute(
        "INSERT INTO images (content, made_at, tool, prompt, path) VALUES (?, ?, ?, ?, ?)",
        (drawing.content, drawing.made_at, drawing.tool, drawing.prompt[:MAX_PROMPT], drawing.path),
    ).lastrowid
    assert image is not None, "an INSERT has a row"  # noqa: S101 - for the type checker
    files = set()
    for used in drawing.uses:
        resource, sha256 = _resource(db, used)
        db.execute("INSERT OR IGNORE INTO image_uses VALUES (?, ?, ?)", (resource, image, used.strength))
        if sha256:
            files.add(sha256)
    return image, files


def _resource(db: sqlite3.Connection, used: Used) -> tuple[int, str | None]:
    names = (used.kind, used.name, used.hash, used.civitai_id)
    sql = "SELECT id, sha256 FROM image_resources WHERE kind = ? AND name = ? AND hash = ? AND civitai_id = ?"
    known = db.execute(sql, names).fetchone()
    if known is not None:
        return known[0], known[1]
    is_file = db.execute("SELECT 1 FROM files WHERE sha256 = ?", (used.hash,)).fetchone() is not None
    found = (used.hash, "hash") if is_file else (None, "")
    made = db.execute(
        "INSERT INTO image_resources (kind, name, hash, civitai_id, sha256, found_by) VALUES (?, ?, ?, ?, ?, ?)",
        (*names, *found),
    )
    return int(made.lastrowid or 0), found[0]


def _files_in(db: sqlite3.Connection, image: int) -> set[str]:
    rows = db.execute(
        "SELECT r.sha256 FROM image_uses u JOIN image_resources r ON r.id = u.resource "
        "WHERE u.image = ? AND r.sha256 IS NOT NULL",
        (image,),
    )
    return {row[0] for row in rows}


def _add(db: sqlite3.Connection, counted: Mapping[str, tuple[int, str]]) -> None:
    db.executemany(
        "INSERT INTO usage VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET times = times + excluded.times, "
        "last_at = max(last_at, excluded.last_at)",
        [(sha256, times, last_at) for sha256, (times, last_at) in counted.items()],
    )
    _show(db, counted)


def recount(db: sqlite3.Connection, files: Iterable[str]) -> None:
    """Count the pictures of these files (SHA-256s) anew. Call inside a transaction."""
    wanted = sorted(set(files))
    for sha256 in wanted:
        db.execute("DELETE FROM usage WHERE sha256 = ?", (sha256,))
        db.execute(
            "INSERT INTO usage SELECT r.sha256, count(DISTINCT u.image), max(i.made_at) FROM image_resources r "
            "JOIN image_uses u ON u.resource = r.id JOIN images i ON i.id = u.image WHERE r.sha256 = ? GROUP BY r.sha256",
            (sha256,),
        )
    _show(db, wanted)


def forget(db: sqlite3.Connection, images: Sequence[int]) -> None:
    """Take pictures out of the counts. Call inside a transaction."""
    files: set[str] = set()
    for image in images:
        files |= _files_in(db, image)
        db.execute("DELETE FROM image_uses WHERE image = ?", (image,))
        db.execute("DELETE FROM images WHERE id = ?", (image,))
    db.execute("DELETE FROM image_resources WHERE id NOT IN (SELECT resource FROM image_uses)")
    recount(db, files)


_SHOW = """
UPDATE listing SET (uses, used_at) = (
    SELECT coalesce(sum(t.times), 0), max(t.last_at) FROM versions v JOIN files f ON f.version_id = v.id
        JOIN usage t ON t.sha256 = f.sha256 WHERE v.model_id = listing.id)
WHERE number IN (SELECT m.search_id FROM files f JOIN versions v ON v.id = f.version_id JOIN models m ON m.id = v.model_id
    WHERE f.sha256 = ?)
"""


def _show(db: sqlite3.Connection, files: Iterable[str]) -> None:
    """Bring the listing's rows of the files' models in step."""
    db.executemany(_SHOW, [(sha256,) for sha256 in files])
