"""What a pull would fetch, before it fetches anything: a line a file, with its size and why it is left out if it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hubman.civitai.choosing import AmbiguousError, Choice, Preference, choose, with_ref
from hubman.civitai.client import Civitai
from hubman.civitai.errors import RateLimitError, RegionError, UnavailableError
from hubman.civitai.records import RemoteFile, RemoteVersion
from hubman.civitai.refs import Ref, parse_ref, same_as
from hubman.civitai.resolving import Found, resolve
from registry.database import Registry
from registry.errors import CancelledError, HubError
from registry.holdings import holdings
from registry.pull_queue import Wanted

Ask = Callable[[RemoteVersion, Sequence[RemoteFile]], Sequence[RemoteFile]]
"""Which of several files that nothing tells apart; asks a person."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the plan. ``skip`` is why it is not fetched, empty if it is; ``note`` is worth knowing.

    ``is_lost`` says that it was named by itself and can't be had; without numbers nothing was found for ``ref``.
    """

    ref: str
    model: str
    version: str
    base_model: str
    file: str
    size: int
    model_id: int
    version_id: int
    file_id: int
    sha256: str = ""
    skip: str = ""
    note: str = ""
    is_lost: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All lines in order; ``size`` is what is to be fetched and ``free`` what the disk has, both in bytes."""

    lines: tuple[Line, ...]
    size: int
    free: int
    is_many: bool

    @property
    def wanted(self) -> list[Line]:
        return [line for line in self.lines if not line.skip]

    @property
    def lost(self) -> list[Line]:
        return [line for line in self.lines if line.is_lost]


def make(
    registry: Registry, client: Civitai, refs: Sequence[str], *, choice: Choice, prefer: Preference, into: Path,
    ask: Ask | None = None, tell: Callable[[int], None] = lambda _count: None,
) -> Plan:  # fmt: skip
    """The plan for ``refs``; ``tell`` hears how many lines there are so far.

    Whatever can't be had is a line with its reason, so that the rest comes. Where nothing comes, the first reason is
    raised (:class:`hubman.civitai.choosing.AmbiguousError` where ``ask`` is None), and so is what says nothing of the
    thing itself: that the site can't be asked.
    """
    lines: list[Line] = []
    refused: list[HubError] = []
    is_many = False
    for text in refs:
        ref = parse_ref(text, site=client.site)
        is_many = is_many or ref.is_many
        try:
            for line in _lines(client, text, ref, choice, prefer, ask):
                lines.append(line)
                tell(len(lines))
        except (UnavailableError, RateLimitError, RegionError, CancelledError):
            raise
        except HubError as error:
            refused.append(error)
            lines.append(_lost(text, error))
    if refused and all(line.is_lost for line in lines):
        raise refused[0]
    marked = _marked(registry, _once(lines), is_many=is_many)
    size = sum(line.size for line in marked if not line.skip)
    return Plan(lines=tuple(marked), size=size, free=shutil.disk_usage(_standing(into)).free, is_many=is_many)


def queue_entries(plan: Plan, *, site: str | None, into: Path | None, choice: Choice) -> list[Wanted]:
    """What of the plan is to be queued, each file by its numbers."""
    kept = msgspec.to_builtins(Choice(path=choice.path, unpack=choice.unpack, rate=choice.rate))
    folder = str(into.absolute()) if into else None
    return [
        entry(line.model_id, line.version_id, line.file_id, title=f"{line.model} {line.version}", total=line.size,
              site=site, into=folder, choice=kept)
        for line in plan.wanted
    ]  # fmt: skip


def entry(
    model_id: int, version_id: int, file_id: int, *, title: str, total: int, site: str | None, into: str | None,
    choice: dict[str, Any],
) -> Wanted:  # fmt: skip
    """A file by its numbers, as the queue takes it."""
    same = same_as(Ref(version_id=version_id, file_id=file_id))
    return Wanted(
        ref=f"civitai:{model_id}@{version_id}+{file_id}", same=f"{site or ''} {same}", title=title, total=total,
        site=site, into=into, choice=choice,
    )  # fmt: skip


def _lines(client: Civitai, text: str, ref: Ref, choice: Choice, prefer: Preference, ask: Ask | None) -> Iterator[Line]:
    wanted = with_ref(choice, ref)
    for found in resolve(client, ref):
        try:
            files, note = _files(found[1], wanted, prefer, ask, is_many=ref.is_many)
        except HubError as error:
            if not ref.is_many:
                raise
            yield _line(text, found, None, skip=error.message)
            continue
        skip = f"early access until {found[1].early_access_deadline[:10]}" if found[1].early_access_deadline else ""
        for file in files:
            # A single one may have been bought: the site decides.
            yield _line(text, found, file, skip=skip if ref.is_many else "", note=note or skip)


def _files(
    version: RemoteVersion, choice: Choice, prefer: Preference, ask: Ask | None, *, is_many: bool
) -> tuple[Sequence[RemoteFile], str]:
    try:
        return choose(version, choice, prefer), ""
    except AmbiguousError as error:
        if is_many:
            primary = next((file for file in error.files if file.primary), error.files[0])
            return [primary], f"1 of {len(error.files)} files: --all-files takes all"
        if ask is None:
            raise
        return ask(version, error.files), ""


def _line(text: str, found: Found, file: RemoteFile | None, *, skip: str, note: str = "") -> Line:
    model, version = found
    return Line(
        ref=text, model=(model.name if model else version.model.name) or "?", version=version.name,
        base_model=version.base_model, file=file.name if file else "", size=file.size if file else 0,
        model_id=version.model_id or (model.id if model else 0), version_id=version.id, file_id=file.id if file else 0,
        sha256=file.sha256 if file else "", skip=skip, note=note,
    )  # fmt: skip


def _lost(text: str, error: HubError) -> Line:
    return Line(
        ref=text, model=text, version="", base_model="", file="", size=0, model_id=0, version_id=0, file_id=0,
        skip=error.message, is_lost=True,
    )  # fmt: skip


def _once(lines: Iterable[Line]) -> list[Line]:
    return list({(line.version_id, line.file_id, line.ref if line.is_lost else ""): line for line in lines}.values())


def _marked(registry: Registry, lines: list[Line], *, is_many: bool) -> list[Line]:
    """With what lies on this machine already marked, and of many left out: what one names alone is looked at anew."""
    here = holdings(registry, sha256=(line.sha256 for line in lines if line.sha256)).by_hash
    mark = {"skip" if is_many else "note": "here already"}
    return [
        msgspec.structs.replace(line, **mark) if not line.skip and here.get(line.sha256) else line for line in lines
    ]


def _standing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())
