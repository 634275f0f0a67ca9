"""The arguments of a LoRA tag: positional numbers, ``key=value``, and bare block lists of old prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hubman.generate.lint import Edit, Lint
from hubman.lora.blocks import read_blocks
from registry.errors import UsageError

NUMBER = r"[+-]?(?:\d{1,12}(?:\.\d{0,40})?|\.\d{1,40})"
"""A number of the prompt language; longer ones are text, so that none is infinite."""
_NUMBER = re.compile(NUMBER)
_STEP = re.compile(r"\d{1,9}")
_STEPS = re.compile(r"(\d{1,9})-(\d{1,9})")
_COMMA = re.compile(r"([+-]?\d{0,3}),(\d{1,4})")
_POSITIONAL = ("te", "unet", "dyn")


@dataclass
class Arguments:
    """What the arguments say; strengths as A1111 reads them (one sets both, ``unet`` follows ``te``)."""

    numbers: dict[str, float] = field(default_factory=dict)
    start: int = 0
    stop: int | None = None
    block_weights: str = ""
    lints: list[Lint] = field(default_factory=list)

    @property
    def te(self) -> float:
        return self.numbers.get("te", 1.0)

    @property
    def unet(self) -> float:
        return self.numbers.get("unet", self.te)

    @property
    def rank(self) -> int | None:
        return int(self.numbers["dyn"]) if self.numbers.get("dyn", 0) >= 1 else None


def read_arguments(args: Sequence[str], at: int, tag: str) -> Arguments:
    """Read what stands behind the name; ``at`` is where the first argument begins, ``tag`` names the tag in remarks.

    A key beats a position. Any arguments give a result; what is not understood is remarked and has no effect.
    """
    found = Arguments()
    position = 0
    keyed: list[tuple[str, str, int, int]] = []
    for arg in args:
        end = at + len(arg)
        key, equals, value = arg.partition("=")
        word = arg.strip()
        if equals:
            keyed.append((key.strip().lower(), value.strip(), at, end))
        elif _NUMBER.fullmatch(word) and position < len(_POSITIONAL):
            found.numbers[_POSITIONAL[position]] = float(word)
            position += 1
        elif comma := _COMMA.fullmatch(word):
            number = f"{comma[1]}.{comma[2]}"
            message = f"{word} in {tag} is a list of two numbers, not {number}"
            found.lints.append(Lint(at, end, "decimal-comma", message, Edit(at, end, number)))
        elif word and not _NUMBER.fullmatch(word) and not found.block_weights:
            _blocks(found, word, at, end, tag)
        elif word:
            message = f"{word} in {tag} is one argument too many and is ignored"
            found.lints.append(_superfluous(message, at, end))
        at = end + 1
    for key, value, start, end in keyed:
        _keyed(found, key, value, start, end, tag)
    _check_steps(found, tag, at)
    return found


def _superfluous(message: str, at: int, end: int) -> Lint:
    """The edit takes the argument out together with the colon before it."""
    return Lint(at, end, "argument", message, Edit(at - 1, end, ""))


def _keyed(found: Arguments, key: str, value: str, at: int, end: int, tag: str) -> None:
    if key in _POSITIONAL:
        if _NUMBER.fullmatch(value):
            found.numbers[key] = float(value)
        else:
            found.lints.append(_superfluous(f"{key}={value} in {tag} is not a number and is ignored", at, end))
    elif key == "lbw":
        _blocks(found, value, at, end, tag)
    elif key in {"start", "stop"} and _STEP.fullmatch(value):
        setattr(found, key, int(value))
    elif key == "step" and (steps := _STEPS.fullmatch(value)):
        found.start, found.stop = int(steps[1]), int(steps[2])
    elif key in {"start", "stop", "step"}:
        wanted = "two step numbers such as 3-9" if key == "step" else "a step number"
        found.lints.append(_superfluous(f"{key}={value} in {tag} is not {wanted} and is ignored", at, end))
    else:
        found.lints.append(_superfluous(f"{key}= in {tag} is not known and is ignored", at, end))


def _blocks(found: Arguments, value: str, at: int, end: int, tag: str) -> None:
    found.block_weights = value
    try:
        read_blocks(value)
    except UsageError as error:
        found.lints.append(Lint(at, end, "blocks", f"{error.message} in {tag}: {error.hint}"))


def _check_steps(found: Arguments, tag: str, end: int) -> None:
    if found.stop is not None and found.stop <= found.start:
        message = f"{tag} is never on: it stops at step {found.stop}, before it starts at {found.start}"
        found.lints.append(Lint(end - 1, end, "never-on", message))
