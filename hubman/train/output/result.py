"""What a training leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from hubman.train.capacity.forecast import Forecast
from hubman.train.output.best import Proposal
from hubman.train.recipe import Recipe


class Sample(msgspec.Struct, frozen=True):
    """A picture drawn during the training; epoch 0 is the base before the first step."""

    path: Path
    epoch: int
    prompt: str
    seed: int


class EpochFile(msgspec.Struct, frozen=True):
    """A LoRA as it was after an epoch."""

    path: Path
    epoch: int
    step: int


class TrainResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished training: all that is needed to register, show and publish the LoRA."""

    path: Path
    """The LoRA file."""
    sha256: str
    size: int
    """Bytes."""
    modules: int
    delta_norm: float
    """Frobenius norm of the weights' change; 0 means that the LoRA does nothing."""
    steps: int
    seconds: float
    """Of training, over all resumptions, without loading and encoding."""
    final_loss: float
    """Mean of the last tenth of the steps."""
    validation: tuple[float, ...]
    """Loss at fixed noise before the first step and after each epoch; empty when it was off."""
    best: Proposal | None = None
    """The epoch that is proposed; None when validation was off."""
    samples: tuple[Sample, ...]
    epoch_files: tuple[EpochFile, ...]
    metrics_path: Path
    dataset_fingerprint: str
    images: int
    base_name: str
    base_model_version: str
    """As in ``ss_base_model_version``: ``sd_v1``, ``sd_v2_v``, ``5-medium``, …"""
    trigger: str
    strength: float
    """Recommended at first."""
    recipe: Recipe
    forecast: Forecast | None = None
    """What it took, as far as it was measured."""
    versions: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    delta_norms: dict[str, float] = {}
    """``delta_norm`` of each component: ``unet``, ``text_encoder``, …"""


def to_dict(result: TrainResult) -> dict[str, Any]:
    """The result in JSON's types, paths as strings; :func:`from_dict` reads it back."""
    values: dict[str, Any] = msgspec.to_builtins(result, enc_hook=str)
    return values


def from_dict(values: dict[str, Any]) -> TrainResult:
    """Raises ``msgspec.ValidationError`` for anything that is not a result."""
    return msgspec.convert(values, TrainResult, dec_hook=lambda kind, value: kind(value))
