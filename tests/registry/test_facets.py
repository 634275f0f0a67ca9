from __future__ import annotations

import pytest

from registry import facets, library
from registry.database import Registry
from registry.errors import UsageError
from tests.support import library_factory
from tests.support.library import add_entry


@pytest.fixture
def shelf(registry: Registry) -> Registry:
    add_entry(
        registry, "a", place="/m/styles/a.safetensors", facts={"base_model": "SDXL 1.0"}, tags=["ink", "mono"], rank=8,
        model_facts={"creator": "Ann", "nsfw_level": 5}, network_type="lora", added_at="2025-01-01T00:00:00.000Z",
    )  # fmt: skip
    add_entry(registry, "b", facts={"base_model": "SDXL 1.0"}, tags=["ink"], rank=16, network_type="loha")
    run = add_entry(registry, "c", facts={"base_model": "Pony"}, tags=["wash"], rank=8, network_type="lora")
    library.add_record(registry, "run", run, {"name": "night run", "version_id": run})
    library.set_facts(registry, run, "civitai", {"permissions": {"allowCommercialUse": ["Sell", "RentCivit"]}})
    registry.db.execute("INSERT INTO collections VALUES ('c', 'Client A', ''), ('d', 'Empty', '')")
    registry.db.execute("INSERT INTO collection_members (collection_id, model_id) VALUES ('c', ?)", (run,))
    return registry


def test_all_facets_are_counted(shelf: Registry) -> None:
    assert facets.facets(shelf) == {
        "base": [("SDXL 1.0", 2), ("Pony", 1)],
        "type": [("lora", 2), ("loha", 1)],
        "tag": [("ink", 2), ("mono", 1), ("wash", 1)],
        "creator": [("Ann", 1)],
        "folder": [("/m/styles/", 1)],
        "lic": [("unknown", 3), ("rent", 1), ("sell", 1)],
        "nsfw": [("unrated", 2), ("r", 1)],
        "rank": [("8", 2), ("16", 1)],
        "run": [("night run", 1)],
        "year": [("2026", 2), ("2025", 1)],
        "where": [],
        "collection": [("Client A", 1), ("Empty", 0)],
    }


def test_a_facet_is_counted_over_what_the_rest_of_the_query_leaves(shelf: Registry) -> None:
    found = facets.facets(shelf, "base:sdxl rank:8")
    assert found["base"] == [("Pony", 1), ("SDXL 1.0", 1)], "of rank 8"
    assert found["rank"] == [("8", 1), ("16", 1)], "of SDXL"
    assert found["type"] == [("lora", 1)], "of both"
    assert found["tag"] == [("ink", 1), ("mono", 1)]
    assert facets.facets(shelf, "tag:ink")["tag"] == [("ink", 2), ("mono", 1)], "a second tag narrows"
    assert facets.facets(shelf, "-base:pony")["base"] == [("SDXL 1.0", 2)], "what is ruled out stays out"
    assert facets.facets(shelf, 'collection:"Client A"')["base"] == [("Pony", 1)]
    assert facets.facets(shelf, 'collection:"Client A"')["collection"] == [("Client A", 1), ("Empty", 0)]
    assert facets.facets(shelf, "nothing")["base"] == []
    with pytest.raises(UsageError):
        facets.facets(shelf, "base:")


@pytest.mark.parametrize("line", ["", "ink", "base:sdxl rating:>=3", "tag:style -type:lora sort:added"])
def test_a_count_is_what_the_query_with_that_value_finds(registry: Registry, line: str) -> None:
    library_factory.fill(registry, 60, rich=True)
    for field, values in facets.facets(registry, line).items():
        rest = " ".join(term for term in line.split() if not term.startswith(f"{field}:") or field in facets.NARROWING)
        exact = "=" if field in {"base", "creator", "folder", "run"} else ""
        for value, count in values:
            chosen = f'{rest} {field}:{exact if value != "unknown" else ""}"{value}"'
            assert len(library.model_ids(registry, chosen)) == count, chosen


def test_a_training_that_only_a_header_names_is_a_run_but_none_of_ours(registry: Registry) -> None:
    add_entry(registry, "elsewhere", metadata={"ss_output_name": "fog", "ss_steps": "9"})
    add_entry(registry, "edited", metadata={"ss_output_name": "mist"})
    ours = add_entry(registry, "ours", metadata={"ss_output_name": "other", "ss_steps": "9"})
    library.add_record(registry, "run", ours, {"name": "night run", "version_id": ours})
    assert facets.facets(registry)["run"] == [("fog", 1), ("night run", 1)]
    assert [row.name for row in library.list_models(registry, "run:fog")] == ["elsewhere"]
    assert [row.name for row in library.list_models(registry, "trained:here")] == ["ours"]
    assert [row.name for row in library.list_models(registry, "-has:run")] == ["edited"]
