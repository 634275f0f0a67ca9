"""A remark on a prompt: where, what, and the edit that puts it right."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Edit:
    """Put ``text`` in the place of ``start`` to ``end`` (positions in the text as typed)."""

    start: int
    end: int
    text: str

    def applied(self, typed: str) -> str:
        return typed[: self.start] + self.text + typed[self.end :]


@dataclass(frozen=True)
class Lint:
    """A remark on ``start`` to ``end`` of the text as typed; ``code`` is stable, ``message`` is for people.

    ``edit`` mends it with one key, where one edit can. ``is_error`` marks what no engine draws.
    """

    start: int
    end: int
    code: str
    message: str
    edit: Edit | None = None
    is_error: bool = False

    @property
    def fix(self) -> str:
        """What the edit does, in words; empty without one."""
        if self.edit is None:
            return ""
        shown = self.edit.text.strip()
        if self.edit.start == self.edit.end:
            return f"add {shown}"
        return f"write {shown}" if shown else "take it out"

    def moved(self, by: int) -> Lint:
        """The same remark in a text that has ``by`` more characters before it."""
        edit = self.edit and replace(self.edit, start=self.edit.start + by, end=self.edit.end + by)
        return replace(self, start=self.start + by, end=self.end + by, edit=edit)


def mended(typed: str, lint: Lint) -> str:
    """The text with the remark's edit applied, unchanged if it has none."""
    return typed if lint.edit is None else lint.edit.applied(typed)
