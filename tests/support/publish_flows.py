"""Generated models taken through every flow of publishing on one sandbox, whose schemas refuse what the site would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from hubman.civitai import after, contract
from hubman.civitai.client import Civitai
from hubman.civitai.form import Permissions, PublishForm
from hubman.civitai.form_fill import filled
from hubman.civitai.publish import Publication, publish
from hubman.progress import silent
from registry.database import Registry
from tests.support.civitai import Bench, bench, quick_registry
from tests.support.publishing import add_version, make_version

_SCRIPTS = (
    "Latin",
    "Ελληνικά",
    "Кириллица",
    "العربية",
    "עברית",
    "हिन्दी",
    "中文",
    "日本語",
    "한국어",
    "ไทย",
    "👩‍🎨🖌",
    "a\u0301b",
    "'\"<&>{}",
)
_ANY = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
_NAMES = st.one_of(st.sampled_from(_SCRIPTS), _ANY).map(str.strip).filter(bool)
_WORDS = st.lists(_NAMES.map(lambda word: word.replace(",", " ").strip()).filter(bool), max_size=50, unique=True)
_TEXTS = st.one_of(
    st.just(""), _ANY, st.sampled_from(_SCRIPTS).map(lambda text: f"{text} **{text}** `x`\n\n- {text}\n" * 300)
)
_TYPES = tuple(kind for kind in contract.enum_values("ModelType") if kind != "Checkpoint")
_BASES = tuple(
    name
    for name in contract.enum_values("ActiveBaseModel")
    if name not in {*contract.enum_values("DeprecatedBaseModel"), *contract.enum_values("NsfwRestrictedBaseModel")}
)
_USES = st.lists(st.sampled_from(["Image", "RentCivit", "Rent", "Sell"]), unique=True)


class _Everything(frozenset[str]):
    """Accepts every warning: what was generated may be odd, so long as it is no error."""

    def __contains__(self, code: object) -> bool:
        return True


@st.composite
def pages(draw: st.DrawFn) -> dict[str, Any]:
    """What a person may say of a model: fields of :class:`PublishForm`, and under ``part`` those of its versions."""
    nsfw = draw(st.booleans())
    words = tuple(draw(_WORDS))
    strength = draw(st.one_of(st.none(), st.floats(-2, 2, allow_nan=False, width=16)))
    part = {
        "name": draw(_NAMES), "base_model": draw(st.sampled_from(_BASES)), "description": draw(_TEXTS),
        "trained_words": words, "no_trigger_words": not words, "epochs": draw(st.one_of(st.none(), st.integers(0, 100_000))),
        "steps": draw(st.one_of(st.none(), st.integers(0, 2**31 - 1))), "clip_skip": draw(st.one_of(st.none(), st.integers(1, 12))),
        "strength": strength, "strength_min": None, "strength_max": None,
    }  # fmt: skip
    return {
        "name": draw(_NAMES), "description": f"It is x. {draw(_TEXTS)}", "type": draw(st.sampled_from(_TYPES)), "category": "style",
        "tags": tuple(draw(st.lists(st.sampled_from(["ink", "墨", "лампа", "x y"]), unique=True))),
        "permissions": Permissions(
            allow_no_credit=draw(st.booleans()), allow_derivatives=draw(st.booleans()),
            allow_different_license=draw(st.booleans()), commercial_use=tuple(draw(_USES)),
        ),
        "nsfw": nsfw, "poi": False, "minor": False, "sfw_only": False if nsfw else draw(st.booleans()), "part": part,
    }  # fmt: skip


def form_with(form: PublishForm, page: dict[str, Any], **more: Any) -> PublishForm:
    """The form saying what ``page`` says, in the eyes of the checks by a person."""
    said = {key: value for key, value in page.items() if key != "part"} | more
    parts = [
        msgspec.structs.replace(part, **{**page["part"], "sources": dict.fromkeys(page["part"], "you")})
        for part in form.parts
    ]
    return msgspec.structs.replace(form, **said, parts=tuple(parts), sources=dict.fromkeys(said, "you"))


class Flows:
    """Takes models through every flow; each of them is one that the sandbox has never seen."""

    def __init__(self, site: Bench, client: Civitai, registry: Registry, folder: Path) -> None:
        self.site, self._client, self._registry, self._folder = site, client, registry, folder
        self._count = 0
        self.requests = 0
        """How many were sent so far."""

    def run(self, page: dict[str, Any], other: dict[str, Any], *, later: bool) -> None:
        """First publication (now or later), an added version, an edit into ``other``, hiding, and showing again."""
        self._count += 2
        first = make_version(self._registry, self._folder, name=f"Model {self._count}", seed=self._count)
        at = "2031-05-01T12:00:00Z" if later else None
        done = self._publish(form_with(filled(self._registry, [first]), page, published_at=at))
        assert done.status == ("scheduled" if later else "published"), (done.status, done.findings)
        second = add_version(self._registry, self._folder, first, seed=self._count + 1)
        added = form_with(filled(self._registry, [second]), page)
        added = msgspec.structs.replace(added, parts=(msgspec.structs.replace(added.parts[0], name="added"),))
        joined = self._publish(added)
        assert joined.model_id == done.model_id
        edited = self._publish(form_with(filled(self._registry, [first]), {**other, "type": page["type"]}), edit=True)
        assert (edited.model_id, edited.version_id, edited.differences) == (done.model_id, done.version_id, ())
        after.unpublish(self._registry, self._client, [first, second])
        again = self._publish(form_with(filled(self._registry, [first]), {**other, "type": page["type"]}))
        assert (again.status, again.version_id) == ("published", done.version_id)
        self._check_whole(done.model_id)

    def _publish(self, form: PublishForm, *, edit: bool = False) -> Publication:
        return publish(self._registry, self._client, form, accept=_Everything(), report=silent, edit=edit)

    def _check_whole(self, model_id: int) -> None:
        """Nothing was refused, nothing was dropped without a word, nothing came twice."""
        refused = [one for one in self.site.sandbox.requests if one[2] >= 400]
        assert not refused, refused
        assert not self.site.sandbox.unknown_keys, self.site.sandbox.unknown_keys
        world = self.site.sandbox.world
        versions = world.versions(model_id)
        assert len(versions) == 2
        for version in versions:
            assert [len(world.files(version["id"])), len(world.posts(version["id"]))] == [1, 1]
            assert len(world.images(world.posts(version["id"])[0]["id"])) == 2
        self.requests += len(world.requests)
        world.requests.clear()


@contextmanager
def flows(folder: Path) -> Iterator[Flows]:
    """A sandbox, a registry and a client for as many models as one likes."""
    with (
        bench(folder, posts_per_day=1_000_000) as site,
        quick_registry(folder / "home") as registry,
        site.client() as client,
    ):
        yield Flows(site, client, registry, folder)
