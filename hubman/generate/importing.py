"""A picture of any program as a request: its settings, its LoRAs and base found on this machine, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from hubman import bases
from hubman.generate.naming import lora_use
from hubman.generate.request import DrawRequest, LoraUse, check
from hubman.generate.samplers import split_name
from hubman.generate.schedules import AUTOMATIC
from hubman.images.telling import tell
from hubman.images.told import Told, ToldLora
from registry import here, library, picture_text, usage_match
from registry.database import Registry
from registry.errors import HubError, NotFoundError, UsageError
from registry.usage import Used


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """``remarks`` tell in what the request is not what the picture was drawn with."""

    request: DrawRequest
    remarks: tuple[str, ...]


def tell_of(picture: Path) -> Told:
    """What ``picture`` tells of its making. Raises ``NotFoundError`` where it tells nothing."""
    try:
        with picture.open("rb") as file:
            told = tell(picture_text.read(file).texts)
    except OSError as error:
        raise NotFoundError(f"{picture} can't be read ({error.strerror})", "give a PNG, JPEG or WebP") from error
    if told is None:
        raise NotFoundError(
            f"{picture.name} does not tell how it was drawn", "its program or a site may have stripped it"
        )
    return told


def import_picture(registry: Registry, picture: Path, base: str = "", *, trust_hashes: bool = False) -> Imported:
    """The request nearest to how ``picture`` was drawn, on ``base`` or on the base that it names.

    LoRAs that are not here are left out, and said. Raises ``HubError`` where the base is not here.
    """
    told = tell_of(picture)
    remarks = list(told.remarks)
    path = bases.find(base) if base else _base(registry, told)
    loras = tuple(_loras(registry, told, remarks, trust_hashes))
    request = DrawRequest(
        base=str(path), prompt=told.prompt, negative=told.negative, loras=loras,
        **{**bases.drawing(path), **_settings(told, remarks)},
    )  # fmt: skip
    check(request)
    return Imported(request=request, remarks=tuple(remarks))


def _settings(told: Told, remarks: list[str]) -> dict[str, Any]:
    """The fields of a request that are told, as far as they can be drawn."""
    names = ("seed", "steps", "cfg", "width", "height", "clip_skip", "emphasis", "hires")
    found: dict[str, Any] = {name: value for name in names if (value := getattr(told, name)) is not None}
    for name in ("width", "height"):
        if name in found and found[name] % 8:
            found[name] -= found[name] % 8
            remarks.append(f"its {name} becomes {found[name]}, a multiple of 8")
    if found.get("seed", 0) >= 1 << 63:
        found["seed"] %= 1 << 63
        remarks.append(f"its seed becomes {found['seed']}")
    if told.sampler:
        found |= _sampler(told, remarks)
    return found


def _sampler(told: Told, remarks: list[str]) -> dict[str, Any]:
    """Sampler and schedule type as far as they can be drawn."""
    for schedule in dict.fromkeys((told.schedule or AUTOMATIC, AUTOMATIC)):
        try:
            name, kind = split_name(told.sampler, schedule)
        except UsageError as error:
            remarks.append(f"its sampler is not kept: {error}")
        else:
            return {"sampler": name, "schedule": kind}
    return {}


def find_lora(registry: Registry, lora: ToldLora, *, trust_hash: bool = False) -> usage_match.Named:
    """The file that the picture means by the name and hash of a LoRA."""
    return usage_match.named(registry, Used(kind="lora", name=lora.name, hash=lora.hash), trust_hash=trust_hash)


def _loras(registry: Registry, told: Told, remarks: list[str], trust_hashes: bool) -> Iterator[LoraUse]:
    seen: set[str] = set()
    for lora in told.loras:
        found = find_lora(registry, lora, trust_hash=trust_hashes)
        if found.sha256 is None:
            why = found.problem or "is not on this machine"
            remarks.append(f"LoRA {lora.name} {why}: it is left out")
            continue
        if found.elsewhere:
            chosen = "hash" if trust_hashes else "name"
            remarks.append(f"name and hash of LoRA {lora.name} are of different files: the {chosen} counts")
        if found.sha256 in seen:
            remarks.append(f"LoRA {lora.name} is named twice: the first counts")
            continue
        seen.add(found.sha256)
        try:
            use = lora_use(registry, library.resolve(registry, found.sha256)[1], lora.strength)
        except HubError as error:
            remarks.append(f"LoRA {lora.name} is left out: {error}")
            continue
        changes = msgspec.structs.asdict(lora)
        kept = {name: changes[name] for name in ("te_strength", "start", "stop", "blocks", "rank")}
        yield msgspec.structs.replace(use, **kept)


def _base(registry: Registry, told: Told) -> Path:
    if told.model in {bases.EMBEDDED, bases.display_name(bases.find(bases.EMBEDDED))}:
        return bases.find(bases.EMBEDDED)
    found = usage_match.named(registry, Used(kind="checkpoint", name=told.model, hash=told.model_hash))
    if found.sha256 is not None:
        version = library.version(registry, library.resolve(registry, found.sha256)[1])
        if lying := here.file_of(version):
            return bases.find(str(lying[1]))
    raise NotFoundError(f"the base model {told.model or 'of the picture'} is not known here", "name one with --base")
