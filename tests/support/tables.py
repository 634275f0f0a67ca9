"""The tables of a registry that machines must agree about."""

from __future__ import annotations

STATE = (
    "facts", "rivals", "set_members", "texts", "records", "removed_dots", "counters", "holdings", "devices", "files",
)  # fmt: skip
"""What changes say."""

SHOWN = ("models", "versions", "tags", "previews")
"""What lists show of it."""
