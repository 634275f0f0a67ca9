"""Which faults there are, and rules that say which of them happen how often and where."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from registry.errors import UsageError

_API, _READS, _FILES = "/api/", "/api/v1/", "/sandbox-models/"
CONTROL = "/sandbox/"
"""Where the sandbox itself is asked and told: nothing goes wrong there."""


@dataclass(frozen=True)
class Kind:
    """A fault: what it does, the paths it strikes unless told otherwise, and its amount unless told otherwise."""

    help: str
    path: str = ""
    amount: float = 0.0


KINDS: dict[str, Kind] = {
    "latency": Kind("wait AMOUNT milliseconds before each answer", amount=20),
    "slow": Kind("send AMOUNT bytes a second", _FILES, 1_000_000),
    "429": Kind("too many requests, Retry-After AMOUNT seconds", _API, 1),
    "429-bare": Kind("too many requests, without Retry-After", _API),
    "500": Kind("an internal error", _API),
    "502": Kind("a bad gateway's HTML page", _API),
    "503": Kind("busy, Retry-After AMOUNT seconds", _API, 2),
    "503-bare": Kind("busy, without Retry-After", _API),
    "451": Kind("this region is blocked", _API),
    "cloudflare-403": Kind("the CDN's challenge page, 403", _API),
    "cloudflare-503": Kind("the CDN's page, 503", _API),
    "html": Kind("an HTML page in place of JSON, 200", _API),
    "empty": Kind("nothing in place of JSON, 200", _READS),
    "reset": Kind("the connection is reset in place of an answer"),
    "lost": Kind("the work is done and the answer is lost", _API),
    "cut": Kind("the connection ends before the whole body has come"),
    "cut-json": Kind("JSON that ends in the middle, with the length it has", _READS),
    "missing": Kind("AMOUNT of the fields are not there", _READS, 0.1),
    "null": Kind("AMOUNT of the fields are null", _READS, 0.1),
    "wrong-type": Kind("AMOUNT of the fields hold something else than they should", _READS, 0.1),
    "added": Kind("fields that nobody knows", _READS),
    "hostile": Kind("names, words and texts that want to do harm", _READS),
    "wrong-hash": Kind("the told hashes are not the file's, and stay so", _READS),
    "hash-changes": Kind("the told hashes are not the file's, until asked again", _READS),
    "expired": Kind("the signed address has expired", _FILES),
    "reset-file": Kind("the connection is reset in the middle of a file", _FILES),
    "short-file": Kind("a file ends early, as if that were all of it", _FILES),
    "wrong-bytes": Kind("one byte of a file is not what it should be", _FILES),
    "no-range": Kind("a range is asked for and the whole file comes", _FILES),
}


@dataclass
class Rule:
    """One of :data:`KINDS` at requests whose path contains ``path`` (empty: where the kind belongs).

    ``rate`` is the probability; ``times`` ends it after so many strikes. Which requests are struck follows from the
    seed, the path and how often the path was asked for: not from the order in which different paths are.
    """

    kind: str
    rate: float = 1.0
    path: str = ""
    times: int | None = None
    amount: float | None = None
    struck: int = 0
    _asked: Counter[str] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"there is no fault {self.kind!r}", f"give one of {', '.join(KINDS)}")
        if not 0 <= self.rate <= 1:
            raise UsageError(f"{self.rate} is no probability", "give a number from 0 to 1")

    @property
    def size(self) -> float:
        """The amount, or the kind's own."""
        return KINDS[self.kind].amount if self.amount is None else self.amount

    def strikes(self, method: str, path: str, seed: int) -> random.Random | None:
        """The chance from which the fault takes its details if this request is struck, else None."""
        if (self.path or KINDS[self.kind].path) not in path:
            return None
        if self.times is not None and self.struck >= self.times:
            return None
        self._asked[path] += 1
        chance = random.Random(f"{seed}/{self.kind}/{method}/{path}/{self._asked[path]}")
        if chance.random() >= self.rate:
            return None
        self.struck += 1
        return chance

    def asked(self, path: str) -> int:
        """How often ``path`` was asked for."""
        return self._asked[path]


_SPEC = re.compile(r"(?P<kind>[a-z0-9-]+)(=(?P<amount>[0-9.]+))?(:(?P<often>[0-9.]+x?)?)?(:(?P<path>/.*))?")
_FORM = "give KIND, KIND=AMOUNT, KIND:0.1 (how likely), KIND:3x (how often) or KIND:0.1:/api/v1/models (where)"


def parse(text: str) -> Rule:
    """A rule from ``KIND[=AMOUNT][:RATE][:PATH]``; raises :class:`UsageError`."""
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no fault", _FORM)
    often = match["often"] or "1"
    try:
        times = int(often[:-1]) if often.endswith("x") else None
        rate = 1.0 if often.endswith("x") else float(often)
        amount = float(match["amount"]) if match["amount"] else None
    except ValueError as error:
        raise UsageError(f"{text!r} is no fault", _FORM) from error
    return Rule(match["kind"], rate=rate, path=match["path"] or "", times=times, amount=amount)


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    """A rule in a file or a request."""

    kind: str
    rate: float = 1.0
    path: str = ""
    times: int | None = None
    amount: float | None = None


def from_json(items: object) -> list[Rule]:
    """Rules from a list of texts (see :func:`parse`) and objects; raises :class:`UsageError`."""
    if not isinstance(items, list):
        raise UsageError("the faults are no list", _FORM)
    return [parse(item) if isinstance(item, str) else _from_object(item) for item in items]


def _from_object(item: Any) -> Rule:
    try:
        written = msgspec.convert(item, _Written)
    except msgspec.ValidationError as error:
        raise UsageError(f"a fault is written wrong ({error})", "give kind, rate, path, times and amount") from error
    return Rule(**msgspec.structs.asdict(written))


def read(path: Path) -> list[Rule]:
    """The rules in a JSON file; raises :class:`UsageError`."""
    try:
        return from_json(msgspec.json.decode(path.read_bytes()))
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path} can't be read as a list of faults ({error})", "write a JSON list") from error


def parse_all(texts: Iterable[str]) -> list[Rule]:
    return [parse(text) for text in texts]
