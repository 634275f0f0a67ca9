"""What a run leaves behind: samples and validation by epoch, LoRA files, and the record of it all."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

from hubman.generate.request import DrawRequest
from hubman.progress import Progress, Report, never, stoppable
from hubman.train.capacity.ladder import is_out_of_memory
from hubman.train.files import write_atomically
from hubman.train.metrics import Metrics
from hubman.train.output.best import Proposal, best_epoch
from hubman.train.output.export import file_hashes, write_lora
from hubman.train.output.metadata import Origin
from hubman.train.output.result import TrainResult
from hubman.train.reporting import Reporting
from hubman.train.run_folder import RunFolder
from hubman.train.training import Training
from hubman.train.versions import versions


class Outcome:
    """The files of a run in its folder; only the one process that leads a team writes them."""

    def __init__(self, training: Training, folder: RunFolder, report: Report) -> None:
        self._training, self._folder, self._report = training, folder, report
        self._recipe = training.recipe
        self._prompts = self._sample_prompts()

    def look_back(self, step: int, epoch: int, reporting: Reporting, should_stop: Callable[[], bool] = never) -> None:
        """Draw the samples and measure the loss at fixed noise.

        Raises CancelledError between two samples once ``should_stop`` says so.
        """
        if self._training.team.leads:
            self._draw(step, epoch, stoppable(self._report, should_stop))
        loss = self._training.validate(step)
        if loss is not None and self._training.team.leads:
            reporting.validated(step, epoch, loss)
            if (found := self._best()) is not None:
                data = {"best": found.epoch, "reason": found.reason}
                self._report(Progress(stage="best", message=f"epoch {found.epoch}: {found.reason}", data=data))

    def write(self, step: int, epoch: int) -> None:
        """Write the LoRA as it is after ``epoch``, unless that is the final one."""
        if epoch < self._recipe.length.epochs and self._training.team.leads:
            write_lora(self._folder.epoch(epoch), self._training.network, self._origin(step, epoch))

    def write_stopped(self, step: int) -> str:
        """Write the LoRA as far as it came; says where, as the end of a sentence, or nothing in a process that only helps."""
        if not self._training.team.leads:
            return ""
        path = self._folder.stopped(step)
        epoch = sum(end <= step for end in self._recipe.epoch_ends())
        write_lora(path, self._training.network, self._origin(step, epoch))
        return f"; the LoRA so far is {path}"

    def result(self, metrics: Metrics, reporting: Reporting) -> TrainResult:
        """Write the final LoRA and say what came of the training."""
        training, recipe, folder = self._training, self._recipe, self._folder
        identity = training.architecture.identity
        seconds = training.clock.seconds
        length = recipe.length
        with training.learner.kept():
            written = write_lora(folder.lora, training.network, self._origin(length.steps, length.epochs))
        for message in (written.sentence(), *written.warnings):
            self._report(Progress(stage="check", message=message))
        return TrainResult(
            path=written.path,
            sha256=written.sha256,
            size=written.size,
            modules=written.modules,
            delta_norm=written.delta_norm,
            delta_norms=dict(written.norms),
            steps=length.steps,
            seconds=round(seconds, 3),
            final_loss=metrics.final_loss(),
            validation=tuple(training.validation),
            best=self._best(),
            samples=folder.samples(self._prompts),
            epoch_files=folder.epochs(),
            metrics_path=metrics.path,
            dataset_fingerprint=training.dataset.fingerprint,
            images=len({item.name for item in training.items}),
            base_name=identity.name,
            base_model_version=identity.base_model_version,
            trigger=recipe.trigger,
            strength=recipe.file.strength,
            recipe=recipe,
            forecast=reporting.forecast,
            versions=versions(),
            warnings=(*written.warnings, *reporting.warnings),
        )

    def _draw(self, step: int, epoch: int, report: Report) -> None:
        """The samples of ``epoch``; where the encoders have no room beside what trains, the training goes on without."""
        if not self._prompts:
            return
        drawn = self._drawn(epoch, report)
        self._training.release_encoders()
        if not drawn:
            message = f"memory ran out while the samples of epoch {epoch} were drawn: it goes on without them"
            self._report(
                Progress(stage="train", done=step, total=self._recipe.length.steps, unit="steps", message=message)
            )

    def _drawn(self, epoch: int, report: Report) -> bool:
        """Draw; False if memory ran out."""
        try:
            for i, prompt in enumerate(self._prompts):
                self._draw_one(epoch, i, prompt, report)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    def _draw_one(self, epoch: int, i: int, prompt: str, report: Report) -> None:
        recipe, architecture = self._recipe, self._training.architecture
        side = recipe.resolution - recipe.resolution % architecture.step
        request = DrawRequest(
            base=recipe.base,
            prompt=prompt,
            seed=recipe.seed + i,
            width=side,
            height=side,
            steps=recipe.watch.sample_steps,
            cfg=recipe.watch.sample_guidance,
            sampler=architecture.sampler,
            clip_skip=recipe.captions.clip_skip,
        )
        picture = architecture.draw(request)
        path = self._folder.sample(epoch, i)
        content = io.BytesIO()
        picture.save(content, "PNG")
        write_atomically(path, content.getvalue())
        data = {"image": str(path), "epoch": epoch, "prompt": prompt}
        report(Progress(stage="sample", done=i + 1, total=len(self._prompts), unit="images", data=data))

    def _sample_prompts(self) -> tuple[str, ...]:
        if self._recipe.watch.sample_prompts:
            return self._recipe.watch.sample_prompts
        captions = self._training.objective.plain_captions(self._training.items)
        return tuple(dict.fromkeys(caption for caption in captions if caption))[: self._recipe.watch.samples]

    def _best(self) -> Proposal | None:
        """The epoch that is proposed so far."""
        return best_epoch(list(enumerate(self._training.validation)), held_out=self._recipe.watch.held_out)

    def _origin(self, step: int, epoch: int) -> Origin:
        training, base = self._training, Path(self._recipe.base)
        sample = self._folder.sample(epoch, 0)
        # Readers count images: one that is mirrored, or trained at several sizes, is one.
        images = list({item.name: item for item in reversed(training.items)}.values())[::-1]
        return Origin(
            recipe=self._recipe,
            identity=training.architecture.identity,
            captions=training.objective.plain_captions(images),
            sizes=[item.size for item in images],
            dataset_fingerprint=training.dataset.fingerprint,
            batches_per_pass=training.course.plan.batches_per_pass,
            step=step,
            epoch=epoch,
            started_at=training.started_at,
            finished_at=time.time(),
            checkpointing=training.rung.checkpointing,
            held_out=len({item.name for item in training.followed}) if self._recipe.watch.held_out else 0,
            sample_prompt=self._prompts[0] if self._prompts else "",
            preview=sample if sample.is_file() else None,
            base_hashes=file_hashes(base) if base.is_file() else None,
        )
