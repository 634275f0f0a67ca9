"""A training in words: how far it is, how fast, what it costs, how it ended."""

from __future__ import annotations

from registry import timestamps
from tui import formats
from tui.run_record import RunRecord, smoothed, smoothing
from tui.services.watch import JobView

BAR = 8


def progress_line(view: JobView, record: RunRecord) -> str:
    """Share, steps and time left; of what has ended how it ended."""
    job, counted = view.job, record.events.counted
    if job.error:
        return formats.one_line(job.error)
    parts = []
    if job.state == "queued":
        parts.append("waits: P lets it begin" if view.paused else "waits for its turn")
    elif view.paused:
        parts.append("paused: P goes on")
    if counted is not None and not job.ended:
        share = counted.done / counted.total
        count = f"{counted.done:,g}/{counted.total:,g} {counted.unit}".rstrip()
        parts.append(f"{formats.bar(share, BAR)} {share:4.0%} {count}")
    parts += _times(view, record)
    last = record.events.last
    if last is not None and not job.ended and last is not counted and last.stage not in {"paused", "best"}:
        parts.append(formats.one_line(f"{last.stage} {last.message}"))
    return "  ·  ".join(parts) or "waiting for its first word …"


def _times(view: JobView, record: RunRecord) -> list[str]:
    job, counted = view.job, record.events.counted
    if not job.started_at:
        return []
    begun = timestamps.parse(job.started_at)
    end = timestamps.parse(job.finished_at) if job.finished_at else formats.now()
    taken = (end - begun).total_seconds()
    if job.ended:
        return [f"{'took' if job.state == 'done' else 'stopped after'} {formats.duration(taken)}"]
    if counted is None or not counted.done or view.paused:
        return []
    left = counted.data.get("eta", taken * (counted.total - counted.done) / counted.done)
    speed = record.events.fact("speed")
    return [f"{formats.duration(left)} left", *([_pace(float(speed))] if speed else [])]


def _pace(speed: float) -> str:
    return f"{speed:.2f} it/s" if speed >= 0.1 else f"{1 / speed:.1f} s/it"


def facts_line(record: RunRecord) -> str:
    """Loss, learning rate and memory, then the forecast; of a finished one where its file is."""
    events = record.events
    parts = []
    if events.losses:
        smooth = events.fact("smooth")
        last = smooth if smooth is not None else smoothed(events.losses, smoothing(len(events.losses)))[-1][1]
        parts.append(f"loss {last:.4g}")
    if events.rates:
        parts.append(f"learning rate {events.rates[-1][1]:.3g}")
    if memory := events.fact("memory_peak"):
        parts.append(f"memory {formats.size(int(memory))} at most")
    if record.job.result and record.job.result.get("path"):
        parts.append(str(record.job.result["path"]))
    elif forecast := events.fact("forecast"):
        parts.append(str(forecast))
    return "  ·  ".join(parts)


def proposal_line(record: RunRecord) -> str:
    """The epoch that is proposed and why."""
    if record.best is not None:
        return f"best so far: {record.best.reason}"
    if record.recipe is not None and not record.recipe.watch.validation_images:
        return "no validation in this recipe: choose by the samples"
    return "the best epoch is proposed once one is validated"


def state_of(view: JobView) -> str:
    """The state in one word, of a running one how far it is."""
    share = view.share
    if view.paused:
        return "paused"
    if view.job.state == "running" and share is not None:
        return f"{share:.0%}"
    return view.job.state
