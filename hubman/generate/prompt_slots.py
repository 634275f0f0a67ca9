r"""Template slots: ``{subject}`` is filled in before a prompt is read, ``\{`` and ``\}`` are literal braces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hubman.generate.lint import Edit, Lint
from registry.errors import UsageError

_SLOT = re.compile(r"\\\\|\\([{}])|\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Filled:
    """A template with its slots filled in; ``pieces`` are (start in the template, end there, length in ``text``)."""

    text: str
    pieces: tuple[tuple[int, int, int], ...] = ()
    lints: tuple[Lint, ...] = ()

    def in_template(self, lint: Lint) -> Lint:
        """A remark on ``text`` as one on the template; an edit that would reach into a value is left out."""
        start, end = self._place(lint.start)[0], self._place(max(lint.start, lint.end - 1))[1]
        edit = None
        if lint.edit is not None:
            first = self._place(lint.edit.start)
            last = first if lint.edit.end == lint.edit.start else self._place(lint.edit.end - 1)
            stop = first[0] if lint.edit.end == lint.edit.start else last[1]
            touched = self._touches(lint.edit)
            edit = None if touched else Edit(first[0], stop, lint.edit.text)
        return Lint(start, max(start, end), lint.code, lint.message, edit, lint.is_error)

    def _place(self, at: int) -> tuple[int, int]:
        """(start, end) in the template of character ``at`` of the text; of one in a value that of the slot."""
        shift = 0
        for start, end, length in self.pieces:
            if at < start + shift:
                break
            if at < start + shift + length:
                return start, end
            shift += length - (end - start)
        return at - shift, at - shift + 1

    def _touches(self, edit: Edit) -> bool:
        shift = 0
        for start, end, length in self.pieces:
            begin = start + shift
            if begin < max(edit.end, edit.start + 1) and edit.start < begin + length:
                return True
            shift += length - (end - start)
        return False


def fill(template: str, values: Mapping[str, str]) -> Filled:
    """Replace ``{subject}`` and the like; a slot without a value stays as it is and is an error among the lints."""
    pieces: list[tuple[int, int, int]] = []
    lints: list[Lint] = []
    texts: list[str] = []
    behind = 0
    for match in _SLOT.finditer(template):
        start, end = match.span()
        if match[2] is not None and match[2] not in values:
            message = f"the slot {match[0]} has no value: it is drawn by no engine"
            edit = Edit(start, end, f"\\{{{match[2]}\\}}")
            lints.append(Lint(start, end, "slot-empty", message, edit, is_error=True))
        elif match[0] != "\\\\":
            value = match[1] or values[match[2]]
            texts += [template[behind:start], value]
            pieces.append((start, end, len(value)))
            behind = end
    return Filled("".join([*texts, template[behind:]]), tuple(pieces), tuple(lints))


def slots(template: str) -> tuple[str, ...]:
    """The names of a template's slots, each once, in order."""
    return tuple(dict.fromkeys(match[2] for match in _SLOT.finditer(template) if match[2]))


def fill_slots(template: str, values: Mapping[str, str]) -> str:
    """As :func:`fill`, only the text. Raises ``UsageError`` naming the slot that has no value."""
    filled = fill(template, values)
    if filled.lints:
        empty = next(name for name in slots(template) if name not in values)
        raise UsageError(
            f"the prompt's slot {{{empty}}} is empty", f"fill it in (--slot {empty}=…), or write \\{{ for a brace"
        )
    return filled.text
