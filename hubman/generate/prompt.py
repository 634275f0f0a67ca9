"""A prompt as typed, read into text and LoRAs, with remarks on what will not do what it seems to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec

from hubman.generate.lint import Lint
from hubman.generate.prompt_emphasis import lint_emphasis
from hubman.generate.prompt_schedule import is_literal
from hubman.generate.prompt_tags import LoraTag, cut_tags
from hubman.generate.request import LoraUse
from registry.errors import HubError, UsageError

Lookup = Callable[[str], LoraUse]
"""Finds the LoRA that a tag names; raises ``NotFoundError``."""

_SLOT = re.compile(r"\\([{}])|\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Prompt:
    """``text`` is the prompt without tags; lints carry positions in the text as typed, in order."""

    text: str
    tags: tuple[LoraTag, ...] = ()
    lints: tuple[Lint, ...] = ()


def parse(typed: str) -> Prompt:
    """Read a prompt. Any text gives a result; what is odd about it stands in ``lints``."""
    cut = cut_tags(typed)
    lints = list(cut.lints)
    lints += [replace(lint, at=cut.typed_position(lint.at)) for lint in lint_emphasis(cut.text)]
    if is_literal(cut.text):
        at = cut.text.find("|")
        message = "the prompt is taken literally: its schedules do not fit the grammar"
        lints.append(Lint(cut.typed_position(max(at, 0)), "literal", message, fix="use | only inside [a|b]"))
    return Prompt(cut.text.strip(), cut.tags, tuple(sorted(lints, key=lambda lint: lint.at)))


def fill_slots(template: str, values: Mapping[str, str]) -> str:
    r"""Replace ``{subject}`` and the like; ``\{`` and ``\}`` are literal braces.

    Raises ``UsageError`` naming the slot that has no value.
    """

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        if match[2] not in values:
            raise UsageError(f"the prompt's slot {{{match[2]}}} is empty", "fill it in, or write \\{ for a brace")
        return values[match[2]]

    return _SLOT.sub(value, template)


def loras_of(prompt: Prompt, lookup: Lookup) -> tuple[LoraUse, ...]:
    """The LoRAs that the tags name, with the strengths of the tags.

    Raises ``UsageError`` if one is named twice, and ``HubError`` for arguments that cannot be drawn yet.
    """
    uses: list[LoraUse] = []
    for tag in prompt.tags:
        if tag.rank is not None or tag.block_weights:
            argument = "dyn=" if tag.rank is not None else "lbw="
            raise HubError(f"{tag} has {argument}, which cannot be drawn yet", "take it out, or resize the LoRA first")
        found = lookup(tag.name)
        if any(found.sha256 == use.sha256 for use in uses):
            total = sum(other.unet for other in prompt.tags if other.name == tag.name)
            raise UsageError(f"LoRA {tag.name} is in the prompt twice", f"write it once, for instance at {total:g}")
        te = None if tag.te == tag.unet else tag.te
        uses.append(msgspec.structs.replace(found, strength=tag.unet, te_strength=te, start=tag.start, stop=tag.stop))
    return tuple(uses)


def refuse_tags(negative: str) -> None:
    """Raise ``UsageError`` if a negative prompt holds LoRA tags: they would never act."""
    if tags := cut_tags(negative).tags:
        hint = "move it to the prompt; a negative strength turns it around"
        raise UsageError(f"the negative prompt holds {tags[0]}, which does nothing there", hint)


def tag_of(use: LoraUse) -> LoraTag:
    """The tag that says in a prompt what ``use`` says in a request."""
    return LoraTag(use.name, te=use.text_strength, unet=use.strength, start=use.start, stop=use.stop)


def with_tags(text: str, loras: tuple[LoraUse, ...]) -> str:
    """The prompt as A1111 would have it: text, then one tag for each LoRA."""
    return " ".join([part for part in (text,) if part] + [str(tag_of(use)) for use in loras])
