r"""The same words mean different weights elsewhere: prompts of ComfyUI and InvokeAI (Compel) in A1111's grammar.

========================  =====================  ============================  =========================
..                        A1111, Forge           ComfyUI                       Compel
========================  =====================  ============================  =========================
``(a (b:1.5):1.2)``       b = 1.8, the product   b = 1.5, the innermost        text
``[x]``                   1/1.1                  text                          text
up, down                  ``(x)``, ``[x]``       ``(x)``, ``(x:0.9)``          ``x+``, ``x-``, ``(x y)1.3``
schedules, AND, BREAK     yes                    text                          text
LoRA tags                 yes                    text                          text
========================  =====================  ============================  =========================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from hubman.generate.prompt_emphasis import MAX_DEPTH, Run, escape
from hubman.generate.prompt_tags import format_number

_COMFY_WEIGHT = re.compile(r"\s*[+-]?(?:\d{1,12}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?\s*")
_COMPEL_WEIGHT = re.compile(r"(\++|-+)|(\d{1,9}(?:\.\d{0,20})?|\.\d{1,20})")
_COMPEL_WORD = re.compile(r"""(?P<quote>"(?:\\.|[^"\\])*")|(?P<escape>\\.)|(?P<word>[^\s,()"\\]+)|(?P<other>.)""", re.S)
_SIGNED_WORD = re.compile(r"(.*?[^+-])(\++|-+)")
_COMPEL_UP, _COMPEL_DOWN = 1.1, 0.9
_KEYWORDS = re.compile(r"\b(AND|BREAK)\b")


def from_comfyui(text: str) -> tuple[Run, ...]:
    """ComfyUI's reading: the innermost explicit weight counts, ``(x)`` multiplies by 1.1, all else is text."""
    return tuple(_comfy(text, 1.0, 0))


def _comfy(text: str, weight: float, depth: int) -> Iterator[Run]:
    for piece in _round_groups(text):
        if depth < MAX_DEPTH and len(piece) >= 2 and piece[0] == "(" and piece[-1] == ")" and piece[-2:] != "\\)":
            inner, colon, number = piece[1:-1].rpartition(":")
            if colon and inner and _COMFY_WEIGHT.fullmatch(number):
                yield from _comfy(inner, float(number), depth + 1)
            else:
                yield from _comfy(piece[1:-1], weight * 1.1, depth + 1)
        elif piece:
            yield Run(re.sub(r"\\([()])", r"\1", piece), weight)


def _round_groups(text: str) -> Iterator[str]:
    """Text and outermost groups in round brackets, in turn; a bracket without its like stays text."""
    depth, start = 0, 0
    for match in re.finditer(r"\\[()]|[()]", text):
        if match[0] == "(":
            if depth == 0:
                yield text[start : match.start()]
                start = match.start()
            depth += 1
        elif match[0] == ")":
            # Below zero after one too many, as ComfyUI counts: what follows is then no group.
            depth -= 1
            if depth == 0:
                yield text[start : match.end()]
                start = match.end()
    yield text[start:]


def from_compel(text: str) -> tuple[Run, ...]:
    """Compel's reading: ``word+``, ``word--``, ``(some words)1.3``; nested weights multiply, all else is text."""
    return tuple(_compel(text, 1.0, 0))


def _compel(text: str, weight: float, depth: int) -> Iterator[Run]:
    at, closing = 0, _closing(text)
    while at < len(text):
        end = closing.get(at) if depth < MAX_DEPTH else None
        if end is not None:
            factor, behind = _compel_factor(text, end + 1)
            yield from _compel(text[at + 1 : end], weight * factor, depth + 1)
            at = behind
            continue
        match = _COMPEL_WORD.match(text, at)
        if match is None:
            return
        at = match.end()
        if match["quote"]:
            factor, at = _compel_factor(text, at)
            yield Run(match[0] if factor == 1 else match[0][1:-1], weight * factor)
        elif match["escape"]:
            yield Run(match[0][1], weight)
        elif (signed := _SIGNED_WORD.fullmatch(match[0])) and match["word"]:
            yield Run(signed[1], weight * _sign_factor(signed[2]))
        else:
            yield Run(match[0], weight)


def _closing(text: str) -> dict[int, int]:
    """Where each round bracket that is closed is closed."""
    opened: list[int] = []
    found: dict[int, int] = {}
    for match in re.finditer(r"\\.|[()]", text, re.S):
        if match[0] == "(":
            opened.append(match.start())
        elif match[0] == ")" and opened:
            found[opened.pop()] = match.start()
    return found


def _compel_factor(text: str, at: int) -> tuple[float, int]:
    """(the weight that stands at ``at``, where it ends); 1 if there is none."""
    match = _COMPEL_WEIGHT.match(text, at)
    if match is None:
        return 1.0, at
    return (_sign_factor(match[1]) if match[1] else float(match[2])), match.end()


def _sign_factor(signs: str) -> float:
    # More than some signs is a slip; the power stays finite.
    return (_COMPEL_UP if signs[0] == "+" else _COMPEL_DOWN) ** min(len(signs), 50)


_READERS: Mapping[str, Callable[[str], tuple[Run, ...]]] = {"comfyui": from_comfyui, "invokeai": from_compel}
DIALECTS = ("a1111", *_READERS)


def to_a1111(text: str, dialect: str) -> str:
    """A prompt of ``dialect`` (one of :data:`DIALECTS`) in A1111's grammar: the same words with the same weights.

    ``AND`` and ``BREAK``, which are words there, become lower case, which text encoders don't tell apart.
    """
    return written(_READERS[dialect](text)) if dialect in _READERS else text


def written(found: tuple[Run, ...]) -> str:
    """The prompt that :func:`hubman.generate.prompt_emphasis.runs` reads as ``found`` (which has no breaks)."""
    texts: list[tuple[str, float]] = []
    for run in found:
        if texts and texts[-1][1] == run.weight:
            texts[-1] = (texts[-1][0] + run.text, run.weight)
        else:
            texts.append((run.text, run.weight))
    return "".join(_one(text, weight) for text, weight in texts if text)


def _one(text: str, weight: float) -> str:
    plain = escape(_KEYWORDS.sub(lambda match: match[1].lower(), text))
    if weight == 1 or not plain.strip():
        return plain
    return f"({plain}:{format_number(round(weight, 6))})"
