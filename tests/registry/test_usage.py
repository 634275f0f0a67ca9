"""Usage: what is counted once, which file a name or hash means, and what queries and the detail rest on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import ids, library, timestamps, usage, usage_index, usage_match, usage_profile
from registry.database import Registry
from registry.errors import UsageError
from registry.usage import Used
from tests.support import drawings
from tests.support.library import add_entry


def _sha256(registry: Registry, item: str) -> str:
    return str(registry.db.execute("SELECT sha256 FROM files WHERE version_id = ?", (item,)).fetchone()[0])


def _uses(registry: Registry, item: str) -> int:
    return int(registry.db.execute("SELECT uses FROM listing WHERE id = ?", (item,)).fetchone()[0])


def _record(registry: Registry, *uses: Used, content: str = "p", at: str = drawings.MADE_AT) -> None:
    drawing = usage.Drawing(content=content, made_at=at, tool="a1111", path="/x.png", uses=uses)
    with registry.transaction() as db:
        usage.record(db, [drawing])


def _matched(registry: Registry, *uses: Used) -> list[tuple[str | None, str]]:
    """(file, by what it was found) of each."""
    _record(registry, *uses)
    usage_match.refresh(registry)
    rows = registry.db.execute("SELECT sha256, found_by FROM image_resources ORDER BY id").fetchall()
    return [tuple(row) for row in rows]


def _lora(name: str = "", hash: str = "", **more: int) -> Used:
    return Used(kind="lora", name=name, hash=hash, **more)


# counting ---------------------------------------------------------------------------------------------------------


def test_a_picture_counts_once_by_its_content(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    sha256 = _sha256(registry, item)
    with registry.transaction() as db:
        first = drawings.draw(db, sha256, content="one")
        assert drawings.draw(db, sha256, content="one") == first
        drawings.draw(db, sha256, content="two")
    assert _uses(registry, item) == 2
    assert library.model_ids(registry, "uses:2") == [item]


def test_a_model_that_a_picture_names_twice_counts_once_after_matching(registry: Registry) -> None:
    item = add_entry(registry, "ink", autov3="cd" * 32)
    _record(registry, _lora("ink"), _lora("ink", "cd" * 6))
    usage_match.refresh(registry)
    assert _uses(registry, item) == 1
    assert usage_profile.profile(registry, item).times == 1


def test_the_earliest_copy_says_when_a_picture_was_made(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    sha256 = _sha256(registry, item)
    with registry.transaction() as db:
        drawings.draw(db, sha256, content="one", at="2026-05-01T00:00:00.000Z")
        drawings.draw(db, sha256, content="one", at="2026-02-01T00:00:00.000Z")
        drawings.draw(db, sha256, content="one", at="2026-04-01T00:00:00.000Z")
    assert library.model_ids(registry, "used:2026-02") == [item]


def test_forgetting_pictures_takes_them_out_of_the_counts(registry: Registry) -> None:
    item = add_entry(registry, "ink")
    with registry.transaction() as db:
        first, second = (drawings.draw(db, _sha256(registry, item)) for _ in range(2))
        usage.forget(db, [first])
        assert _uses(registry, item) == 1
        usage.forget(db, [second])
    assert library.model_ids(registry, "@unused") == [item]
    assert registry.db.execute("SELECT count(*) FROM image_resources").fetchone()[0] == 0


def test_counting_makes_no_change_that_syncs(registry: Registry) -> None:
    registry.db.execute(
        "INSERT INTO remotes (name, kind, location, repo, part, added_at) VALUES ('nas', 'folder', '/nas', 'r', 1, '')"
    )
    item = add_entry(registry, "ink")
    before = registry.db.execute("SELECT count(*) FROM outbox").fetchone()[0]
    _record(registry, _lora("ink"))
    usage_match.refresh(registry)
    assert _uses(registry, item) == 1
    assert registry.db.execute("SELECT count(*) FROM outbox").fetchone()[0] == before


_STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("draw"),
            st.integers(0, 5),
            st.lists(st.sampled_from(["a", "b", "c", "hash b"]), min_size=1, max_size=3),
        ),
        st.tuples(st.just("index"), st.sampled_from(["a", "b", "c"])),
        st.tuples(st.just("forget"), st.integers(0, 5)),
        st.tuples(st.just("refresh")),
    ),
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(_STEPS)
def test_counts_are_those_of_the_pictures_whatever_happened_in_which_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    with Registry(tmp_path_factory.mktemp("counts")) as registry:
        pictures: dict[int, set[str]] = {}
        indexed: dict[str, str] = {}
        for kind, *what in [*steps, ("refresh",)]:
            if kind == "draw" and what[0] not in pictures:
                pictures[what[0]] = {name.removeprefix("hash ") for name in what[1]}
            if kind == "draw":
                _record(registry, *map(_named, what[1]), content=str(what[0]))
            elif kind == "index" and what[0] not in indexed:
                indexed[what[0]] = add_entry(registry, what[0], content=what[0])
            elif kind == "forget" and pictures.pop(what[0], None):
                with registry.transaction() as db:
                    usage.forget(
                        db, [row[0] for row in db.execute("SELECT id FROM images WHERE content = ?", (str(what[0]),))]
                    )
            elif kind == "refresh":
                usage_match.refresh(registry)
        for name, item in indexed.items():
            times = sum(name in names for names in pictures.values())
            assert _uses(registry, item) == usage_profile.profile(registry, item).times == times


def _named(text: str) -> Used:
    name = text.removeprefix("hash ")
    return _lora("", hashlib.sha256(name.encode()).hexdigest()[:10]) if name != text else _lora(name)


# matching ---------------------------------------------------------------------------------------------------------


def test_every_kind_and_length_of_hash_finds_its_file(registry: Registry) -> None:
    item = add_entry(registry, "ink", autov1="1a2b3c4d", autov3="cd" * 32, blake3="ef" * 32, crc32="0A1B2C3D")
    sha256 = _sha256(registry, item)
    hashes = [
        sha256,
        sha256[:8],
        sha256[:10],
        sha256[:12],
        "1a2b3c4d",
        "cd" * 6,
        "cd" * 5,
        "cd" * 32,
        "ef" * 32,
        "0a1b2c3d",
    ]
    assert _matched(registry, *(_lora(hash=value) for value in hashes)) == [(sha256, "hash")] * len(hashes)


def test_the_hash_of_nothing_and_hashes_that_are_too_short_find_nothing(registry: Registry) -> None:
    add_entry(registry, "ink", autov3=usage_index.EMPTY_HASH)
    sha256 = _sha256(registry, add_entry(registry, "wash"))
    assert _matched(registry, _lora(hash="e3b0c44298fc"), _lora(hash=sha256[:6])) == [(None, ""), (None, "")]


def test_the_hash_counts_more_than_the_name(registry: Registry) -> None:
    add_entry(registry, "ink")
    other = _sha256(registry, add_entry(registry, "wash"))
    assert _matched(registry, _lora("ink", other[:12])) == [(other, "hash")]


@pytest.mark.parametrize(
    "name", ["Ink Wash", "ink wash.safetensors", "style\\Ink Wash.safetensors", "style/INK WASH.PT", "inkwash"]
)
def test_names_with_folders_endings_and_other_case_and_aliases(registry: Registry, name: str) -> None:
    item = add_entry(registry, "Ink Wash", place="/loras/style/Ink Wash.safetensors", model_facts={"alias": "inkwash"})
    assert _matched(registry, _lora(name)) == [(_sha256(registry, item), "name")]


def test_a_folder_in_the_name_tells_files_of_one_name_apart(registry: Registry) -> None:
    style = add_entry(registry, "ink", content="1", place="/loras/style/ink.safetensors")
    add_entry(registry, "ink", content="2", place="/loras/old/ink.safetensors")
    found = _matched(registry, _lora("style\\ink.safetensors"), _lora("ink"))
    assert found == [(_sha256(registry, style), "name"), (None, "")]


def test_exact_case_tells_files_apart(registry: Registry) -> None:
    upper = add_entry(registry, "Ink", content="1", place="/loras/Ink.safetensors")
    lower = add_entry(registry, "ink", content="2", place="/loras/ink.safetensors")
    assert _matched(registry, _lora("Ink"), _lora("ink.safetensors")) == [
        (_sha256(registry, upper), "name"),
        (_sha256(registry, lower), "name"),
    ]


def test_what_fits_several_files_counts_for_none_and_says_so(registry: Registry) -> None:
    items = [add_entry(registry, "ink", content=text, place=f"/loras/{text}/ink.safetensors") for text in ("1", "2")]
    _record(registry, _lora("ink"), _lora("unknown"))
    several, none = usage_match.refresh(registry)
    assert several.problem == "fits 2 files: /loras/1/ink, /loras/2/ink"
    assert (none.name, none.problem, none.times) == ("unknown", "", 1)
    assert [_uses(registry, item) for item in items] == [0, 0]


def test_equal_weights_under_two_headers_are_told_apart_by_name_or_count_for_none(registry: Registry) -> None:
    ink = add_entry(registry, "ink", autov3="cd" * 32)
    add_entry(registry, "ink copy", autov3="cd" * 32)
    assert _matched(registry, _lora("ink", "cd" * 6), _lora("else", "cd" * 6)) == [
        (_sha256(registry, ink), "hash"),
        (None, ""),
    ]


def test_a_hash_that_fits_several_files_is_no_reason_to_take_a_third(registry: Registry) -> None:
    for name in ("one", "two"):
        add_entry(registry, name, autov3="cd" * 32)
    add_entry(registry, "ink")
    assert _matched(registry, _lora("ink", "cd" * 6)) == [(None, "")]


def test_a_name_means_a_model_of_its_kind(registry: Registry) -> None:
    base = add_entry(registry, "ink", content="1", model_facts={"kind": "checkpoint"})
    lora = add_entry(registry, "ink", content="2")
    found = _matched(registry, Used(kind="checkpoint", name="ink"), _lora("ink"), Used(kind="embedding", name="ink"))
    assert found == [(_sha256(registry, base), "name"), (_sha256(registry, lora), "name"), (None, "")]


def test_a_file_that_is_here_is_meant_rather_than_one_that_lay_here(registry: Registry) -> None:
    add_entry(registry, "ink", content="1", place="/loras/ink.safetensors", state="missing")
    now = add_entry(registry, "ink", content="2", place="/loras/new/ink.safetensors")
    assert _matched(registry, _lora("ink")) == [(_sha256(registry, now), "name")]


def test_civitais_number_finds_the_version(registry: Registry) -> None:
    item = add_entry(registry, "ink", facts={"civitai_version_id": 135867})
    assert _matched(registry, _lora("", civitai_id=135867)) == [(_sha256(registry, item), "civitai")]


def test_a_model_that_appears_later_gets_the_pictures_that_were_drawn_before(registry: Registry) -> None:
    _record(registry, _lora("ink"), content="one")
    _record(registry, _lora("ink"), content="two")
    assert [one.times for one in usage_match.refresh(registry)] == [2]
    item = add_entry(registry, "ink")
    assert usage_match.refresh(registry) == []
    assert (_uses(registry, item), library.model_ids(registry, "@unused")) == (2, [])


def test_a_file_that_appears_is_looked_at_only_if_a_picture_may_mean_it(registry: Registry) -> None:
    _record(registry, _lora("ink"), _lora("", "cd" * 6))
    named, hashed, neither = (
        add_entry(registry, "ink", place="/loras/Ink.safetensors"), add_entry(registry, "b", autov3="cd" * 32), add_entry(registry, "c"),
    )  # fmt: skip
    usage_match.appeared(registry, [_sha256(registry, neither)])
    assert [_uses(registry, item) for item in (named, hashed, neither)] == [0, 0, 0]
    usage_match.appeared(registry, [_sha256(registry, neither), _sha256(registry, named)])
    assert [_uses(registry, item) for item in (named, hashed, neither)] == [1, 1, 0]


def test_a_name_that_is_empty_means_no_file_without_an_alias(registry: Registry) -> None:
    add_entry(registry, "ink", model_facts={"alias": ""})
    assert _matched(registry, _lora("", "cd" * 6)) == [(None, "")]


def test_the_right_hash_takes_over_from_the_name_when_its_file_appears(registry: Registry) -> None:
    named = add_entry(registry, "ink", autov3="ab" * 32)
    _record(registry, _lora("ink", "cd" * 6))
    usage_match.refresh(registry)
    assert _uses(registry, named) == 1
    meant = add_entry(registry, "ink v2", autov3="cd" * 32)
    usage_match.refresh(registry)
    assert (_uses(registry, named), _uses(registry, meant)) == (0, 1)


# queries ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(registry: Registry) -> dict[str, str]:
    """ink and wash in one picture, ink alone in another of now, line never used."""
    found = {name: add_entry(registry, name, place=f"/loras/{name}.safetensors") for name in ("ink", "line", "wash")}
    ink, wash = (_sha256(registry, found[name]) for name in ("ink", "wash"))
    with registry.transaction() as db:
        drawings.draw(db, ink, wash, at="2026-01-01T00:00:00.000Z", strength=0.5, prompt="a harbour")
        drawings.draw(db, ink, at=timestamps.now(), strength=0.8, prompt="a lighthouse")
    return found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("used:never", ["line"]), ("used:ever", ["ink", "wash"]), ("used:<30d", ["ink"]), ("used:2026-01", ["wash"]),
        ("used:>1", ["ink"]), ("used:0", ["line"]), ("used:1..2", ["ink", "wash"]), ("used:1", ["wash"]), ("used:..1", ["line", "wash"]),
        ("with:wash", ["ink"]), ("with:ink", ["wash"]), ("with:=in", []), ("-with:ink", ["ink", "line"]), ("with:line", []),
        ("tested:never", ["line"]), ("tested:yes", ["ink", "wash"]), ("is:untested", ["line"]),
        ("sort:-used", ["wash", "ink", "line"]), ("sort:used", ["ink", "wash", "line"]), ("@unused", ["line"]),
    ],
)  # fmt: skip
def test_usage_in_the_query_line(registry: Registry, shelf: dict[str, str], line: str, found: list[str]) -> None:
    names = {item: name for name, item in shelf.items()}
    assert [names[item] for item in library.model_ids(registry, line)] == found


def test_tested_takes_no_other_word(registry: Registry) -> None:
    with pytest.raises(UsageError, match="tested"):
        library.model_ids(registry, "tested:often")


def test_trained_here_and_never_drawn(registry: Registry) -> None:
    own, drawn, swept = (
        add_entry(registry, name, model_facts={"origin": "trained"}) for name in ("own", "drawn", "swept")
    )
    add_entry(registry, "found")
    with registry.transaction() as db:
        drawings.draw(db, _sha256(registry, drawn))
    registry.db.execute(
        "INSERT INTO sweeps (id, name, version_id, plan, created_at) VALUES ('s', 's', ?, '{}', ?)",
        (swept, timestamps.now()),
    )
    assert library.model_ids(registry, "@untested") == [own]


def _two_versions(
    registry: Registry, added: str, *, bases: tuple[str, str] = ("SDXL 1.0", "SDXL 1.0")
) -> tuple[str, str]:
    """An older and a newer version of one model, both here."""
    new = add_entry(
        registry, "ink v2", place="/loras/ink v2.safetensors", facts={"base_model": bases[1]}, added_at=timestamps.now()
    )
    old = add_entry(
        registry,
        "ink v1",
        place="/loras/ink v1.safetensors",
        facts={"base_model": bases[0], "model": new},
        added_at=added,
    )
    return new, old


def test_superseded_is_what_has_a_newer_version_for_the_same_base_here(registry: Registry) -> None:
    model, _ = _two_versions(registry, "2026-01-01T00:00:00.000Z")
    add_entry(registry, "other", place="/loras/other.safetensors")
    assert library.model_ids(registry, "is:superseded") == [model]
    registry.db.execute("UPDATE places SET state = 'missing' WHERE path LIKE '%v2%'")
    assert library.model_ids(registry, "is:superseded") == []


def test_versions_for_other_bases_supersede_nothing(registry: Registry) -> None:
    _two_versions(registry, "2026-01-01T00:00:00.000Z", bases=("SD 1.5", "SDXL 1.0"))
    assert library.model_ids(registry, "is:superseded") == []


def test_stale_is_a_superseded_version_that_was_not_used_for_90_days(registry: Registry) -> None:
    model, old = _two_versions(registry, "2026-01-01T00:00:00.000Z")
    with registry.transaction() as db:
        drawings.draw(db, _sha256(registry, model), at=timestamps.now())
    assert library.model_ids(registry, "@stale") == [model], "that the newer one is used does not matter"
    with registry.transaction() as db:
        drawings.draw(db, _sha256(registry, old), at=timestamps.now())
    assert library.model_ids(registry, "@stale") == []
    assert library.model_ids(registry, "is:superseded") == [model]


def test_what_was_added_a_moment_ago_is_not_stale(registry: Registry) -> None:
    _two_versions(registry, timestamps.now())
    assert library.model_ids(registry, "@stale") == []


# the detail -------------------------------------------------------------------------------------------------------


def test_a_profile_tells_how_often_when_how_strong_with_what_and_for_which_prompts(
    registry: Registry, shelf: dict[str, str]
) -> None:
    base = add_entry(registry, "base", model_facts={"kind": "checkpoint"})
    _record(
        registry, Used(kind="checkpoint", name="base"), Used(kind="lora", name="ink", strength=0.6), content="third"
    )
    usage_match.refresh(registry)
    found = usage_profile.profile(registry, shelf["ink"])
    assert (found.times, found.first_at) == (3, "2026-01-01T00:00:00.000Z")
    assert found.strengths == usage_profile.Strengths(low=0.5, median=0.6, high=0.8)
    assert found.together == (usage_profile.Companion(model_id=shelf["wash"], name="wash", kind="lora", times=1),)
    assert [one.model_id for one in found.bases] == [base]
    assert found.prompts == ("a lighthouse", "a harbour")
    assert usage_profile.profile(registry, shelf["line"]) == usage_profile.Profile()


def test_at_most_five_companions_the_most_frequent_first(registry: Registry) -> None:
    ink, *others = (_sha256(registry, add_entry(registry, f"lora {number}")) for number in range(8))
    with registry.transaction() as db:
        for number, other in enumerate(others, 1):
            for _ in range(number):
                drawings.draw(db, ink, other)
    found = usage_profile.profile(registry, ids.item_id(ink))
    assert [one.times for one in found.together] == [7, 6, 5, 4, 3]


def test_the_pictures_of_a_model_latest_first(registry: Registry, shelf: dict[str, str], tmp_path: Path) -> None:
    latest, first = usage_profile.pictures(registry, shelf["ink"])
    assert (latest.prompt, latest.strength, latest.found_by, latest.is_here) == ("a lighthouse", 0.8, "hash", False)
    assert first.made_at == "2026-01-01T00:00:00.000Z"
    assert usage_profile.pictures(registry, shelf["ink"], 1) == [latest]
    kept = tmp_path / "kept.png"
    kept.touch()
    registry.db.execute("UPDATE images SET path = ? WHERE path = ?", (str(kept), first.path))
    assert usage_profile.pictures(registry, shelf["ink"])[1].is_here


# from an earlier version ------------------------------------------------------------------------------------------


def test_pictures_that_an_earlier_version_drew_are_counted_as_one_would_count_them_now(
    registry: Registry, tmp_path: Path
) -> None:
    from sqlite_utils import Database

    from registry.schema import migrations

    ink, off = (add_entry(registry, name) for name in ("ink", "off"))
    request = (
        f'{{"prompt": "a harbour", "loras": [{{"name": "ink", "sha256": "{_sha256(registry, ink)}"}}, '
        f'{{"name": "off", "sha256": "{_sha256(registry, off)}", "strength": 0.0}}]}}'
    )
    for generation, path in (("a", "/1.png"), ("b", "/2.png")):
        registry.db.execute(
            "INSERT INTO generations VALUES (?, 'key', ?, 'aa', NULL, ?, '{}', '2026-03-01T00:00:00.000Z')",
            (generation, path, request),
        )
        for item in (ink, off):
            registry.db.execute("INSERT INTO generation_files VALUES (?, ?)", (generation, _sha256(registry, item)))
    for table in ("image_folders", "images", "image_files", "image_resources", "image_uses"):
        registry.db.execute(f"DROP TABLE {table}")
    registry.db.execute("DELETE FROM _sqlite_migrations WHERE name = 'm007_usage'")
    migrations.apply(Database(registry.db))
    assert (_uses(registry, ink), _uses(registry, off)) == (1, 0)
    profile = usage_profile.profile(registry, ink)
    assert (profile.times, profile.prompts, profile.strengths) == (
        1, ("a harbour",), usage_profile.Strengths(low=1.0, median=1.0, high=1.0),
    )  # fmt: skip
    with registry.transaction() as db:
        drawings.draw(db, _sha256(registry, ink), content=usage.drawn_here("key"))
    assert _uses(registry, ink) == 1
