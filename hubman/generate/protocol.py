"""What the engine process and its client say to each other: one JSON object a line. No torch here."""

from __future__ import annotations

import msgspec

from hubman.generate.curve import Curve
from hubman.generate.request import DrawRequest
from hubman.generate.sweep import StrengthSweep
from hubman.progress import Progress


class Load(msgspec.Struct, frozen=True, kw_only=True, tag="load", tag_field="do"):
    """Load a base now, so that the first picture does not wait for it."""

    id: int
    base: str


class Draw(msgspec.Struct, frozen=True, kw_only=True, tag="draw", tag_field="do"):
    """Draw requests to ``out``; answered by Told and Picture lines, then Done or Failed."""

    id: int
    requests: tuple[DrawRequest, ...]
    out: str
    batch: int


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag="measure", tag_field="do"):
    """Measure the drawn sweep in ``folder``, with CLIP if ``clip`` names a CLIPModel folder, against training images."""

    id: int
    sweep: StrengthSweep
    folder: str
    clip: str = ""
    training: tuple[str, ...] = ()


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel", tag_field="do"):
    """Stop the command ``id``, running or waiting."""

    id: int


class Quit(msgspec.Struct, frozen=True, kw_only=True, tag="quit", tag_field="do"):
    """Stop what runs, and end."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready", tag_field="event"):
    """First line: the engine is up."""

    device: str
    versions: dict[str, str]


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="progress", tag_field="event"):
    id: int
    progress: Progress


class Picture(msgspec.Struct, frozen=True, kw_only=True, tag="picture", tag_field="event"):
    """A picture is on disk at ``path``."""

    id: int
    key: str
    path: str
    seconds: float


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag="measured", tag_field="event"):
    id: int
    curve: Curve


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done", tag_field="event"):
    id: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed", tag_field="event"):
    """``kind`` is the name of a class in ``registry.errors``."""

    id: int
    kind: str
    message: str
    hint: str = ""


Work = Load | Draw | Measure
Command = Work | Cancel | Quit
Event = Ready | Told | Picture | Measured | Done | Failed

COMMAND = msgspec.json.Decoder(Command)
EVENT = msgspec.json.Decoder(Event)
ENCODER = msgspec.json.Encoder()
