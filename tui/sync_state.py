"""What mode 5 shows of this machine's side, read in one go by a thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui import sync_conflicts
from tui.sync_conflicts import Conflict

if TYPE_CHECKING:
    from hubman.jobs.records import Job
    from hubman.sync.care.alerts import Alert
    from hubman.sync.care.devices import Device
    from hubman.sync.care.moving import Moved
    from hubman.sync.remote import Remote
    from registry.database import Registry


@dataclass(frozen=True)
class State:
    """Remotes, machines, and the edits that wait for a person to choose between."""

    remotes: tuple[Remote, ...] = ()
    devices: tuple[Device, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    can_undo: bool = False
    hold: str = ""
    """``paused`` or ``until 01:00`` while no file of this machine may move, else empty."""
    alerts: tuple[Alert, ...] = ()
    """What a person has to see to: clocks, copied registries, logs that can't be read on."""
    moved: Mapping[str, Moved] = field(default_factory=dict)
    """By the name of a remote, where another machine has moved it."""


@dataclass(frozen=True)
class Found:
    """A finding of a check, as its job tells it."""

    level: str
    about: str
    message: str


def read(registry: Registry) -> State:
    from hubman.sync import lost
    from hubman.sync.care import alerts, devices, moving
    from hubman.sync.remote import all_remotes
    from registry import journal

    machines = tuple(devices.all_devices(registry))
    names = {one.id: one.name for one in machines}
    remotes = tuple(all_remotes(registry))
    return State(
        remotes,
        machines,
        tuple(sync_conflicts.of(edit, names) for edit in lost.unseen(registry)),
        journal.last(registry) is not None,
        _hold(registry),
        tuple(alerts.alerts(registry)),
        {one.name: found for one in remotes if (found := moving.moved(registry.db, one))},
    )


def _hold(registry: Registry) -> str:
    from hubman.sync.policies import policy
    from hubman.sync.transfer import holding
    from registry import clock

    if holding.is_paused(registry.db):
        return "paused"
    until = holding.waits_until(policy.of_device(registry.db, clock.device_id(registry.db)))
    return f"until {until}" if until else ""


def findings(job: Job | None) -> list[Found]:
    """What a check found, or what a repair did and what it left; nothing of one that has not ended well."""
    result: dict[str, Any] = (job.result or {}) if job is not None else {}
    is_repair = job is not None and bool(job.request.get("repair"))
    told = result.get("left" if is_repair else "findings", [])
    done = [Found("done", "mended", str(line)) for line in result.get("done", [])]
    return [*(Found(str(one["level"]), str(one["about"]), str(one["message"])) for one in told), *done]
