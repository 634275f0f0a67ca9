"""The scan clock: after a delay, files get their hashes and images their approval; scheduled things go public."""

from __future__ import annotations

from datetime import datetime, timedelta

from hubman.civitai.wire import iso
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World
from registry.hashing import FileHashes, hash_file

SHOWN_AUTOV3 = 12
"""Civitai computes 64 digits of AutoV3 and shows so many."""


def pending(world: World) -> Doc:
    """The fields of a file that is waiting for its scan."""
    return {
        "scanDue": iso(world.now() + timedelta(seconds=world.settings.scan_delay)),
        "virusScanResult": "Pending", "virusScanMessage": None, "pickleScanResult": "Pending",
        "pickleScanMessage": None, "scannedAt": None, "hashes": {},
    }  # fmt: skip


def settle(world: World) -> None:
    """Do what has fallen due. Called at the start of every request: no clock of its own runs."""
    now = world.now()
    with world.store.transaction():
        for file in world.store.in_state("file", "Pending"):
            if datetime.fromisoformat(file["scanDue"]) <= now:
                world.store.put("file", {**file, **_scanned(world, file)})
        for image in world.store.in_state("image", "Pending"):
            if datetime.fromisoformat(image["scanDue"]) <= now:
                world.store.put("image", {**image, **_ingested(image)})
        _publish_due(world, now)


def _scanned(world: World, file: Doc) -> Doc:
    path = world.blob_path(file["key"])
    if not path.exists():
        return {
            "virusScanResult": "Error",
            "virusScanMessage": "The file could not be read",
            "pickleScanResult": "Error",
        }
    verdict = "Danger" if "infected" in file["name"] else "Success"
    return {
        "virusScanResult": verdict,
        "pickleScanResult": "Success",
        "scannedAt": world.timestamp(),
        "hashes": shown(hash_file(path)),
    }


def shown(hashes: FileHashes) -> dict[str, str]:
    """Hashes as the site shows them: upper case, AutoV3 cut to 12 digits."""
    values = {
        "AutoV1": hashes.autov1,
        "AutoV2": hashes.autov2,
        "SHA256": hashes.sha256,
        "CRC32": hashes.crc32,
        "BLAKE3": hashes.blake3,
        "AutoV3": hashes.autov3[:SHOWN_AUTOV3] if hashes.autov3 else None,
    }
    return {kind: value.upper() for kind, value in values.items() if value}


def _ingested(image: Doc) -> Doc:
    if "blocked" in (image.get("name") or ""):
        return {"ingestion": "Blocked", "blockedFor": "tos"}
    return {"ingestion": "Scanned", "nsfwLevel": 1}


def _publish_due(world: World, now: datetime) -> None:
    for version in world.store.in_state("version", "Scheduled"):
        # A scheduled version without files stays where it is.
        if datetime.fromisoformat(version["publishedAt"]) <= now and world.files(version["id"]):
            world.store.put("version", {**version, "status": "Published"})
    for model in world.store.in_state("model", "Scheduled"):
        if datetime.fromisoformat(model["publishedAt"]) <= now:
            world.store.put("model", {**model, "status": "Published"})
