"""What there is to say of a prompt and its LoRAs, from the prompt's lints and the guard rails, with what one key would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui import formats
from tui.generate_jobs import picture
from tui.generate_settings import slots as slots_of
from tui.generation import Setup, StackItem

if TYPE_CHECKING:
    from hubman.generate.guards import Guard
    from hubman.generate.request import DrawRequest
    from hubman.lora.conflict import Meter
    from registry.database import Registry

WORDS: Mapping[str, str] = {
    "strength-high": "high",
    "strength-negative": "below 0",
    "strength-slider": "beyond",
    "trigger-missing": "no trigger",
    "accelerated": "few steps",
    "many-loras": "one of many",
    "fits-nothing": "wrong base",
    "coverage": "fits in part",
    "te-without-part": "no te part",
    "over-budget": "too much",
    "reinforce": "reinforces",
    "hash-disagrees": "other file",
    "name-ambiguous": "name twice",
    "twice": "twice",
    "dense": "slow",
    "does-nothing": "does nothing",
    "not-here": "not here",
}
"""In a word, beside a LoRA of the stack; what begins with ``kin-`` is ``related``."""


@dataclass(frozen=True)
class Remark:
    """``mend`` applies the fix to a set-up; ``about`` are the SHA-256s (lower case) of the LoRAs that are meant."""

    code: str
    text: str
    reason: str = ""
    fix: str = ""
    mend: Callable[[Setup], Setup] | None = None
    is_error: bool = False
    about: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        return "related" if self.code.startswith("kin-") else WORDS.get(self.code, self.code.replace("-", " "))


def of_setup(registry: Registry, setup: Setup) -> tuple[tuple[Remark, ...], Meter | None]:
    """Everything to say before something is drawn, errors first, and the conflict meter of the stack.

    Reads headers; for a thread. Raises ``HubError``.
    """
    from hubman.generate.guards import guards, know

    request = picture(setup)
    known = know(registry, request)
    found = [*_lints(setup), *(of_guard(guard) for guard in guards(request, known))]
    found += [_away(item) for item in setup.stack if not item.path]
    return tuple(sorted(found, key=lambda remark: not remark.is_error)), known.meter


def meter_line(meter: Meter | None, stack: Sequence[StackItem]) -> str:
    """The conflict meter in a line or two: how far the stack moves the base, and how its LoRAs act on each other."""
    if meter is None or not stack:
        return ""
    total = meter.total
    share = "" if total.percentile is None else f" further than {total.percentile:.0f} % of the library"
    level = formats.bar((total.percentile or 0.0) / 100, 8) if total.percentile is not None else f"{total.budget:.3g}"
    parts = [f"moves {level}{share}"]
    if len(stack) > 1:
        parts.append(f"interaction {total.interaction:+.2f} · overlap {total.overlap:.0%}")
    missing = [item.alias for item in stack if item.sha256.lower() in {sha256.lower() for sha256 in meter.missing}]
    if missing:
        parts.append(f"not read yet: {', '.join(missing)}")
    return " · ".join(parts) + "".join(f"\n{word}" for word in meter.words[:1] if len(stack) > 1)


def _away(item: StackItem) -> Remark:
    sha256 = item.sha256.lower()

    def mend(setup: Setup) -> Setup:
        return replace(setup, stack=tuple(one for one in setup.stack if one.sha256.lower() != sha256))

    return Remark(
        "not-here", f"{item.alias} is not on this machine", "sync brings it", f"take {item.alias} off", mend,
        is_error=True, about=(sha256,),
    )  # fmt: skip


def _lints(setup: Setup) -> list[Remark]:
    from hubman.generate import prompt
    from hubman.generate.lint import Lint, mended

    def remark(lint: Lint, *, negative: bool) -> Remark:
        def mend(now: Setup) -> Setup:
            if negative:
                changed = mended(now.settings.negative, lint)
                return replace(now, settings=replace(now.settings, negative=changed))
            return replace(now, words=mended(now.words, lint))

        where = f"the negative prompt, at {lint.start + 1}" if negative else f"at {lint.start + 1}"
        return Remark(lint.code, lint.message, where, lint.fix, mend if lint.edit else None, lint.is_error)

    # A slot that an axis fills is filled by itself until then.
    axes = {spec.target: f"{{{spec.target}}}" for spec in setup.axes if spec.kind == "slot"}
    steps, slots = int(setup.settings.steps), {**axes, **slots_of(setup.settings)}
    return [remark(lint, negative=False) for lint in prompt.lint(setup.words, slots=slots, steps=steps)] + [
        remark(lint, negative=True) for lint in prompt.lint(setup.settings.negative, steps=steps, is_negative=True)
    ]


def of_guard(guard: Guard[DrawRequest]) -> Remark:
    """A guard rail whose fix is applied to the whole set-up."""
    mend = guard.mend

    def apply(setup: Setup) -> Setup:
        return setup if mend is None else taken(setup, mend(picture(setup)))

    return Remark(
        guard.code,
        guard.message,
        guard.reason,
        guard.fix,
        apply if mend is not None else None,
        guard.level == "error",
        guard.about,
    )


def taken(setup: Setup, request: DrawRequest) -> Setup:
    """The set-up with what a fix changed of its picture."""
    before = picture(setup)
    settings = setup.settings
    for name in ("cfg", "steps", "mode"):
        if getattr(before, name) != getattr(request, name):
            value = getattr(request, name)
            settings = replace(settings, **{name: value if isinstance(value, str) else f"{value:g}"})
    # Slots stay slots: what a fix adds to the filled prompt is added to the typed one.
    added = request.prompt.removeprefix(before.prompt) if request.prompt.startswith(before.prompt) else None
    words = request.prompt if added is None else setup.words + added
    return replace(setup, words=words, settings=settings, stack=_stack(setup.stack, request))


def _stack(stack: Sequence[StackItem], request: DrawRequest) -> tuple[StackItem, ...]:
    known = {item.sha256.lower(): item for item in stack}
    kept = []
    for number, use in enumerate(request.loras):
        item = known.get(use.sha256.lower()) or stack[number]
        kept.append(
            replace(item, alias=use.name, sha256=use.sha256, path=use.path, strength=use.strength, te=use.te_strength)
        )
    return tuple(kept)
