"""The course of a run: which images and captions each of its steps reads. Known before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hubman.train.capacity.team import Team
from hubman.train.encoding.material import Item
from hubman.train.learning.batches import BatchPlan
from hubman.train.loss.objective import Objective
from hubman.train.recipe import Recipe

MOST_STEPS = 50_000


class Course:
    """The batches of this process, by step."""

    def __init__(self, recipe: Recipe, items: Sequence[Item], team: Team) -> None:
        self._recipe, self._items, self._team = recipe, items, team
        sizes, repeats = [item.size for item in items], [item.repeats for item in items]
        self.plan = BatchPlan(sizes, recipe.length.batch, recipe.seed, repeats)

    def batches(self, step: int) -> Iterator[tuple[Sequence[Item], int, int]]:
        """The batches of a step: their images, their number in the run, and the pass over the data set.

        In a team each process has its share of them.
        """
        count = self._recipe.length.accumulate * self._team.size
        for batch in range(step * count + self._team.rank, (step + 1) * count, self._team.size):
            yield [self._items[i] for i in self.plan.at(batch)], batch, batch // self.plan.batches_per_pass

    def readings(self, objective: Objective, most: int) -> set[str] | None:
        """Every caption as it will be read in the run; None if there are more than ``most``.

        Of a very long run the first :data:`MOST_STEPS` steps are looked at: what comes up after them is rare.
        """
        found = set(objective.fixed_readings(self._items))
        for step in range(min(self._recipe.length.steps, MOST_STEPS)):
            for items, batch, pass_ in self.batches(step):
                found.update(objective.readings(items, batch, pass_))
            if len(found) > most:
                return None
        return found
