"""Forms of mode 5 as lists of properties: a policy, a new remote. Each has its reason, and is checked when it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.errors import UsageError
from tui import formats

if TYPE_CHECKING:
    from hubman.sync.policy import Policy
    from tui.widgets.dialogs import Option


@dataclass(frozen=True)
class Property:
    """A line of a form. ``options`` are what can be chosen; without them it is typed, and :attr:`check` may refuse it."""

    name: str
    title: str
    value: str
    hint: str
    empty: str = "·"
    """What stands in the place of no value."""
    options: Sequence[Option] = ()
    check: Callable[[str], object] | None = None

    @property
    def shown(self) -> str:
        chosen = {key: text for key, text, _ in self.options}
        return chosen.get(self.value, self.value) or self.empty


Values = Mapping[str, str]

# a policy -------------------------------------------------------------------------------------------------------------

_PREVIEWS: Sequence[Option] = (
    ("all", "all pictures", "as they are"),
    ("thumbs", "small pictures", "enough for lists and cards"),
    ("none", "no pictures", "names and numbers only"),
)
_WEIGHTS: Sequence[Option] = (
    ("all", "all weights", "every model can be used here at once"),
    ("pinned", "pinned weights", "K in the library pins; the others are fetched when asked for"),
    ("query", "weights that a query finds", "such as base:sdxl rating:>=4"),
    ("none", "no weights", "only what is asked for by hand"),
)
_UPLOAD: Sequence[Option] = (
    ("yes", "send them", "the others can have what this machine has"),
    ("no", "keep them here", "edits and pictures go up all the same"),
)
_PRESETS = {
    "workstation": "everything lies here, and goes up from here",
    "laptop": "small pictures; weights that are pinned",
    "rented": "no pictures; the weights of favourites",
}


def policy_values(policy: Policy) -> dict[str, str]:
    """A policy as the texts of its form."""
    is_query = policy.weights.startswith("query:")
    return {
        "weights": "query" if is_query else policy.weights,
        "query": policy.weights.removeprefix("query:") if is_query else "",
        "previews": policy.previews,
        "upload": policy.upload,
        "limit": _size(policy.limit),
        "rate_up": _size(policy.rate_up),
        "rate_down": _size(policy.rate_down),
        "window": policy.window,
    }


def policy_of(values: Values) -> Policy:
    """Raises :class:`UsageError` for what can't be read; whether it makes sense :func:`hubman.sync.policy.check` says."""
    from hubman.sync.policy import Policy

    weights = f"query:{values['query'].strip()}" if values["weights"] == "query" else values["weights"]
    if weights == "query:":
        raise UsageError("the query is missing", "write one, such as base:sdxl rating:>=4")
    said: dict[str, Any] = {name: values[name] for name in ("previews", "upload", "window")}
    said |= {name: parse_size(values[name]) for name in ("limit", "rate_up", "rate_down")}
    return Policy(weights=weights, **said)


def policy_lines(values: Values) -> list[Property]:
    """The form of a policy."""
    hours = "Hours in which files are moved, by that machine's clock; edits go at any time."
    lines = [
        Property("preset", "preset", preset_of(values), "A ready policy; single lines may be changed after it.", "own", preset_options()),
        Property("weights", "weights", values["weights"], "Which weights come by themselves. Any other is fetched when asked for.", options=_WEIGHTS),
    ]  # fmt: skip
    if values["weights"] == "query":
        hint = "A line as in the library's filter; what matches later is fetched later."
        lines.append(Property("query", "  that match", values["query"], hint, "to be written", check=_check_query))
    return lines + [
        Property("previews", "pictures", values["previews"], "Which previews come by themselves.", options=_PREVIEWS),
        Property("upload", "its weights", values["upload"], "Whether weights that lie there go up.", options=_UPLOAD),
        Property("limit", "room", values["limit"], "Weights that may lie there, such as 200GB: above that what nobody pinned gives way, the oldest use first.", "no limit", check=parse_size),
        Property("rate_up", "speed up", values["rate_up"], "At most so much a second, such as 5MB.", "no limit", check=parse_size),
        Property("rate_down", "speed down", values["rate_down"], "At most so much a second, such as 5MB.", "no limit", check=parse_size),
        Property("window", "hours", values["window"], f"{hours} Such as 01:00-07:00.", "always"),
    ]  # fmt: skip


def preset_options() -> list[Option]:
    from hubman.sync.policy import PRESETS

    return [(name, name, _PRESETS.get(name, "")) for name in PRESETS]


def preset_of(values: Values) -> str:
    """The preset that these values are; empty for none."""
    from hubman.sync.policy import PRESETS

    return next((name for name, policy in PRESETS.items() if policy_values(policy) == dict(values)), "")


def assign_policy(values: Values, name: str, text: str) -> dict[str, str]:
    """The form with one line changed; a preset changes all."""
    from hubman.sync.policy import PRESETS

    if name == "preset":
        return policy_values(PRESETS[text])
    return {**values, name: text.strip()}


def parse_size(text: str) -> int | None:
    """Bytes from ``200GB``; None for an empty text. Raises :class:`UsageError`."""
    from registry.query_values import size

    if not text.strip():
        return None
    try:
        count = int(size(text.strip().removesuffix("/s")))
    except UsageError:
        raise UsageError(f"{text.strip()!r} is no size", "such as 200GB or 5MB; empty for no limit") from None
    if count <= 0:
        raise UsageError("nothing would ever fit", "leave it empty for no limit")
    return count


def _check_query(text: str) -> None:
    from registry.query import compile_query

    compile_query(text)


def _size(count: int | None) -> str:
    return formats.size(count).replace(" ", "").replace(".0", "") if count else ""


# a new remote ---------------------------------------------------------------------------------------------------------

_YES_NO = {
    "encrypt": (("no", "no", "whoever reads the place can read it"), ("yes", "yes", "with a key of its own: whoever loses it loses the data")),
    "read_only": (("no", "no", "edits and files go both ways"), ("yes", "yes", "take what is there, send nothing")),
}  # fmt: skip
NEW_REMOTE = {"name": "", "place": "", "endpoint": "", "region": "", "encrypt": "no", "read_only": "no"}


def remote_lines(values: Values) -> list[Property]:
    """The form of a new remote; endpoint and region only for a bucket."""
    place = "A folder that your machines share, or a bucket: s3://name, gs://name, az://name. An empty one becomes a new remote, another is joined."
    lines = [
        Property(
            "name", "name", values["name"], "A short name for it, such as nas.", "to be written", check=_check_name
        ),
        Property("place", "place", values["place"], place, "to be written"),
    ]
    if "://" in values["place"] and not values["place"].startswith("file:"):
        lines += [
            Property("endpoint", "endpoint", values["endpoint"], "Address of a store that is not Amazon's, such as https://s3.example.org.", "the provider's own"),
            Property("region", "region", values["region"], "Such as eu-central-1.", "not said"),
        ]  # fmt: skip
    return lines + [
        Property("encrypt", "encrypted", values["encrypt"], "Only for a new remote: all that lies there is unreadable without its key.", options=_YES_NO["encrypt"]),
        Property("read_only", "read only", values["read_only"], "For a collection that somebody else keeps.", options=_YES_NO["read_only"]),
    ]  # fmt: skip


def assign_remote(values: Values, name: str, text: str) -> dict[str, str]:
    return {**values, name: text.strip()}


def check_remote(values: Values) -> Values:
    """The form as it can be sent. Raises :class:`UsageError` for what is missing."""
    _check_name(values["name"])
    if not values["place"]:
        raise UsageError("the place is missing", "a folder such as /mnt/nas/loras, or s3://bucket")
    return values


def _check_name(text: str) -> None:
    if not text.strip() or " " in text.strip():
        raise UsageError("a remote needs a short name of one word", "such as nas")
