"""What a person said goes from one registry to another and loses nothing, whichever comes first, the scan or the import."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubman.sync import lost
from registry import (
    collecting,
    edits,
    exchange,
    exchange_csv,
    exchange_import,
    exchange_waiting,
    library,
    roots,
    scan,
    views,
)
from registry.database import Registry
from registry.errors import UsageError
from registry.fields import KINDS
from registry.records import ModelDetail
from registry.undo import undo
from tests.support.model_files import small_lora, write_model

_SIDECAR = {"model_name": "Theirs", "notes": "theirs", "tags": ["one", "two"], "trainedWords": ["w1", "w2"]}


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loras")
    for number, name in enumerate("ab"):
        write_model(folder / f"{name}.safetensors", small_lora(), seed=number + 1)
    (folder / "a.metadata.json").write_text(json.dumps(_SIDECAR))
    return folder


def _scan(registry: Registry, folder: Path) -> None:
    roots.add(registry, folder)
    scan.scan(registry)


def _all(registry: Registry) -> list[ModelDetail]:
    rows = registry.db.execute("SELECT m.id FROM models m ORDER BY m.id").fetchall()
    return [library.show(registry, row[0]) for row in rows]


def _exported(registry: Registry) -> list[bytes]:
    return list(exchange.encode(exchange.lines(registry)))


def _take(registry: Registry, content: list[bytes]) -> exchange_import.Plan:
    plan = exchange_import.plan(registry, content)
    exchange_import.carry_out(registry, plan, "import")
    return plan


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(str.strip).filter(bool)
# Several models can't have one, and some characters would break the tag in a prompt.
_ALIAS = st.uuids().map(str)
_EDITS = st.fixed_dictionaries(
    {},
    optional={
        "name": _TEXT, "creator": _TEXT, "alias": _ALIAS, "kind": st.sampled_from(KINDS), "version_name": _TEXT, "base_model": _TEXT,
        "negative_prompt": _TEXT, "rating": st.integers(0, 5).map(str), "favourite": st.sampled_from(["yes", "no"]),
        "strength": st.integers(-30, 30).map(lambda n: str(n / 10)), "nsfw_level": st.sampled_from(["1", "8"]),
        "notes": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        "description": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        "changelog": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        "tags": st.lists(_TEXT.filter(lambda text: "," not in text), max_size=3).map(", ".join),
        "trigger_words": st.lists(st.sampled_from(["w1", "w2", "x", "y"]), max_size=4, unique=True).map(", ".join),
    },
)  # fmt: skip


@settings(max_examples=14, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_EDITS, _EDITS, st.booleans(), st.booleans(), st.booleans())
def test_a_round_trip_loses_nothing_whichever_comes_first(
    loras: Path, first: dict[str, str], second: dict[str, str], is_trashed: bool, in_collection: bool, scan_first: bool
) -> None:
    with TemporaryDirectory() as here, Registry(Path(here) / "one") as one, Registry(Path(here) / "two") as two:
        _scan(one, loras)
        a, b = library.model_ids(one, "sort:added")
        for model, said in ((a, first), (b, second)):
            if said:
                edits.edit(one, model, model, said)
        if in_collection:
            collecting.create(one, "Clients/Ä")
            collecting.put(one, "Clients/Ä", [b])
        if is_trashed:
            edits.trash(one, a)
        content = _exported(one)
        if scan_first:
            _scan(two, loras)
        plan = _take(two, content)
        assert bool(plan.unmatched) != scan_first
        if not scan_first:
            assert len(exchange_waiting.waiting(two)) == 2
            _scan(two, loras)
        assert exchange_waiting.waiting(two) == []
        assert _all(two) == _but_seen(two, _all(one))
        assert exchange_import.plan(two, content).is_empty, "a second import has nothing to change"
        assert _exported(two) == content


def _but_seen(registry: Registry, details: list[ModelDetail]) -> list[ModelDetail]:
    """The same models with the times at which this registry saw their files."""
    import msgspec

    now = {place.path: place for one in _all(registry) for v in one.versions for f in v.files for place in f.places}
    raw: list[dict[str, Any]] = json.loads(msgspec.json.encode(details))
    for model in raw:
        for version in model["versions"]:
            for file in version["files"]:
                for place in file["places"]:
                    place["seen_at"] = now[place["path"]].seen_at
    return msgspec.convert(raw, list[ModelDetail])


def test_an_import_is_one_entry_and_is_undone(loras: Path, tmp_path: Path) -> None:
    with Registry(tmp_path / "one") as one, Registry(tmp_path / "two") as two:
        for registry in (one, two):
            _scan(registry, loras)
        a, _ = library.model_ids(one, "sort:added")
        edits.edit(one, a, a, {"rating": "5", "notes": "mine", "trigger_words": "w2, w1", "tags": ""})
        before = _all(two)
        _take(two, _exported(one))
        assert _all(two) == _but_seen(two, _all(one))
        undo(two)
        assert _all(two) == before


def test_a_file_is_known_by_hash_then_tensors_then_number_then_name_and_size(loras: Path, tmp_path: Path) -> None:
    with Registry(tmp_path / "one") as one:
        _scan(one, loras)
        a = library.show(one, library.resolve(one, str(loras / "a.safetensors"))[0])
        library.set_facts(one, a.id, "civitai", {"civitai_version_id": 51})
        file = exchange.file_line(a.versions[0].files[0])
        nothing = exchange.FileLine(sha256="0" * 64)
        known = [
            {"files": [file]},
            {"files": [exchange.FileLine(sha256="0" * 64, autov3=file.autov3)]},
            {"files": [nothing], "civitai_version_id": 51},
            {"files": [exchange.FileLine(name="a.safetensors", size=file.size)]},
        ]
        for number, how in enumerate(known):
            version = exchange.VersionLine(said={"version_name": f"v{number}"}, **how)  # type: ignore[arg-type]
            plan = _take(one, list(exchange.encode([exchange.ModelLine(model="x", versions=[version])])))
            assert plan.unmatched == []
            assert library.version(one, a.id).name == f"v{number}"
        version = exchange.VersionLine(files=[exchange.FileLine(name="a.safetensors", size=file.size + 1)])
        plan = exchange_import.plan(one, exchange.encode([exchange.ModelLine(model="Gone", versions=[version])]))
        assert [(miss.line, miss.name) for miss in plan.unmatched] == [(1, "Gone")]


def test_a_name_and_size_that_two_files_have_means_neither(tmp_path: Path) -> None:
    for number in (1, 2):
        write_model(tmp_path / "m" / str(number) / "a.safetensors", small_lora(), seed=number)
    with Registry(tmp_path / "one") as one:
        _scan(one, tmp_path / "m")
        size = (tmp_path / "m" / "1" / "a.safetensors").stat().st_size
        version = exchange.VersionLine(files=[exchange.FileLine(name="a.safetensors", size=size)])
        assert exchange_import.plan(one, exchange.encode([exchange.ModelLine(model="x", versions=[version])])).unmatched


def test_what_has_another_hash_is_another_file_whatever_it_is_called(tmp_path: Path) -> None:
    for number in (1, 2):
        write_model(tmp_path / str(number) / "a.safetensors", small_lora(), seed=number)
    with Registry(tmp_path / "one") as one, Registry(tmp_path / "two") as two:
        _scan(one, tmp_path / "1")
        (model,) = library.model_ids(one)
        edits.edit(one, model, model, {"notes": "of the first"})
        roots.add(two, tmp_path / "2")
        scan.scan(two, hashing=False)
        assert _take(two, _exported(one)).unmatched, "a file without a hash may have any"
        scan.scan(two)
        assert _take(two, _exported(one)).unmatched
        assert library.show(two, library.model_ids(two)[0]).notes is None
        assert exchange_waiting.waiting(two) == ["a"]


def _waiting_for(one: Registry, two: Registry, loras: Path) -> str:
    """An import of ``one`` waits in ``two``, where the files are listed and not hashed; returns the model ``b`` there."""
    _scan(one, loras)
    (b,) = [row.id for row in library.list_models(one) if row.name == "b"]
    said = {"notes": "theirs", "rating": "5", "creator": "me", "tags": "x, y"}
    edits.edit(one, b, b, said)
    _take(two, _exported(one))
    roots.add(two, loras)
    scan.scan(two, hashing=False)
    return next(row.id for row in library.list_models(two) if row.name == "b")


def test_what_was_edited_since_the_import_was_read_stays_and_the_rest_comes(loras: Path, tmp_path: Path) -> None:
    with Registry(tmp_path / "one") as one, Registry(tmp_path / "two") as two:
        listed = _waiting_for(one, two, loras)
        edits.edit(two, listed, listed, {"notes": "mine", "rating": "2", "tags": "z"})
        edits.edit(two, listed, listed, {"creator": "somebody"})
        undo(two)
        scan.scan(two)
        b = library.show(two, library.resolve(two, "b")[0])
        assert (b.notes, b.rating, b.tags, b.creator) == ("mine", 2, ("z",), "me")
        found = {edit.field: edit for edit in lost.unseen(two)}
        assert {name: (edit.kept, edit.lost) for name, edit in found.items()} == {
            "notes": ("mine", "theirs"),
            "rating": (2, 5),
            "tags": (["z"], ["x", "y"]),
        }
        for edit in found.values():
            lost.resolve(two, edit.id, "theirs")
        b = library.show(two, b.id)
        assert (b.notes, b.rating, b.tags) == ("theirs", 5, ("x", "y"))


def test_a_line_that_another_process_takes_in_meanwhile_is_taken_in_once(loras: Path, tmp_path: Path) -> None:
    with Registry(tmp_path / "one") as one, Registry(tmp_path / "two") as two:
        _waiting_for(one, two, loras)
        home = two.home
        for path in sorted(loras.glob("*.safetensors")):
            scan.index_file(two, path)

        def meanwhile(statement: str) -> None:
            if statement == "BEGIN IMMEDIATE":
                two.db.set_trace_callback(None)
                with Registry(home) as other:
                    assert exchange_waiting.take_in_waiting(other) == 2
                    model = library.resolve(other, "b")[0]
                    edits.edit(other, model, model, {"notes": "newer"})

        two.db.set_trace_callback(meanwhile)
        assert exchange_waiting.take_in_waiting(two) == 0
        assert library.show(two, library.resolve(two, "b")[0]).notes == "newer"


def test_only_the_files_that_are_asked_for_are_taken_in(loras: Path, tmp_path: Path) -> None:
    with Registry(tmp_path / "one") as one, Registry(tmp_path / "two") as two:
        _waiting_for(one, two, loras)
        for path in sorted(loras.glob("*.safetensors")):
            scan.index_file(two, path)
        assert exchange_waiting.take_in_waiting(two, []) == 0
        assert exchange_waiting.take_in_waiting(two, [str(loras / "b.safetensors")]) == 1
        assert library.show(two, library.resolve(two, "b")[0]).notes == "theirs"
        assert exchange_waiting.take_in_waiting(two) == 1


def test_collections_and_views_travel_too(loras: Path, tmp_path: Path) -> None:
    with Registry(tmp_path / "one") as one, Registry(tmp_path / "two") as two:
        collecting.create(one, "Empty/one")
        views.save(one, "zz", "rating:5")
        views.save(one, "aa", "@zz tag:x")
        _take(two, _exported(one))
        assert [found.path for found in collecting.listed(two)] == ["Empty", "Empty/one"]
        assert views.own(two) == {"zz": "rating:5", "aa": "@zz tag:x"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "truncated"),
        (b"[]", "it is no line of an export"),
        (b'{"model": "x", "hubman": 9}', "its format is 9"),
        (b'{"model": "x", "said": {"rating": 9}}', "rating can't be '9'"),
        (b'{"model": "x", "said": {"upstream_deleted": true}}', "no field of a model that can be edited"),
        (b'{"model": "x", "versions": [{"said": {"rating": 3}}]}', "no field of a version"),
        (b'{"model": "x", "sets": {"trigger_words": []}}', "trigger_words is no field of a model"),
        (b'{"model": "x", "sets": {"notes": []}}', "a set or a text stands"),
        (b'{"model": 5}', "Expected `str`"),
        (b'{"model": "x", "versions": []}', "it has no version"),
        (b'{"collection": ""}', ""),
    ],
)
def test_a_bad_line_is_named_and_the_others_count(registry: Registry, line: bytes, reason: str) -> None:
    plan = exchange_import.plan(registry, [line, b"", b'{"collection": "Good"}'])
    (wrong,) = plan.unmatched
    assert wrong.line == 1
    assert reason in wrong.reason
    assert plan.collections == ["Good"]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "said", "versions", "files", "sha256", "rating", "collections", "view"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=30) | _ANY.map(lambda doc: json.dumps(doc).encode()), max_size=3))
def test_any_lines_make_a_plan(registry: Registry, content: list[bytes]) -> None:
    for one in exchange_import.plan(registry, content).unmatched:
        assert len(one.reason.splitlines()) <= 1


# tables -----------------------------------------------------------------------------------------------------------------


def _table(registry: Registry) -> list[dict[str, str]]:
    text = "".join(exchange_csv.table(registry, library.model_ids(registry)))
    return sorted(csv.DictReader(io.StringIO(text, newline="")), key=lambda row: row["file"])


def _written(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_EDITS)
def test_a_table_that_comes_back_as_it_went_changes_nothing(loras: Path, said: dict[str, str]) -> None:
    with TemporaryDirectory() as here, Registry(Path(here)) as registry:
        _scan(registry, loras)
        model = library.model_ids(registry)[0]
        if said:
            edits.edit(registry, model, model, said)
        plan = exchange_csv.plan(registry, "".join(exchange_csv.table(registry, library.model_ids(registry))))
        assert (plan.changes, plan.unmatched, plan.ignored) == ((), (), ())


def test_only_the_cells_that_differ_and_the_columns_that_are_there_change(registry: Registry, loras: Path) -> None:
    _scan(registry, loras)
    rows = [
        {"sha256": row["sha256"], "name": row["name"], "rating": row["rating"], "mood": "good"}
        for row in _table(registry)
    ]
    rows[0] |= {"rating": "4", "name": "'=New"}
    plan = exchange_csv.plan(registry, _written(rows, ";"))
    assert [(one.field, one.after) for one in plan.changes] == [("name", "=New"), ("rating", "4")]
    assert plan.ignored == ("mood",)
    exchange_csv.carry_out(registry, plan, "import of x.csv")
    assert sorted((row.name, row.rating) for row in library.list_models(registry)) == [("=New", 4), ("b", 0)]
    assert [row.tags for row in library.list_models(registry, "=New")] == [("one", "two")], "what has no column stays"
    undo(registry)
    assert sorted(row.name for row in library.list_models(registry)) == ["Theirs", "b"]


@pytest.mark.parametrize("text", ["=1+1", "+a", "-x", "@cmd", "\tx", "'=x", "'"])
def test_a_cell_that_a_spreadsheet_would_compute_is_quoted_and_comes_back(
    registry: Registry, loras: Path, text: str
) -> None:
    _scan(registry, loras)
    model = library.model_ids(registry)[0]
    library.set_facts(registry, model, "user", {"creator": text})
    (cell,) = [row["creator"] for row in _table(registry) if row["creator"]]
    assert cell == f"'{text}"
    assert exchange_csv.unguarded(cell) == text


@given(st.text(max_size=8))
def test_guarding_is_undone_exactly(text: str) -> None:
    assert exchange_csv.unguarded(exchange_csv.guarded(text)) == text
    assert exchange_csv.guarded(text)[:1] not in set("=+@\t\r")


def test_a_negative_number_stays_a_number(registry: Registry, loras: Path) -> None:
    assert exchange_csv.guarded("-0.5") == "-0.5"


def test_rows_that_find_no_file_or_make_no_sense_are_named(registry: Registry, loras: Path) -> None:
    _scan(registry, loras)
    rows = _table(registry)
    rows[0] |= {"rating": "nine"}
    rows[1] |= {"sha256": "0" * 64, "autov3": "", "size": "", "version": "", "name": "Gone"}
    plan = exchange_csv.plan(registry, _written(rows))
    assert [(one.line, one.name) for one in plan.unmatched] == [(2, "Theirs"), (3, "Gone")]
    assert plan.changes == ()
    with pytest.raises(UsageError, match="no column that tells"):
        exchange_csv.plan(registry, "name,rating\nx,3\n")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40), st.sampled_from(["", "sha256,name\n", "file;size;rating\n", "version\n"]))
def test_any_table_makes_a_plan_or_says_why_not(registry: Registry, text: str, head: str) -> None:
    try:
        plan = exchange_csv.plan(registry, head + text)
    except UsageError:
        return
    assert plan.changes == ()


def test_a_twin_that_went_into_the_trash_elsewhere_takes_nobody_along(tmp_path: Path) -> None:
    """The same tensors under another header were trashed there; the file that was kept here stays."""
    with Registry(tmp_path / "there") as there, Registry(tmp_path / "here") as here:
        write_model(tmp_path / "loras" / "kept.safetensors", small_lora(), seed=1)
        write_model(tmp_path / "loras" / "twin.safetensors", small_lora(), {"modelspec.title": "Twin"}, seed=1)
        _scan(there, tmp_path / "loras")
        edits.trash(there, library.resolve(there, "Twin")[0])
        content = _exported(there)
        assert b"deleted_at" in b"".join(content)
        (tmp_path / "loras" / "twin.safetensors").unlink()
        _scan(here, tmp_path / "loras")
        _take(here, content)
        assert [row.name for row in library.list_models(here)] == ["kept"]
