"""The rules that a version of the form alone keeps or breaks."""

from __future__ import annotations

from collections.abc import Iterator

from hubman.civitai import contract, form_base
from hubman.civitai.finding import Finding, error, warning
from hubman.civitai.form import GUESS, PublishForm, VersionPart
from hubman.civitai.form_plan import trimmed


def of_part(form: PublishForm, part: VersionPart, active: tuple[str, ...]) -> Iterator[Finding]:
    """The rules of ``modelVersion.upsert``."""
    if not trimmed(part.name):
        yield error(
            "version-name", "a version has no name", "give one with --version-name", field="version_name", part=part
        )
    yield from _base_model(form, part, active)
    yield from _triggers(part)
    yield from _strength(part)


def _base_model(form: PublishForm, part: VersionPart, active: tuple[str, ...]) -> Iterator[Finding]:
    name, architecture = part.base_model, part.file.architecture
    may_be = form_base.candidates(architecture) or active
    if not name:
        some = " or ".join(may_be[:4])
        yield error("base-missing", "the base model is unknown", f"name it with --base-model: {some}", field="base_model",
                    part=part)  # fmt: skip
        return
    if name in contract.enum_values("DeprecatedBaseModel"):
        yield error("base-refused", f"Civitai takes no new models for {name}", "its licence forbids it; publish it elsewhere",
                    field="base_model", part=part)  # fmt: skip
    elif name not in active and name not in contract.base_models():
        near = form_base.near(name, active)
        hint = f"did you mean {' or '.join(near)}?" if near else "name one with --base-model"
        yield error("base-unknown", f"Civitai knows no base model {name!r}", hint, field="base_model", part=part)
    elif part.sources.get("base_model") == GUESS:
        others = ", ".join(one for one in form_base.candidates(architecture) if one != name)
        hint = f"say it: --base-model {name!r}" + (f", or one of {others}" if others else "")
        yield error("base-guessed", f"that its base is {name} is only a guess", hint, field="base_model", part=part)
    elif name not in active:
        yield warning("base-hidden", f"Civitai no longer offers {name} for new models", "name another, if it is true",
                      field="base_model", part=part, is_harmless=False)  # fmt: skip
    if form_base.contradicts(name, architecture):
        yield warning("base-other", f"its weights are {architecture}'s, and {name} is another family",
                      f"it may be {' or '.join(may_be[:3])}", field="base_model", part=part, is_harmless=False)  # fmt: skip
    if form.nsfw and name in contract.enum_values("NsfwRestrictedBaseModel"):
        yield error("base-nsfw", f"the licence of {name} forbids mature models", "publish it without --nsfw, if that is true",
                    field="nsfw", part=part)  # fmt: skip


def _triggers(part: VersionPart) -> Iterator[Finding]:
    if not part.trained_words and not part.no_trigger_words:
        yield error("triggers-missing", "no trigger words are set",
                    "set trigger_words with hubman edit, or say that it needs none: --no-trigger-words",
                    field="trained_words", part=part)  # fmt: skip
    elif part.trained_words and part.no_trigger_words:
        yield error("triggers-none", "it has trigger words and is said to need none", "say one of the two",
                    field="no_trigger_words", part=part)  # fmt: skip


def _strength(part: VersionPart) -> Iterator[Finding]:
    low, high, best = part.strength_min, part.strength_max, part.strength
    if low is not None and high is not None and low >= high:
        yield error("strength-range", f"the smallest strength {low:g} is not below the largest {high:g}",
                    "correct strength_min or strength_max", field="strength_min", part=part)  # fmt: skip
    elif best is not None and ((low is not None and best < low) or (high is not None and best > high)):
        yield error("strength-outside", f"the strength {best:g} lies outside of its own range",
                    "correct strength, strength_min or strength_max", field="strength", part=part)  # fmt: skip
    if best is None:
        yield warning("strength-missing", "no strength is recommended", "a sweep finds one: hubman sweep", field="strength",
                      part=part)  # fmt: skip


def of_all(form: PublishForm) -> Iterator[Finding]:
    """What versions of one model must not have in common."""
    seen: set[str] = set()
    for part in form.parts:
        name = trimmed(part.name).lower()
        if name in seen:
            yield error("version-twice", f"two versions are called {part.name}", "name them apart", field="version_name",
                        part=part)  # fmt: skip
        seen.add(name)
    files: dict[str, VersionPart] = {}
    for part in form.parts:
        weights = part.file.autov3 or part.file.sha256
        if weights in files:
            yield error("weights-twice", f"{part.name} and {files[weights].name} are the same weights", "leave one out",
                        part=part)  # fmt: skip
        files[weights] = part
