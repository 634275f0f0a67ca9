"""The bytes behind a storage key; those of the generated catalogue are made when they are first asked for."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from hubman.sandbox.catalogue import contents
from hubman.sandbox.world import World


def find(world: World, key: str) -> Path | None:
    """The file with the bytes of ``key``, or None when nothing was ever put there."""
    path = world.blob_path(key)
    if path.exists():
        return path
    made = contents.from_key(key)
    if made is None:
        return None
    write(path, made)
    return path


async def receive(path: Path, blocks: AsyncIterator[bytes]) -> tuple[str, int]:
    """Write a body as it comes, whole or not at all; returns its MD5 and its length in bytes."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    digest, length = hashlib.md5(usedforsecurity=False), 0
    try:
        with temporary.open("wb") as file:
            async for block in blocks:
                digest.update(block)
                length += file.write(block)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return digest.hexdigest(), length


def write(path: Path, body: bytes) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    temporary.write_bytes(body)
    temporary.replace(path)
