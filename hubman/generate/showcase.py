"""Pictures for a LoRA's page: drawn at its recommended strength, with prompts from the captions that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from hubman import bases
from hubman.generate import record
from hubman.generate.client import Engine
from hubman.generate.grids import cells
from hubman.generate.naming import lora_use
from hubman.generate.request import DrawRequest
from hubman.generate.told import as_generation
from hubman.progress import Report
from hubman.train.data.dataset import read_caption, training_files
from registry import library, previews
from registry.database import Registry
from registry.errors import NotFoundError

COUNT = 4
_TAGS = 6
"""Tags of a prompt that is made from counts of tags, for want of captions."""


def prompts(dataset: str, metadata: dict[str, str], words: Sequence[str], count: int = COUNT) -> list[str]:
    """``count`` prompts: captions from all over the dataset, else the most frequent tags, else the trigger words.

    Each has the first trigger word. Raises :class:`NotFoundError` where nothing at all is known.
    """
    known = _captions(Path(dataset)) if dataset else []
    known = known or _tags(metadata) or [", ".join(words)]
    if not any(known):
        raise NotFoundError("nothing tells what to draw", "set trigger words, or add previews of your own")
    spread = [known[number * len(known) // min(count, len(known))] for number in range(min(count, len(known)))]
    chosen = [spread[number % len(spread)] for number in range(count)]
    trigger = words[0] if words else ""
    return [text if trigger in text else f"{trigger}, {text}" for text in chosen]


def _captions(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    told = (read_caption(image.path)[0] for image in training_files(folder))
    return list(dict.fromkeys(line for text in told for line in (text or "").splitlines()))


def _tags(metadata: dict[str, str]) -> list[str]:
    """One prompt out of ``ss_tag_frequency`` (folder to tag to count)."""
    try:
        counts = msgspec.json.decode(metadata.get("ss_tag_frequency", ""), type=dict[str, dict[str, int]])
    except msgspec.MsgspecError:
        return []
    total: dict[str, int] = {}
    for tags in counts.values():
        for tag, number in tags.items():
            total[tag.strip()] = total.get(tag.strip(), 0) + number
    most = sorted(total, key=lambda tag: (-total[tag], tag))[:_TAGS]
    return [", ".join(most)] if most else []


def base_for(architecture: str, base_path: str) -> str:
    """The base model to draw with: the one that it was trained on. Raises :class:`NotFoundError` where it is not here."""
    if architecture == "tiny":
        return bases.EMBEDDED
    if base_path and Path(base_path).exists():
        return base_path
    raise NotFoundError("the base model that it was trained on is not known here", "name one with --base")


def draw(
    registry: Registry, engine: Engine, request: dict[str, Any], *, report: Report, should_stop: record.Stop
) -> list[str]:
    """Draw what a ``showcase`` job asks for and show it with the version; returns the pictures' SHA-256.

    ``request``: ``version_id``, ``prompts``, optional ``base``, ``negative``, ``strength``, ``steps``, ``cfg``, ``sampler``.
    """
    version_id = request["version_id"]
    use = lora_use(registry, version_id, request.get("strength"))
    base = bases.find(str(request.get("base", bases.EMBEDDED)))
    names = ("negative", "steps", "cfg", "sampler", "width", "height")
    chosen = {name: request[name] for name in names if request.get(name) is not None}
    chosen = {**bases.drawing(base), **chosen}
    requests = [
        DrawRequest(base=str(base), prompt=prompt, loras=(use,), seed=seed, **chosen)
        for seed, prompt in enumerate(request["prompts"])
    ]
    folder = record.generations_folder(registry) / f"showcase-{library.version(registry, version_id).id[:12]}"
    for _ in cells.draw_requests(requests, folder, engine, report=report, cancelled=should_stop):
        pass
    paths = [cells.cell_path(folder, one) for one in requests]
    return [
        previews.add_preview(registry, version_id, path, generation=as_generation(one), source="user", name=path.name)
        for one, path in zip(requests, paths, strict=True)
    ]
