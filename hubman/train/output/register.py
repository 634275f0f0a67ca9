"""A finished training becomes a model of the library, with its lineage: run, losses, samples, epochs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from hubman.train.output.result import EpochFile, TrainResult
from registry import blobs, ids, library, previews, timestamps
from registry.database import Registry
from registry.records import RunEpoch
from registry.scan import index_file

MAX_POINTS = 500
"""Points of a loss curve that are kept for good."""

_OF_FAMILY = {
    "tiny": "Other",
    "sd15": "SD 1.5",
    "pony": "Pony",
    "illustrious": "Illustrious",
    "noobai": "NoobAI",
    "zimage": "ZImageBase",
    "zimage_turbo": "ZImageTurbo",
}
_OF_VERSION = {
    "sd_v2": "SD 2.1",
    "sd_v2_v": "SD 2.1 768",
    "medium": "SD 3",
    "5-medium": "SD 3.5 Medium",
    "5-large": "SD 3.5 Large",
}
"""By ``ss_base_model_version``, where a family has several."""


def register(registry: Registry, result: TrainResult, *, started_at: str) -> str:
    """Copy the LoRA and those of its epochs among the models, index them, and write the run down.

    The epochs are versions of one model, the final one the newest: its id is returned. Doing it again for the same file
    changes nothing.
    """
    folder = registry.models_folder / "trained"
    earlier = [(each, index_file(registry, place(folder, each.path))) for each in result.epoch_files]
    path = place(folder, result.path, result.sha256)
    version = index_file(registry, path)
    facts: dict[str, object] = {"strength": result.strength, "version_name": "v1.0", "run_id": version}
    if base := _base_model(result):
        facts["base_model"] = base
    model = library.version(registry, version).model_id
    library.set_facts(registry, version, "training", facts)
    library.set_facts(
        registry, model, "training", {"name": result.recipe.output, "alias": path.stem, "origin": "trained"}
    )
    for file, one in earlier:
        named = {"model": model, "version_name": f"epoch {file.epoch}"}
        library.set_facts(registry, one, "training", {**facts, **named})
    if result.trigger:
        for one in (version, *(each for _, each in earlier)):
            library.update_set(registry, one, "trigger_words", add=[result.trigger])
    library.update_set(registry, model, "tags", add=[result.recipe.kind])
    samples = _keep_samples(registry, version, result)
    if library.run_of(registry, version) is None:
        last = EpochFile(result.path, result.recipe.length.epochs, result.steps)
        epochs = _epochs([*earlier, (last, version)], result, samples)
        library.add_record(registry, "run", version, _run(version, result, samples, epochs, started_at))
    return version


def _epochs(files: list[tuple[EpochFile, str]], result: TrainResult, samples: list[str]) -> list[RunEpoch]:
    """What there is of each epoch; ``samples`` are the hashes of ``result.samples``, in their order."""
    drawn: dict[int, list[str]] = {}
    for sample, kept in zip(result.samples, samples, strict=True):
        drawn.setdefault(sample.epoch, []).append(kept)
    validation = dict(enumerate(result.validation))
    return [
        RunEpoch(
            epoch=file.epoch,
            step=file.step,
            version_id=version,
            validation=validation.get(file.epoch),
            samples=drawn.get(file.epoch, []),
        )
        for file, version in files
    ]


def place(folder: Path, source: Path, sha256: str = "") -> Path:
    """Copy ``source`` into ``folder`` under a free name; a file of this content that is there already is kept."""
    from registry.hashing import hash_file

    sha256 = sha256 or hash_file(source).sha256
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        target = folder / (source.name if number == 1 else f"{source.stem}-{number}{source.suffix}")
        if not target.exists():
            break
        if target.stat().st_size == source.stat().st_size and hash_file(target).sha256 == sha256:
            return target
    temporary = folder / f".{ids.new_id()}.part"
    shutil.copyfile(source, temporary)
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(target)
    return target


def _base_model(result: TrainResult) -> str:
    """Civitai's name for the base, by what it says itself or by the recipe's family. The embedded one is no model that
    others have: ``Other``.

    Empty for the families whose members tensors do not tell apart, SDXL and FLUX.1: there the name is what the file's
    header lets one read, and a guess stays known as one.
    """
    family = result.recipe.family
    if family in ("sd2", "sd35"):
        return _OF_VERSION.get(result.base_model_version, "")
    return _OF_FAMILY.get(family, "")


def _keep_samples(registry: Registry, version: str, result: TrainResult) -> list[str]:
    """Every sample goes into the blob store; the last epoch's become previews. Returns their hashes, by epoch."""
    last = max((sample.epoch for sample in result.samples), default=0)
    kept = []
    for sample in result.samples:
        if sample.epoch == last and last > 0:
            generation = {"prompt": sample.prompt, "seed": sample.seed, "epoch": sample.epoch}
            kept.append(previews.add_preview(registry, version, sample.path, generation=generation, source="training"))
        else:
            kept.append(blobs.store(registry, sample.path))
    return kept


def _run(
    version: str, result: TrainResult, samples: list[str], epochs: list[RunEpoch], started_at: str
) -> dict[str, object]:
    return {
        "id": version,
        "version_id": version,
        "name": result.recipe.output,
        "recipe": result.recipe.public(),
        "dataset_fingerprint": result.dataset_fingerprint,
        "images": result.images,
        "seed": result.recipe.seed,
        "steps": result.steps,
        "seconds": round(result.seconds, 3),
        "final_loss": result.final_loss,
        "losses": losses(result.metrics_path),
        "samples": samples,
        "checkpoints": [file.path.name for file in result.epoch_files],
        "epochs": msgspec.to_builtins(epochs),
        "best": result.best.epoch if result.best else None,
        "reason": result.best.reason if result.best else "",
        "base": result.base_name,
        "versions": result.versions,
        "memory_peak": result.forecast.need.total if result.forecast and result.forecast.corrected else 0,
        "started_at": started_at,
        "finished_at": timestamps.now(),
    }


def losses(metrics: Path) -> list[tuple[int, float]]:
    """``[step, loss]`` pairs of a metrics file, at most :data:`MAX_POINTS`: each the mean of its stretch."""
    points = []
    for line in metrics.read_bytes().splitlines():
        entry = msgspec.json.decode(line)
        if "loss" in entry and "step" in entry:
            points.append((int(entry["step"]), float(entry["loss"])))
    stretch = -(-len(points) // MAX_POINTS) or 1
    parts = [points[i : i + stretch] for i in range(0, len(points), stretch)]
    return [(part[-1][0], round(sum(loss for _, loss in part) / len(part), 6)) for part in parts]
