"""Where a run keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hubman.train.output.result import EpochFile, Sample
from hubman.train.recipe import Recipe


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path
    recipe: Recipe

    @property
    def lora(self) -> Path:
        return self.path / f"{self.recipe.output}.safetensors"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def sample(self, epoch: int, index: int) -> Path:
        return self.path / "samples" / f"epoch-{epoch:02}-{index}.png"

    def epoch(self, epoch: int) -> Path:
        return self.path / "epochs" / f"{self.recipe.output}-{epoch:06}.safetensors"

    def stopped(self, step: int) -> Path:
        """The LoRA as it was when the run was stopped after ``step``."""
        return self.path / "stopped" / f"{self.recipe.output}-step{step:08}.safetensors"

    def samples(self, prompts: tuple[str, ...]) -> tuple[Sample, ...]:
        """The samples that are there, by epoch and prompt."""
        every = (
            Sample(self.sample(epoch, i), epoch, prompt, self.recipe.seed + i)
            for epoch in range(self.recipe.length.epochs + 1)
            for i, prompt in enumerate(prompts)
        )
        return tuple(sample for sample in every if sample.path.exists())

    def epochs(self) -> tuple[EpochFile, ...]:
        """The LoRAs of epochs that are there, the last one excepted: that is :attr:`lora`."""
        ends = enumerate(self.recipe.epoch_ends(), 1)
        files = (EpochFile(self.epoch(epoch), epoch, step) for epoch, step in ends)
        return tuple(file for file in files if file.path.exists())
