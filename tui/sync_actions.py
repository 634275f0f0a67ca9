"""The actions of mode 5 and of what opens over it; part of :mod:`tui.actions`."""

from __future__ import annotations

from tui.action import Action

SYNC_ACTIONS = (
    Action("sync.sync", "s", "sync now", "Sync with this remote", "remote"),
    Action("sync.sync_all", "S", "sync all", "Sync with every remote, one after the other", "remote"),
    Action("sync.edits", "e", "conflicts", "Show edits that two machines made at once", footer=True),
    Action("sync.add", "a", "add remote", "Add a folder or a bucket as a remote"),
    Action("sync.policy", "p", "policy", "Say what a machine keeps: the one under the cursor, or this one", "devices"),
    Action("sync.check", "c", "check", "Look whether all on the remote is whole", "remote"),
    Action("sync.stop", "x", "stop", "Stop what is under way; the next sync goes on from there", "running"),
    Action("sync.pause", "space", "pause", "Let the files of every sync wait, or go on", "remote", footer=False),
    Action("sync.follow", "m", "follow", "Use the remote where another machine has moved it", "moved", footer=False),
    Action("sync.waiting", "w", "waiting", "Show what waits both ways", footer=False),
    Action("sync.transfers", "t", "transfers", "Show the files under way", footer=False),
    Action("sync.findings", "f", "findings", "Show what the last check found", footer=False),
    Action("sync.devices", "v", "machines", "Go to the machines, or back to the remotes", footer=False),
    Action("sync.look", "r", "look again", "Look again what has come in on the remote", "remote", footer=False),
    Action("sync.deep", "ctrl+s", "deep sync", "Sync and ask for everything again", "remote", footer=False),
    Action(
        "sync.repair", "R", "repair", "Mend what the check found, as far as this machine can", "findings", footer=False
    ),
    Action("sync.remove", "d", "forget", "Forget the remote; its data stays", "remote", footer=False),
    Action(
        "sync.forget", "D", "forget machine", "Forget a machine: nothing waits for it any more", "other", footer=False
    ),
    Action("sync.rename", "n", "rename machine", "Call a machine by another name, everywhere", "devices", footer=False),
    Action("sync.undo", "z", "undo", "Undo the last change", "undo", footer=False),
    Action("sync.back", "escape", "back", "Back to the remotes", footer=False, palette=False),
    # two versions of one field side by side, over sync
    Action("conflicts.mine", "m", "keep mine", "Keep what was said on this machine", "conflict"),
    Action("conflicts.theirs", "t", "keep theirs", "Keep what was said on the other machine", "conflict"),
    Action("conflicts.both", "b", "keep both", "Keep both, one below the other", "both"),
    Action("conflicts.next", "n", "next", "Next conflict", "conflict"),
    Action("conflicts.previous", "N", "previous", "Conflict before", "conflict", footer=False),
    Action("conflicts.mine_all", "M", "all mine", "Keep mine of all that are left", "conflict", footer=False),
    Action("conflicts.theirs_all", "T", "all theirs", "Keep theirs of all that are left", "conflict", footer=False),
    Action("conflicts.undo", "z", "undo", "Undo the last change", "undo"),
    Action("conflicts.back", "escape", "back", "Back to sync"),
)
