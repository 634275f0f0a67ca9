"""The steps of a publication as a checklist, from its journal, and how fast the bytes go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hubman.civitai.form import PublishForm
    from hubman.progress import Progress
    from registry.database import Registry
    from tui.publishing import Target

State = Literal["waits", "runs", "done"]


@dataclass(frozen=True)
class Step:
    """A line of the checklist: ``done`` of ``total`` where it is of several of the same kind."""

    label: str
    state: State
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Begun:
    """A publication as its journal knows it: (name, state) of each step of each version."""

    state: str = ""
    """``open``, ``draft``, ``published`` … of the last one; empty where nothing was begun."""
    url: str = ""
    begun_at: str = ""
    steps: tuple[tuple[str, str], ...] = ()
    is_out: bool = False
    """Whether all of it is there: publishing again changes it, and makes nothing public."""

    @property
    def is_cut_off(self) -> bool:
        """Whether something was sent and the page is not out."""
        return bool(self.steps) and self.state in {"open", "draft"}


def begun(registry: Registry, version_ids: Sequence[str], target: Target) -> Begun:
    """What was sent of these versions to ``target`` so far. Raises ``HubError`` where it has no address."""
    from hubman.civitai import publications
    from tui import publishing

    site = publishing.site_of(registry, target)
    found = [one for one in (publications.of(registry, version, site) for version in version_ids) if one]
    if not found:
        return Begun()
    states = {one.state for one in found}
    state = next((name for name in ("open", "draft") if name in states), found[0].state)
    steps = tuple((f"{one.version_id} {step.name}", step.state) for one in found for step in one.steps)
    # On the Hub the versions share a repository, and its journal stands with one of them.
    is_whole = target.where == "hf" or len(found) == len(version_ids)
    is_out = is_whole and states <= {"published", "scheduled"}
    return Begun(state, next((one.url for one in found if one.url), ""), found[0].created_at, steps, is_out)


_CIVITAI = (
    ("the model", ("model",)),
    ("the version", ("version",)),
    ("the file's bytes", ("upload",)),
    ("the file", ("file", "attach", "scan")),
    ("the pictures' bytes", ("image ",)),
    ("the post", ("post",)),
    ("the pictures", ("add ",)),
    ("made public", ("publish", "release", "schedule")),
)
_HUB = (
    ("the repository", ("repo",)),
    ("the file's bytes", ("upload ",)),
    ("the model card, in one commit", ("commit",)),
    ("made public", ("public",)),
)


def checklist(form: PublishForm, known: Begun, *, hub: bool, draft: bool, ended: bool) -> list[Step]:
    """Every step, also those that nobody has come to yet."""
    names = [(name.partition(" ")[2], state) for name, state in known.steps]
    kinds = _HUB if hub else _CIVITAI
    shown = [one for one in kinds if not (draft and one[0] == "made public")]
    totals = _totals(form, hub=hub)
    lines = []
    for label, starts in shown:
        mine = [state for name, state in names if _is_of(name, starts)]
        done = sum(1 for state in mine if state == "done")
        total = max(totals.get(label, len(form.parts)), len(mine))
        state: State = "done" if ended or (mine and done >= total) else "runs" if mine else "waits"
        shown_total = total if totals.get(label) else len(form.parts) if label not in totals else 1
        lines.append(Step(label, state, shown_total if ended else min(done, shown_total), shown_total))
    return lines


def _is_of(name: str, starts: Iterable[str]) -> bool:
    return any(
        name == start.rstrip() or name.startswith(start if start.endswith(" ") else f"{start} ") for start in starts
    )


def _totals(form: PublishForm, *, hub: bool) -> dict[str, int]:
    pictures = sum(len(part.pictures) for part in form.parts)
    if hub:
        both = len(form.parts) + pictures
        return {"the repository": 1, "the file's bytes": both, "the model card, in one commit": 1, "made public": 0}
    different = len({picture.sha256 for part in form.parts for picture in part.pictures})
    return {"the model": 1, "the pictures' bytes": different, "the pictures": pictures, "made public": 0}


@dataclass(frozen=True)
class Transfer:
    """Bytes under way: ``rate`` in bytes a second and ``left`` in seconds, both 0 while unknown."""

    name: str = ""
    done: float = 0
    total: float = 0
    rate: float = 0
    left: float = 0
    since: float = 0
    started_with: float = 0


def transferred(before: Transfer, event: Progress | None, now: float) -> Transfer:
    """``before`` after a count of bytes heard at ``now`` (seconds): the mean rate since the file was begun here."""
    if event is None or event.stage != "upload" or not event.total:
        return before
    if event.message != before.name or event.total != before.total or event.done < before.done:
        return Transfer(event.message, event.done, event.total, since=now, started_with=event.done)
    gone = now - before.since
    rate = (event.done - before.started_with) / gone if gone > 0 else 0.0
    left = (event.total - event.done) / rate if rate > 0 else 0.0
    return Transfer(event.message, event.done, event.total, rate, left, before.since, before.started_with)
