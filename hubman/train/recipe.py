"""A training, written down: everything that decides the result, as one record and one TOML file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from hubman.train.files import write_atomically
from hubman.train.recipe_toml import to_toml
from hubman.train.recipe_versions import VERSION, upgraded
from hubman.train.settings.data import CaptionSettings, ImageSettings
from hubman.train.settings.learning import LengthSettings, OptimizerSettings, ScheduleSettings
from hubman.train.settings.network import NetworkSettings
from hubman.train.settings.noise import LossSettings, NoiseSettings, PriorSettings, TimestepSettings
from hubman.train.settings.run import FileSettings, MachineSettings, WatchSettings
from hubman.train.settings.section import Section
from registry.decodable import decodable
from registry.errors import HubError, UsageError

Kind = Literal["style", "character", "concept"]

FIELDS_HINT = "hubman train --fields tells what each field takes"
PATHS = ("base", "dataset", "network.start_from", "images.mask_folder")
"""Fields that name files of this machine."""
_LOOKS = (*PATHS[:2], "version", "output", "watch", "file", "machine.checkpointing", "machine.offload")
"""What does not change what is learned (the content of base and dataset is compared by itself)."""


class Recipe(Section, frozen=True, kw_only=True):
    """One training. Raises UsageError for bad values."""

    version: Annotated[int, Meta(description="of this form of recipes")] = VERSION
    base: Annotated[str, Meta(description="the base model: a diffusers folder or a .safetensors checkpoint")]
    dataset: Annotated[str, Meta(description="the folder of images and captions")]
    output: Annotated[str, Meta(description="the name of the LoRA's file, and of the model in the library")]
    trigger: Annotated[
        str, Meta(description="a rare word that calls the LoRA; it is put before captions that lack it")
    ] = ""
    kind: Annotated[Kind, Meta(description="decides the values that everything else starts from")] = "style"
    family: Annotated[str, Meta(description="the base's architecture, as it was found in its file")] = "sd15"
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="the same seed, data and machine give the same LoRA")] = 0

    network: NetworkSettings = NetworkSettings()
    length: LengthSettings = LengthSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    images: ImageSettings = ImageSettings()
    captions: CaptionSettings = CaptionSettings()
    noise: NoiseSettings = NoiseSettings()
    timesteps: TimestepSettings = TimestepSettings()
    loss: LossSettings = LossSettings()
    prior: PriorSettings = PriorSettings()
    watch: WatchSettings = WatchSettings()
    machine: MachineSettings = MachineSettings()
    file: FileSettings = FileSettings()

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_name(self.output)
        if self.images.bucket_low > self.images.bucket_high:
            raise UsageError("recipe: images.bucket_low exceeds images.bucket_high", "swap them")
        if self.timesteps.low >= self.timesteps.high:
            raise UsageError("recipe: timesteps.low is not below timesteps.high", "swap them")
        if self.length.epochs > self.length.steps:
            raise UsageError(
                f"recipe: {self.length.epochs} epochs in {self.length.steps} steps", "train at least one step an epoch"
            )

    @property
    def resolution(self) -> int:
        """Side in pixels of the largest square that is trained."""
        return max(self.images.resolutions)

    @property
    def learning_digest(self) -> str:
        """SHA-256 of all fields that decide what is learned: a run may be resumed only with the same."""
        values = _without(msgspec.to_builtins(self), _LOOKS)
        if self.watch.held_out:
            # They are not trained, and which ones they are follows from their number.
            values["held_out"] = self.watch.validation_images
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def public(self) -> dict[str, Any]:
        """The fields that may travel in the file: all but the paths."""
        return _without(msgspec.to_builtins(self), PATHS)

    def epoch_ends(self) -> tuple[int, ...]:
        """The step after which each epoch ends; the last is ``length.steps``."""
        steps, epochs = self.length.steps, self.length.epochs
        return tuple(round(steps * (i + 1) / epochs) for i in range(epochs))


def read_recipe(path: Path) -> Recipe:
    """Read and check a TOML recipe of any version; relative paths in it are relative to its folder.

    Raises UsageError by field, HubError for a file that can't be read.
    """
    try:
        values = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise HubError(f"{path} cannot be read ({error.strerror})", "give the path of a recipe") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: {error}", FIELDS_HINT) from error
    return rooted(from_values(values, path.name), path.absolute().parent)


def from_values(values: Mapping[str, Any], name: str = "recipe") -> Recipe:
    """A recipe from TOML's or JSON's types, of any version. Raises UsageError by field; ``name`` says whose it is."""
    try:
        return msgspec.convert(upgraded(values), decodable(Recipe), strict=False)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        if isinstance(cause, UsageError):
            raise cause from None
        said, _, place = str(error).replace("`", "").partition(" - at $.")
        raise UsageError(f"{name}: {f'{place}: ' if place else ''}{said}", FIELDS_HINT) from error


def rooted(recipe: Recipe, folder: Path) -> Recipe:
    """``recipe`` with its relative paths taken as relative to ``folder``."""
    for field in PATHS:
        section, _, name = field.rpartition(".")
        holder = getattr(recipe, section) if section else recipe
        given = getattr(holder, name)
        if not given:
            continue
        changed = msgspec.structs.replace(holder, **{name: str(folder / Path(given).expanduser())})
        recipe = msgspec.structs.replace(recipe, **{section: changed}) if section else changed
    return recipe


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write ``recipe`` as TOML: every field, the reason of each above it."""
    write_atomically(path, to_toml(recipe).encode())


def _check_name(output: str) -> None:
    unusable = any(sign in output for sign in '/\\:*?"<>|\0\n\r')
    if not output.strip() or unusable or output.startswith("."):
        raise UsageError(f"recipe: output {output!r} cannot name a file", "use letters, digits, spaces and dashes")
    if len(output.encode()) > 120:
        raise UsageError("recipe: output is too long to name a file", "keep it below 120 bytes")


def _without(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    kept = {name: dict(value) if isinstance(value, dict) else value for name, value in values.items()}
    for name in names:
        section, _, field = name.rpartition(".")
        (kept[section] if section else kept).pop(field, None)
    return kept
