"""Remotes, machines and what they keep, in the words of the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui import formats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hubman.sync.care.alerts import Alert
    from hubman.sync.care.devices import Device
    from hubman.sync.care.moving import Moved
    from hubman.sync.pending import Pending, Side
    from hubman.sync.policies.policy import Policy
    from hubman.sync.remote import Remote

_WEIGHTS = {"all": "all weights", "pinned": "pinned weights", "none": "no weights"}
_PREVIEWS = {"all": "all pictures", "thumbs": "small pictures", "none": "no pictures"}
_QUERY = "query:"


def kind(remote: Remote) -> str:
    """``folder``, or the scheme of a bucket's address such as ``s3``."""
    return "folder" if remote.kind == "folder" else remote.location.partition(":")[0]


def place(remote: Remote) -> str:
    """Where it is, after what sets it apart: a long address is cut at its end."""
    return " · ".join(part for part in (badges(remote), formats.one_line(remote.location)) if part)


def keeps(policy: Policy) -> str:
    """What a machine keeps, in one line: everything only where it is."""
    weights = _WEIGHTS.get(policy.weights) or f"weights of {policy.weights.removeprefix(_QUERY)}"
    what = (
        "everything"
        if (policy.weights, policy.previews) == ("all", "all")
        else f"{weights}, {_PREVIEWS[policy.previews]}"
    )
    parts = [
        what,
        f"at most {formats.size(policy.limit)}" if policy.limit else "",
        "sends no weights" if policy.upload == "no" else "",
        f"↑ {formats.size(policy.rate_up)}/s" if policy.rate_up else "",
        f"↓ {formats.size(policy.rate_down)}/s" if policy.rate_down else "",
        policy.window,
    ]
    return ", ".join(part for part in parts if part)


def called(device: Device) -> str:
    said = " (here)" if device.is_this else " (gone)" if device.retired else ""
    return f"{formats.one_line(device.name)}{said}"


def seen(device: Device) -> str:
    if device.is_this:
        return "now"
    return formats.age(device.last_seen) if device.last_seen else "never"


def ago(stamp: str) -> str:
    """``just now``, ``5 min ago``."""
    age = formats.age(stamp)
    return "just now" if age == "now" else f"{age} ago"


def amount(side: Side) -> str:
    """``3 changes, 2 files (12.0 MB)``."""
    if side.is_empty:
        return "nothing"
    parts = [formats.count(side.changes, "change")] if side.changes else []
    parts += [f"{formats.count(side.file_count, 'file')} ({formats.size(side.bytes)})"] if side.file_count else []
    return ", ".join(parts)


def arrows(found: Pending | None) -> str:
    """``↑3 ↓12``: changes and files each way; empty where nothing waits or nobody looked."""
    if found is None:
        return ""
    up, down = found.up.changes + found.up.file_count, found.down.changes + found.down.file_count
    # Batches that were not looked into have some changes at least.
    down = down or sum(one.batches for one in found.unread)
    return " ".join(f"{arrow}{_few_cells(count)}" for arrow, count in (("↑", up), ("↓", down)) if count)


def _few_cells(count: int) -> str:
    return str(count) if count < 1000 else f"{count / 1000:.1f}k" if count < 10_000 else f"{count // 1000:,}k"


def hold(said: str) -> str:
    """``said`` is ``paused`` or ``until 01:00``."""
    if said == "paused":
        return "files wait: paused (space lets them go on); edits go all the same"
    return f"files wait {said}, as this machine's policy says (p); edits go all the same"


def moved(remote: Remote, to: Moved) -> str:
    return (
        f"{remote.name} has moved to {formats.one_line(to.place)}, says {formats.one_line(to.by)}: m follows it there"
    )


def alerts(found: Sequence[Alert]) -> list[str]:
    """The first one, and how many more there are."""
    more = f"  (and {len(found) - 1} more: v)" if len(found) > 1 else ""
    return [f"! {formats.one_line(one.about)}: {formats.one_line(one.message)}{more}" for one in found[:1]]


def badges(remote: Remote) -> str:
    """``encrypted``, ``signed``, ``read only``."""
    kept = {"age": "encrypted", "hmac": "signed"}.get(remote.enc, "")
    return ", ".join(text for text in (kept, "read only" if remote.is_read_only else "") if text)
