"""What the Sync screen changes: remotes that are added and forgotten, machines and what they keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from registry.errors import HubError
from tui import formats, sync_properties
from tui.screens.sync_work import SyncWork
from tui.widgets.sync_lists import DeviceList

if TYPE_CHECKING:
    from hubman.sync.records.layout import Hub
    from hubman.sync.remote import Remote
    from hubman.sync.secrecy.repo_key import RepoKey
    from registry.database import Registry
    from tui.sync_properties import Values


class SyncPlaces(SyncWork):
    """``a d p D n z``."""

    def lacks(self, need: str) -> str:
        if need == "devices" and self.device is None:
            return "no machine is known yet: add a remote first (a)"
        if need == "other":
            rows = self.query_one(DeviceList)
            if not rows.has_focus or rows.current is None:
                return "go to the machines first (v)"
            if rows.current.is_this:
                return "this machine can't forget itself; do it on another one"
            if rows.current.retired:
                return "it is forgotten already; it comes back by itself when it syncs"
        if need == "undo" and not self.state.can_undo:
            return "nothing to undo"
        return super().lacks(need)

    # remotes ------------------------------------------------------------------------------------------------------

    def do_add(self) -> None:
        from tui.screens.property_form import PropertyForm

        def done(values: Values | None) -> None:
            if values is not None:
                self._add(values, "")

        form = PropertyForm(
            "add a remote", sync_properties.NEW_REMOTE, sync_properties.remote_lines, sync_properties.assign_remote,
            sync_properties.check_remote, verb="adds it",
        )  # fmt: skip
        self.app.push_screen(form, done)

    def _add(self, values: Values, words: str) -> None:
        self.change(lambda registry: _add(registry, values, words), lambda added: self._added(values, added))

    def _added(self, values: Values, added: Added) -> None:
        if added.remote is None:
            self._ask_key(values)
            return
        self.reload()
        self.say(f"added {added.remote.name}; s syncs with it")
        if added.words:
            from tui.widgets.dialogs import Show

            self.app.push_screen(Show(f"the key of {added.remote.name}", f"{_LOSS}\n\n{added.words}"))

    def _ask_key(self, values: Values) -> None:
        """The remote is there already, and has a key."""
        from tui.widgets.dialogs import Ask

        def done(words: str | None) -> None:
            if words is not None:
                self._add(values, words)

        hint = "What lies there has a key. Write its 24 words, as they were shown where it was made."
        self.app.push_screen(Ask("the key of the remote", hint=hint, check=_check_words, secret=True), done)

    def do_remove(self) -> None:
        from tui.widgets.dialogs import Confirm

        remote = self.current
        if remote is None:
            return

        def done(yes: bool | None) -> None:
            if yes:
                self.change(lambda registry: _remove(registry, remote.name), lambda _: self.reload())

        self.app.push_screen(
            Confirm(f"Forget {remote.name}?", f"Nothing in {remote.location} is touched; it can be added again."), done
        )

    def do_follow(self) -> None:
        """Only when a person says so: where keys and files go is not for a remote to say."""
        from tui.widgets.dialogs import Confirm

        remote = self.current
        moved = self.state.moved.get(remote.name) if remote is not None else None
        if remote is None or moved is None:
            return

        def done(yes: bool | None) -> None:
            if yes:
                self.change(
                    lambda registry: _follow(registry, remote, moved.place),
                    lambda _: self._changed(f"{remote.name} is at {moved.place} now; s syncs with it"),
                )

        text = (
            f"{formats.one_line(moved.by)} says that it is there now. What this machine had sent to "
            f"{remote.location} since goes there too."
        )
        self.app.push_screen(Confirm(f"Follow {remote.name} to {formats.one_line(moved.place)}?", text), done)

    # machines -----------------------------------------------------------------------------------------------------

    def do_policy(self) -> None:
        from tui.screens.property_form import PropertyForm

        device = self.device
        if device is None:
            return
        name = formats.one_line(device.name)

        def check(values: Values) -> None:
            from hubman.sync.policies import policy

            policy.check(self.registry, sync_properties.policy_of(values))

        def done(values: Values | None) -> None:
            if values is not None:
                when = "from its next sync on" if not device.is_this else "from the next sync on"
                self.change(
                    lambda registry: _set_policy(registry, device.id, values),
                    lambda _: self._changed(f"{name} keeps that {when}"),
                )

        values = sync_properties.policy_values(device.policy)
        form = PropertyForm(
            f"what {name} keeps", values, sync_properties.policy_lines, sync_properties.assign_policy, check
        )
        self.app.push_screen(form, done)

    def do_forget(self) -> None:
        from tui.widgets.dialogs import Confirm

        device = self.query_one(DeviceList).current
        if device is None:
            return
        name = formats.one_line(device.name)

        def done(yes: bool | None) -> None:
            if yes:
                self.change(
                    lambda registry: _forget(registry, device.id),
                    lambda _: self._changed(f"{name} is forgotten from the next sync on"),
                )

        text = (
            f"What {name} holds and pins counts no more, on every machine, and nothing waits for it. Its edits stay. "
            "It comes back by itself when it syncs again."
        )
        self.app.push_screen(Confirm(f"Forget {name}?", text), done)

    def do_rename(self) -> None:
        from tui.widgets.dialogs import Ask

        device = self.device
        if device is None:
            return

        def done(text: str | None) -> None:
            if text and text.strip() != device.name:
                self.change(
                    lambda registry: _rename(registry, device.id, text),
                    lambda _: self._changed(f"it is called {text.strip()} on every machine after a sync"),
                )

        self.app.push_screen(Ask("name of the machine", device.name), done)

    def _changed(self, said: str) -> None:
        self.reload()
        self.say(said)

    def do_undo(self) -> None:
        from tui.screens import undoing

        undoing.undo(self, self.reload)


_LOSS = """Write these words down and keep them apart from this machine: without them, or a machine that has the key,
everything on the remote is lost. hubman remote key show NAME shows them again."""


class Added(NamedTuple):
    """The remote, or None where its key has to be asked for; and the words of a new key."""

    remote: Remote | None
    words: str = ""


def _add(registry: Registry, values: Values, words: str) -> Added:
    from hubman.sync import remotes
    from hubman.sync.secrecy.joining import Secrecy
    from hubman.sync.secrecy.repo_key import from_words

    made: list[str] = []

    def give(hub: Hub) -> RepoKey:
        if not words:
            raise _KeyNeededError(f"the remote {hub.repo} has a key", "write its words")
        return from_words(words)

    secrecy = Secrecy(values["encrypt"], give, lambda key: made.append(str(key.words())))
    options = {name: values[name] for name in ("endpoint", "region") if values[name]}
    is_read_only = values["read_only"] == "yes"
    try:
        remote = remotes.add(
            registry, values["name"], values["place"], options=options, read_only=is_read_only, secrecy=secrecy
        )
    except _KeyNeededError:
        return Added(None)
    return Added(remote, made[0] if made else "")


class _KeyNeededError(HubError):
    """The remote that is to be joined has a key."""


def _check_words(text: str) -> None:
    from hubman.sync.secrecy.repo_key import from_words

    from_words(text)


def _remove(registry: Registry, name: str) -> None:
    from hubman.sync import remotes

    remotes.remove(registry, name)


def _follow(registry: Registry, remote: Remote, place: str) -> None:
    from hubman.sync.care import moving

    options = {name: value for name, value in remote.options.items() if name != "read_only"}
    moving.follow(registry, remote.name, place, options=options if "://" in place else {})


def _set_policy(registry: Registry, device: str, values: Values) -> None:
    from hubman.sync.policies import policy

    policy.set_policy(registry, sync_properties.policy_of(values), device)


def _forget(registry: Registry, device: str) -> None:
    from hubman.sync.care import devices

    devices.retire(registry, device)


def _rename(registry: Registry, device: str, name: str) -> None:
    from hubman.sync.care import devices

    devices.rename(registry, device, name)
