"""What the engine process and its clients say to each other: one JSON object a line. No torch here."""

from __future__ import annotations

import msgspec

from hubman.generate.curve import Curve
from hubman.generate.request import DrawRequest
from hubman.generate.sweep import StrengthSweep
from hubman.progress import Progress


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello", tag_field="do"):
    """First line of a client: who it is. Answered by Ready."""

    version: str
    """Of hubman."""
    build: str
    """A digest of the engine's code."""
    name: str
    """What people call it, such as ``job 01j9k2``."""
    pid: int


class Load(msgspec.Struct, frozen=True, kw_only=True, tag="load", tag_field="do"):
    """Load a base now, so that the first picture does not wait for it."""

    id: int
    base: str


class Draw(msgspec.Struct, frozen=True, kw_only=True, tag="draw", tag_field="do"):
    """Draw requests to ``out``; answered by Told, Preview and Picture lines, then Done or Failed."""

    id: int
    requests: tuple[DrawRequest, ...]
    out: str
    batch: int = 0
    """Cells that go through the denoiser together at most; 0 for as many as the memory takes."""
    previews: bool = False


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag="measure", tag_field="do"):
    """Measure the drawn sweep in ``folder``, with CLIP if ``clip`` names a CLIPModel folder, against training images."""

    id: int
    sweep: StrengthSweep
    folder: str
    clip: str = ""
    training: tuple[str, ...] = ()


class Unload(msgspec.Struct, frozen=True, kw_only=True, tag="unload", tag_field="do"):
    """Give all memory back at the next turn; the next picture loads anew."""

    id: int


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel", tag_field="do"):
    """Stop the client's command ``id``, running or waiting."""

    id: int


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look", tag_field="do"):
    """Answered by State at once, also while a picture is drawn."""

    id: int


class Finish(msgspec.Struct, frozen=True, kw_only=True, tag="finish", tag_field="do"):
    """End: once all that was asked for is done, or ``now``, between two steps. No new work is taken."""

    now: bool = False


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready", tag_field="event"):
    """First line: which engine this is."""

    version: str
    build: str
    pid: int
    finishing: bool = False
    """It takes no new work, and is to be waited for."""


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="progress", tag_field="event"):
    id: int
    progress: Progress


class Preview(msgspec.Struct, frozen=True, kw_only=True, tag="preview", tag_field="event"):
    """What a picture is going to look like: ``png`` holds the bytes of a small file, at most 64 pixels a side."""

    id: int
    key: str
    step: int
    """Steps done of ``steps``."""
    steps: int
    png: bytes


class Picture(msgspec.Struct, frozen=True, kw_only=True, tag="picture", tag_field="event"):
    """A picture is on disk at ``path``."""

    id: int
    key: str
    path: str
    seconds: float


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag="measured", tag_field="event"):
    id: int
    curve: Curve


class KeptBase(msgspec.Struct, frozen=True, kw_only=True):
    """A base that is loaded."""

    name: str
    path: str
    dtype: str
    bytes: int
    loras: int
    """LoRAs in its bank."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked for and does not have yet."""

    client: str
    pid: int
    work: str
    """``load``, ``draw``, ``measure`` or ``unload``."""
    done: int
    total: int
    """Pictures; 0 where there are none."""
    running: bool


class State(msgspec.Struct, frozen=True, kw_only=True, tag="state", tag_field="event"):
    """What the engine does and has. ``device`` is empty until torch is loaded. Memory in bytes."""

    id: int
    version: str
    pid: int
    device: str = ""
    device_name: str = ""
    note: str = ""
    """What is not known of this kind of device."""
    threads: int = 0
    bases: tuple[KeptBase, ...] = ()
    loras: int = 0
    """LoRA files kept in main memory, of ``lora_bytes`` together."""
    lora_bytes: int = 0
    memory_used: int = 0
    memory_free: int = 0
    """That the engine can still take."""
    clients: int = 0
    waiting: tuple[Waiting, ...] = ()
    idle_seconds: float = 0
    """Since the last work."""
    ends_after: float = 0
    """Seconds without work after which it ends; 0 for never."""
    finishing: bool = False


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done", tag_field="event"):
    id: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed", tag_field="event"):
    """``kind`` is the name of a class in ``registry.errors``."""

    id: int
    kind: str
    message: str
    hint: str = ""


Work = Load | Draw | Measure | Unload
Command = Work | Hello | Cancel | Look | Finish
Result = Told | Preview | Picture | Measured | State | Done | Failed
Event = Ready | Result

COMMAND = msgspec.json.Decoder(Command)
EVENT = msgspec.json.Decoder(Event)
