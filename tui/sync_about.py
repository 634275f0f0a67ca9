"""What the pane beside the lists of mode 5 tells of the line under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui import formats, sync_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hubman.sync.care.alerts import Alert
    from hubman.sync.care.devices import Device
    from hubman.sync.remote import Remote
    from tui.services.watch import JobView
    from tui.sync_conflicts import Conflict
    from tui.sync_rows import WaitLine
    from tui.sync_state import Found
    from tui.sync_transfers import Moving


def of_remote(remote: Remote, syncs: Sequence[JobView], problem: str) -> list[str]:
    """Where it is, how the last sync went, why it can't be asked."""
    badges = sync_words.badges(remote)
    lines = [
        f"{remote.name} · {sync_words.kind(remote)}{f' · {badges}' if badges else ''}",
        remote.location,
        *(f"{name} {remote.options[name]}" for name in ("endpoint", "region") if remote.options.get(name)),
        f"added {sync_words.ago(remote.added_at)}",
        "",
    ]
    if problem:
        lines += [f"! {formats.one_line(problem)}", ""]
    return lines + (of_sync(syncs[0]) if syncs else [_without_job(remote)])


def _without_job(remote: Remote) -> str:
    """Commands sync without leaving a job behind."""
    if remote.synced_at is None:
        return "never synced from here: s syncs now"
    return f"synced {sync_words.ago(remote.synced_at)} by a command: s syncs again"


def of_sync(view: JobView) -> list[str]:
    """What a sync did, or why it could not, in lines."""
    job = view.job
    if not job.ended:
        progress = view.progress
        share = f"{formats.bar(view.share, 20)} {view.share:4.0%}  " if view.share is not None else ""
        said = f"{progress.stage} {progress.message}".strip() if progress else "starting …"
        return [f"{share}{said}"]
    if job.state == "cancelled":
        return ["the last sync was stopped: s goes on from there"]
    if job.error:
        return [f"last sync failed: {formats.one_line(job.error)}", "s tries again"]
    result = job.result or {}
    lines = [
        f"last sync {sync_words.ago(job.finished_at or job.created_at)}",
        f"sent      {_amount(result, 'sent_changes', 'uploaded')}",
        f"received  {_amount(result, 'received_changes', 'downloaded')}",
    ]
    if result.get("let_go"):
        files = formats.count(result["let_go"], "file")
        lines.append(
            f"let go of {files} ({formats.size(result['let_go_bytes'])}): the remote has what does not fit here"
        )
    if result.get("lost_races"):
        lines.append(
            f"{formats.count(result['lost_races'], 'edit')} gave way to a later one of another machine: e shows them"
        )
    return lines + [f"! {formats.one_line(warning)}" for warning in result.get("warnings", [])]


def _amount(result: dict[str, Any], changes: str, files: str) -> str:
    counted = formats.count(result.get(changes, 0), "change"), formats.count(result.get(files, 0), "file")
    return f"{', '.join(counted)} ({formats.size(result.get(f'{files}_bytes', 0))})"


def of_device(device: Device, alerts: Sequence[Alert] = ()) -> list[str]:
    seen = (
        "this machine"
        if device.is_this
        else f"seen {sync_words.ago(device.last_seen)}"
        if device.last_seen
        else "never seen"
    )
    return [
        formats.one_line(device.name),
        f"{seen} · hubman {device.app_version or 'unknown'} · {device.id[:8]}",
        *(f"! {formats.one_line(one.message)}" for one in alerts if one.about == device.name),
        *(["forgotten: nothing waits for it; it comes back when it syncs"] if device.retired else []),
        "",
        f"keeps  {sync_words.keeps(device.policy)}",
        f"holds  {formats.count(device.models_here, 'model')}, {formats.size(device.bytes_here)}",
        "",
        "p  what it keeps    n  its name" + ("" if device.is_this or device.retired else "    D  forget it"),
    ]


def of_conflict(conflict: Conflict) -> list[str]:
    return [
        f"{conflict.field.replace('_', ' ')} of {formats.one_line(conflict.name)}",
        "",
        f"mine    {conflict.shown('mine')}",
        f"theirs  {conflict.shown('theirs')}",
        "",
        "enter  side by side, to keep one or both",
    ]


def of_wait(line: WaitLine) -> list[str]:
    ways = {"↑": "goes up with the next sync", "↓": "comes in with the next sync"}
    return [line.text, f"{line.size}  {ways.get(line.mark, '')}".strip()]


def of_moving(moving: Moving, every: Sequence[Moving]) -> list[str]:
    under_way = [one for one in every if one.is_under_way]
    open_ = [one for one in under_way if one.is_all] or under_way
    rate = sum(one.rate for one in open_)
    left = sum(one.total - one.done for one in open_)
    lines = [
        formats.one_line(moving.name),
        f"{formats.size(int(moving.done))} of {formats.size(int(moving.total))}",
        "",
    ]
    if not open_ and any(one.is_halted for one in every):
        return [*lines, "it waits: the next sync goes on from there"] if moving.is_halted else lines
    if not open_:
        return [*lines, f"all {formats.count(len(every), 'file')} are through"]
    lines.append(f"{formats.size(int(left))} left of all that is under way")
    if rate:
        lines.append(f"{formats.size(int(rate))}/s, {formats.duration(left / rate)} left")
    return [*lines, "", "space  wait or go on    x  stop"]


def of_finding(found: Found) -> list[str]:
    said = {
        "missing": "It is gone from the remote: a machine that has it sends it again.",
        "repairable": "R mends it.",
        "note": "Nothing has to be done.",
        "done": "The last repair did this.",
    }
    return [f"{found.about} {found.message}", "", said.get(found.level, "")]
