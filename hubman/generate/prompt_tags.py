"""``<lora:name:0.8>`` tags: cut out of a prompt before anything else is read, and written back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hubman.generate.lint import Lint

_TAG = re.compile(r"<lora:([^:>]+)((?::[^:>]*)*)>")
_NEAR_MISS = re.compile(r"<\s*lora\s*:[^>]*>", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")
_STEPS = re.compile(r"(\d+)-(\d+)")
_POSITIONAL = ("te", "unet", "dyn")
_CIVITAI = re.compile(r"<lora:[A-Za-z0-9_.-]+:[0-9.]+>")


@dataclass(frozen=True)
class LoraTag:
    """A tag as written. Strengths are as A1111 reads them: one number sets both, two are text encoder first."""

    name: str
    te: float = 1.0
    unet: float = 1.0
    start: int = 0
    stop: int | None = None
    rank: int | None = None
    """Truncate to this rank (``dyn=``)."""
    block_weights: str = ""
    """A preset name or a list of numbers (``lbw=``), not yet interpreted."""

    def __str__(self) -> str:
        """The shortest spelling that A1111 and its extensions read the same way."""
        args = (
            [format_number(self.te)]
            if self.te == self.unet
            else [
                f"te={format_number(self.te)}",
                f"unet={format_number(self.unet)}",
            ]
        )
        if self.rank is not None:
            args.append(f"dyn={self.rank}")
        if self.block_weights:
            args.append(f"lbw={self.block_weights}")
        if self.start:
            args.append(f"start={self.start}")
        if self.stop is not None:
            args.append(f"stop={self.stop}")
        return f"<lora:{self.name}:{':'.join(args)}>"

    @property
    def read_by_civitai(self) -> bool:
        """Whether Civitai's reader takes the weight from this tag (plain name, one positive number)."""
        return _CIVITAI.fullmatch(str(self)) is not None


def format_number(value: float) -> str:
    """A strength without exponent or trailing zeros: 0.8, -1, 0.00001."""
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text


@dataclass(frozen=True)
class Cut:
    """A prompt taken apart: the text without tags, the tags in order, and where in the typed text each one stood."""

    text: str
    tags: tuple[LoraTag, ...]
    spans: tuple[tuple[int, int], ...]
    lints: tuple[Lint, ...]

    def typed_position(self, at: int) -> int:
        """The position in the typed text of character ``at`` of ``text``."""
        for start, end in self.spans:
            if start > at:
                break
            at += end - start
        return at


def cut_tags(text: str) -> Cut:
    """Cut out the tags; one inside emphasis or a schedule is cut like any other, as in A1111."""
    tags: list[LoraTag] = []
    lints: list[Lint] = []
    spans: list[tuple[int, int]] = []
    rest: list[str] = []
    end = 0
    for match in _TAG.finditer(text):
        rest.append(text[end : match.start()])
        end = match.end()
        spans.append(match.span())
        tag, problems = _read(match[1], match[2].split(":")[1:], match.start())
        lints += problems + _lint_place(text, match, tag)
        if any(tag.name == other.name for other in tags):
            lints.append(Lint(match.start(), "twice", f"LoRA {tag.name} is already in the prompt", fix="use it once"))
        tags.append(tag)
    rest.append(text[end:])
    for match in _NEAR_MISS.finditer(text):
        if not _TAG.fullmatch(match[0]):
            fix = "<lora:" + match[0].split(":", 1)[1].lstrip()
            lints.append(Lint(match.start(), "near-miss", f"{match[0]} is plain text, not a LoRA tag", fix=fix))
    return Cut("".join(rest), tuple(tags), tuple(spans), tuple(lints))


def _read(name: str, args: list[str], at: int) -> tuple[LoraTag, list[Lint]]:
    numbers: dict[str, float] = {}
    words: dict[str, str] = {}
    lints: list[Lint] = []
    position = 0
    for arg in args:
        key, equals, value = arg.partition("=")
        if equals:
            words[key.strip().lower()] = value.strip()
        elif _NUMBER.fullmatch(arg.strip()) and position < len(_POSITIONAL):
            numbers[_POSITIONAL[position]] = float(arg)
            position += 1
        elif arg.strip():
            words.setdefault("lbw", arg.strip())
    for key in _POSITIONAL:
        if key in words:
            if _NUMBER.fullmatch(words[key]):
                numbers[key] = float(words[key])
            else:
                lints.append(Lint(at, "argument", f"{key}={words[key]} in <lora:{name}…> is not a number"))
    te = numbers.get("te", 1.0)
    start, stop = _active_steps(words, name, at, lints)
    unknown = [key for key in words if key not in {*_POSITIONAL, "lbw", "start", "stop", "step"}]
    lints += [Lint(at, "argument", f"{key}= in <lora:{name}…> is not known and ignored") for key in unknown]
    rank = int(numbers["dyn"]) if numbers.get("dyn", 0) >= 1 else None
    tag = LoraTag(name, te, numbers.get("unet", te), start, stop, rank, words.get("lbw", ""))
    return tag, lints


def _active_steps(words: dict[str, str], name: str, at: int, lints: list[Lint]) -> tuple[int, int | None]:
    start, stop = 0, None
    if match := _STEPS.fullmatch(words.get("step", "")):
        start, stop = int(match[1][:9]), int(match[2][:9])
    for key in ("start", "stop"):
        value = words.get(key)
        if value is not None and re.fullmatch(r"[0-9]{1,9}", value):
            start, stop = (int(value), stop) if key == "start" else (start, int(value))
        elif value is not None:
            lints.append(Lint(at, "argument", f"{key}={value} in <lora:{name}…> is not a step number"))
    return start, stop


def _lint_place(text: str, match: re.Match[str], tag: LoraTag) -> list[Lint]:
    before, after = text[: match.start()].rstrip(), text[match.end() :].lstrip()
    if before.endswith("(") and (weight := re.match(r":\s*([+-]?[\d.]+)\s*\)", after)):
        message = f"the weight {weight[1]} around <lora:{tag.name}…> does not change the LoRA"
        return [Lint(match.start(), "tag-in-emphasis", message, fix="write the strength into the tag")]
    if before.endswith("[") and (when := re.match(r":\s*([\d.]+)\s*\]", after)):
        message = f"the schedule around <lora:{tag.name}…> does not act: the LoRA is on for the whole run"
        return [Lint(match.start(), "tag-in-schedule", message, fix=f"write start={when[1]} into the tag")]
    return []
