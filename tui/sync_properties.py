"""Forms of mode 5 as lists of properties: a policy, a new remote. Each has its reason, and is checked when it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.errors import UsageError
from tui import formats

if TYPE_CHECKING:
    from hubman.sync.policies.policy import Policy
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
    ("pinned", "pinned weights", "K in the library pins one"),
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
    """Raises :class:`UsageError` for what can't be read; whether it makes sense :func:`hubman.sync.policies.policy.check` says."""
    from hubman.sync.policies.policy import Policy

    weights = f"query:{values['query'].strip()}" if values["weights"] == "query" else values["weights"]
    if weights == "query:":
        raise UsageError("the query is missing", "write one, such as base:sdxl rating:>=4")
    said: dict[str, Any] = {name: values[name] for name in ("previews", "upload", "window")}
    said |= {name: parse_size(values[name]) for name in ("limit", "rate_up", "rate_down")}
    return Policy(weights=weights, **said)


def policy_lines(values: Values) -> list[Property]:
    """The form of a policy."""

    def line(name: str, title: str, empty: str = "·", options: Sequence[Option] = ()) -> Property:
        check = parse_size if name in _SIZES else None
        return Property(name, title, values[name], _REASONS[name], empty, options, check)

    preset = Property("preset", "preset", preset_of(values), _REASONS["preset"], "own", preset_options())
    query = [line("query", "  that match", "to be written")] if values["weights"] == "query" else []
    return [
        preset,
        line("weights", "weights", options=_WEIGHTS),
        *query,
        line("previews", "pictures", options=_PREVIEWS),
        line("upload", "its weights", options=_UPLOAD),
        line("limit", "room", "no limit"),
        line("rate_up", "speed up", "no limit"),
        line("rate_down", "speed down", "no limit"),
        line("window", "hours", "always"),
    ]


_SIZES = frozenset(("limit", "rate_up", "rate_down"))
_REASONS = {
    "preset": "A ready policy; single lines may be changed after it.",
    "weights": "Which weights come by themselves. Any other is fetched when it is asked for.",
    "query": "A line as in the library's filter, such as base:sdxl rating:>=4; what matches later is fetched later.",
    "previews": "Which pictures come by themselves.",
    "upload": "Whether weights that lie there go up, so that the others can have them.",
    "limit": "Weights that may lie there, such as 200GB. Above that those that sync brought and nobody pinned give way, "
    "the oldest use first; never the last copy.",
    "rate_up": "At most so much a second, such as 5MB.",
    "rate_down": "At most so much a second, such as 5MB.",
    "window": "Hours in which files move, by that machine's clock, such as 01:00-07:00. Edits go at any time.",
}


def preset_options() -> list[Option]:
    from hubman.sync.policies.policy import PRESETS

    return [(name, name, _PRESETS.get(name, "")) for name in PRESETS]


def preset_of(values: Values) -> str:
    """The preset that these values are; empty for none."""
    from hubman.sync.policies.policy import PRESETS

    return next((name for name, policy in PRESETS.items() if policy_values(policy) == dict(values)), "")


def assign_policy(values: Values, name: str, text: str) -> dict[str, str]:
    """The form with one line changed; a preset changes all."""
    from hubman.sync.policies.policy import PRESETS

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


def _size(count: int | None) -> str:
    """As short as it can be told without losing a byte."""
    short = formats.size(count).replace(" ", "").replace(".0", "") if count else ""
    return short if parse_size(short) == count else str(count)


# a new remote ---------------------------------------------------------------------------------------------------------

_ENCRYPT: Sequence[Option] = (
    ("", "as it is", "whoever reads the place can read it"),
    ("age", "encrypted", "with a key of its own; without it all is lost"),
    ("hmac", "signed", "readable; what others would forge is refused"),
)
_READ_ONLY: Sequence[Option] = (
    ("no", "no", "edits and files go both ways"),
    ("yes", "yes", "take what is there, send nothing"),
)
NEW_REMOTE = {"name": "", "place": "", "endpoint": "", "region": "", "encrypt": "", "read_only": "no"}
_ABOUT = {
    "name": "A short name for it, such as nas.",
    "place": "A folder that your machines share, or a bucket: s3://name, gs://name, az://name. An empty one becomes a "
    "new remote, another is joined.",
    "endpoint": "Address of a store that is not Amazon's, such as https://s3.example.org.",
    "region": "Such as eu-central-1.",
    "encrypt": "Of a new remote: whether what lies there needs a key to be read. One that is joined says so itself.",
    "read_only": "For a collection that somebody else keeps: what is done here stays here.",
}


def remote_lines(values: Values) -> list[Property]:
    """The form of a new remote; endpoint and region only for a bucket."""

    def line(name: str, title: str, empty: str = "·", options: Sequence[Option] = ()) -> Property:
        return Property(
            name, title, values[name], _ABOUT[name], empty, options, _check_name if name == "name" else None
        )

    is_bucket = "://" in values["place"] and not values["place"].startswith("file:")
    bucket = [line("endpoint", "endpoint", "the provider's own"), line("region", "region", "not said")]
    return [
        line("name", "name", "to be written"),
        line("place", "place", "to be written"),
        *(bucket if is_bucket else []),
        line("encrypt", "secrecy", options=_ENCRYPT),
        line("read_only", "read only", options=_READ_ONLY),
    ]


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
