"""A person's own keys: ``keys.toml`` in hubman's folder, lines such as ``"library.edit" = "E"``."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.actions import ACTIONS, Action, key_names

if TYPE_CHECKING:
    from textual.app import App


def read(path: Path) -> tuple[dict[str, str], list[str]]:
    """The keys by action id, and what is wrong with the file, a line each. No file means no keys of one's own."""
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return {}, [f"{path.name} can't be read ({error}); the default keys apply"]
    keys = {name: value for name, value in content.items() if name in ACTIONS and isinstance(value, str) and value}
    problems = [
        f"{path.name}: there is no action {name}, or its keys are no text" for name in content if name not in keys
    ]
    return keys, problems + conflicts(keys)


def conflicts(keys: dict[str, str]) -> list[str]:
    """Keys that two actions of one scope would share."""
    users: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for action in ACTIONS.values():
        for key in keys.get(action.id, action.keys).split(","):
            users[action.scope, key.strip()].append(action.id)
    return [f"{key} is used by {' and '.join(ids)}" for (_, key), ids in users.items() if len(ids) > 1]


def shown_keys(app: App[Any], action: Action) -> list[str]:
    """The keys of an action as they are now, the first one foremost."""
    own: dict[str, str] = getattr(app, "own_keys", {})
    return key_names(own.get(action.id, action.keys))
