"""The training loop: reads top to bottom.

Everything that the loop reads is encoded once; what is drawn at random follows from the seed and the step, so a run
that was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hubman.progress import Progress, Report, never, silent, stoppable
from hubman.train.capacity.team import Team
from hubman.train.capacity.threads import threads
from hubman.train.clashes import refuse_clashes
from hubman.train.data.dataset import Dataset
from hubman.train.metrics import Metrics
from hubman.train.outcome import Outcome
from hubman.train.output.result import TrainResult
from hubman.train.recipe import Recipe
from hubman.train.recipe_data import read_data
from hubman.train.reporting import Reporting
from hubman.train.run_folder import RunFolder
from hubman.train.training import Training
from registry.errors import CancelledError

Ask = Callable[[], bool]

PAUSE_POLL_S = 0.2


def train(
    recipe: Recipe,
    run_dir: Path,
    report: Report = silent,
    should_stop: Ask = never,
    *,
    should_pause: Ask = never,
    resume: bool = False,
    dataset: Dataset | None = None,
    cache: Path | None = None,
) -> TrainResult:
    """Train ``recipe`` in ``run_dir``; ``dataset`` saves reading the recipe's folder again.

    ``cache`` is a folder of encoded images and captions that runs share, by default one of this run's own. While
    ``should_pause`` says so, the run waits between two steps with all that it has loaded.

    Raises HubError for a base or dataset that cannot be used, a loss that is not finite or memory that does not
    suffice, and CancelledError after ``should_stop``: with a checkpoint written, or before the first step between two
    images, captions or samples, of which those that are encoded stay in ``cache``.
    """
    refuse_clashes(recipe)
    team = Team()
    report = report if team.leads else silent
    dataset = dataset or read_data(recipe, run_dir, stoppable(report, should_stop))
    with team.folder(run_dir) as own, threads(recipe.machine.threads):
        folder = RunFolder(own, recipe)
        checkpoints = RunFolder(run_dir, recipe).checkpoints
        training = Training(
            recipe, dataset, checkpoints, cache or run_dir / "cache", report, team, should_stop, resume=resume
        )
        step = training.done
        metrics = Metrics(folder.metrics, keep_steps=step)
        reporting = Reporting(recipe, metrics, training.clock, training.memory, training.forecast, report)
        outcome = Outcome(training, folder, report)
        _steps(training, step, outcome, reporting, should_stop, should_pause, report)
        return outcome.result(metrics, reporting)


def _steps(
    training: Training,
    step: int,
    outcome: Outcome,
    reporting: Reporting,
    should_stop: Ask,
    should_pause: Ask,
    report: Report,
) -> None:
    """All steps from ``step`` on, with what is kept on the way."""
    recipe = training.recipe
    ends, steps, save_every = recipe.epoch_ends(), recipe.length.steps, recipe.watch.save_every
    if step == 0:
        outcome.look_back(0, 0, reporting, should_stop)
    # What loading, encoding and the first samples took does not count as the steps'.
    training.memory.forget_peak()
    training.clock.go()
    while step < steps:
        _wait(training, step, should_pause, should_stop, report)
        reporting.take(training.step(step), training.learner.step_size)
        step += 1
        epoch = ends.index(step) + 1 if step in ends else 0
        stopping = training.team.agree(should_stop())
        keeping = epoch or stopping or (save_every and step % save_every == 0)
        if keeping or reporting.due:
            reporting.flush(step, training.learner, training.forecast)
        if keeping:
            training.clock.stop()
            if epoch:
                with training.learner.kept():
                    outcome.look_back(step, epoch, reporting)
                    outcome.write(step, epoch)
            training.save(step)
            training.clock.go()
        if stopping and step < steps:
            with training.learner.kept():
                where = outcome.write_stopped(step)
            raise CancelledError(f"stopped after {step} of {steps} steps{where}", "resume it to go on from there")


def _wait(training: Training, step: int, should_pause: Ask, should_stop: Ask, report: Report) -> None:
    """Stand still while ``should_pause`` says so, and does not also have to stop."""
    if not should_pause():
        return
    training.clock.stop()
    total = training.recipe.length.steps
    report(Progress(stage="paused", done=step, total=total, unit="steps", message="paused; it keeps what it loaded"))
    while should_pause() and not should_stop():
        time.sleep(PAUSE_POLL_S)
    training.clock.go()
