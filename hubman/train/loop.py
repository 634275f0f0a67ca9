"""The training loop: reads top to bottom.

Everything that the loop reads is encoded once; what is drawn at random follows from the seed and the step, so a run
that was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from hubman.progress import Progress, Report, silent
from hubman.train import architectures
from hubman.train.architectures.base import Architecture
from hubman.train.batches import BatchPlan, keyed_seed
from hubman.train.captions import vary
from hubman.train.checkpoint import State, check_same, last_checkpoint, restore, save_checkpoint
from hubman.train.dataset import Dataset, read_dataset
from hubman.train.export import Written, file_hashes, write_lora
from hubman.train.material import Item, TextStates, encode_items
from hubman.train.metadata import Origin
from hubman.train.metrics import Metrics
from hubman.train.network import Network
from hubman.train.noise import offset_noise
from hubman.train.recipe import Recipe
from hubman.train.result import EpochFile, Sample, TrainResult
from registry.errors import CancelledError, HubError

ShouldStop = Callable[[], bool]

REPORT_SECONDS = 0.5
"""Losses wait on the device this long, so that no step waits for them."""
VALIDATION_TIMESTEPS = (0.2, 0.4, 0.6, 0.8)
"""As shares of the schedule."""


def train(
    recipe: Recipe,
    run_dir: Path,
    report: Report = silent,
    should_stop: ShouldStop = lambda: False,
    *,
    resume: bool = False,
    dataset: Dataset | None = None,
) -> TrainResult:
    """Train ``recipe`` in ``run_dir``; ``dataset`` saves reading the recipe's folder again.

    Raises HubError for a base or dataset that cannot be used or a loss that is not finite, and CancelledError after
    ``should_stop`` (with a checkpoint written).
    """
    run = _Run(recipe, run_dir, report, dataset or read_dataset(Path(recipe.dataset), report=report))
    step, validation = run.resume() if resume else (0, ())
    metrics = Metrics(run_dir / "metrics.jsonl", keep_steps=step)
    ends = recipe.epoch_ends()

    if step == 0:
        validation = run.look_back(0, 0, metrics, ())
    run.start_clock()
    while step < recipe.steps:
        run.step(step)
        step += 1
        epoch = ends.index(step) + 1 if step in ends else 0
        stopping = should_stop()
        if epoch or stopping or run.report_due():
            run.flush(step, metrics)
        if epoch:
            run.pause_clock()
            validation = run.look_back(step, epoch, metrics, validation)
            run.write(step, epoch)
        if epoch or stopping or (recipe.save_every and step % recipe.save_every == 0):
            run.flush(step, metrics)
            run.save(step, validation)
        if stopping and step < recipe.steps:
            raise CancelledError(f"stopped after {step} of {recipe.steps} steps", "resume it to go on from there")
    return run.result(metrics, validation)


class _Run:
    """The model, the data and the clock of one training."""

    def __init__(self, recipe: Recipe, run_dir: Path, report: Report, dataset: Dataset) -> None:
        self.recipe, self.run_dir, self.report = recipe, run_dir, report
        self.dataset = dataset
        self.device = pick_device()
        report(Progress(stage="load base"))
        self.architecture: Architecture = architectures.load(recipe, self.device)
        self.items = encode_items(dataset, self.architecture, recipe, report)
        self.texts = TextStates(self.architecture, recipe.clip_skip)
        self.plan = BatchPlan([item.size for item in self.items], recipe.batch, recipe.seed)
        self.network = _network(self.architecture, recipe)
        self.optimizer = _optimizer(self.network, recipe, self.device)
        self.weights = self.architecture.schedule.weights(recipe.min_snr_gamma)
        self.samples = _sample_prompts(recipe, self.items)
        self._pending: list[Tensor] = []
        self._started_at = time.time()
        self._seconds = 0.0
        self._resumed_at, self._resumed_seconds = 0, 0.0
        self._clock: float | None = None
        self._reported = 0.0

    def resume(self) -> tuple[int, tuple[float, ...]]:
        """Go back to the last checkpoint: (steps done, validations so far); (0, ()) if there is none."""
        checkpoint = last_checkpoint(self.run_dir / "checkpoints")
        if checkpoint is None:
            return 0, ()
        state = checkpoint.state
        check_same(
            state,
            learning_digest=self.recipe.learning_digest,
            dataset_fingerprint=self.dataset.fingerprint,
            base_digest=self.architecture.identity.weights_digest,
        )
        restore(checkpoint, self.network, self.optimizer)
        self._started_at = state.started_at
        self._seconds = self._resumed_seconds = state.seconds
        self._resumed_at = state.step
        self.report(Progress(stage="resume", done=state.step, total=self.recipe.steps, unit="steps"))
        return state.step, state.validation

    def step(self, step: int) -> None:
        """One optimizer step (``step`` counts from 0)."""
        recipe = self.recipe
        generator = torch.Generator().manual_seed(keyed_seed(recipe.seed, "step", step))
        rng = random.Random(keyed_seed(recipe.seed, "captions", step))
        items = [self.items[i] for i in self.plan.at(step)]
        captions = [self._vary(item.caption, rng) for item in items]

        latents = self._sample_latents(items, generator)
        noise = offset_noise(latents.shape, recipe.noise_offset, generator)
        timesteps = torch.randint(self.architecture.schedule.timesteps, (len(items),), generator=generator)
        states = self._states(captions)
        losses = self._losses(latents, noise, timesteps, states)
        loss = (losses * self.weights[timesteps.to(self.device)]).mean()

        rate = rate_at(step, recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if recipe.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._pending.append(loss.detach())

    def report_due(self) -> bool:
        return time.monotonic() - self._reported >= REPORT_SECONDS

    def flush(self, step: int, metrics: Metrics) -> None:
        """Log the losses since the last time. Raises HubError if one is not finite: no checkpoint is spoilt then."""
        if not self._pending:
            return
        losses = torch.stack(self._pending).tolist()
        self._pending.clear()
        first = step - len(losses)
        lines = [
            {"step": first + i + 1, "loss": loss, "lr": rate_at(first + i, self.recipe) * self.recipe.unet_lr}
            for i, loss in enumerate(losses)
        ]
        for line in lines:
            if not math.isfinite(line["loss"]):
                hint = "lower unet_lr and text_lr, or train in fp32; the last checkpoint is from before"
                raise HubError(f"the loss is not finite at step {line['step']}", hint)
        metrics.add(lines)
        self._reported = time.monotonic()
        pace = (self._elapsed() - self._resumed_seconds) / (step - self._resumed_at)
        eta = pace * (self.recipe.steps - step)
        data = {**lines[-1], "losses": losses, "eta": round(eta, 1)}
        self.report(Progress(stage="train", done=step, total=self.recipe.steps, unit="steps", data=data))

    def look_back(self, step: int, epoch: int, metrics: Metrics, before: tuple[float, ...]) -> tuple[float, ...]:
        """Draw the samples and measure the loss at fixed noise; ``before`` with this validation added."""
        recipe = self.recipe
        for i, prompt in enumerate(self.samples):
            picture = self.architecture.draw(
                prompt,
                seed=recipe.seed + i,
                side=recipe.resolution,
                steps=recipe.sample_steps,
                guidance=recipe.sample_guidance,
                clip_skip=recipe.clip_skip,
            )
            path = self._sample_path(epoch, i)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
            data = {"image": str(path), "epoch": epoch, "prompt": prompt}
            self.report(Progress(stage="sample", done=i + 1, total=len(self.samples), unit="images", data=data))
        if not recipe.validation_images:
            return before
        loss = self._validate()
        metrics.add([{"step": step, "epoch": epoch, "validation": loss}])
        self.report(Progress(stage="validate", data={"step": step, "epoch": epoch, "validation": loss}))
        return (*before, loss)

    def write(self, step: int, epoch: int) -> None:
        """Write the LoRA as it is after ``epoch``, beside the final one."""
        if epoch < self.recipe.epochs:
            write_lora(self._epoch_path(epoch), self.network, self._origin(step, epoch))

    def save(self, step: int, validation: tuple[float, ...]) -> None:
        """Write a checkpoint to resume from."""
        self.pause_clock()
        state = State(
            step=step,
            seconds=self._seconds,
            started_at=self._started_at,
            learning_digest=self.recipe.learning_digest,
            dataset_fingerprint=self.dataset.fingerprint,
            base_digest=self.architecture.identity.weights_digest,
            validation=validation,
        )
        save_checkpoint(self.run_dir / "checkpoints", state, self.network, self.optimizer)
        self.start_clock()

    def result(self, metrics: Metrics, validation: tuple[float, ...]) -> TrainResult:
        """Write the final LoRA and say what came of the training."""
        recipe, identity = self.recipe, self.architecture.identity
        self.pause_clock()
        path = self.run_dir / f"{recipe.output}.safetensors"
        written = write_lora(path, self.network, self._origin(recipe.steps, recipe.epochs))
        return TrainResult(
            path=path,
            sha256=written.sha256,
            size=written.size,
            modules=written.modules,
            delta_norm=written.delta_norm,
            steps=recipe.steps,
            seconds=round(self._seconds, 3),
            final_loss=metrics.final_loss(),
            validation=validation,
            samples=self._samples_drawn(),
            epoch_files=self._epoch_files(),
            metrics_path=metrics.path,
            dataset_fingerprint=self.dataset.fingerprint,
            images=len({item.name for item in self.items}),
            base_name=identity.name,
            base_model_version=identity.base_model_version,
            trigger=recipe.trigger,
            strength=recipe.strength,
            recipe=recipe,
            warnings=_warnings(written),
        )

    def start_clock(self) -> None:
        self._clock = time.monotonic()

    def pause_clock(self) -> None:
        self._seconds = self._elapsed()
        self._clock = None

    def _elapsed(self) -> float:
        return self._seconds + (time.monotonic() - self._clock if self._clock is not None else 0.0)

    def _vary(self, caption: str, rng: random.Random) -> str:
        recipe = self.recipe
        return vary(
            caption,
            rng,
            shuffle=recipe.shuffle_captions,
            keep_tokens=recipe.keep_tokens,
            dropout=recipe.caption_dropout,
        )

    def _sample_latents(self, items: list[Item], generator: torch.Generator) -> Tensor:
        mean = torch.stack([item.latent.mean for item in items])
        std = torch.stack([item.latent.std for item in items])
        return mean + std * torch.randn(mean.shape, generator=generator)

    def _states(self, captions: list[str]) -> Tensor:
        if self.recipe.text_lr:
            return self.architecture.encode_text(captions, self.recipe.clip_skip)
        return self.texts.of(captions)

    def _losses(self, latents: Tensor, noise: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        """Mean squared error of each sample ``[B]``, unweighted."""
        schedule = self.architecture.schedule
        latents, noise, timesteps = (each.to(self.device, non_blocking=True) for each in (latents, noise, timesteps))
        noisy = schedule.add_noise(latents, noise, timesteps)
        prediction = self.architecture.predict(noisy, timesteps, states)
        return (prediction - schedule.target(latents, noise, timesteps)).square().mean(dim=(1, 2, 3))

    @torch.no_grad()
    def _validate(self) -> float:
        """Mean loss at fixed noise (by image) and timesteps, comparable between all epochs of a run."""
        count = self.architecture.schedule.timesteps
        timesteps = torch.tensor([int(share * count) for share in VALIDATION_TIMESTEPS])
        losses = []
        for item in sorted(self.items, key=lambda each: each.pixels)[: self.recipe.validation_images]:
            generator = torch.Generator().manual_seed(keyed_seed(0, "validation", item.pixels))
            shape = torch.Size((len(timesteps), *item.latent.mean.shape))
            noise = torch.randn(shape, generator=generator)
            states = self._states([item.caption]).expand(len(timesteps), -1, -1)
            losses.append(self._losses(item.latent.mean.expand(shape), noise, timesteps, states))
        return float(torch.cat(losses).mean())

    def _origin(self, step: int, epoch: int) -> Origin:
        base = Path(self.recipe.base)
        return Origin(
            recipe=self.recipe,
            identity=self.architecture.identity,
            captions=[item.caption for item in self.items],
            sizes=[item.size for item in self.items],
            dataset_fingerprint=self.dataset.fingerprint,
            batches_per_pass=self.plan.batches_per_pass,
            step=step,
            epoch=epoch,
            started_at=self._started_at,
            finished_at=time.time(),
            sample_prompt=self.samples[0] if self.samples else "",
            base_hashes=file_hashes(base) if base.is_file() else None,
        )

    def _sample_path(self, epoch: int, index: int) -> Path:
        return self.run_dir / "samples" / f"epoch-{epoch:02}-{index}.png"

    def _epoch_path(self, epoch: int) -> Path:
        return self.run_dir / "epochs" / f"{self.recipe.output}-{epoch:06}.safetensors"

    def _samples_drawn(self) -> tuple[Sample, ...]:
        every = (
            Sample(self._sample_path(epoch, i), epoch, prompt, self.recipe.seed + i)
            for epoch in range(self.recipe.epochs + 1)
            for i, prompt in enumerate(self.samples)
        )
        return tuple(sample for sample in every if sample.path.exists())

    def _epoch_files(self) -> tuple[EpochFile, ...]:
        ends = enumerate(self.recipe.epoch_ends(), 1)
        files = (EpochFile(self._epoch_path(epoch), epoch, step) for epoch, step in ends)
        return tuple(file for file in files if file.path.exists())


def pick_device() -> torch.device:
    """The accelerator of this machine if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def rate_at(step: int, recipe: Recipe) -> float:
    """The share of the full rate at ``step`` (from 0): linear warm-up, then the schedule."""
    warmup = round(recipe.warmup * recipe.steps)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, recipe.steps - warmup)
    match recipe.schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "linear":
            return 1 - progress
        case "constant":
            return 1.0


def _network(architecture: Architecture, recipe: Recipe) -> Network:
    targets = architecture.targets(conv=recipe.conv_rank > 0, text=recipe.text_lr > 0)
    return Network(
        targets,
        rank=recipe.rank,
        alpha=recipe.alpha,
        conv_rank=recipe.conv_rank,
        conv_alpha=recipe.conv_alpha,
        seed=keyed_seed(recipe.seed, "network"),
    )


def _optimizer(network: Network, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    rates = ((False, recipe.unet_lr), (True, recipe.text_lr))
    groups = [{"params": network.parameters(text=text), "lr": rate, "base_lr": rate} for text, rate in rates]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=device.type in ("cpu", "cuda"))


def _sample_prompts(recipe: Recipe, items: list[Item]) -> tuple[str, ...]:
    if recipe.sample_prompts:
        return recipe.sample_prompts
    return tuple(dict.fromkeys(item.caption for item in items if item.caption))[:2]


def _warnings(written: Written) -> tuple[str, ...]:
    if written.delta_norm == 0:
        return ("the LoRA changes nothing: its weights are still zero; train longer or at a higher rate",)
    return ()
