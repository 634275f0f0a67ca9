from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from registry import collecting, edits, library, projection, query, timestamps
from registry.database import Registry
from registry.errors import UsageError
from registry.query_fields import FIELDS
from registry.query_order import SORT_NAMES
from registry.query_terms import QueryError
from tests.support import drawings, library_factory
from tests.support.library import add_entry

_NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def _names(registry: Registry, line: str) -> list[str]:
    found = query.compile_query(line, _NOW)
    ids = [row[0] for row in registry.db.execute(found.select_ids, found.parameters)]
    return [row.name for row in library.model_rows(registry, ids)]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Five models that differ in everything that a query can ask."""
    with Registry(tmp_path_factory.mktemp("query") / "home") as registry:
        ink = add_entry(
            registry, "ink_wash_v2", place="/models/styles/ink_wash_v2.safetensors",
            facts={"base_model": "SDXL 1.0", "strength": 0.8},
            model_facts={"rating": 5, "creator": "Ann", "favourite": True},
            tags=["style", "ink"], triggers=["inkwash", 'say "hi"'], size=2_000_000_000, rank=16, network_type="lora",
            added_at="2026-05-25T00:00:00.000Z", architecture="sdxl",
        )  # fmt: skip
        add_entry(
            registry, "red_hair", place="/models/red_hair.safetensors", state="missing",
            facts={"base_model": "SD 1.5", "strength": 0.5}, model_facts={"rating": 4, "nsfw_level": 5},
            tags=["character"], triggers=["red hair"], size=9_000_000, rank=8, network_type="loha",
            added_at="2026-03-10T00:00:00.000Z", architecture="sd1",
        )  # fmt: skip
        night = add_entry(
            registry, "Night Market", place="/models/Night Market.safetensors", facts={"base_model": "Flux.1 D"},
            model_facts={"rating": 3, "creator": "Bob", "origin": "trained"}, tags=["style", "city"],
            rank=32, size=40_000_000, network_type="lora", added_at="2025-01-01T00:00:00.000Z", architecture="flux",
        )  # fmt: skip
        library.write_text(registry, night, "notes", "Best with 100% rain_drops")
        library.add_record(registry, "run", night, {"name": "night run", "version_id": night})
        add_entry(
            registry, "checkpoint", place="/models/checkpoint.ckpt", state="damaged", model_facts={"kind": "checkpoint"}
        )
        add_entry(
            registry,
            "old_paper",
            facts={"base_model": "SDXL Lightning"},
            tags=["style"],
            added_at="2025-06-02T00:00:00.000Z",
        )
        gone = add_entry(registry, "thrown away", place="/models/thrown away.safetensors", model_facts={"rating": 5})
        edits.trash(registry, gone)
        registry.db.execute(
            "INSERT INTO places SELECT '/copies/ink_wash_v2.safetensors', root, sha256, size, mtime_ns, device, inode + 1, "
            "state, problem, seen_at, verified_at FROM places WHERE path LIKE '%ink_wash%'"
        )
        projection.rebuild(registry.db, [ink])
        yield registry


INK, RED, NIGHT, CKPT, PAPER, GONE = "ink_wash_v2", "red_hair", "Night Market", "checkpoint", "old_paper", "thrown away"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", {INK, RED, NIGHT, CKPT, PAPER}),
        ("base:sdxl", {INK, PAPER}),
        ('base:="SDXL 1.0"', {INK}),
        ("base:sd15", {RED}),
        ("base:sd1.5,flux", {RED, NIGHT}),
        ("base:flux1dev", {NIGHT}),
        ("base:unknown", {CKPT}),
        ("-base:sdxl", {RED, NIGHT, CKPT}),
        ("type:lora", {INK, NIGHT, PAPER}),
        ("type:lycoris", {RED}),
        ("type:checkpoint", {CKPT}),
        ("arch:SDXL", {INK}),
        ("tag:STYLE", {INK, NIGHT, PAPER}),
        ("tag:style -tag:city", {INK, PAPER}),
        ("tag:c*", {RED, NIGHT}),
        ("creator:ann", {INK}),
        ("name:market", {NIGHT}),
        ("name:ink_w", {INK}),
        ("name:%", set()),
        ("file:paper", {PAPER}),
        ("folder:styles/", {INK}),
        ("alias:RED_HAIR", {RED}),
        ('trigger:"red hair"', {RED}),
        ('trigger:say', {INK}),
        ("run:night", {NIGHT}),
        ("trained:here", {NIGHT}),
        ("trained:no base:sdxl", {INK, PAPER}),
        ("rating:>=4", {INK, RED}),
        ("rating:0", {CKPT, PAPER}),
        ("rank:8..16", {INK, RED}),
        ("rank:..8", {RED}),
        ("rank:16..", {INK, NIGHT}),
        ("rank:8,32", {RED, NIGHT}),
        ("size:>500mb", {INK}),
        ("size:<9mb", {CKPT, PAPER}),
        ("strength:0.6..1", {INK}),
        ("added:<30d", {INK}),
        ("added:30d", {INK}),
        ("added:>1y", {NIGHT}),
        ("added:2026-03", {RED}),
        ("added:2025..2026-03", {RED, NIGHT, PAPER, CKPT}),
        ("added:<2026", {NIGHT, PAPER}),
        ("added:>=2026-05-25", {INK}),
        ("added:60d..1y", {RED, CKPT, PAPER}),
        ("used:never rating:5", {INK}),
        ("used:ever", set()),
        ("nsfw:r", {RED}),
        ("nsfw:>=pg13", {RED}),
        ("nsfw:<r", {INK, NIGHT, CKPT, PAPER}),
        ("has:notes", {NIGHT}),
        ("has:trigger", {INK, RED}),
        ("-has:tags", {CKPT}),
        ("has:run", {NIGHT}),
        ("has:strength,creator", {INK, RED, NIGHT}),
        ("is:fav", {INK}),
        ("is:missing", {RED}),
        ("is:damaged", {CKPT}),
        ("is:elsewhere", {PAPER}),
        ("is:dup", {INK}),
        ("@dupes", {INK}),
        ("-@dupes rating:>0", {RED, NIGHT}),
        ("@mine", {NIGHT}),
        ("is:trash", {GONE}),
        ("is:trash rating:1", set()),
        ("-is:trash rating:5", {INK}),
        ("ink", {INK}),
        ("INKW", {INK}),
        ("wash ink", {INK}),
        ("rain", {NIGHT}),
        ("-style", {RED, CKPT}),
        ('"night market"', {NIGHT}),
        ("bob", {NIGHT}),
        ("/^(red|NIGHT)/", {RED, NIGHT}),
        ("-/_/", {NIGHT, CKPT}),
        ("~inkwsah", {INK}),
        ("~marekt ~nihgt", {NIGHT}),
        ('~"nigt marxet"', {NIGHT}),
        ("-~styel", {RED, CKPT}),
        ("~xq", set()),
        ("year:2025", {NIGHT, PAPER}),
        ("nsfw:unrated", {INK, NIGHT, CKPT, PAPER}),
        ("lic:unknown base:flux", {NIGHT}),
        ('folder:="/models/styles/"', {INK}),
        ("/^night m/", {NIGHT}),
        ("/ink.?wash/", {INK}),
        ("100%", {NIGHT}),
        ("-", {INK, RED, NIGHT, CKPT, PAPER}),
    ],
)  # fmt: skip
def test_a_term_finds_what_it_says(shelf: Registry, line: str, names: set[str]) -> None:
    assert set(_names(shelf, line)) == names


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", [CKPT, INK, NIGHT, PAPER, RED]),
        ("sort:-name", [RED, PAPER, NIGHT, INK, CKPT]),
        ("sort:added", [INK, RED, CKPT, PAPER, NIGHT]),
        ("sort:rating", [INK, RED, NIGHT, CKPT, PAPER]),
        ("sort:size", [INK, NIGHT, RED, CKPT, PAPER]),
        ("sort:-rank", [RED, INK, NIGHT, CKPT, PAPER]),
        ("sort:base", [NIGHT, RED, INK, PAPER, CKPT]),
        ("sort:-rating,-name", [PAPER, CKPT, NIGHT, RED, INK]),
    ],
)
def test_sorting_puts_missing_values_last_and_breaks_ties_by_name(shelf: Registry, line: str, names: list[str]) -> None:
    assert [row.name for row in library.list_models(shelf, line)] == names


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("raing:4", "did you mean rating:?"),
        ("zzz:4", "fields are"),
        ("rating:many", "rating can't be 'many'"),
        ("rating:nan", "rating can't be"),
        ("size:5parsecs", "size can't be"),
        ("is:publised", "did you mean published?"),
        ("has:zebra", "use one of"),
        ("sort:nam", "did you mean name?"),
        ("sort:", "sort: needs a name"),
        ("tag:", "tag: needs a value"),
        ('base:""', "base: needs a value"),
        ("added:soon", "no age or date"),
        ("added:2026-13", "no age or date"),
        ("added:<99999999999y", "longer ago"),
        ("nsfw:very", "use one of unrated, pg"),
        ("@nothing", "there is no view"),
        ("/(/", "no regular expression"),
        ("trained:there", "did you mean here"),
    ],
)
def test_a_term_that_makes_no_sense_is_named_with_what_would(line: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        query.compile_query(line, _NOW)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("ink raing:4 wash", "raing"),
        ("ink -raing:4", "raing"),
        ("rating:4,many", "many"),
        ('size:>500mb base:""', 'base:""'),
        ("rating:>=x", ">=x"),
        ('is:fav nsfw:"very much" ink', '"very much"'),
        ("sort:added,nam", "nam"),
        ("sort: ink", "sort:"),
        ("ink @nothing", "@nothing"),
        ("a /(/", "/(/"),
        ("日本 \t hsa:notes", "hsa"),
        ("ink ~base:sdxl", "~"),
        ("~!!", "~!!"),
    ],
)
def test_an_error_knows_the_part_that_is_wrong(line: str, wrong: str) -> None:
    with pytest.raises(QueryError) as error:
        query.compile_query(line, _NOW)
    assert error.value.line[error.value.start : error.value.end] == wrong


def _run(registry: Registry, text: str) -> None:
    with contextlib.suppress(UsageError):
        _names(registry, text)


@settings(max_examples=300, deadline=None)
@given(st.text())
@example('"')
@example("\ud800 \x00 '; DROP TABLE models --")
@example("-" * 50)
@example("/(?L)x/")
@example('""" "*" ()')
def test_any_text_runs_or_is_refused(shelf: Registry, text: str) -> None:
    _run(shelf, text)


_FIELD_LINES = st.builds(
    "{}{}:{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from([*FIELDS, "sort"]),
    st.sampled_from(["", ">", "<=", "=", '"', "..", "*"]),
    st.one_of(
        st.text(max_size=8), st.sampled_from([*SORT_NAMES, "5..", "<30d", "2026-02-30", "9999", "fav", "1e400", "-0"])
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_FIELD_LINES, max_size=4).map(" ".join))
def test_any_value_of_any_field_runs_or_is_refused(shelf: Registry, text: str) -> None:
    _run(shelf, text)


def test_every_field_accepts_its_own_example(shelf: Registry) -> None:
    for name, field in FIELDS.items():
        library.model_ids(shelf, f"{name}:{field.example}")
        assert field.help


def test_used_looks_at_the_pictures_made_with_any_version(registry: Registry) -> None:
    item = add_entry(registry, "brush")
    sha256 = registry.db.execute("SELECT sha256 FROM files").fetchone()[0]
    assert library.model_ids(registry, "@unused") == [item]
    with registry.transaction() as db:
        drawings.draw(db, sha256, sha256, "b" * 64, at="2026-03-01T00:00:00.000Z")
        drawings.draw(db, sha256, at=timestamps.of(_NOW))
    assert library.model_ids(registry, "@unused") == []
    assert library.model_ids(registry, "used:2026-06 -used:<2026-06") == [item]
    library.set_facts(registry, item, "user", {"name": "another name"})
    assert library.model_ids(registry, "used:2026-06 uses:2") == [item], "it outlives a change of the model"


def test_a_collection_is_asked_for_by_name(registry: Registry) -> None:
    item = add_entry(registry, "brush")
    add_entry(registry, "other")
    collecting.create(registry, "Client A")
    collecting.put(registry, "Client A", [item])
    assert library.model_ids(registry, 'collection:"client a"') == [item]
    assert library.model_ids(registry, "has:collection") == [item]


def test_a_licence_that_nobody_told_allows_nothing(registry: Registry) -> None:
    free, told, unknown = (add_entry(registry, name) for name in ("free", "told", "unknown"))
    told_facts = {"allowCommercialUse": ["Image", "RentCivit"], "allowDerivatives": False}
    free_facts = {"allowCommercialUse": ["Sell", "Image"], "allowDerivatives": True, "allowNoCredit": True}
    library.set_facts(registry, told, "civitai", {"permissions": told_facts})
    library.set_facts(registry, free, "civitai", {"permissions": free_facts})
    assert library.model_ids(registry, "lic:sell") == [free]
    assert library.model_ids(registry, "lic:rent") == [told]
    assert library.model_ids(registry, "lic:image") == [free, told]
    assert library.model_ids(registry, "lic:derivatives,nocredit") == [free]
    assert library.model_ids(registry, "lic:unknown") == [told, unknown], "nobody told whether told needs credit"


def test_same_tensors_under_another_header_are_a_duplicate(registry: Registry) -> None:
    first = add_entry(registry, "one", autov3="ab" * 32, place="/models/one")
    second = add_entry(registry, "two", autov3="ab" * 32, place="/models/two")
    add_entry(registry, "elsewhere", autov3="ab" * 32)
    add_entry(registry, "empty one", autov3="e3b0c44298fc" + "0" * 52, place="/models/empty one")
    add_entry(registry, "empty two", autov3="e3b0c44298fc" + "0" * 52, place="/models/empty two")
    assert set(library.model_ids(registry, "is:dup")) == {first, second}


def test_news_from_civitai_make_the_views_of_updates_and_early_access(registry: Registry) -> None:
    old, new, early, past = (add_entry(registry, name) for name in ("old", "new", "early", "past"))
    library.set_facts(registry, old, "civitai", {"civitai_version_id": 5, "newest_upstream": 9})
    library.set_facts(registry, new, "civitai", {"civitai_version_id": 9, "newest_upstream": 9})
    library.set_facts(registry, early, "civitai", {"early_until": "9999-12-31T00:00:00.000Z"})
    library.set_facts(registry, past, "civitai", {"early_until": "2020-01-01T00:00:00.000Z"})
    assert library.model_ids(registry, "@updates") == [old]
    assert library.model_ids(registry, "is:early") == [early]


def test_usage_can_be_sorted_by_and_what_was_never_used_comes_last(registry: Registry) -> None:
    never, first, last = (add_entry(registry, name) for name in ("a", "b", "c"))
    with registry.transaction() as db:
        for item, at in ((first, "2026-01-01T00:00:00.000Z"), (last, "2026-02-01T00:00:00.000Z")):
            (sha256,) = db.execute("SELECT sha256 FROM files WHERE version_id = ?", (item,)).fetchone()
            drawings.draw(db, sha256, at=at)
    assert library.model_ids(registry, "sort:used") == [last, first, never]
    assert library.model_ids(registry, "sort:-used") == [first, last, never]


@pytest.mark.parametrize("line", ["", "ink", "rating:>=3 sort:added", "tag:style sort:-size", "~wathsed"])
def test_the_first_rows_are_those_that_the_whole_list_begins_with(registry: Registry, line: str) -> None:
    library_factory.fill(registry, 60, rich=True)
    assert library.first_ids(registry, line, 7) == library.model_ids(registry, line)[:7]


def test_the_newest_version_is_the_one_that_is_asked(registry: Registry) -> None:
    old = add_entry(registry, "v1", rank=4, added_at="2026-01-01T00:00:00.000Z")
    new = add_entry(registry, "v2", rank=16, added_at="2026-02-01T00:00:00.000Z")
    library.set_facts(registry, new, "user", {"model": old})
    assert library.model_ids(registry, "rank:16") == [old]
    assert library.model_ids(registry, "rank:4") == []
    (row,) = library.list_models(registry)
    assert (row.version_id, row.versions) == (new, 2)


@pytest.mark.parametrize("line", ["", "sort:added"])
def test_the_plain_list_is_one_walk_of_an_index_that_has_it_all(registry: Registry, line: str) -> None:
    found = query.compile_query(line)
    plan = [row[3] for row in registry.db.execute(f"EXPLAIN QUERY PLAN {found.select_ids}", found.parameters)]
    assert len(plan) == 1
    assert "COVERING INDEX" in plan[0]


def test_a_copy_on_a_drive_that_is_away_is_still_a_copy(registry: Registry) -> None:
    item = add_entry(registry, "ink", place="/m/ink.safetensors")
    copy = "SELECT ?, root, sha256, size, mtime_ns, device, inode + 1, ?, problem, seen_at, verified_at FROM places"
    for path, state, expected in (("/usb/ink.safetensors", "offline", [item]), ("/usb/ink.safetensors", "missing", [])):
        registry.db.execute("DELETE FROM places WHERE path = ?", (path,))
        registry.db.execute(f"INSERT INTO places {copy}", (path, state))
        projection.rebuild(registry.db, [item])
        assert library.model_ids(registry, "is:dup") == expected, state


@pytest.mark.parametrize("pattern", ["(x+x+)+y", "(a|aa)*b", "((ab)+c)*", r"(\w+\s?)+$", "(a{1,}){2,}"])
def test_a_pattern_that_could_take_for_ever_is_refused(registry: Registry, pattern: str) -> None:
    add_entry(registry, "x" * 200)
    with pytest.raises(UsageError, match="take for ever"):
        library.list_models(registry, f"/{pattern}/")


@pytest.mark.parametrize("pattern", ["x+", "(ink|paint)", "(ab)+", r"v\d+$", "[(+]x", r"\(x+\)*", "x{2,3}", "(?:v)?x"])
def test_plain_patterns_are_not_refused(registry: Registry, pattern: str) -> None:
    assert library.list_models(registry, f"/{pattern}/") == []


@pytest.mark.parametrize(
    ("line", "says", "start"),
    [
        ('ink "open', "the quote is not closed", 4),
        ('-trigger:"red hair', "the quote is not closed", 9),
        ('"', "the quote is not closed", 0),
        ("strength:1..0.6", r"nothing lies in 1..0.6: the lower end goes first: 0.6..1", 9),
        ("rank:32..16", "the lower end goes first: 16..32", 5),
        ("added:30d..7d", "the lower end goes first: 7d..30d", 6),
        ("added:2026-03..2025", "the lower end goes first: 2025..2026-03", 6),
        ("notes:x", "has:notes finds what has it", 0),
        ("fav:yes", "did you mean is:fav", 0),
        ("hash:xyz", "give the first hex digits", 5),
    ],
)
def test_what_can_find_nothing_is_a_mistake_with_its_place(shelf: Registry, line: str, says: str, start: int) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        library.model_ids(shelf, line)
    assert caught.value.start == start


def test_ranges_of_one_point_and_of_dates_that_lie_in_one_another_are_sound(shelf: Registry) -> None:
    for line in ("rank:8..8", "added:7d..7d", "added:2026-03..2026", "added:2026..2026-03"):
        library.model_ids(shelf, line)


def test_a_model_is_found_by_how_a_hash_of_its_file_begins(registry: Registry) -> None:
    ink = add_entry(registry, "ink", autov3="ab12" * 16, crc32="0FF1CE00", blake3="ff99" * 16)
    add_entry(registry, "clay", autov3="ab13" * 16)
    sha256 = library.show(registry, ink).versions[0].files[0].sha256
    for text in (sha256, sha256[:10].upper(), "ab12", "0ff1ce", "ff9*", "=" + sha256):
        assert library.model_ids(registry, f"hash:{text}") == [ink], text
    assert len(library.model_ids(registry, "hash:ab1")) == 2


def test_algo_is_another_word_for_the_type(shelf: Registry) -> None:
    assert _names(shelf, "algo:loha") == _names(shelf, "type:loha") == [RED]


def test_tags_triggers_files_and_folders_are_found_in_any_case_of_any_alphabet(registry: Registry) -> None:
    add_entry(
        registry, "ink", place="/models/Größe/ÉTÉ Straße.safetensors", tags=["Ölbild"], triggers=["Ночь РЫНОК"]
    )  # fmt: skip
    for line in (
        "tag:ölBILD",
        "tag:öl*",
        "trigger:рынок",
        "trigger:ночь*",
        "file:été",
        "file:strasse",
        "folder:GRÖSSE",
    ):
        assert _names(registry, line) == ["ÉTÉ Straße"], line
    assert _names(registry, "tag:öl") == []


@pytest.mark.parametrize("name", ["missing", "offline", "damaged", "unhashed", "superseded", "stale"])
def test_what_few_models_are_is_looked_up_by_number(registry: Registry, name: str) -> None:
    asked = query.compile_query(f"is:{name}")
    plan = registry.db.execute(f"EXPLAIN QUERY PLAN {asked.select_ids}", asked.parameters).fetchall()
    assert any("SEARCH l USING INDEX listing_number" in row["detail"] for row in plan), [row["detail"] for row in plan]
