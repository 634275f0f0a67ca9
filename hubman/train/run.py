"""A training as a job runs it: recipe file in, LoRA file and result record out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from hubman.progress import Progress, Report, never, silent, stoppable
from hubman.train.files import write_atomically
from hubman.train.output.result import TrainResult, from_dict, to_dict
from hubman.train.recipe import Recipe, read_recipe, write_recipe
from hubman.train.recipe_data import check_data, read_data
from registry.errors import HubError, MissingExtraError, UsageError
from registry.hashing import hash_file

RESULT = "result.json"


def run_training(
    recipe_path: Path,
    run_dir: Path,
    resume: bool = False,
    report: Report = silent,
    should_stop: Callable[[], bool] = never,
    *,
    should_pause: Callable[[], bool] = never,
    force: bool = False,
    cache: Path | None = None,
    home: Path | None = None,
) -> TrainResult:
    """Check the dataset, train, and leave everything in ``run_dir``: LoRA, epochs, samples, metrics, ``result.json``.

    ``resume`` goes on from the last checkpoint in ``run_dir``, or starts if there is none; what was finished there is
    returned as it is, since a second file would have other bytes and so another identity. ``force`` trains in spite of
    the dataset's errors; images that cannot be decoded are left out. ``cache`` is as :func:`hubman.train.loop.train`
    takes it; ``home`` is hubman's, where measured images are remembered for other runs. Raises UsageError for a dataset with errors,
    CancelledError when ``should_stop`` asked for it (a checkpoint is kept once there was a step), MissingExtraError without torch.
    """
    recipe = read_recipe(recipe_path)
    if resume and (done := _finished(run_dir, recipe)):
        return done
    dataset = read_data(recipe, home or run_dir, stoppable(report, should_stop))
    findings = check_data(recipe, dataset, home or run_dir, force=force)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors and not force:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise UsageError(f"{first.image or dataset.folder.name}: {first.sentence}{more}", first.remedy)
    try:
        from hubman.train.capacity.team import Team
        from hubman.train.loop import train
    except ImportError as error:
        if (error.name or "").startswith("hubman"):
            raise
        raise MissingExtraError("training needs torch and diffusers", "pip install 'hubman[ml]'") from error
    write_recipe(run_dir / "recipe.toml", recipe)
    result = train(
        recipe,
        run_dir,
        dataset=dataset,
        report=report,
        should_stop=should_stop,
        resume=resume,
        cache=cache,
        should_pause=should_pause,
    )
    if Team().leads:
        write_atomically(run_dir / RESULT, msgspec.json.encode(to_dict(result)))
    return result


def _finished(run_dir: Path, recipe: Recipe) -> TrainResult | None:
    done = read_result(run_dir)
    if done is None or done.recipe != recipe or not done.path.is_file():
        return None
    return done if hash_file(done.path).sha256 == done.sha256 else None


def read_result(run_dir: Path) -> TrainResult | None:
    """The result of a finished training in ``run_dir``, or None."""
    try:
        return from_dict(msgspec.json.decode((run_dir / RESULT).read_bytes()))
    except (OSError, msgspec.DecodeError):
        return None


def main() -> None:
    """``accelerate launch -m hubman.train.run RECIPE.toml FOLDER``: one training in several processes."""
    if len(sys.argv) != 3:
        sys.exit("usage: accelerate launch -m hubman.train.run RECIPE.toml FOLDER")

    def tell(event: Progress) -> None:
        if event.message or event.stage == "train":
            loss = f" loss {event.data['smooth']:.4f}" if "smooth" in event.data else ""
            sys.stdout.write(f"{event.stage} {event.done:g}/{event.total:g}{loss} {event.message}".rstrip() + "\n")
            sys.stdout.flush()

    try:
        run_training(Path(sys.argv[1]), Path(sys.argv[2]), resume=True, report=tell)
    except HubError as error:
        sys.exit(f"hubman: {error}")


if __name__ == "__main__":
    main()
