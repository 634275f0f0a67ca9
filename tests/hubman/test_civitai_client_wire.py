"""Encodings, lenient records and references: pure functions, held by examples and by hypothesis."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman.civitai import lenient, wire
from hubman.civitai.records import RemoteFile, RemoteModel, RemoteVersion, model_from
from hubman.civitai.refs import Ref, air, parse_ref
from hubman.sandbox.encoding import read_superjson, write_devalue, write_superjson
from registry.errors import UsageError

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(_JSON)
def test_devalue_reads_back_what_was_written(value: Any) -> None:
    assert wire.parse_devalue(write_devalue(value)) == value


@settings(deadline=None)
@given(_JSON)
def test_superjson_reads_back_what_was_written(value: Any) -> None:
    body = json.dumps({"result": {"data": write_superjson(value)}}).encode()
    assert wire.parse_answer(body).data == value


@settings(deadline=None)
@given(st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_an_answer_or_a_wire_error(body: bytes) -> None:
    try:
        answer = wire.parse_answer(body)
    except wire.WireError:
        return
    assert isinstance(answer, wire.TrpcAnswer)


@settings(deadline=None)
@given(st.lists(_JSON, min_size=1, max_size=6))
def test_damaged_devalue_never_hangs_or_crashes(slots: list[Any]) -> None:
    try:
        wire.parse_devalue(json.dumps(slots))
    except wire.WireError:
        return


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-1", None),
        ('[{"id":1,"when":2},5,["Date","2026-08-08T00:00:00.000Z"]]', {"id": 5, "when": "2026-08-08T00:00:00.000Z"}),
        ('[["BigInt","12345678901234567890"]]', 12345678901234567890), ('[["Set",1,1],"a"]', ["a", "a"]),
        ('[["Map",1,2],"k",3]', {"k": 3}), ('[["null","k",1],true]', {"k": True}), ('[[-5,-1]]', [float("-inf"), None]),
    ],
)  # fmt: skip
def test_devalue_s_tags_and_special_values(text: str, value: Any) -> None:
    assert wire.parse_devalue(text) == value


@pytest.mark.parametrize("text", ["[[0]]", '[{"a":9}]', "-9", "[]", "{}", '[["Alien",1],2]', "nonsense"])
def test_devalue_damage_is_a_wire_error(text: str) -> None:
    with pytest.raises(wire.WireError):
        wire.parse_devalue(text)


def test_dates_are_listed_by_path() -> None:
    moment = datetime(2026, 8, 8, 12, tzinfo=UTC)
    envelope = wire.envelope({"id": 1, "publishedAt": moment, "list": [{"at": moment}]})
    assert envelope["meta"] == {"values": {"publishedAt": ["Date"], "list.0.at": ["Date"]}}
    assert envelope["json"]["publishedAt"] == "2026-08-08T12:00:00.000Z"
    assert "meta" not in wire.envelope({"id": 1})
    assert type(read_superjson(envelope)["list"][0]["at"]).__name__ == "DateText"


# records ----------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["id", "name", "modelVersions", "tags", "creator", "stats", "nsfw", "extra"]), _JSON
    )
)
def test_a_model_of_any_shape_decodes(raw: dict[str, Any]) -> None:
    assert isinstance(model_from(raw), RemoteModel)


def test_wrong_fields_are_defaulted_and_the_others_kept(caplog: pytest.LogCaptureFixture) -> None:
    version = lenient.decode(
        RemoteVersion,
        {
            "id": "12",
            "name": None,
            "trainedWords": ["a", 5, None, {}],
            "files": [{"id": 1}, "x"],
            "baseModel": [],
            "new": 1,
        },
    )
    assert (version.id, version.name, version.trained_words, version.base_model) == (12, "", ("a", "5"), "")
    assert [file.id for file in version.files] == [1]
    assert "baseModel" in caplog.text


def test_texts_lose_what_could_drive_a_terminal() -> None:
    model = model_from({"name": "ev\x1b[31mil\u202egnp", "description": "two\nlines"})
    assert (model.name, model.description) == ("ev[31milgnp", "two\nlines")


def test_a_file_without_a_true_hash_has_none() -> None:
    assert lenient.decode(RemoteFile, {"hashes": {"SHA256": "ABC"}}).sha256 == ""
    assert lenient.decode(RemoteFile, {"hashes": {"SHA256": "A" * 64}}).sha256 == "a" * 64


def test_the_primary_file_is_found_however_it_is_told() -> None:
    files = [{"id": 1, "type": "VAE"}, {"id": 2, "type": "Model"}, {"id": 3, "type": "Model", "primary": True}]
    for count, expected in [(3, 3), (2, 2), (1, 1)]:
        found = lenient.decode(RemoteVersion, {"files": files[:count]}).primary_file
        assert found is not None
        assert found.id == expected
    assert RemoteVersion().primary_file is None


# references -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("https://civitai.com/models/900001/harbor?modelVersionId=910001", Ref(model_id=900001, version_id=910001)),
        ("https://civitai.red/models/900001", Ref(model_id=900001)),
        ("https://civitai.com/api/download/models/910001?type=Model", Ref(version_id=910001, type="Model")),
        ("https://civitai.com/model-versions/910001", Ref(version_id=910001)),
        ("http://127.0.0.1:8123/models/5", Ref(model_id=5)),
        ("urn:air:sdxl:lora:civitai:900001@910001", Ref(model_id=900001, version_id=910001)),
        ("civitai:900001@910001", Ref(model_id=900001, version_id=910001)),
        ("urn:air:sdxl:lora:civitai:900001", Ref(model_id=900001)),
        ("urn:air:sdxl:lora:civitai:900001@910001+77.safetensors",
         Ref(model_id=900001, version_id=910001, file_id=77, format="SafeTensor")),
        ("  910001 ", Ref(version_id=910001)),
        ("D2212B36", Ref(hash="d2212b36")),
        ("FB3603C617", Ref(hash="fb3603c617")),
        ("9999999999", Ref(hash="9999999999")),
        ("A1FEACF0D812", Ref(hash="a1feacf0d812")),
        ("FB3603C617FDDE6DDED0F950ABA2C5F077EACDD69EF01519DBCC9CED8EF9A086",
         Ref(hash="fb3603c617fdde6dded0f950aba2c5f077eacdd69ef01519dbcc9ced8ef9a086")),
    ],
)  # fmt: skip
def test_every_form_of_reference_is_understood(text: str, ref: Ref) -> None:
    assert parse_ref(text) == ref


@pytest.mark.parametrize(
    "text",
    ["", "harbor style", "https://evil.example/models/5", "https://civitai.com.evil.example/models/5",
     "https://civitai.com/articles/5", "model:0", "creator:", "collection:x", "hash:xyz",
     "urn:air:sdxl:lora:huggingface:a/b", "urn:air:sdxl:lora:civitai:abc", "https://[::1", "0"],
)  # fmt: skip
def test_what_names_nothing_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_ref(text)
    assert "hash" in caught.value.hint


@settings(deadline=None)
@given(st.text(max_size=120))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        ref = parse_ref(text)
    except UsageError:
        return
    assert ref.version_id or ref.model_id or ref.hash


@settings(deadline=None)
@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_an_air_reads_back(model: int, version: int) -> None:
    assert parse_ref(air("Illustrious", "LoCon", model, version)) == Ref(model_id=model, version_id=version)


def test_an_air_names_the_root_ecosystem() -> None:
    assert air("Pony", "LORA", 1, 2) == "urn:air:sdxl:lora:civitai:1@2"
    assert air("Pony V7", "DoRA", 1, 2) == "urn:air:auraflow:dora:civitai:1@2"
    assert air("Unheard of", "Wildcards", 1, 2) == "urn:air:other:unknown:civitai:1@2"


def test_references_and_records_load_no_http() -> None:
    modules = "hubman.civitai.refs, hubman.civitai.records, hubman.civitai.auth"
    code = f"import sys, {modules}; print('httpx' in sys.modules, 'keyring' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
