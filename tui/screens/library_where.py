"""Weights that are on other machines: bring them here, keep them here, let go of them here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui import formats
from tui.screens.library_use import LibraryUse

if TYPE_CHECKING:
    from hubman.sync.policies.holders import Holders
    from registry.database import Registry
    from tui.action import Action


class LibraryWhere(LibraryUse):
    """``B K E``, and ``enter`` on a model whose weights are elsewhere. What moves bytes is a job."""

    holders: Holders | None = None
    """Who has the version under the cursor, once that was read."""

    def lacks(self, need: str) -> str:
        if need == "shared":
            if self.detail is None:
                return "there is no model under the cursor"
            if self.holders is not None and not self.holders.is_shared:
                return "there is no remote yet (5 adds one)"
            return ""
        return super().lacks(need)

    def label_of(self, action: Action) -> str:
        if action.id == "library.keep" and self.holders is not None and self.holders.is_pinned:
            return "no longer keep"
        return super().label_of(action)

    # bringing here ------------------------------------------------------------------------------------------------

    def offer_fetch(self) -> None:
        """What can be done with weights that are elsewhere, with where they come from and how large they are."""
        from tui.widgets.dialogs import Choose

        version, holders = self.version, self.holders
        if version is None or holders is None or self.detail is None:
            return
        name = formats.one_line(self.detail.name)
        options = [
            ("fetch", f"fetch it now, {formats.size(holders.missing_bytes)}", whence(holders)),
            ("keep", "fetch it and keep it here", "whatever the policy says"),
            ("look", "look at it", ""),
        ]

        def chosen(key: str | None) -> None:
            if key == "keep":
                self.change(lambda registry: _pin(registry, [version.id], keep=True), lambda _: None)
            if key in {"fetch", "keep"}:
                self._fetch([version.id], name)
            elif key == "look":
                self.look_at_detail()

        self.app.push_screen(Choose(f"{name} is on other machines", options), chosen)

    @abstractmethod
    def look_at_detail(self) -> None:
        """Go to the detail."""

    def do_bring(self) -> None:
        """The version under the cursor, or those of the marked models that are not here."""
        if not self.order.marks:
            if self.holders is not None and not self.holders.missing_bytes:
                self.say("it is here already")
            else:
                self.offer_fetch()
            return
        models = self.targets()

        def ask(found: tuple[list[str], int]) -> None:
            from tui.widgets.dialogs import Confirm

            versions, size = found
            if not versions:
                self.say("all of them are here already")
                return

            def done(yes: bool | None) -> None:
                if yes:
                    self._fetch(versions, formats.count(len(versions), "model"))

            text = f"{formats.count(len(versions), 'model')}, {formats.size(size)}, from whichever remote has them."
            self.app.push_screen(Confirm("Bring them here?", text), done)

        self.in_thread(lambda registry: _missing(registry, models), ask, group="plan")

    def _fetch(self, versions: Sequence[str], what: str) -> None:
        self.start_job("fetch", f"fetch {what}", {"version_ids": list(versions)})

    # keeping and letting go ---------------------------------------------------------------------------------------

    def do_keep(self) -> None:
        """Pin, or no longer: of marked models all, or none where all are kept already."""
        models = self.targets()
        if self.order.marks:
            what = formats.count(len(models), "model")
        elif self.detail is not None:
            what = formats.one_line(self.detail.name)
        else:
            return
        version = "" if self.order.marks or self.version is None else self.version.id

        def done(keeps: bool) -> None:
            fetch = ", B fetches it" if self.holders is not None and self.holders.missing_bytes else ""
            self.say(f"{what}: kept on this machine{fetch}" if keeps else f"{what}: no longer kept here")
            self.reload(facets=True)

        self.change(lambda registry: _turn(registry, models, version), done)

    def do_free(self) -> None:
        """Delete the files here, which is done only where a remote has them whole at that moment."""
        from tui.widgets.dialogs import Confirm

        models, version = self.targets(), self.version
        if not self.order.marks and self.holders is not None and not self.holders.is_here:
            self.say("none of its files are on this machine")
            return
        if self.order.marks:
            what = formats.count(len(models), "model")
        elif self.detail is not None:
            what = formats.one_line(self.detail.name)
        else:
            return
        one = version.id if version is not None and not self.order.marks else ""

        def done(yes: bool | None) -> None:
            if yes:
                self.change(lambda registry: _versions(registry, models, one), self._drop)

        text = (
            "Its files are deleted on this machine only, and only where a remote has them whole at that moment. "
            "Everything else stays; enter on it fetches them again."
        )
        self.app.push_screen(Confirm(f"Free the room of {what}?", text), done)

    def _drop(self, versions: Sequence[str]) -> None:
        self.start_job("drop", f"free {formats.count(len(versions), 'model')} here", {"version_ids": list(versions)})


def whence(holders: Holders) -> str:
    """From where it comes, in words."""
    machines = ", ".join(formats.one_line(name) for name in holders.others)
    if holders.remotes:
        also = f"; {machines} {'has' if len(holders.others) == 1 else 'have'} it too" if machines else ""
        return f"from {', '.join(holders.remotes)}{also}"
    if machines:
        return f"{machines} {'has' if len(holders.others) == 1 else 'have'} it; a remote may not yet"
    return "no machine says to have it; a remote may"


def _versions(registry: Registry, models: Sequence[str], version: str) -> list[str]:
    """The version, or the newest ones of the models."""
    from registry import edits

    return [version] if version else [newest for _, newest in edits.newest_of(registry, models)]


def _missing(registry: Registry, models: Sequence[str]) -> tuple[list[str], int]:
    """The newest versions that are not here, and the bytes that are missing."""
    from hubman.sync.policies import holders

    found = {one: holders.of_version(registry, one).missing_bytes for one in _versions(registry, models, "")}
    return [one for one, size in found.items() if size], sum(found.values())


def _pin(registry: Registry, versions: Sequence[str], *, keep: bool) -> None:
    from hubman.sync.policies import policy

    for version in versions:
        (policy.pin if keep else policy.unpin)(registry, version)


def _turn(registry: Registry, models: Sequence[str], version: str) -> bool:
    """Returns whether they are kept now."""
    from hubman.sync.policies import policy
    from registry import clock

    versions = _versions(registry, models, version)
    keep = not set(versions) <= policy.pinned(registry.db, clock.device_id(registry.db))
    _pin(registry, versions, keep=keep)
    return keep
