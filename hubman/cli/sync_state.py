"""What ``hubman doctor`` says of sync, without asking any remote."""

from __future__ import annotations

from pathlib import Path

from hubman.cli import output
from hubman.cli.civitai_state import Finding
from registry import placement
from registry.database import Registry


def findings(home: Path) -> list[Finding]:
    """Where the registry lies, each remote, and what is wrong with devices."""
    why = placement.problem(home)
    where = "no share, and nothing else syncs it" if why is None else f"in {why}: move it to a local disk"
    found: list[Finding] = [("home place", why is None, where)]
    if not (home / "registry.db").exists():
        return found
    from hubman.sync.care.alerts import alerts
    from hubman.sync.remote import all_remotes

    with Registry(home) as registry:
        for one in all_remotes(registry):
            when = f"synced {output.minute(one.synced_at)}" if one.synced_at else "never synced"
            found.append((f"remote {one.name}", one.synced_at is not None, f"{one.location}, {when}"))
        found += [(f"device {one.about}", False, one.message) for one in alerts(registry)]
    return found
