"""From what a person asks for to the request of a job, with all refusals that headers allow. No torch is needed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hubman.lora.blocks import read_blocks
from hubman.lora.derive import parents as kin
from hubman.lora.derive.request import ExtractRequest, MergeRequest, ResizeRequest, stated
from registry import library
from registry.database import Registry
from registry.errors import DamagedFileError, NotFoundError, UsageError
from registry.headers import read_header
from registry.safe_name import safe_part

FOLDER = "merged"
_ENDING = ".safetensors"


def merge(
    registry: Registry, refs: Sequence[str], out: str | None, base: Path | None, blocks: Sequence[str],
    chosen: Mapping[str, Any],
) -> tuple[MergeRequest, list[kin.Known]]:  # fmt: skip
    """The request for ``refs`` (``NAME:RATIO``) with the fields ``chosen``. Raises ``HubError`` for what can't be merged."""
    if not refs:
        raise UsageError("nothing is named to be merged", "hubman merge A:0.7 B:0.5")
    if len(blocks) not in (0, 1, len(refs)):
        raise UsageError(f"{len(blocks)} times --blocks for {len(refs)} LoRAs", "give one for all, or one for each")
    weights = [*blocks] * len(refs) if len(blocks) == 1 else [*blocks] or [""] * len(refs)
    for one in weights:
        read_blocks(one)
    known = [
        kin.find(registry, *kin.split_ratio(ref), blocks=weight) for ref, weight in zip(refs, weights, strict=True)
    ]
    kin.refuse_strangers(known, str(base or ""))
    rank = {"rank": None} if chosen.get("method") == "concat" else {}
    request = MergeRequest(
        parents=tuple(one.parent for one in known),
        out=str(target(registry, out, "+".join(one.parent.name for one in known))),
        base=_base(base),
        trigger_words=kin.trigger_words(known),
        **{**rank, **chosen},
    )
    return request, known


def repeated(registry: Registry, ref: str, out: str | None, base: Path | None) -> tuple[MergeRequest, list[kin.Known]]:
    """The request that the header of ``ref`` (a path, or what the library calls it) tells of."""
    header = kin.find(registry, ref).header.metadata
    recipe = stated(header)
    if recipe is None:
        raise UsageError(f"{ref} does not say what it was merged from", "only hubman's own merges can be repeated")
    known = [kin.again(registry, one) for one in recipe.parents]
    kin.refuse_strangers(known, str(base or ""))
    named = header.get("modelspec.merged_from", "").split(", ")
    if len(named) == len(known):
        known = [kin.renamed(one, name) for one, name in zip(known, named, strict=True)]
    title = header.get("ss_output_name", "")
    words = header.get("modelspec.trigger_phrase", "")
    request = MergeRequest(
        parents=tuple(one.parent for one in known),
        out=str(target(registry, out, title or "merge")),
        method=recipe.method,
        rank=recipe.rank,
        density=recipe.density,
        seed=recipe.seed,
        dtype=recipe.dtype,
        base=_base(base),
        title="" if out else title,
        trigger_words=tuple(words.split(", ")) if words else (),
    )
    return request, known


def resize(
    registry: Registry, ref: str, out: str | None, base: Path | None, rules: Mapping[str, Any]
) -> tuple[ResizeRequest, kin.Known]:
    """The request for ``ref`` with the fields ``rules``. Raises ``UsageError`` where no rule is given."""
    if not any(rules.get(name) for name in ("rank", "keep", "sv_ratio", "count")):
        raise UsageError("no rule says what to keep", "give --rank, --keep, --sv-ratio or --count")
    known = kin.find(registry, ref)
    kin.refuse_strangers([known], str(base or ""))
    request = ResizeRequest(
        parent=known.parent,
        out=str(target(registry, out, f"{known.parent.name} resized")),
        base=_base(base),
        trigger_words=kin.trigger_words([known]),
        **rules,
    )
    return request, known


def extract(registry: Registry, tuned: Path, base: Path, out: str | None, rules: Mapping[str, Any]) -> ExtractRequest:
    """The request for two checkpoints. Raises ``NotFoundError`` where one is not there, ``UsageError`` for one that is both."""
    if not tuned.exists():
        raise NotFoundError(f"{tuned} is not there", "give a checkpoint or a diffusers folder")
    base = base if base.exists() else Path(_base(base))
    if tuned.resolve() == base.resolve():
        raise UsageError("both are the same checkpoint", "give the tuned one and the one that it was made from")
    return ExtractRequest(
        tuned=str(tuned.absolute()),
        base=str(base.absolute()),
        out=str(target(registry, out, f"{tuned.stem} lora")),
        **rules,
    )


def is_written(request: MergeRequest | ResizeRequest | ExtractRequest) -> bool:
    """Whether the file of ``request`` is in its place already, by what its header says."""
    path = Path(request.out)
    if not path.is_file():
        return False
    try:
        said = msgspec.json.decode(read_header(path).metadata.get(request.entry, "{}"))
    except (DamagedFileError, msgspec.DecodeError, RecursionError):
        return False
    return isinstance(said, dict) and all(said.get(name) == value for name, value in request.recipe().items())


def target(registry: Registry, out: str | None, default: str) -> Path:
    """Where the file goes: ``out`` in the library's folder unless it is a path; without it a free name there.

    Raises ``UsageError`` where something is there already, and for a name there that a model has: no prompt could tell the
    two apart.
    """
    folder = registry.models_folder / FOLDER
    if out is None:
        stem = safe_part(default, fallback="merge")
        paths = (folder / f"{stem}{f'-{number}' if number > 1 else ''}{_ENDING}" for number in range(1, 10_000))
        return next(path for path in paths if not path.exists() and not library.is_called(registry, path.stem))
    path = Path(out).expanduser()
    if path.suffix != _ENDING:
        path = path.with_name(path.name + _ENDING)
    path = folder / path if path == Path(path.name) and not out.endswith(_ENDING) else path.absolute()
    if path.exists():
        raise UsageError(f"{path} is there already", "name another file with -o")
    if path.parent == folder and library.is_called(registry, path.stem):
        raise UsageError(f"a model is called {path.stem} already", "name the new one otherwise with -o")
    return path


def _base(base: Path | None) -> str:
    from hubman import bases

    return str(bases.find(str(base))) if base else ""
