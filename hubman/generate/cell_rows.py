"""The rows of a denoiser's batch: what each cell is told, with which LoRAs, and how the answers become one prediction.

A cell has a row for its negative prompt and one for each part of AND. With LoRA Composite (Zhong et al. 2024) it has these
once for each LoRA alone, and the guided predictions are averaged; with LoRA Switch one LoRA acts at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from hubman.generate.prompt_parts import parts
from hubman.generate.prompt_schedule import Stretch, schedule
from hubman.generate.request import DrawRequest, LoraUse
from hubman.lora.blocks import BlockWeights, read_blocks


@dataclass(frozen=True)
class View:
    """A prediction of a cell: with all its LoRAs, or with ``only`` one of them."""

    cell: int
    only: int | None = None


@dataclass(frozen=True)
class Row:
    """A prompt over time, for which view, with which guidance weight."""

    view: int
    cell: int
    only: int | None
    stretches: tuple[Stretch, ...]
    weight: float


@dataclass(frozen=True)
class Rows:
    """The batch of some cells: first the negative prompts of all views where there is guidance, then the others."""

    views: tuple[View, ...]
    rows: tuple[Row, ...]
    guided: bool

    @classmethod
    def of(cls, cells: Sequence[DrawRequest], steps: int, *, guided: bool) -> Rows:
        """``steps`` are those that schedules in prompts count."""
        views = tuple(View(number, only) for number, cell in enumerate(cells) for only in _views(cell))
        negatives = [
            Row(number, view.cell, view.only, schedule(cells[view.cell].negative, steps), 0.0)
            for number, view in enumerate(views)
        ]
        positives = [
            Row(number, view.cell, view.only, schedule(part.text, steps), part.weight)
            for number, view in enumerate(views)
            for part in parts(cells[view.cell].prompt)
        ]
        return cls(views, (*negatives, *positives) if guided else tuple(positives), guided)

    def predict(self, answer: Tensor, cells: Sequence[DrawRequest]) -> Tensor:
        """One prediction a cell: u + cfg · Σ wᵢ (cᵢ - u) over the parts of AND, and the mean of that over its views."""
        import torch

        positives = self.rows[len(self.views) :] if self.guided else self.rows
        owners = torch.tensor([row.view for row in positives], device=answer.device)
        weights = [row.weight * (cells[row.cell].cfg if self.guided else 1.0) for row in positives]
        scale = torch.tensor(weights, device=answer.device, dtype=answer.dtype)[:, None, None, None]
        if self.guided:
            away = answer[: len(self.views)]
            each = away.index_add(0, owners, (answer[len(self.views) :] - away[owners]) * scale)
        else:
            each = torch.zeros_like(answer[: len(self.views)]).index_add(0, owners, answer * scale)
        if len(self.views) == len(cells):
            return each
        of_cell = torch.tensor([view.cell for view in self.views], device=answer.device)
        counts = torch.bincount(of_cell).to(answer.dtype)[:, None, None, None]
        return torch.zeros_like(each[: len(cells)]).index_add(0, of_cell, each) / counts


def _views(cell: DrawRequest) -> Sequence[int | None]:
    return range(len(cell.loras)) if cell.mode == "composite" and cell.loras else (None,)


def view_count(cell: DrawRequest) -> int:
    """How many predictions are averaged for a cell."""
    return len(_views(cell))


def strengths_at(cell: DrawRequest, row: Row, hashes: Sequence[str], step: int) -> list[float]:
    """The strengths in the denoiser at sampling step ``step`` (from 0) of the LoRAs with these hashes, without block weights."""
    own = {use.sha256: use.strength_at(step) for use in _acting(cell, row, step)}
    return [own.get(sha256, 0.0) for sha256 in hashes]


def text_strengths_at(cell: DrawRequest, row: Row, hashes: Sequence[str], step: int) -> list[float]:
    """As :func:`strengths_at` in the text encoders, with their block weight."""
    own = {use.sha256: text_strength(use) for use in _acting(cell, row, step)}
    return [own.get(sha256, 0.0) for sha256 in hashes]


def text_strength(use: LoraUse) -> float:
    """Of a LoRA in the text encoders."""
    weights = read_blocks(use.blocks)
    return use.text_strength * (weights.text if weights else 1.0)


def block_weights(cell: DrawRequest, hashes: Sequence[str]) -> list[BlockWeights | None]:
    """Of the LoRAs with these hashes."""
    own = {use.sha256: read_blocks(use.blocks) for use in cell.loras}
    return [own.get(sha256) for sha256 in hashes]


def _acting(cell: DrawRequest, row: Row, step: int) -> Sequence[LoraUse]:
    if cell.mode == "switch" and cell.loras:
        return (cell.loras[step // cell.switch_every % len(cell.loras)],)
    return cell.loras if row.only is None else (cell.loras[row.only],)
