"""The fields of the query line, each with the SQL that it means."""

# ruff: noqa: S608 - every value from outside is bound, never part of the SQL

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches

from registry import query_values
from registry.errors import UsageError


@dataclass
class Parameters:
    """Collects the values that a query binds, so that no text from outside becomes SQL."""

    now: datetime
    bound: dict[str, object] = field(default_factory=dict)

    def bind(self, value: object) -> str:
        name = f"q{len(self.bound)}"
        self.bound[name] = value
        return f":{name}"

    def contains(self, column: str, text: str) -> str:
        """``text`` somewhere in the column; ``=text`` the whole of it; ``text*`` its beginning. Ignores ASCII case."""
        if text.startswith("=") and len(text) > 1:
            return f"{column} = {self.bind(text[1:])} COLLATE NOCASE"
        pattern = _escaped(text[:-1]) + "%" if text.endswith("*") else f"%{_escaped(text)}%"
        return f"{column} LIKE {self.bind(pattern)} ESCAPE '\\'"

    def whole(self, column: str, text: str) -> str:
        """``text`` is the column's whole value; ``text*`` its beginning."""
        if text.endswith("*"):
            return self.contains(column, text)
        return f"{column} = {self.bind(text.removeprefix('=') or text)} COLLATE NOCASE"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


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

_PLAIN_BASE = "replace(replace(replace(replace(lower(v.base_model), ' ', ''), '.', ''), '-', ''), '_', '')"


def _base(text: str, values: Parameters) -> str:
    if text.startswith("="):
        return values.whole("v.base_model", text)
    if text.lower() in {"unknown", "none"}:
        return "v.base_model IS NULL"
    plain = "".join(char for char in text.lower() if char.isalnum())
    if not plain:
        raise UsageError(f"base can't be {text!r}", "for example base:sdxl")
    return " OR ".join(f"{_PLAIN_BASE} LIKE {values.bind(name + '%')}" for name in _BASES.get(plain, (plain,)))


_KINDS = {
    "lycoris": ("locon", "loha", "lokr", "glora", "oft", "boft", "ia3", "full"),
    "ti": ("embedding",),
    "ckpt": ("checkpoint",),
}


def _type(text: str, values: Parameters) -> str:
    names = _KINDS.get(text.lower(), (text,))
    return " OR ".join(values.whole("coalesce(v.network_type, m.kind)", name) for name in names)


def _tag(text: str, values: Parameters) -> str:
    return f"m.id IN (SELECT model_id FROM tags WHERE {values.whole('tag', text)})"


_MODELS_OF_FILES = "SELECT w.model_id FROM files f JOIN versions w ON w.id = f.version_id"
_MODELS_OF_PLACES = _MODELS_OF_FILES + " JOIN places p ON p.sha256 = f.sha256"


def _file(text: str, values: Parameters) -> str:
    return f"m.id IN ({_MODELS_OF_FILES} WHERE {values.contains('f.name', text)})"


def _folder(text: str, values: Parameters) -> str:
    return f"m.id IN ({_MODELS_OF_PLACES} WHERE {values.contains('p.path', text)})"


def _trigger(text: str, values: Parameters) -> str:
    exactly = f"EXISTS (SELECT 1 FROM json_each(v.trigger_words) WHERE {values.contains('value', text)})"
    inner = text.removeprefix("=").removesuffix("*")
    if not inner or '"' in inner or "\\" in inner:
        return exactly
    # A look at the list as text is ten times faster than taking it apart, and leaves few to be taken apart.
    return f"{values.contains('v.trigger_words', f'{inner}')} AND {exactly}"


def _run(text: str, values: Parameters) -> str:
    name = values.contains("json_extract(body, '$.name')", text)
    return f"v.id IN (SELECT id FROM records WHERE kind = 'run' AND {name})"


def _collection(text: str, values: Parameters) -> str:
    return (
        "m.id IN (SELECT cm.model_id FROM collections c JOIN collection_members cm ON cm.collection_id = c.id "
        f"WHERE {values.whole('c.name', text)})"
    )


def _number(name: str, column: str) -> Compile:
    return lambda text, values: query_values.compare(column, query_values.number(name), text, values.bind)


def _size(text: str, values: Parameters) -> str:
    return query_values.compare("v.size", query_values.size, text, values.bind)


def _added(text: str, values: Parameters) -> str:
    return query_values.when("m.added_at", text, values.now, values.bind)


_LAST_USED = (
    "(SELECT max(g.created_at) FROM generations g JOIN generation_files gf ON gf.generation_id = g.id "
    "JOIN files f ON f.sha256 = gf.sha256 JOIN versions w ON w.id = f.version_id WHERE w.model_id = m.id)"
)


def _used(text: str, values: Parameters) -> str:
    if text.lower() in {"never", "no"}:
        return f"{_LAST_USED} IS NULL"
    if text.lower() in {"ever", "yes"}:
        return f"{_LAST_USED} IS NOT NULL"
    return query_values.when(_LAST_USED, text, values.now, values.bind)


def _trained(text: str, _values: Parameters) -> str:
    trained = "(m.origin = 'trained' OR v.id IN (SELECT id FROM records WHERE kind = 'run'))"
    return _choice("trained", text, {"here": trained, "yes": trained, "no": f"NOT {trained}"})


def _nsfw(text: str, values: Parameters) -> str:
    return query_values.level("m.nsfw_level", text, values.bind)


def _may(use: str) -> str:
    return f"EXISTS (SELECT 1 FROM json_each(m.permissions, '$.allowCommercialUse') WHERE value LIKE '{use}%')"


_LICENCE = {
    "sell": _may("Sell"),
    "image": _may("Image"),
    "rent": _may("Rent"),
    "derivatives": "json_extract(m.permissions, '$.allowDerivatives') = 1",
    "nocredit": "json_extract(m.permissions, '$.allowNoCredit') = 1",
    "relicense": "json_extract(m.permissions, '$.allowDifferentLicense') = 1",
    "unknown": "m.permissions = '{}'",
}
"""What the licence allows; a model whose licence nobody told allows nothing."""

_HAS = {
    "notes": "coalesce(m.notes, '') <> ''",
    "description": "coalesce(m.description, '') <> ''",
    "preview": "EXISTS (SELECT 1 FROM previews p JOIN versions w ON w.id = p.version_id WHERE w.model_id = m.id)",
    "trigger": "v.trigger_words <> '[]'",
    "tags": "EXISTS (SELECT 1 FROM tags t WHERE t.model_id = m.id)",
    "strength": "v.strength IS NOT NULL",
    "rating": "m.rating > 0",
    "creator": "coalesce(m.creator, '') <> ''",
    "base": "v.base_model IS NOT NULL",
    "run": "v.id IN (SELECT id FROM records WHERE kind = 'run')",
    "civitai": "(m.civitai_id IS NOT NULL OR v.civitai_id IS NOT NULL)",
    "collection": "m.id IN (SELECT model_id FROM collection_members)",
}
_HAS |= {"previews": _HAS["preview"], "triggers": _HAS["trigger"], "note": _HAS["notes"], "tag": _HAS["tags"]}

_IS = {
    "fav": "m.favourite = 1",
    "missing": f"m.id IN ({_MODELS_OF_PLACES} WHERE p.state = 'missing' AND p.state <> 'present') "
    f"AND m.id NOT IN ({_MODELS_OF_PLACES} WHERE p.state <> 'missing')",
    "offline": f"m.id IN ({_MODELS_OF_PLACES} WHERE p.state = 'offline' AND p.state <> 'present') "
    f"AND m.id NOT IN ({_MODELS_OF_PLACES} WHERE p.state IN ('present', 'damaged'))",
    "elsewhere": f"m.id NOT IN ({_MODELS_OF_PLACES})",
    # Hard links share an inode and waste nothing; equal tensors under different headers do.
    "dup": f"m.id IN ({_MODELS_OF_PLACES} WHERE p.state = 'present' GROUP BY p.sha256 "
    "HAVING count(DISTINCT p.device || ':' || p.inode) > 1 UNION ALL "
    f"{_MODELS_OF_FILES} WHERE f.autov3 IN (SELECT autov3 FROM files "
    "WHERE autov3 NOT LIKE 'e3b0c44298fc%' GROUP BY autov3 HAVING count(*) > 1))",
    "published": "v.published_url IS NOT NULL",
    "damaged": f"m.id IN ({_MODELS_OF_PLACES} WHERE p.state = 'damaged' AND p.state <> 'present' UNION ALL "
    "SELECT model_id FROM versions WHERE is_damaged)",
    "trash": "m.deleted_at IS NOT NULL",
    "gone": "m.upstream_deleted = 1",
    "untested": "NOT EXISTS (SELECT 1 FROM sweeps s JOIN versions w ON w.id = s.version_id WHERE w.model_id = m.id)",
}
_IS |= {"favourite": _IS["fav"], "favorite": _IS["fav"], "broken": _IS["damaged"], "duplicate": _IS["dup"]}


def _choice(name: str, text: str, choices: dict[str, str]) -> str:
    key = text.lower()
    if key not in choices:
        near = get_close_matches(key, choices, 1, 0.5)
        raise UsageError(
            f"{name} can't be {text}", f"did you mean {near[0]}?" if near else f"use one of {', '.join(choices)}"
        )
    return choices[key]


FIELDS: dict[str, QueryField] = {
    "base": QueryField(_base, "base model, loosely: sd15, sdxl, flux, pony, unknown", "sdxl"),
    "type": QueryField(_type, "network type, or the kind if it is no network", "lora"),
    "kind": QueryField(lambda text, values: values.whole("m.kind", text), "lora, checkpoint, embedding, vae…", "lora"),
    "arch": QueryField(
        lambda text, values: values.whole("v.architecture", text), "architecture, read from the tensors", "sdxl"
    ),
    "tag": QueryField(_tag, "a tag; a star at its end for all that begin so", "style"),
    "creator": QueryField(lambda text, values: values.contains("m.creator", text), "who made it", "ann"),
    "name": QueryField(lambda text, values: values.contains("m.name", text), "a part of the name", "ink"),
    "alias": QueryField(lambda text, values: values.whole("m.alias", text), "its name in prompts", "inkwash"),
    "file": QueryField(_file, "a part of a file's name", "ink_v2"),
    "folder": QueryField(_folder, "a part of a file's path on this machine", "styles/"),
    "trigger": QueryField(_trigger, "a part of a trigger word", '"red hair"'),
    "run": QueryField(_run, "a part of the name of the training that made it", "ink"),
    "collection": QueryField(_collection, "a collection that it is in", '"Client A"'),
    "rating": QueryField(_number("rating", "m.rating"), "stars, 0 to 5", ">=4"),
    "rank": QueryField(_number("rank", "v.rank"), "rank of the network", "8..32"),
    "strength": QueryField(_number("strength", "v.strength"), "recommended strength", "0.6..1"),
    "size": QueryField(_size, "size of the newest file, in kb, mb, gb", ">500mb"),
    "added": QueryField(_added, "an age or a date", "<30d"),
    "used": QueryField(_used, "never, ever, or when it was last drawn with", "never"),
    "trained": QueryField(_trained, "here: made by a training of ours", "here"),
    "nsfw": QueryField(_nsfw, "highest browsing level: pg, pg13, r, x, xxx", "<=r"),
    "lic": QueryField(
        lambda text, _: _choice("lic", text, _LICENCE),
        "its licence allows: sell, image, rent, derivatives, nocredit",
        "sell",
    ),
    "has": QueryField(
        lambda text, _: _choice("has", text, _HAS), "something is filled in: notes, preview, trigger…", "notes"
    ),
    "is": QueryField(
        lambda text, _: _choice("is", text, _IS),
        "fav, missing, offline, elsewhere, dup, published, damaged, trash, gone (upstream), untested",
        "fav",
    ),
}
"""Every field of the query line but ``sort``, with its help."""
