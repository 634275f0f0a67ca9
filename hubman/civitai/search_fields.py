"""The fields of the search line, each with what it sets of a search."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hubman.civitai import contract, search_names
from hubman.civitai.search import LORA_TYPES, ModelSearch
from hubman.civitai.search_names import Names
from hubman.civitai.sift import EVERY_LEVEL, Sift
from registry.errors import UsageError
from registry.listing import LEVELS

_LARGEST_ID = 2**31 - 1


@dataclass
class Draft:
    """A search while its line is read."""

    names: Names
    values: dict[str, Any] = field(default_factory=dict)
    sift: dict[str, Any] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def add(self, name: str, values: tuple[object, ...]) -> None:
        self.values[name] = tuple(dict.fromkeys((*self.values.get(name, ()), *values)))

    def leave_out(self, name: str, values: tuple[str, ...]) -> None:
        low = tuple(value.lower() for value in values)
        self.sift[name] = tuple(dict.fromkeys((*self.sift.get(name, ()), *low)))

    def built(self, up_to: int) -> ModelSearch:
        """The search; ``up_to`` is the level where the line says none. LoRAs are meant where it names no type."""
        values = dict(self.values)
        if "types" not in values and not {"ids", "version_ids"} & set(values):
            values["types"] = LORA_TYPES
        sift = Sift(**{"up_to": up_to, **self.sift})
        return ModelSearch(
            query=" ".join(self.words), nsfw=sift.up_to > LEVELS["pg"], sift=sift, **{"limit": 100, **values}
        )


Read = Callable[[str, Draft], None]


@dataclass(frozen=True)
class SearchField:
    """How an option of a field's value enters a search; ``without`` is for one with a minus before it."""

    read: Read
    help: str
    example: str
    without: Read | None = None
    takes_many: bool = True


def _types(text: str, draft: Draft) -> None:
    draft.add("types", search_names.types_of(text, draft.names))


def _bases(text: str, draft: Draft) -> None:
    draft.add("base_models", search_names.bases_of(text, draft.names))


def _choice(name: str, to: str, choices: Mapping[str, str]) -> Read:
    def read(text: str, draft: Draft) -> None:
        draft.values[to] = search_names.one_of(name, text, choices)

    return read


def _text(to: str) -> Read:
    def read(text: str, draft: Draft) -> None:
        draft.values[to] = text.removeprefix("=").removeprefix("@") if to == "username" else text.removeprefix("=")

    return read


def _number(name: str, to: str, most: int) -> Read:
    def read(text: str, draft: Draft) -> None:
        draft.values[to] = _whole(name, text, most)

    return read


def _ids(name: str, to: str) -> Read:
    return lambda text, draft: draft.add(to, (_whole(name, text, _LARGEST_ID),))


def _whole(name: str, text: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise UsageError(f"{name} can't be {text!r}", f"give a whole number from 1 to {most:,}")
    return int(text)


def _is(text: str, draft: Draft) -> None:
    draft.values[search_names.flag_of(text)] = True


def _licence(text: str, draft: Draft) -> None:
    if text.lower() in search_names.PERMISSIONS:
        draft.sift["licence"] = (*draft.sift.get("licence", ()), text.lower())
        return
    choices = {**search_names.USES, **{name: name for name in search_names.PERMISSIONS}}
    draft.add("allow_commercial_use", (search_names.one_of("lic", text, choices),))


def _nsfw(text: str, draft: Draft) -> None:
    draft.sift["up_to"] = min(search_names.level_of(text), EVERY_LEVEL)


def _formats(text: str, draft: Draft) -> None:
    known = {name.lower().replace(" ", ""): name for name in contract.enum_values("ModelFileFormat")}
    draft.add("file_formats", (search_names.one_of("format", text, {"safetensors": "SafeTensor", **known}),))


def _availability(text: str, draft: Draft) -> None:
    known = {name.lower(): name for name in contract.enum_values("Availability")}
    draft.values["availability"] = search_names.one_of("availability", text, known)


FIELDS: dict[str, SearchField] = {
    "type": SearchField(
        _types, "lora (LORA, LoCon and DoRA), checkpoint, locon, any…; =lora is LORA alone", "lora",
        lambda text, draft: draft.leave_out("without_types", search_names.types_of(text, draft.names)),
    ),
    "base": SearchField(
        _bases, "a base model; a star takes all that begin so: sdxl*", '"SDXL 1.0"',
        lambda text, draft: draft.leave_out("without_bases", search_names.bases_of(text, draft.names)),
    ),
    "tag": SearchField(
        _text("tag"), "a tag", "style", lambda text, draft: draft.leave_out("without_tags", (text,)), takes_many=False
    ),
    "by": SearchField(
        _text("username"), "who made it", "ann", lambda text, draft: draft.leave_out("without_creators", (text,)),
        takes_many=False,
    ),
    "sort": SearchField(
        _choice("sort", "sort", search_names.SORTS), ", ".join(search_names.SORTS), "newest", takes_many=False
    ),
    "period": SearchField(
        _choice("period", "period", search_names.PERIODS), "day, week, month, year, all", "month", takes_many=False
    ),
    "counted": SearchField(
        _choice("counted", "period_mode", search_names.PERIOD_MODES),
        "what the period is of: when it was published, or its stats", "stats", takes_many=False,
    ),
    "checkpoint": SearchField(
        _choice("checkpoint", "checkpoint_type", search_names.CHECKPOINTS), "trained or merge", "trained",
        takes_many=False,
    ),
    "nsfw": SearchField(_nsfw, "up to which level: pg, pg13, r, x, xxx", "pg13", takes_many=False),
    "lic": SearchField(
        _licence, "its licence allows: sell, image, rent, rentcivit, derivatives, nocredit, relicense", "sell"
    ),
    "format": SearchField(_formats, "a format of its files: safetensor, gguf, diffusers…", "gguf"),
    "availability": SearchField(_availability, "public, earlyaccess…", "earlyaccess", takes_many=False),
    "is": SearchField(_is, ", ".join(search_names.FLAGS), "early"),
    "id": SearchField(_ids("id", "ids"), "a model's number", "1234"),
    "version": SearchField(_ids("version", "version_ids"), "a version's number", "5678"),
    "limit": SearchField(_number("limit", "limit", 100), "models a page, 1 to 100", "50", takes_many=False),
    "page": SearchField(_number("page", "page", 1000), "the number of a page", "2", takes_many=False),
}  # fmt: skip
"""Every field of the search line. A minus leaves out types, bases, tags and creators."""

SYNONYMS = {"creator": "by", "user": "by", "author": "by", "licence": "lic", "license": "lic", "order": "sort"}
