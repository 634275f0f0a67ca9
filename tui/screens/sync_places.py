"""What the Sync screen changes: remotes that are added and forgotten, machines and what they keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui import formats, sync_properties
from tui.screens.sync_work import SyncWork
from tui.widgets.sync_lists import DeviceList

if TYPE_CHECKING:
    from hubman.sync.remote import Remote
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
                self.change(lambda registry: _add(registry, values), self._added)

        form = PropertyForm(
            "add a remote", sync_properties.NEW_REMOTE, sync_properties.remote_lines, sync_properties.assign_remote,
            sync_properties.check_remote, verb="adds it",
        )  # fmt: skip
        self.app.push_screen(form, done)

    def _added(self, remote: Remote) -> None:
        self.reload()
        self.say(f"added {remote.name}; s syncs with it")

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

    # machines -----------------------------------------------------------------------------------------------------

    def do_policy(self) -> None:
        from tui.screens.property_form import PropertyForm

        device = self.device
        if device is None:
            return
        name = formats.one_line(device.name)

        def check(values: Values) -> None:
            from hubman.sync import policy

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


def _add(registry: Registry, values: Values) -> Remote:
    from hubman.sync import remotes

    options = {name: values[name] for name in ("endpoint", "region") if values[name]}
    is_read_only = values["read_only"] == "yes"
    return remotes.add(registry, values["name"], values["place"], options=options, read_only=is_read_only)


def _remove(registry: Registry, name: str) -> None:
    from hubman.sync import remotes

    remotes.remove(registry, name)


def _set_policy(registry: Registry, device: str, values: Values) -> None:
    from hubman.sync import policy

    policy.set_policy(registry, sync_properties.policy_of(values), device)


def _forget(registry: Registry, device: str) -> None:
    from hubman.sync import devices

    devices.retire(registry, device)


def _rename(registry: Registry, device: str, name: str) -> None:
    from hubman.sync import devices

    devices.rename(registry, device, name)
