"""What the Generate screen has set up: words, a stack of LoRAs, settings, and the axes of a grid."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hubman.generate.prompt_tags import LoraTag, cut_tags, format_number
from hubman.generate.request import LoraUse
from registry.errors import HubError, UsageError
from tui.generate_settings import Settings

if TYPE_CHECKING:
    from hubman.generate.grids.spec import AxisSpec
    from registry.database import Registry

STEP = 0.05
"""What one key press changes of a strength."""
LOWEST, HIGHEST = -15.0, 15.0


@dataclass(frozen=True)
class StackItem:
    """A LoRA of the stack and its strength."""

    version_id: str
    alias: str
    sha256: str
    path: str
    """Empty where the file is not on this machine."""
    strength: float = 1.0
    te: float | None = None
    """Strength in text encoders; None for the same."""
    low: float | None = None
    high: float | None = None
    trigger_words: tuple[str, ...] = ()
    required_words: tuple[str, ...] = ()
    """Those that go into a prompt with it."""
    start: int = 0
    stop: int | None = None
    """Sampling steps from which and until which it is on."""
    rank: int | None = None
    """Cut down to it."""
    blocks: str = ""
    """Block weights: a preset's name or a list."""
    slider: bool = False
    off: float | None = None
    """Its strength before it was switched off."""

    @property
    def tag(self) -> str:
        te = self.strength if self.te is None else self.te
        return str(LoraTag(self.alias, te, self.strength, self.start, self.stop, self.rank, self.blocks))

    @property
    def use(self) -> LoraUse:
        return LoraUse(
            path=self.path, name=self.alias, sha256=self.sha256, strength=self.strength, te_strength=self.te,
            start=self.start, stop=self.stop, rank=self.rank, blocks=self.blocks, trigger_words=self.trigger_words,
            slider=self.slider,
        )  # fmt: skip


def item_of(registry: Registry, model: str, strength: float | None = None, version_id: str | None = None) -> StackItem:
    """A version of a model, its newest if none is named, as an item at its recommended strength, else 0.8.

    Raises ``HubError``.
    """
    from hubman.generate.sliders import is_slider
    from registry import library, prompt_name, scan, triggers

    detail = library.show(registry, model)
    if not detail.versions:
        raise UsageError(f"{detail.name} has no file", "scan its folder again")
    chosen = next((one.id for one in detail.versions if one.id == version_id), detail.versions[0].id)
    version = library.version(registry, scan.hashed(registry, chosen))
    model_row = library.show(registry, version.model_id)
    name = prompt_name.of(model_row, version)
    file = version.files[0]
    present = [place.path for place in file.places if place.state == "present"]
    recommended = version.strength if version.strength is not None else 0.8
    return StackItem(
        version.id, name, file.sha256, present[0] if present else "", recommended if strength is None else strength,
        low=version.strength_min, high=version.strength_max, trigger_words=version.trigger_words,
        required_words=tuple(triggers.copied(version.trigger_words, version.trigger_groups)),
        slider=is_slider(model_row, version),
    )  # fmt: skip


def sweep_strengths(item: StackItem) -> str:
    """The strengths that test a LoRA: from 0 up to 1, or to the end of its range where that lies higher, in few steps."""
    end = max(1.0, item.high or 0.0)
    step = next((step for step in (0.25, 0.2, 0.1) if abs(end / step - round(end / step)) < 1e-6), 0.25)
    return f"0-{format_number(end)} (+{format_number(step)})"


def take_tags(registry: Registry, prompt: str) -> tuple[str, list[StackItem], list[str]]:
    """A prompt without its ``<lora:…>`` tags, the LoRAs that they name, and what could not be understood."""
    from registry import prompt_name

    cut = cut_tags(prompt)
    found: list[StackItem] = []
    problems = [lint.message for lint in cut.lints]
    for tag in cut.tags:
        try:
            model, version = prompt_name.find(registry, tag.name)
            found.append(of_tag(item_of(registry, model, tag.unet, version), tag))
        except HubError as error:
            problems.append(str(error))
    return cut.text.strip(" ,"), found, problems


def of_tag(item: StackItem, tag: LoraTag) -> StackItem:
    """The item with all that a tag says of it."""
    te = None if tag.te == tag.unet else tag.te
    return replace(
        item, strength=tag.unet, te=te, start=tag.start, stop=tag.stop, rank=tag.rank, blocks=tag.block_weights
    )


def typed_strength(item: StackItem, text: str) -> StackItem:
    """The item with what a person wrote for its strength: a number, or what a tag has behind the name.

    ``0.8``, ``0.4:0.8`` (text encoder first), ``0.8:start=4:lbw=STYLE``. Raises ``UsageError``.
    """
    cut = cut_tags(f"<lora:x:{text.strip()}>")
    if len(cut.tags) != 1 or cut.text or any(lint.code == "argument" for lint in cut.lints):
        raise UsageError(f"strength can't be {text!r}", "give a number such as 0.8, or 0.8:start=4")
    first = text.strip().partition(":")[0]
    if "=" not in first:
        try:
            float(first)
        except ValueError:
            raise UsageError(f"strength can't be {text!r}", "give a number such as 0.8") from None
    changed = replace(of_tag(item, cut.tags[0]), off=None)
    for value in (changed.strength, changed.strength if changed.te is None else changed.te):
        if not LOWEST <= value <= HIGHEST:
            raise UsageError(f"strength can't be {value:g}", f"it goes from {LOWEST:g} to {HIGHEST:g}")
    return changed


def nudged(item: StackItem, by: int) -> StackItem:
    """``by`` steps stronger, or weaker; both parts."""
    strength = max(LOWEST, min(HIGHEST, round(item.strength + by * STEP, 4)))
    te = None if item.te is None else max(LOWEST, min(HIGHEST, round(item.te + by * STEP, 4)))
    return replace(item, strength=strength, te=te, off=None)


def switched(item: StackItem) -> StackItem:
    """Off, or on again at the strength that it had."""
    if item.strength:
        return replace(item, strength=0.0, te=None if item.te is None else 0.0, off=item.strength)
    return replace(item, strength=item.off or 0.8, te=None, off=None)


@dataclass(frozen=True)
class Setup:
    """All that the screen has set up; what changes makes another one, so that each can be taken back."""

    words: str = ""
    """The prompt without tags: these are the stack."""
    stack: tuple[StackItem, ...] = ()
    settings: Settings = field(default_factory=Settings)
    axes: tuple[AxisSpec, ...] = ()

    @property
    def prompt(self) -> str:
        """As other programs read it, with tags."""
        return " ".join([self.words, *(item.tag for item in self.stack)]).strip()

    def pushed(self, *items: StackItem) -> Setup:
        """With more LoRAs. The same twice is refused by every engine, so a second one replaces the first."""
        new = {item.sha256: item for item in items}
        stack = [new.pop(item.sha256, item) for item in self.stack] + list(new.values())
        return replace(self, stack=tuple(stack))

    def with_item(self, at: int, item: StackItem) -> Setup:
        return replace(self, stack=(*self.stack[:at], item, *self.stack[at + 1 :]))
