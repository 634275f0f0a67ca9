"""The fields of the query line, each with the SQL that it means."""

# ruff: noqa: S608 - every value from outside is bound, never part of the SQL

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from registry import query_values, timestamps
from registry.errors import UsageError
from registry.listing import UNKNOWN, plain_base
from registry.query_choices import HAS, IS, LICENCES, STALE_DAYS, TESTED, WHERE, choice
from registry.query_values import Parameters

Compile = Callable[[str, Parameters], str]


@dataclass(frozen=True)
class QueryField:
    """How one option of a field's value becomes a condition, what it asks, and an example value."""

    compile: Compile
    help: str
    example: str


_BASES = {
    "sd1": ("sd14", "sd15"), "15": ("sd15",), "14": ("sd14",), "21": ("sd21",), "20": ("sd20",), "xl": ("sdxl",),
    "il": ("illustrious",), "ilxl": ("illustrious",), "noob": ("noobai",), "ponyxl": ("pony",),
    "sd": ("sd1", "sd2", "sd3"),
    "flux1dev": ("flux1d",), "flux1schnell": ("flux1s",), "fluxdev": ("flux1d",), "fluxschnell": ("flux1s",),
    "hunyuan": ("hunyuan", "hunyuanvideo"), "wan": ("wan",),
}  # fmt: skip
"""Short names of base models; every other name matches what begins so when only letters and digits count."""


def _base(text: str, values: Parameters) -> str:
    if text.startswith("="):
        return values.whole("l.base", text)
    if text.lower() in {UNKNOWN, "none"}:
        return "l.base IS NULL"
    plain = plain_base(text)
    if not plain:
        raise UsageError(f"base can't be {text!r}", "for example base:sdxl")
    # What begins so lies below its beginning with the last of all characters behind it.
    ends = [(values.bind(name), values.bind(f"{name}\U0010ffff")) for name in _BASES.get(plain, (plain,))]
    return " OR ".join(f"(l.base_plain >= {low} AND l.base_plain < {high})" for low, high in ends)


_KINDS = {
    "lycoris": ("locon", "loha", "lokr", "glora", "oft", "boft", "ia3", "full"),
    "ti": ("embedding",),
    "ckpt": ("checkpoint",),
}


def _type(text: str, values: Parameters) -> str:
    names = _KINDS.get(text.lower(), (text,))
    return " OR ".join(values.whole("l.type", name) for name in names)


def _collection(text: str, values: Parameters) -> str:
    return (
        "l.number IN (SELECT m.search_id FROM collections c JOIN collection_members cm ON cm.collection_id = c.id "
        "JOIN models m ON m.id = cm.model_id "
        f"WHERE {values.whole('c.name', text)})"
    )


_HASHES = ("sha256", "autov1", "autov3", "blake3")


def _hash(text: str, values: Parameters) -> str:
    """Models with a file one of whose hashes begins so; AutoV2 is the beginning of SHA-256."""
    digits = text.lower().removeprefix("=").removesuffix("*")
    if not re.fullmatch(r"[0-9a-f]+", digits):
        raise UsageError(f"hash can't be {text!r}", "give the first hex digits, for example hash:4feec281")
    begins = values.bind(digits)
    # A letter after f ends what begins so. A file without a hash yet has a stand-in for one, which is no hex.
    ends = [f"(f.{name} >= {begins} AND f.{name} < {begins} || 'g')" for name in _HASHES]
    crc = f"(f.crc32 >= upper({begins}) AND f.crc32 < upper({begins}) || 'G')"
    return (
        "l.number IN (SELECT m.search_id FROM files f JOIN versions w ON w.id = f.version_id "
        "JOIN models m ON m.id = w.model_id "
        f"WHERE {' OR '.join([*ends, crc])})"
    )


def _number(name: str, column: str) -> Compile:
    return lambda text, values: query_values.compare(column, query_values.number(name), text, values.bind)


def _contains(column: str) -> Compile:
    return lambda text, values: values.contains(column, text)


def _whole(column: str) -> Compile:
    return lambda text, values: values.whole(column, text)


def _size(text: str, values: Parameters) -> str:
    return query_values.compare("l.size", query_values.size, text, values.bind)


def _added(text: str, values: Parameters) -> str:
    return query_values.when("l.added_at", text, values.now, values.bind)


_COUNT = re.compile(r"(?:<=|>=|<|>|=)?\d{1,3}|\d{1,3}\.\.\d{0,3}|\.\.\d{1,3}")
"""A number of pictures; four digits are a year."""


def _used(text: str, values: Parameters) -> str:
    if text.lower() in {"never", "no"}:
        return "l.used_at IS NULL"
    if text.lower() in {"ever", "yes"}:
        return "l.used_at IS NOT NULL"
    if _COUNT.fullmatch(text):
        return query_values.compare("l.uses", query_values.number("used"), text, values.bind)
    return query_values.when("l.used_at", text, values.now, values.bind)


def _used_with(text: str, values: Parameters) -> str:
    """Models of which a picture was also drawn with another one that is called so."""
    named = f"{values.contains('m.name', text)} OR {values.whole('m.alias', text)}"
    return (
        # In this order: few models were used, and only their names need to be looked at.
        "l.number IN (SELECT (SELECT s.search_id FROM models s WHERE s.id = v.model_id) "
        "FROM image_resources o CROSS JOIN files g ON g.sha256 = o.sha256 "
        "CROSS JOIN versions w ON w.id = g.version_id CROSS JOIN models m ON m.id = w.model_id "
        "CROSS JOIN image_uses b ON b.resource = o.id CROSS JOIN image_uses a ON a.image = b.image "
        "CROSS JOIN image_resources r ON r.id = a.resource CROSS JOIN files f ON f.sha256 = r.sha256 "
        "CROSS JOIN versions v ON v.id = f.version_id "
        f"WHERE ({named}) AND v.model_id <> m.id)"
    )


def _tested(text: str, _values: Parameters) -> str:
    return choice("tested", text, {"never": f"NOT {TESTED}", "no": f"NOT {TESTED}", "yes": TESTED})


def _is(text: str, values: Parameters) -> str:
    condition = choice("is", text, IS)
    for name, moment in (("now", values.now), ("long_ago", values.now - timedelta(days=STALE_DAYS))):
        if f":{name}" in condition:
            condition = condition.replace(f":{name}", values.bind(timestamps.of(moment)))
    return condition


def _trained(text: str, _values: Parameters) -> str:
    trained = "(l.origin = 'trained' OR l.recorded)"
    return choice("trained", text, {"here": trained, "yes": trained, "no": f"NOT {trained}"})


def _nsfw(text: str, values: Parameters) -> str:
    return query_values.level("l.nsfw", text, values.bind)


FIELDS: dict[str, QueryField] = {
    "base": QueryField(_base, "base model, loosely: sd15, sdxl, flux, pony, unknown", "sdxl"),
    "type": QueryField(_type, "network type, or the kind if it is no network", "lora"),
    "kind": QueryField(_whole("l.kind"), "lora, checkpoint, embedding, vae…", "lora"),
    "arch": QueryField(_whole("l.architecture"), "architecture, read from the tensors", "sdxl"),
    "tag": QueryField(
        lambda text, values: values.one_is("l.tags", text), "a tag; a star at its end for all that begin so", "style"
    ),
    "creator": QueryField(_contains("l.creator"), "who made it", "ann"),
    "name": QueryField(_contains("l.name"), "a part of the name", "ink"),
    "alias": QueryField(_whole("l.alias"), "its name in prompts", "inkwash"),
    "file": QueryField(lambda text, values: values.one_contains("l.files", text), "a part of a file's name", "ink_v2"),
    "hash": QueryField(_hash, "how a hash of a file begins: SHA-256, AutoV1 to 3, BLAKE3, CRC32", "4feec281"),
    "folder": QueryField(
        lambda text, values: values.one_contains("l.folders", text), "a part of a file's folder here", "styles/"
    ),
    "trigger": QueryField(
        lambda text, values: values.one_contains("l.triggers", text), "a part of a trigger word", '"red hair"'
    ),
    "run": QueryField(_contains("l.run"), "a part of the name of the training that made it", "ink"),
    "collection": QueryField(_collection, "a collection that it is in", '"Client A"'),
    "rating": QueryField(_number("rating", "l.rating"), "stars, 0 to 5", ">=4"),
    "rank": QueryField(_number("rank", "l.rank"), "rank of the network", "8..32"),
    "strength": QueryField(_number("strength", "l.strength"), "recommended strength", "0.6..1"),
    "size": QueryField(_size, "size of the newest file, in kb, mb, gb", ">500mb"),
    "added": QueryField(_added, "an age or a date", "<30d"),
    "year": QueryField(_number("year", "l.year"), "the year in which it was added", "2026"),
    "used": QueryField(_used, "never, ever, when it was last drawn with, or in how many pictures: <30d, >5", "never"),
    "uses": QueryField(_number("uses", "l.uses"), "pictures drawn with it", ">=10"),
    "with": QueryField(_used_with, "a part of the name of a model that was used in the same picture", "ink"),
    "tested": QueryField(_tested, "never or yes: whether any picture was drawn with it", "never"),
    "trained": QueryField(_trained, "here: made by a training of ours", "here"),
    "where": QueryField(
        lambda text, _: choice("where", text, WHERE),
        "here, elsewhere (not here), everywhere (here and on every other machine), nowhere",
        "elsewhere",
    ),
    "nsfw": QueryField(_nsfw, "highest browsing level: unrated, pg, pg13, r, x, xxx", "<=r"),
    "lic": QueryField(
        lambda text, _: choice("lic", text, LICENCES),
        "its licence allows: sell, image, rent, derivatives, nocredit, relicense; or unknown",
        "sell",
    ),
    "has": QueryField(
        lambda text, _: choice("has", text, HAS), "something is filled in: notes, preview, trigger…", "notes"
    ),
    "is": QueryField(
        _is,
        "fav, missing, offline, elsewhere, dup, early, update, published, damaged, trash, gone (upstream), untested, "
        "superseded (a newer version is here too), stale (superseded, and not used for 90 days)",
        "fav",
    ),
}
"""Every field of the query line but ``sort``, with its help."""

SYNONYMS = {"algo": "type"}
"""Other words for fields."""
