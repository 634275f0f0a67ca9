"""The files of a generated version: one, or several that a pull must choose among."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hubman.sandbox.catalogue import contents, numbers
from hubman.sandbox.scan import shown
from hubman.sandbox.store import Doc

_FORMATS = {"safetensors": "SafeTensor", "pt": "PickleTensor", "ckpt": "PickleTensor", "gguf": "GGUF"}
_QUANTS = ("Q8_0", "Q5_K_M", "Q4_K_M")


@dataclass(frozen=True)
class Sort:
    """What tells one file of a version from the others."""

    suffix: str
    type: str = "Model"
    size: str = "full"
    fp: str | None = "fp16"
    quant: str | None = None
    visibility: str = "Public"


def make(version: Doc, stem: str, form: str, suffix: str, chance: random.Random) -> list[Doc]:
    """The files of ``version``, of which the first of type ``Model`` is the primary one."""
    return [_file(version, stem, form, which, sort) for which, sort in enumerate(_sorts(form, suffix, chance))]


def _sorts(form: str, suffix: str, chance: random.Random) -> list[Sort]:
    if suffix in {"zip", "json"}:
        return [Sort(suffix, type="Archive" if suffix == "zip" else "Workflow", fp=None)]
    if suffix == "gguf":
        return [Sort("gguf", fp=None, quant=quant) for quant in _QUANTS]
    if form.startswith("checkpoint"):
        several = [
            Sort(suffix, size="pruned"),
            Sort(suffix, fp="fp32"),
            Sort("ckpt", fp="fp32"),
            Sort(suffix, fp="fp8"),
        ]
        parts = [Sort(suffix, type="VAE"), Sort("yaml", type="Config", fp=None)]
        return several[: chance.randrange(1, 5)] + parts[: chance.choice((0, 0, 1, 2))]
    if chance.random() < 0.05:
        return [Sort("zip", type="Archive")]
    extra = [Sort("zip", type="Training Data", fp=None, visibility=chance.choice(("Public", "Private")))]
    wide = [Sort(suffix, fp="fp32")] if chance.random() < 0.05 else []
    return [Sort(suffix), *wide, *(extra if chance.random() < 0.15 else [])]


def _file(version: Doc, stem: str, form: str, which: int, sort: Sort) -> Doc:
    number = numbers.file(version["id"], which)
    key = contents.key(number, {"VAE": "vae", "Training Data": "training"}.get(sort.type, form), sort.suffix)
    body = contents.from_key(key) or b""
    marks = [
        mark for mark in (sort.size if sort.size == "pruned" else "", sort.fp if which else "", sort.quant) if mark
    ]
    return {
        **blank(number, version, f"{'_'.join([stem, *marks])}.{sort.suffix}"), "type": sort.type, "key": key,
        "sizeKB": len(body) / 1024, "visibility": sort.visibility, "hashes": shown(contents.hashes(body, sort.suffix)),
        "metadata": {
            "format": _FORMATS.get(sort.suffix, "Other"), "size": sort.size, "fp": sort.fp, "quantType": sort.quant,
        },
    }  # fmt: skip


def blank(number: int, version: Doc, name: str) -> Doc:
    """A scanned file of ``version``, without bytes or hashes."""
    stamp = version["createdAt"]
    return {
        "id": number, "modelVersionId": version["id"], "name": name, "url": "", "sizeKB": 1024.0, "type": "Model",
        "visibility": "Public", "metadata": {"format": "SafeTensor", "size": "full", "fp": "fp16"},
        "overrideName": None, "backend": "b2", "key": f"absent/{number}", "createdAt": stamp, "scanDue": stamp,
        "virusScanResult": "Success", "virusScanMessage": None, "pickleScanResult": "Success",
        "pickleScanMessage": None, "scannedAt": stamp, "hashes": {},
    }  # fmt: skip
