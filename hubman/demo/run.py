"""The demo from start to end. Every step uses the verb that a person would, on the embedded base and the sandbox."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from hubman import tinybase
from hubman.civitai.client import Civitai
from hubman.demo import html
from hubman.demo import stage as staging
from hubman.demo.datasets import IMAGES, draw_dataset
from hubman.demo.records import DemoReport, Trained
from hubman.demo.stage import Stage
from hubman.generate.curve import as_rows
from hubman.generate.record import Sweep
from hubman.generate.service import asking
from hubman.jobs import store
from hubman.jobs.records import Job
from hubman.progress import Report
from hubman.sandbox import Sandbox
from registry import library
from registry.database import Registry
from registry.errors import HubError
from registry.hashing import hash_file
from registry.records import ModelRow

STYLE, MOTIF = "pastel", "watcher"
TRIGGERS = {STYLE: "softpal", MOTIF: "goggly"}
KINDS = {STYLE: "style", MOTIF: "character"}
PROMPT = "a large red heart on a yellow background"
CONTRAST = "a small blue square on a white background"
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SEEDS = 16
"""Pictures of each LoRA at each strength."""
PULLED = "Level Lines"

Outcome = tuple[bool, str, dict[str, Any]]


@dataclass
class Loop:
    """What the steps hand on to one another."""

    stage: Stage
    registry: Registry
    sandbox: Sandbox
    client: Civitai
    seeds: tuple[int, ...]
    page: str = ""
    combination: str = ""
    trained: dict[str, Trained] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)


def run(folder: Path, report: Report, *, seeds: int = SEEDS) -> DemoReport:
    """Play the whole loop in ``folder``, which must be new, empty, or an earlier demo's.

    ``seeds`` is how many pictures the sweeps draw of each LoRA at each strength.

    A step that fails is written down and the rest that depends on it is left out: the report says so.
    """
    staging.clear(folder)
    stage = Stage(folder, report)
    with (
        staging.MemoryMeter() as memory,
        staging.environment(HUBMAN_HOME=str(stage.home), HF_HUB_OFFLINE="1"),
        Registry(stage.home) as registry,
    ):
        loop = _play(stage, registry, tuple(range(1, seeds + 1)))
    result = DemoReport(
        held=bool(stage.steps) and len(stage.steps) == len(STEPS) + 1 and all(step.held for step in stage.steps),
        seconds=round(time.monotonic() - stage.started, 1),
        peak_memory_mb=memory.peak_mb,
        home=str(stage.home),
        second_home=str(stage.second_home),
        html=str(folder / "report.html"),
        page=loop.page if loop else "",
        steps=stage.steps,
        loras=list(loop.trained.values()) if loop else [],
        combination_grid=loop.combination if loop else "",
    )
    (folder / "report.html").write_text(html.page(result), encoding="utf-8")
    return result


def _play(stage: Stage, registry: Registry, seeds: tuple[int, ...]) -> Loop | None:
    loop: Loop | None = None

    def start() -> Outcome:
        nonlocal loop
        sandbox = Sandbox(stage.folder / "sandbox")
        sandbox.start()
        loop = Loop(stage, registry, sandbox, Civitai(sandbox.url, sandbox.token("creator")), seeds)
        me = loop.client.me()
        return True, f"listening on {sandbox.url}, logged in as {me.username}", {"url": sandbox.url}

    if not stage.step("start the sandbox", start):
        return None
    assert loop is not None  # noqa: S101 - the step above held
    try:
        for name, work in STEPS:
            if not stage.step(name, partial(work, loop)):
                break
    finally:
        _stop_processes(loop)
        loop.client.close()
        loop.sandbox.stop()
    return loop


def _stop_processes(loop: Loop) -> None:
    """What a failed step or Ctrl-C left running must not write into the folder of the next demo, nor the engine stay."""
    for job in loop.jobs.values():
        if not (now := store.look(loop.registry, job.id)).ended:
            store.kill(now)
    asking.stop(loop.stage.home, kill=True)


def _pull(loop: Loop) -> Outcome:
    """A LoRA that somebody published is pulled by the address of its page."""
    from hubman.civitai.pull import pull
    from hubman.sandbox.seed import seed_model

    seeded = seed_model(
        loop.sandbox, tinybase.SAMPLE_LORA, name=PULLED, base_model="Other", words=["hatchwork"], tags=["style"],
        description="<p>Shapes shaded with level lines.</p>", previews=[],
    )  # fmt: skip
    url = f"{loop.sandbox.url}/models/{seeded.model_id}?modelVersionId={seeded.version_id}"
    pulled = pull(
        loop.registry, loop.client, url, into=loop.registry.models_folder / "pulled", report=loop.stage.report
    )
    expected = hash_file(tinybase.SAMPLE_LORA).sha256
    held = pulled.verified and pulled.sha256 == expected == hash_file(Path(pulled.path)).sha256
    return held, f"{PULLED}: SHA-256 {pulled.sha256[:12]}… as the site says", {"url": url, "sha256": pulled.sha256}


def _prepare(loop: Loop) -> Outcome:
    """Forty images for each LoRA are drawn, captioned by the embedded CLIP, and checked."""
    from hubman.train.checks import Rules, check, has_errors
    from hubman.train.data.dataset import read_dataset

    counts, right, warnings = 0, True, 0
    for style in (STYLE, MOTIF):
        folder = draw_dataset(loop.stage.datasets / style, style)
        request = {"folder": str(folder), "trigger": TRIGGERS[style]}
        loop.jobs[f"caption {style}"] = store.start(loop.registry, "caption", f"caption {style}", request)
    _follow(loop, [f"caption {style}" for style in (STYLE, MOTIF)])
    for style in (STYLE, MOTIF):
        dataset = read_dataset(loop.stage.datasets / style, report=loop.stage.report)
        findings = check(dataset, Rules(resolution=64, trigger=TRIGGERS[style]))
        captioned = [image for image in dataset.images if image.caption]
        counts += len(captioned)
        warnings += len(findings)
        right = right and len(captioned) == IMAGES and not has_errors(findings)
    example = dataset.images[0].caption
    return (
        right,
        f"{counts} images checked and captioned, such as “{example}”",
        {"captioned": counts, "findings": warnings},
    )


def _train(loop: Loop) -> Outcome:
    """Both LoRAs are trained as jobs, side by side."""
    from hubman.train.presets import preset
    from hubman.train.recipe import write_recipe

    for style in (STYLE, MOTIF):
        recipe = preset(
            "style" if style == STYLE else "character", "tiny", IMAGES,
            base=str(tinybase.MODEL), dataset=str(loop.stage.datasets / style), output=style,
        )  # fmt: skip
        path = loop.stage.folder / f"{style}.toml"
        write_recipe(path, msgspec.structs.replace(recipe, trigger=TRIGGERS[style], seed=7))
        # The preset computes with one thread, so there is room for two.
        with staging.environment(HUBMAN_TRAININGS="2"):
            loop.jobs[style] = store.start(loop.registry, "train", f"train {style}", {"recipe": str(path)})
    results = _follow(loop, [STYLE, MOTIF])
    for style, result in results.items():
        run = library.run_of(loop.registry, result["version_id"])
        loop.trained[style] = Trained(
            name=style, style=KINDS[style], version_id=result["version_id"], path=result["path"], sha256=result["sha256"],
            losses=run.losses if run else [], seconds=result["seconds"], grid_path="", curve=[], detected={}, shapes={},
            suggested=None, chosen=0.8, reason="", samples=[],
        )  # fmt: skip
    summary = ", ".join(f"{style} in {result['seconds']:.0f} s" for style, result in results.items())
    return (
        True,
        f"{summary}; {results[STYLE]['steps']} steps each",
        {"versions": [r["version_id"] for r in results.values()]},
    )


def _follow(loop: Loop, names: list[str]) -> dict[str, dict[str, Any]]:
    """Watch several jobs until all have ended. Raises :class:`HubError` when one failed."""
    offsets = dict.fromkeys(names, 0)
    results: dict[str, dict[str, Any]] = {}
    while len(results) < len(names):
        for name in names:
            job = store.look(loop.registry, loop.jobs[name].id)
            found, offsets[name] = store.events(job, offsets[name])
            for event in found[-1:]:
                stage = job.title if len(names) > 1 else event.stage
                loop.stage.report(msgspec.structs.replace(event, stage=stage))
            if job.ended and not found and name not in results:
                if job.state != "done":
                    raise HubError(f"{job.title} {job.state}", job.error or "see its log")
                results[name] = job.result or {}
        time.sleep(0.1)
    return {name: results[name] for name in names}


def _sweep(loop: Loop) -> Outcome:
    """Each LoRA at five strengths and every seed; then both together."""
    from hubman.generate import studio
    from hubman.generate.asked import Asked
    from hubman.generate.client import Engine
    from hubman.generate.request import DrawRequest

    base = DrawRequest(base=str(tinybase.MODEL), prompt="", steps=16, cfg=tinybase.GUIDANCE, sampler="DDIM")
    never: Callable[[], bool] = lambda: False  # noqa: E731
    # Nothing else of the demo runs meanwhile, so the engine may have every core that it was not refused.
    threads = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count() or 1)
    with staging.environment(OMP_NUM_THREADS=threads), Engine(loop.registry.home, name="demo") as engine:
        for style, lora in loop.trained.items():
            request = msgspec.structs.replace(base, prompt=f"{TRIGGERS[style]}, {PROMPT}")
            done = studio.sweep_strengths(
                loop.registry, engine, lora.version_id, request, strengths=STRENGTHS, seeds=loop.seeds,
                contrast=f"{TRIGGERS[style]}, {CONTRAST}", clip=tinybase.CLIP,
                report=_named(loop, f"sweep {style}"), should_stop=never,
            )  # fmt: skip
            loop.trained[style] = _measured(lora, done)
        told = Asked(
            prompt=f"{TRIGGERS[STYLE]}, {TRIGGERS[MOTIF]}, {PROMPT}", seeds=(1,), steps=base.steps, cfg=base.cfg, sampler=base.sampler,
            version_ids=(loop.trained[STYLE].version_id, loop.trained[MOTIF].version_id), strengths=(0.0, 0.5, 1.0),
        )  # fmt: skip
        grid = studio.draw_axes(loop.registry, engine, told, report=_named(loop, "combine"), should_stop=never)
    loop.combination = grid.grid_path
    rising = {style: _rises(lora.detected) for style, lora in loop.trained.items()}
    summary = "; ".join(
        f"{style} {lora.detected['0']:.2f} → {lora.detected['1']:.2f}{'' if rising[style] else ' (not rising throughout)'}"
        for style, lora in loop.trained.items()
    )
    return all(rising.values()), f"detected by rules: {summary}", {"rising": rising}


def _rises(detected: dict[str, float]) -> bool:
    values = list(detected.values())
    return all(low < high for low, high in pairwise(values))


def _named(loop: Loop, name: str) -> Report:
    return lambda event: loop.stage.report(msgspec.structs.replace(event, stage=name))


def _measured(lora: Trained, sweep: Sweep) -> Trained:
    """A LoRA with what its sweep shows: the curve, and what rule-based detectors see in the pictures."""
    from PIL import Image

    from hubman.tinybase import checker

    detect = {STYLE: checker.pastel, MOTIF: checker.watcher}[lora.name]
    detected, shapes = {}, {}
    per_row = len(STRENGTHS)
    for column, strength in enumerate(STRENGTHS):
        pictures = [Image.open(path) for path in sweep.images[column::per_row]]
        detected[f"{strength:g}"] = round(sum(map(detect, pictures)) / len(pictures), 4)
        shapes[f"{strength:g}"] = round(sum(checker.look(p).shape == "heart" for p in pictures) / len(pictures), 4)
    return msgspec.structs.replace(
        lora,
        grid_path=sweep.grid_path,
        curve=as_rows(sweep.curve) if sweep.curve else [],
        sweep_id=sweep.id,
        detected=detected,
        shapes=shapes,
        suggested=sweep.suggestion.strength if sweep.suggestion else None,
        reason=sweep.suggestion.reason if sweep.suggestion else "",
        samples=list(sweep.images[:per_row]),
    )


def _choose(loop: Loop) -> Outcome:
    """The strength that the curve suggests becomes the recommended one, and pictures at it the previews."""
    from hubman.generate import recommend

    chosen: dict[str, float | None] = {}
    for style, lora in loop.trained.items():
        strength = lora.suggested
        if strength is None:
            return False, f"{style}: {lora.reason}", {"chosen": chosen}
        kept = recommend.keep(loop.registry, lora.sweep_id)
        loop.trained[style] = msgspec.structs.replace(lora, chosen=strength)
        chosen[style] = kept.strength
    held = all(chosen[style] == loop.trained[style].chosen for style in loop.trained)
    return held, ", ".join(f"{style} at {value:g}" for style, value in chosen.items()), {"chosen": chosen}


def _publish(loop: Loop) -> Outcome:
    """The style is published with its file, pictures and trigger words, and found again by its hash."""
    from hubman.civitai.finding import HARMLESS
    from hubman.civitai.form_edit import changed
    from hubman.civitai.form_fill import filled
    from hubman.civitai.publish import publish

    lora = loop.trained[STYLE]
    answers = {"category": "style", "nsfw": "no", "poi": "no", "minor": "no"}
    form = changed(filled(loop.registry, [lora.version_id]), answers)
    done = publish(loop.registry, loop.client, form, accept=[HARMLESS], report=loop.stage.report)
    loop.page = done.url
    found = loop.client.by_hash(lora.sha256)
    words = TRIGGERS[STYLE] in found.trained_words
    pictures = len(found.images)
    held = found.id == done.version_id and words and pictures > 0
    facts = {"model": done.model_id, "version": done.version_id, "images": pictures, "url": done.url}
    return held, f"{done.url} with {pictures} pictures; its hash leads to it", facts


def _pull_back(loop: Loop) -> Outcome:
    """What comes back from the site is byte for byte what was trained, with its trigger words and strength."""
    lora = loop.trained[STYLE]
    found = loop.client.by_hash(lora.sha256)
    target = loop.stage.folder / "pulled-back.safetensors"
    loop.client.download(found.id, target, sha256=lora.sha256, report=loop.stage.report)
    same = hash_file(target).sha256 == lora.sha256 == hash_file(Path(lora.path)).sha256
    told = loop.client.query("modelVersion.getById", {"id": found.id})
    strength = (told.get("settings") or {}).get("strength") if isinstance(told, dict) else None
    words = list(found.trained_words)
    facts = {"sha256": lora.sha256, "strength": strength, "words": words}
    held = same and strength == lora.chosen and words == [TRIGGERS[STYLE]]
    return (
        held,
        f"SHA-256 {lora.sha256[:12]}… trained = published = pulled back; strength {strength} and {words} too",
        facts,
    )


def _sync(loop: Loop) -> Outcome:
    """A second machine (another HUBMAN_HOME) gets the same collection through a folder."""
    from hubman.sync import remotes
    from hubman.sync.run import sync

    loop.stage.remote.mkdir()
    remotes.add(loop.registry, "demo", str(loop.stage.remote))
    sync(loop.registry, "demo", report=loop.stage.report)
    with Registry(loop.stage.second_home) as second:
        remotes.add(second, "demo", str(loop.stage.remote))
        result = sync(second, "demo", report=loop.stage.report)
        here, there = (_listed(each) for each in (loop.registry, second))
        files = [
            place.path
            for row in there
            for file in library.version(second, row.version_id).files
            for place in file.places
        ]
        whole = all(
            hash_file(Path(path)).sha256 in {lora.sha256 for lora in loop.trained.values()} | {_sample_hash()}
            for path in files
        )
    same = here == there and bool(files) and whole
    return (
        same,
        f"{len(there)} models listed identically, {result.downloaded} files brought over",
        {"models": len(there), "files": len(files)},
    )


def _listed(registry: Registry) -> list[ModelRow]:
    """The list, but for what each machine sees in its own way: where weights are, and the pictures that it has."""
    rows = library.list_models(registry)
    return [msgspec.structs.replace(row, uses=0, used_at=None, where="here") for row in rows]


def _sample_hash() -> str:
    return hash_file(tinybase.SAMPLE_LORA).sha256


STEPS: tuple[tuple[str, Callable[[Loop], Outcome]], ...] = (
    ("pull a LoRA", _pull),
    ("check and caption", _prepare),
    ("train two LoRAs", _train),
    ("sweep and combine", _sweep),
    ("choose strengths", _choose),
    ("publish", _publish),
    ("pull it back", _pull_back),
    ("sync", _sync),
)
