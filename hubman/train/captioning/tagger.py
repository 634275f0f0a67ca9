"""Tags of a picture by a WD14-style tagger: ``model.onnx`` with ``selected_tags.csv``.

Input: ``[1, side, side, 3]`` float32, 0 to 255, blue before green before red, on white, padded to a square. Output: a
probability for each line of the table. Category 9 is a rating, 4 a character, 0 a general tag.
Form of the files: https://huggingface.co/SmilingWolf
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from PIL import Image

from hubman.train.captioning import local_models
from hubman.train.data.pictures import load_rgb
from registry.errors import DamagedFileError, MissingExtraError, NotFoundError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GENERAL, CHARACTER = 0.35, 0.85
"""Probabilities from which a tag is taken: the usual ones; for models of the third generation 0.25 finds more."""
MODEL, TABLE = "model.onnx", "selected_tags.csv"
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
_CHARACTER = 4
_RATING = 9
_SHORT = 3
"""Tags of so few letters, such as ``^_^``, keep their underscores."""
_EMOTICONS = frozenset(
    ("0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o", "@_@", "^_^",
     "o_o", "u_u", "x_x", "|_|", "||_||")
)  # fmt: skip


class Tag(msgspec.Struct, frozen=True):
    """A line of the table."""

    name: str
    category: int

    @property
    def is_rating(self) -> bool:
        return self.category == _RATING

    @property
    def is_character(self) -> bool:
        return self.category == _CHARACTER


class Tagger:
    """A loaded model; ``describe`` gives a caption of tags."""

    def __init__(self, model: str, general: float = GENERAL, character: float = CHARACTER) -> None:
        """Load ``model``: a folder, its ``model.onnx``, or a name in the local cache of Hugging Face.

        Raises NotFoundError naming a file that is missing, DamagedFileError for one that is no tagger, and
        MissingExtraError without onnxruntime.
        """
        folder = _folder(model)
        self._tags = read_table(folder / TABLE)
        self._general, self._character = general, character
        self._session = _open(folder / MODEL)
        (given, *_), (made, *_) = self._session.get_inputs(), self._session.get_outputs()
        self._input = given.name
        self._side = _side(given.shape, folder / MODEL)
        if isinstance(made.shape[-1], int) and made.shape[-1] != len(self._tags):
            sentence = f"{folder / TABLE} has {len(self._tags)} tags, {MODEL} gives {made.shape[-1]}"
            raise DamagedFileError(sentence, "get both files of the same model")

    def describe(self, path: Path) -> str:
        """The tags of a picture, the most probable first, with commas between."""
        return ", ".join(name for name, _ in self.tags(path))

    def tags(self, path: Path) -> list[tuple[str, float]]:
        """The tags above their thresholds with their probabilities, ratings left out."""
        batch = pixels(load_rgb(path), self._side)
        (scores, *_) = self._session.run(None, {self._input: batch})
        return choose(self._tags, scores[0].tolist(), self._general, self._character)


def read_table(path: Path) -> tuple[Tag, ...]:
    """The tags of a ``selected_tags.csv``, in the order of the model's outputs. Raises DamagedFileError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            tags = tuple(Tag(row["name"], int(row["category"])) for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DamagedFileError(f"{path} is not a table of tags ({error})", "get it again, with its model") from error
    if not tags:
        raise DamagedFileError(f"{path} has no tags", "get it again, with its model")
    return tags


def choose(
    tags: Sequence[Tag], probabilities: Iterable[float], general: float = GENERAL, character: float = CHARACTER
) -> list[tuple[str, float]]:
    """The cleaned names of what is probable enough, the most probable first; ratings are no part of a caption."""
    found = [
        (clean(tag.name), score)
        for tag, score in zip(tags, probabilities, strict=True)
        if not tag.is_rating and score >= (character if tag.is_character else general)
    ]
    return sorted(found, key=lambda pair: -pair[1])


def clean(name: str) -> str:
    """A tag as captions write it: blanks for underscores, except in emoticons and very short tags."""
    if name in _EMOTICONS or len(name) <= _SHORT:
        return name
    return name.replace("_", " ")


def pixels(image: Image.Image, side: int) -> NDArray[np.float32]:
    """``image`` as the input of a tagger."""
    import numpy as np

    longer = max(image.size)
    square = Image.new("RGB", (longer, longer), "white")
    square.paste(image, ((longer - image.width) // 2, (longer - image.height) // 2))
    if longer != side:
        # As the models were trained: the mean of an area when shrinking, cubic when growing.
        how = Image.Resampling.BOX if longer > side else Image.Resampling.BICUBIC
        square = square.resize((side, side), how)
    return np.ascontiguousarray(np.asarray(square, dtype=np.float32)[None, :, :, ::-1])


def _folder(model: str) -> Path:
    try:
        return local_models.find(model, (MODEL, TABLE), "the tagger", f"{MODEL} {TABLE}")
    except NotFoundError as error:
        folder = Path(model).expanduser()
        if (folder / "model.safetensors").is_file() and not (folder / MODEL).is_file():
            raise NotFoundError(
                f"{folder} has the tagger as model.safetensors only, which needs timm",
                f"get {MODEL} of the same model and put it beside",
            ) from error
        raise


def _open(path: Path) -> Any:
    try:
        import numpy as np  # noqa: F401 - what onnxruntime takes and gives
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("taggers need onnxruntime", "pip install 'hubman[tagger]'") from error
    onnxruntime.set_default_logger_severity(3)
    there = onnxruntime.get_available_providers()
    try:
        return onnxruntime.InferenceSession(path, providers=[name for name in _PROVIDERS if name in there])
    except Exception as error:  # it raises classes of its own, without a common one
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DamagedFileError(f"{path} can't be loaded ({line})", "get it again") from error


def _side(shape: Sequence[object], path: Path) -> int:
    """The pixels of a side that the model takes."""
    match shape:
        case [_, int(height), int(width), 3] if height == width:
            return height
    raise DamagedFileError(
        f"{path} takes pictures of the shape {list(shape)}, a tagger [1, side, side, 3]", "get a WD14-style tagger"
    )
