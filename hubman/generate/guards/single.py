"""Guard rails of one LoRA in a request: its strength, trigger word, and what its file is made for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from hubman.generate.guards.facts import LoraFacts
from hubman.generate.guards.guard import Guard, Mend, changed, without
from hubman.generate.prompt_tags import format_number
from hubman.generate.request import DrawRequest, LoraUse
from hubman.lora.resolve import FULL_COVERAGE

STRONG = 0.9
SAFE = 0.8
SLIDER_LIMIT = 15
FAST_CFG, FAST_STEPS = 2.0, 12
_ACCELERATORS = re.compile(
    r"(?<![a-z])(lcm|turbo|lightning|hyper[-_ ]?(sd|flux)\w*|dmd2?|flash[-_ ]sd\w*|pcm|tcd)(?![a-z])"
)

Found = Iterator[Guard[DrawRequest]]


def single(request: DrawRequest, use: LoraUse, facts: LoraFacts) -> Found:
    """Everything to say of one LoRA."""
    if facts.problem:
        yield Guard(
            "fits-nothing",
            facts.problem,
            facts.problem_hint or "no picture can be drawn with it",
            fix=f"take {use.name} out",
            mend=without(use.sha256.lower()),
            level="error",
            about=(use.sha256.lower(),),
        )
    yield from _strength(use)
    yield from _trigger(request, use)
    yield from _accelerates(request, use, facts)
    yield from _coverage(use, facts)
    yield from _text_encoder(use, facts)
    yield from _names(use, facts)


def _remark(use: LoraUse, code: str, message: str, reason: str, fix: str, mend: Mend | None) -> Guard[DrawRequest]:
    return Guard(code, message, reason, fix=fix, mend=mend, about=(use.sha256.lower(),))


def _strength(use: LoraUse) -> Found:
    sha256, strengths = use.sha256.lower(), (use.strength, use.text_strength)
    if use.slider:
        if max(abs(strength) for strength in strengths) > SLIDER_LIMIT:
            limit = {
                "strength": max(-SLIDER_LIMIT, min(SLIDER_LIMIT, use.strength)),
                "te_strength": None
                if use.te_strength is None
                else max(-SLIDER_LIMIT, min(SLIDER_LIMIT, use.te_strength)),
            }
            message = f"{use.name} is beyond {SLIDER_LIMIT}, the range of sliders"
            mend = changed(sha256, **limit)
            yield _remark(use, "strength-slider", message, "pictures fall apart there", f"{SLIDER_LIMIT}", mend)
    elif max(strengths) > STRONG:
        reason = "strong LoRAs often burn colours and drown the prompt"
        mend = changed(sha256, strength=SAFE, te_strength=None)
        yield _remark(use, "strength-high", f"{use.name} is above {STRONG}", reason, f"{SAFE}", mend)
    elif min(strengths) < 0:
        reason = "a LoRA that is no slider is seldom trained to be turned around"
        back = min(SAFE, abs(use.strength))
        mend = changed(sha256, strength=back, te_strength=None)
        yield _remark(use, "strength-negative", f"{use.name} is negative", reason, format_number(back), mend)


def _trigger(request: DrawRequest, use: LoraUse) -> Found:
    prompt = request.prompt.casefold()
    if not use.trigger_words or any(word.casefold() in prompt for word in use.trigger_words):
        return
    word = use.trigger_words[0]

    def mend(now: DrawRequest) -> DrawRequest:
        return msgspec.structs.replace(now, prompt=f"{now.prompt}, {word}" if now.prompt else word)

    message = f"the prompt has no trigger word of {use.name}"
    yield _remark(use, "trigger-missing", message, "it was trained with captions that hold it", f"add {word}", mend)


def is_accelerator(use: LoraUse, facts: LoraFacts) -> bool:
    """Whether a name or the file's own title calls it one of those that draw in few steps."""
    return any(_ACCELERATORS.search(name.casefold()) for name in (use.name, *facts.titles))


def _accelerates(request: DrawRequest, use: LoraUse, facts: LoraFacts) -> Found:
    if not is_accelerator(use, facts) or (request.cfg <= FAST_CFG and request.steps <= FAST_STEPS):
        return

    def mend(now: DrawRequest) -> DrawRequest:
        return msgspec.structs.replace(now, cfg=min(now.cfg, 1.5), steps=min(now.steps, 8))

    message = f"{use.name} speeds drawing up, but CFG is {request.cfg:g} with {request.steps} steps"
    reason = f"such LoRAs are made for CFG up to {FAST_CFG:g} and at most {FAST_STEPS} steps"
    yield _remark(use, "accelerated", message, reason, "CFG 1.5, 8 steps", mend)


def _coverage(use: LoraUse, facts: LoraFacts) -> Found:
    if facts.coverage is None or facts.coverage.share >= FULL_COVERAGE:
        return
    message = f"only {facts.coverage.share:.0%} of {use.name} fits this base ({facts.coverage})"
    reason = "what does not fit is left out, so it shows less than it is"
    yield _remark(use, "coverage", message, reason, f"take {use.name} out", without(use.sha256.lower()))


def _text_encoder(use: LoraUse, facts: LoraFacts) -> Found:
    if use.te_strength is None or use.te_strength == use.strength or facts.text_modules != 0:
        return
    message = f"te= is set, but {use.name} has no part for the text encoder"
    reason = "that number does nothing"
    yield _remark(
        use, "te-without-part", message, reason, "leave te= out", changed(use.sha256.lower(), te_strength=None)
    )


def _names(use: LoraUse, facts: LoraFacts) -> Found:
    sha256 = use.sha256.lower()
    if facts.called and sha256 not in facts.called:
        found, path = next(iter(facts.called.items()))
        message = f"{use.name} names another file here than the one with the hash {sha256[:12]}"
        reason = "the file of that name would be drawn by every other program"
        mend = changed(sha256, sha256=found, path=path)
        yield _remark(use, "hash-disagrees", message, reason, f"take the file called {use.name}", mend)
    elif (here := sum(map(bool, facts.called.values()))) > 1:
        message = f"{here} LoRAs of the library are called {use.name}"
        reason = "the name alone does not say which one is meant"
        mend = changed(sha256, name=sha256[:12])
        yield _remark(use, "name-ambiguous", message, reason, f"call it {sha256[:12]}, by its hash", mend)
