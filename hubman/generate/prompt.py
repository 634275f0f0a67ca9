"""A prompt as typed, read into text, parts and LoRAs, with remarks on what will not do what it seems to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from hubman.generate import prompt_slots
from hubman.generate.lint import Edit, Lint, mended
from hubman.generate.prompt_lints import lint_negative, lint_words
from hubman.generate.prompt_parts import Part, parts
from hubman.generate.prompt_tag_lints import lint_tags
from hubman.generate.prompt_tags import Cut, LoraTag, cut_tags, tag_name
from hubman.generate.request import LoraUse
from registry.errors import UsageError

Lookup = Callable[[str], LoraUse]
"""Finds the LoRA that a tag names; raises ``NotFoundError``."""
_MOST_EDITS = 1000


@dataclass(frozen=True)
class Prompt:
    """``text`` is the prompt without tags; lints carry positions in the text as typed, in order."""

    text: str
    tags: tuple[LoraTag, ...] = ()
    lints: tuple[Lint, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is composed with AND, each with its weight; one part of weight 1 without AND."""
        return parts(self.text)


def parse(
    typed: str, *, slots: Mapping[str, str] | None = None, steps: int | None = None, is_negative: bool = False
) -> Prompt:
    """Read a prompt. Any text gives a result; what is odd about it stands in ``lints``.

    ``slots`` are values of ``{subject}`` and the like; without them braces are text. ``steps`` of the picture let
    remarks on schedules offer step numbers.
    """
    filled = prompt_slots.Filled(typed) if slots is None else prompt_slots.fill(typed, slots)
    cut = cut_tags(filled.text)
    if is_negative:
        lints = [*_tags_in_negative(cut), *(_as_typed(cut, lint) for lint in lint_negative(cut.text))]
    else:
        words = (_as_typed(cut, lint) for lint in lint_words(cut.text))
        lints = [*lint_tags(filled.text, cut, steps), *words]
    placed = [*filled.lints, *map(filled.in_template, lints)]
    return Prompt(cut.text.strip(), cut.tags, tuple(sorted(placed, key=lambda lint: lint.start)))


def lint(
    typed: str, *, slots: Mapping[str, str] | None = None, steps: int | None = None, is_negative: bool = False
) -> tuple[Lint, ...]:
    """Only the remarks of :func:`parse`: for any text, at any time, without a library or a model."""
    return parse(typed, slots=slots, steps=steps, is_negative=is_negative).lints


def mend(
    typed: str, *, slots: Mapping[str, str] | None = None, steps: int | None = None, is_negative: bool = False
) -> str:
    """The prompt with every remark's edit applied, one after the other, until none is left that has one."""
    for _ in range(_MOST_EDITS):
        found = lint(typed, slots=slots, steps=steps, is_negative=is_negative)
        first = next((one for one in found if one.edit is not None), None)
        if first is None:
            break
        typed = mended(typed, first)
    return typed


def _as_typed(cut: Cut, lint: Lint) -> Lint:
    """A remark on the text without tags as one on the text with them."""
    start, end = cut.typed_position(lint.start), cut.typed_end(lint.end)
    edit = lint.edit
    if edit is not None and edit.start == edit.end:
        at = cut.typed_end(edit.start) if edit.text == "," else cut.typed_position(edit.start)
        edit = Edit(at, at, edit.text)
    elif edit is not None:
        edit = Edit(cut.typed_position(edit.start), cut.typed_end(edit.end), edit.text)
    return Lint(start, max(start, end), lint.code, lint.message, edit, lint.is_error)


def _tags_in_negative(cut: Cut) -> list[Lint]:
    return [
        Lint(*span, "tag-in-negative", f"{tag} does nothing in a negative prompt", Edit(*span, ""), is_error=True)
        for tag, span in zip(cut.tags, cut.spans, strict=True)
    ]


def loras_of(prompt: Prompt, lookup: Lookup) -> tuple[LoraUse, ...]:
    """The LoRAs that the tags name, with the strengths and arguments of the tags.

    Raises ``UsageError`` if one file is named twice, by whatever names.
    """
    uses: list[LoraUse] = []
    for tag in prompt.tags:
        found = lookup(tag.name)
        te = None if tag.te == tag.unet else tag.te
        changes = {"start": tag.start, "stop": tag.stop, "blocks": tag.block_weights, "rank": tag.rank}
        uses.append(msgspec.structs.replace(found, strength=tag.unet, te_strength=te, **changes))
        same = [use.strength for use in uses if use.sha256 == found.sha256]
        if len(same) > 1:
            hint = f"write it once, for instance at {sum(same):g}"
            raise UsageError(f"LoRA {tag.name} is in the prompt twice", hint)
    return tuple(uses)


def refuse_tags(negative: str) -> None:
    """Raise ``UsageError`` if a negative prompt holds LoRA tags: they would never act."""
    if tags := cut_tags(negative).tags:
        hint = "move it to the prompt; a negative strength turns it around"
        raise UsageError(f"the negative prompt holds {tags[0]}, which does nothing there", hint)


def tag_of(use: LoraUse) -> LoraTag:
    """The tag that says in a prompt what ``use`` says in a request."""
    return LoraTag(tag_name(use.name), use.text_strength, use.strength, use.start, use.stop, use.rank, use.blocks)


def with_tags(text: str, loras: tuple[LoraUse, ...]) -> str:
    """The prompt as A1111 would have it: text, then one tag for each LoRA."""
    return " ".join([part for part in (text,) if part] + [str(tag_of(use)) for use in loras])
