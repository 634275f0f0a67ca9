from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry import edits, ids, library, roots, scan, sidecars
from registry.database import Registry
from registry.hashing import hash_file
from registry.sidecar_dialects import DIALECTS
from tests.support.model_files import small_lora, write_model

_VERSION = {
    "id": 910001, "modelId": 900001, "name": "v1.0", "baseModel": "Pony", "trainedWords": ["inkwash", "<lora:x:1>", "Inkwash, "],
    "model": {"name": "Ink\u0007 Wash", "type": "LORA", "description": "<p>One &amp; two</p><p>three</p>", "tags": ["Style"],
              "creator": {"username": "ann"}},
    "files": [],
}  # fmt: skip


@pytest.fixture
def loras(registry: Registry, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    write_model(folder / "a.safetensors", small_lora(), seed=1)
    roots.add(registry, folder)
    return folder


def _write(folder: Path, name: str, doc: Any) -> None:
    (folder / name).write_text(doc if isinstance(doc, str) else json.dumps(doc))


def test_a_civitai_version_beside_a_file_names_its_model(registry: Registry, loras: Path) -> None:
    _write(loras, "a.civitai.info", _VERSION)
    scan.scan(registry)
    model = library.show(registry, ids.civitai_model_id(900001))
    assert (model.name, model.creator, model.civitai_id, model.tags) == ("Ink Wash", "ann", 900001, ("style",))
    assert model.description == "One & two\nthree"
    (version,) = model.versions
    assert (version.name, version.base_model, version.civitai_id) == ("v1.0", "Pony", 910001)
    assert version.trigger_words == ("inkwash",)
    assert version.sources["base_model"] == "sidecar"


def test_what_a_person_says_later_wins_and_a_rescan_brings_nothing_back(registry: Registry, loras: Path) -> None:
    _write(loras, "a.civitai.info", _VERSION)
    scan.scan(registry)
    model, version = library.resolve(registry, "Ink Wash")
    edits.edit(registry, model, version, {"name": "Mine", "tags": "", "trigger_words": "", "description": ""})
    scan.scan(registry, rehash=True)
    (row,) = library.list_models(registry)
    assert (row.name, row.tags, row.trigger_words) == ("Mine", (), ())


@pytest.mark.parametrize(
    ("name", "doc", "expected"),
    [
        (
            "a.metadata.json",
            {"model_name": "Ink", "base_model": "SDXL 1.0", "notes": "keep low", "favorite": True, "tags": ["ink"],
             "usage_tips": '{"strength": 0.7, "strength_min": 0.3}', "civitai": {"id": 5, "modelId": 6, "trainedWords": ["w"]}},
            {"name": "Ink", "base_model": "SDXL 1.0", "strength": 0.7, "favourite": True, "tags": ("ink",), "trigger_words": ("w",)},
        ),
        (
            "a.cm-info.json",
            {"ModelName": "Ink", "UserTitle": "My Ink", "BaseModel": "Flux.1 D", "AuthorUsername": "bob", "TrainedWords": ["w"],
             "Tags": ["x"], "ModelId": 6, "VersionId": 7},
            {"name": "My Ink", "base_model": "Flux.1 D", "creator": "bob", "trigger_words": ("w",), "tags": ("x",)},
        ),
        (
            "a.json",
            {"activation text": "ink, wash || night", "preferred weight": 0.6, "notes": "n", "sd version": "SD1"},
            {"trigger_words": ("ink", "wash", "night"), "strength": 0.6, "name": "a"},
        ),
        ("a.json", {"activation text": "", "preferred weight": 0}, {"strength": None, "trigger_words": ()}),
        (
            "a.json",
            {"id": 900001, "name": "Whole", "type": "LORA", "modelVersions": [{"id": 5, "baseModel": "Pony"}]},
            {"name": "Whole", "base_model": "Pony"},
        ),
        (
            "a.api_info.json",
            {"id": 900001, "name": "Whole", "modelVersions": [{"id": 5, "baseModel": "Pony"}, {"id": 6, "baseModel": "SD 1.5"}]},
            {"name": "Whole", "base_model": "SD 1.5"},
        ),
        ("a.json", _VERSION, {"name": "Ink Wash", "base_model": "Pony"}),
        ("a.json", {"something": "else"}, {"name": "a"}),
        ("a.civitai.info", {}, {"name": "a"}),
        ("a.civitai.info", "", {"name": "a"}),
        ("a.civitai.info", {"skeleton_file": True, "baseModel": "Pony"}, {"name": "a", "base_model": "SD 1.5"}),
        ("ab.civitai.info", _VERSION, {"name": "a"}),
    ],
)  # fmt: skip
def test_each_dialect_is_understood(
    registry: Registry, loras: Path, name: str, doc: Any, expected: dict[str, Any]
) -> None:
    _write(loras, name, doc)
    assert scan.scan(registry).problems == ()
    (row,) = library.list_models(registry)
    assert {field: getattr(row, field) for field in expected} == expected


def test_several_sidecars_fill_each_other_up_and_the_longest_note_stays(registry: Registry, loras: Path) -> None:
    _write(loras, "a.civitai.info", {**_VERSION, "baseModel": "Pony"})
    _write(
        loras,
        "a.json",
        {"activation text": "night", "preferred weight": 0.5, "notes": "a long note", "modelId": 900001},
    )
    _write(loras, "a.metadata.json", {"base_model": "SDXL 1.0", "notes": "short", "tags": ["ink"]})
    scan.scan(registry)
    (row,) = library.list_models(registry)
    assert (row.base_model, row.strength, row.trigger_words, row.tags) == (
        "Pony",
        0.5,
        ("inkwash", "night"),
        ("ink", "style"),
    )
    assert library.show(registry, row.id).notes == "a long note"


def test_a_sidecar_of_other_content_says_nothing_but_what_a_person_wrote(registry: Registry, loras: Path) -> None:
    other = {"files": [{"hashes": {"SHA256": "AB" * 32}}]}
    _write(loras, "a.civitai.info", {**_VERSION, **other})
    _write(loras, "a.json", {"activation text": "x", "notes": "mine", "sha256": "CD" * 32})
    scan.scan(registry)
    (row,) = library.list_models(registry)
    assert (row.name, row.base_model, row.trigger_words) == ("a", "SD 1.5", ())
    assert library.show(registry, row.id).notes == "mine"
    own = {"files": [{"hashes": {"SHA256": hash_file(loras / "a.safetensors").sha256.upper()}}]}
    _write(loras, "a.civitai.info", {**_VERSION, **own})
    scan.scan(registry, rehash=True)
    assert library.list_models(registry)[0].name == "Ink Wash"


def test_two_sidecars_of_two_models_are_not_mixed(registry: Registry, loras: Path) -> None:
    _write(loras, "a.civitai.info", _VERSION)
    _write(loras, "a.cm-info.json", {"ModelId": 7, "ModelName": "Other", "AuthorUsername": "eve", "VersionName": "v9"})
    scan.scan(registry)
    (row,) = library.list_models(registry)
    assert (row.name, row.creator, row.version_name) == ("Ink Wash", "ann", "v1.0")


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": \ud800', "[" * 100_000, "\x00"])
def test_a_broken_sidecar_is_reported_and_the_model_is_listed(registry: Registry, loras: Path, content: str) -> None:
    (loras / "a.metadata.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    result = scan.scan(registry)
    assert result.new == 1
    (problem,) = result.problems
    assert problem.path.endswith("a.metadata.json")
    assert "no sidecar that can be understood" in problem.reason
    assert [row.name for row in library.list_models(registry)] == ["a"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_KEYS = [
    "id", "modelId", "name", "baseModel", "trainedWords", "model", "files", "creator", "modelVersions", "usage_tips", "civitai",
    "Hashes", "Tags", "ModelId", "activation text", "preferred weight", "sha256", "tags", "modelDescription", "notes",
]  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([dialect.ending for dialect in DIALECTS if dialect.ending]),
    st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=8),
)
def test_whatever_a_sidecar_says_the_answer_can_be_stored(tmp_path: Path, ending: str, doc: dict[str, Any]) -> None:
    path = tmp_path / f"x{ending}"
    path.write_text(json.dumps(doc, allow_nan=True), encoding="utf-8", errors="surrogatepass")
    said, _ = sidecars.read([path], "ab" * 32)
    if said is None:
        return
    for value in [
        *said.version.values(),
        *said.model.values(),
        *said.trigger_words,
        *said.tags,
        said.notes,
        said.description,
    ]:
        assert isinstance(value, str | int | float | bool)
        if isinstance(value, str):
            value.encode()
            assert all(char.isprintable() or char in "\n\t" for char in value)
