"""The training loop: reads top to bottom.

Everything that the loop reads is encoded once; what is drawn at random follows from the seed and the step, so a run
that was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hubman.generate.request import DrawRequest
from hubman.progress import Progress, Report, silent
from hubman.train import architectures
from hubman.train.architectures.base import Architecture
from hubman.train.caption_variation import variation_of
from hubman.train.checkpoint import State, check_same, last_checkpoint, save_checkpoint
from hubman.train.clashes import refuse_clashes
from hubman.train.dataset import Dataset
from hubman.train.encoded import Encoded
from hubman.train.export import file_hashes, write_lora
from hubman.train.learner import Learner
from hubman.train.material import Item, TextStates, encode_items
from hubman.train.metadata import Origin
from hubman.train.metrics import Metrics
from hubman.train.network import Network
from hubman.train.network_plan import make_network
from hubman.train.objective import Objective
from hubman.train.rates import rate_at
from hubman.train.recipe import Recipe
from hubman.train.recipe_data import read_data
from hubman.train.result import TrainResult
from hubman.train.run_folder import RunFolder
from registry.errors import CancelledError, HubError

ShouldStop = Callable[[], bool]

MOST_READINGS = 4096
"""Captions that are encoded before the first step; with more, the text encoder stays to read them as they come."""
STUCK = "prodigy finds no rate: its d still is where it started; raise d_coef to 2, or choose adamw"
REPORT_SECONDS = 0.5
"""Losses wait on the device this long, so that no step waits for them."""


def train(
    recipe: Recipe,
    run_dir: Path,
    report: Report = silent,
    should_stop: ShouldStop = lambda: False,
    *,
    resume: bool = False,
    dataset: Dataset | None = None,
    cache: Path | None = None,
) -> TrainResult:
    """Train ``recipe`` in ``run_dir``; ``dataset`` saves reading the recipe's folder again.

    ``cache`` is a folder of encoded images and captions that runs share, by default one of this run's own.

    Raises HubError for a base or dataset that cannot be used or a loss that is not finite, and CancelledError after
    ``should_stop`` (with a checkpoint written).
    """
    refuse_clashes(recipe)
    dataset = dataset or read_data(recipe, report=report)
    run = _Run(recipe, run_dir, report, dataset, cache or run_dir / "cache")
    step = run.resume() if resume else 0
    metrics = Metrics(run.folder.metrics, keep_steps=step)
    ends = recipe.epoch_ends()

    if step == 0:
        run.look_back(0, 0, metrics)
    run.start_clock()
    while step < recipe.length.steps:
        run.step(step)
        step += 1
        epoch = ends.index(step) + 1 if step in ends else 0
        stopping = should_stop()
        keeping = epoch or stopping or (recipe.watch.save_every and step % recipe.watch.save_every == 0)
        if keeping or run.report_due():
            run.flush(step, metrics)
        if keeping:
            run.pause_clock()
            if epoch:
                with run.kept_weights():
                    run.look_back(step, epoch, metrics)
                    run.write(step, epoch)
            run.save(step)
            run.start_clock()
        if stopping and step < recipe.length.steps:
            raise CancelledError(
                f"stopped after {step} of {recipe.length.steps} steps", "resume it to go on from there"
            )
    return run.result(metrics)


class _Run:
    """The model, the data and the clock of one training."""

    def __init__(self, recipe: Recipe, run_dir: Path, report: Report, dataset: Dataset, cache: Path) -> None:
        self.folder = RunFolder(run_dir, recipe)
        self._recipe, self._report, self._dataset = recipe, report, dataset
        device = pick_device()
        report(Progress(stage="load base"))
        self._architecture: Architecture = architectures.load(recipe, device)
        refuse_clashes(recipe, self._architecture.process.prediction)
        encoded = Encoded(self._architecture, cache, recipe.machine.dtype)
        self._items = encode_items(dataset, encoded, recipe, report)
        self._architecture.release("image")
        texts = TextStates(encoded, recipe.captions.clip_skip, device, recipe.captions.max_tokens // 75)
        self._network = _network(self._architecture, recipe)
        self._objective = Objective(self._architecture, self._network, recipe, texts)
        self._learner = Learner(recipe, self._network, self._objective, self._items, device)
        if not recipe.optimizer.text_lr and (readings := self._learner.readings(MOST_READINGS)) is not None:
            texts.prepare(sorted(readings), report)
            self._architecture.release("text")
        encoded.trim()
        if encoded.problem:
            report(Progress(stage="encode images", message=f"nothing is kept for the next run: {encoded.problem}"))
        self._prompts = _sample_prompts(recipe, self._items)
        self._validation: list[float] = []
        self._pending: list[tuple[Tensor, float | None]] = []
        self._reported = 0.0
        self._stuck = ""
        self._started_at = time.time()
        self._clock: float | None = None
        self._seconds = 0.0
        self._resumed_at, self._resumed_seconds = 0, 0.0

    def resume(self) -> int:
        """Go back to the last checkpoint; the steps done, 0 if there is none."""
        checkpoint = last_checkpoint(self.folder.checkpoints)
        if checkpoint is None:
            return 0
        state = checkpoint.state
        check_same(
            state,
            learning_digest=self._recipe.learning_digest,
            dataset_fingerprint=self._dataset.fingerprint,
            base_digest=self._architecture.identity.weights_digest,
        )
        self._learner.restore(checkpoint)
        self._started_at = state.started_at
        self._seconds = self._resumed_seconds = state.seconds
        self._resumed_at = state.step
        self._validation = list(state.validation)
        self._report(Progress(stage="resume", done=state.step, total=self._recipe.length.steps, unit="steps"))
        return state.step

    def step(self, step: int) -> None:
        """One optimizer step (``step`` counts from 0)."""
        self._pending.append((self._learner.step(step), self._learner.step_size))

    def report_due(self) -> bool:
        return time.monotonic() - self._reported >= REPORT_SECONDS

    def flush(self, step: int, metrics: Metrics) -> None:
        """Log the losses since the last time. Raises HubError if one is not finite: no checkpoint is spoilt then."""
        losses = torch.stack([loss for loss, _ in self._pending]).tolist()
        sizes = [size for _, size in self._pending]
        self._pending.clear()
        first = step - len(losses)
        lines = [self._line(first + i, loss, size) for i, (loss, size) in enumerate(zip(losses, sizes, strict=True))]
        for line in lines:
            if not math.isfinite(line["loss"]):
                hint = "lower unet_lr and text_lr, or train in fp32; the last checkpoint is from before"
                raise HubError(f"the loss is not finite at step {line['step']}", hint)
        metrics.add(lines)
        if not self._stuck and self._learner.is_stuck(step):
            self._stuck = STUCK
            self._report(Progress(stage="train", done=step, total=self._recipe.length.steps, message=STUCK))
        self._reported = time.monotonic()
        pace = (self._elapsed() - self._resumed_seconds) / (step - self._resumed_at)
        data = {**lines[-1], "losses": losses, "eta": round(pace * (self._recipe.length.steps - step), 1)}
        self._report(Progress(stage="train", done=step, total=self._recipe.length.steps, unit="steps", data=data))

    def _line(self, step: int, loss: float, size: float | None) -> dict[str, Any]:
        rate = rate_at(step, self._recipe) * self._recipe.optimizer.unet_lr
        line = {"step": step + 1, "loss": loss, "lr": rate}
        return line if size is None else {**line, "d": size}

    def look_back(self, step: int, epoch: int, metrics: Metrics) -> None:
        """Draw the samples and measure the loss at fixed noise."""
        recipe = self._recipe
        for i, prompt in enumerate(self._prompts):
            side = recipe.resolution - recipe.resolution % self._architecture.step
            request = DrawRequest(
                base=recipe.base,
                prompt=prompt,
                seed=recipe.seed + i,
                width=side,
                height=side,
                steps=recipe.watch.sample_steps,
                cfg=recipe.watch.sample_guidance,
                sampler=self._architecture.sampler,
                clip_skip=recipe.captions.clip_skip,
            )
            picture = self._architecture.draw(request)
            path = self.folder.sample(epoch, i)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
            data = {"image": str(path), "epoch": epoch, "prompt": prompt}
            self._report(Progress(stage="sample", done=i + 1, total=len(self._prompts), unit="images", data=data))
        if recipe.watch.validation_images:
            loss = self._objective.validate(self._items)
            self._validation.append(loss)
            metrics.add([{"step": step, "epoch": epoch, "validation": loss}])
            self._report(Progress(stage="validate", data={"step": step, "epoch": epoch, "validation": loss}))

    def kept_weights(self) -> AbstractContextManager[None]:
        """Within it the network has the weights that are kept."""
        return self._learner.kept()

    def write(self, step: int, epoch: int) -> None:
        """Write the LoRA as it is after ``epoch``, unless that is the final one."""
        if epoch < self._recipe.length.epochs:
            write_lora(self.folder.epoch(epoch), self._network, self._origin(step, epoch))

    def save(self, step: int) -> None:
        """Write a checkpoint to resume from."""
        state = State(
            step=step,
            seconds=self._elapsed(),
            started_at=self._started_at,
            learning_digest=self._recipe.learning_digest,
            dataset_fingerprint=self._dataset.fingerprint,
            base_digest=self._architecture.identity.weights_digest,
            validation=tuple(self._validation),
        )
        save_checkpoint(self.folder.checkpoints, state, self._learner.parts())

    def result(self, metrics: Metrics) -> TrainResult:
        """Write the final LoRA and say what came of the training."""
        recipe, identity = self._recipe, self._architecture.identity
        seconds = self._elapsed()
        with self.kept_weights():
            origin = self._origin(recipe.length.steps, recipe.length.epochs)
            written = write_lora(self.folder.lora, self._network, origin)
        return TrainResult(
            path=written.path,
            sha256=written.sha256,
            size=written.size,
            modules=written.modules,
            delta_norm=written.delta_norm,
            steps=recipe.length.steps,
            seconds=round(seconds, 3),
            final_loss=metrics.final_loss(),
            validation=tuple(self._validation),
            samples=self.folder.samples(self._prompts),
            epoch_files=self.folder.epochs(),
            metrics_path=metrics.path,
            dataset_fingerprint=self._dataset.fingerprint,
            images=len({item.name for item in self._items}),
            base_name=identity.name,
            base_model_version=identity.base_model_version,
            trigger=recipe.trigger,
            strength=recipe.file.strength,
            recipe=recipe,
            warnings=(*written.warnings, *([self._stuck] if self._stuck else [])),
        )

    def start_clock(self) -> None:
        self._clock = time.monotonic()

    def pause_clock(self) -> None:
        self._seconds = self._elapsed()
        self._clock = None

    def _elapsed(self) -> float:
        return self._seconds + (time.monotonic() - self._clock if self._clock is not None else 0.0)

    def _origin(self, step: int, epoch: int) -> Origin:
        base = Path(self._recipe.base)
        sample = self.folder.sample(epoch, 0)
        return Origin(
            recipe=self._recipe,
            identity=self._architecture.identity,
            captions=[item.caption for item in self._items],
            sizes=[item.size for item in self._items],
            dataset_fingerprint=self._dataset.fingerprint,
            batches_per_pass=self._learner.plan.batches_per_pass,
            step=step,
            epoch=epoch,
            started_at=self._started_at,
            finished_at=time.time(),
            sample_prompt=self._prompts[0] if self._prompts else "",
            preview=sample if sample.is_file() else None,
            base_hashes=file_hashes(base) if base.is_file() else None,
        )


def pick_device() -> torch.device:
    """The accelerator of this machine if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _network(architecture: Architecture, recipe: Recipe) -> Network:
    targets = architecture.targets(conv=recipe.network.conv_rank > 0, text=recipe.optimizer.text_lr > 0)
    return make_network(targets, recipe)


def _sample_prompts(recipe: Recipe, items: list[Item]) -> tuple[str, ...]:
    if recipe.watch.sample_prompts:
        return recipe.watch.sample_prompts
    variation = variation_of(recipe.captions)
    captions = (variation.plain(item.caption) for item in items)
    return tuple(dict.fromkeys(caption for caption in captions if caption))[:2]
