"""Sidecars are written by plan, whole or not at all, and nothing that is not hubman's is touched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry import edits, journal, library, roots, scan, sidecar_store, sidecar_write, sidecars, written
from registry.database import Registry
from registry.errors import HubError, UsageError
from registry.hashing import hash_file
from registry.sidecar_document import parse, render
from registry.sidecar_forms import WRITERS
from registry.sidecar_reread import reread
from registry.undo import conflicts, undo
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def loras(registry: Registry, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    write_model(folder / "a.safetensors", small_lora(), seed=1)
    roots.add(registry, folder)
    return folder


def _scanned(registry: Registry, **assignments: str) -> str:
    scan.scan(registry)
    (model,) = library.model_ids(registry)
    if assignments:
        edits.edit(registry, model, library.show(registry, model).versions[0].id, assignments)
    return model


def _write(registry: Registry, model: str, *dialects: str) -> list[sidecar_write.Planned]:
    plan = sidecar_write.plan(registry, [model], dialects)
    sidecar_write.carry_out(registry, plan)
    return plan


_SAID = {
    "name": "Mine", "notes": "keep low", "tags": "ink, mono", "trigger_words": "wash, line", "strength": "0.6",
    "negative_prompt": "blur", "favourite": "yes", "base_model": "Pony", "description": "what it is", "strength_max": "0.9",
}  # fmt: skip


@pytest.mark.parametrize("dialect", [name for name in WRITERS if name != "civitai.info"])
def test_a_new_sidecar_says_to_its_readers_what_hubman_knows(registry: Registry, loras: Path, dialect: str) -> None:
    model = _scanned(registry, **_SAID)
    (line,) = _write(registry, model, dialect)
    assert line.action == "create"
    said, broken = sidecars.read([Path(line.path)], hash_file(loras / "a.safetensors").sha256, loras / "a.safetensors")
    assert broken == []
    assert said is not None
    assert said.trigger_words == ("wash", "line")
    told = {**said.model, **said.version}
    expected = {"name": "Mine", "base_model": "Pony", "strength": 0.6, "favourite": True, "negative_prompt": "blur"}
    assert {name: told[name] for name in expected if name in told} == {
        name: expected[name] for name in expected if name in told
    }
    has_notes = {"metadata.json", "json", "rgthree-info.json"}
    assert said.notes == ("keep low" if dialect in has_notes else "")
    assert oct(Path(line.path).stat().st_mode & 0o777) == oct(0o666 & ~_umask())
    (again,) = sidecar_write.plan(registry, [model], [dialect])
    assert again.action == "none", "what says it all is left as it is"
    undo(registry)
    assert not Path(line.path).exists()


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_civitais_own_dialect_is_only_made_for_what_civitai_knows(registry: Registry, loras: Path) -> None:
    model = _scanned(registry, name="Mine")
    (line,) = sidecar_write.plan(registry, [model], ["civitai.info"])
    assert (line.action, line.reason) == ("refuse", "the model is not on Civitai, as this dialect needs")
    library.set_facts(registry, model, "civitai", {"civitai_version_id": 51, "civitai_model_id": 50})
    (line,) = _write(registry, model, "civitai.info")
    doc = json.loads(Path(line.path).read_bytes())
    assert (doc["id"], doc["modelId"], doc["files"][0]["hashes"]["SHA256"]) == (
        51,
        50,
        hash_file(loras / "a.safetensors").sha256.upper(),
    )
    assert Path(line.path).read_text().startswith('{\n    "id"')


_THEIRS = b"""{
  "file_name": "a",
  "file_path": "/somewhere/a.safetensors",
  "model_name": "Theirs",
  "size": 1.10e3,
  "their key": {"deep": [1.0, 2e2, "\\u00e9"],   "odd": null},
  "notes": "",
  "usage_tips": "{\\"clip_skip\\": 2}",
  "tags": ["Ink", "gone"],
  "trainedWords": ["wash"]
}"""


def test_of_a_file_that_is_there_only_own_keys_change_and_the_rest_stays_to_the_byte(
    registry: Registry, loras: Path
) -> None:
    path = loras / "a.metadata.json"
    path.write_bytes(_THEIRS)
    path.chmod(0o640)
    model = _scanned(registry, notes="mine", strength="0.5", tags="ink, new", rating="3")
    plan = _write(registry, model, "metadata.json")
    assert (plan[0].action, set(plan[0].keys)) == (
        "change",
        {"notes", "tags", "usage_tips", "base_model", "favorite"} - {"favorite"},
    )
    before, after = parse(_THEIRS), parse(path.read_bytes())
    assert {key: bytes(raw) for key, raw in after.items() if key not in plan[0].keys} == {
        key: bytes(raw) for key, raw in before.items() if key not in plan[0].keys
    }
    doc = json.loads(path.read_bytes())
    assert (doc["model_name"], doc["notes"], doc["tags"]) == ("Theirs", "mine", ["Ink", "new"])
    assert json.loads(doc["usage_tips"]) == {"clip_skip": 2, "strength": 0.5}
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in loras.iterdir() if one.name.startswith(".")] == []
    undo(registry)
    assert path.read_bytes() == _THEIRS
    undo(registry, journal.entries(registry)[0].id)
    assert json.loads(path.read_bytes())["notes"] == "mine", "undoing an undo writes it again"


def test_what_two_programs_say_differently_changes_in_neither_until_a_person_decides(
    registry: Registry, loras: Path
) -> None:
    (loras / "a.metadata.json").write_text('{"model_name": "One", "notes": "the longer note", "base_model": "Pony"}')
    (loras / "a.cm-info.json").write_text('{"ModelName":"Two","BaseModel":"SDXL 1.0"}')
    model = _scanned(registry)
    _write(registry, model, "cm-info.json", "metadata.json")
    assert json.loads((loras / "a.cm-info.json").read_bytes()) == {"ModelName": "Two", "BaseModel": "SDXL 1.0"}
    edits.edit(registry, model, model, {"base_model": "Illustrious"})
    _write(registry, model, "cm-info.json", "metadata.json")
    assert json.loads((loras / "a.cm-info.json").read_bytes())["BaseModel"] == "Illustrious"
    assert json.loads((loras / "a.metadata.json").read_bytes())["base_model"] == "Illustrious"


def test_alternative_prompts_of_a1111_stay_alternatives(registry: Registry, loras: Path) -> None:
    path = loras / "a.json"
    path.write_text('{"activation text": "ink, gone || wash", "sd version": "SD1", "preferred weight": 0, "x": 1}')
    model = _scanned(registry, trigger_words="ink, wash, new")
    _write(registry, model, "json")
    assert json.loads(path.read_bytes()) == {
        "activation text": "ink || wash, new",
        "sd version": "SD1",
        "preferred weight": 0,
        "x": 1,
    }


@pytest.mark.parametrize(
    ("dialect", "content", "reason"),
    [
        ("json", b'{"id": 5, "modelVersions": []}', "it holds a whole model of Civitai"),
        ("json", b'{"modelId": 5, "files": []}', "it holds a version of Civitai"),
        ("json", b'{"anything": 1}', "it holds something that is not known"),
        ("json", b'{"activation text": "x",', "it does not parse"),
        ("json", b"[1]", "it does not parse"),
        ("json", b'{"activation text": NaN}', "it does not parse"),
        ("metadata.json", b'{"whose": "nobody knows"}', "it is no record of LoRA Manager"),
        ("cm-info.json", b"{}", "it is no record of StabilityMatrix"),
        ("swarm.json", b'{"title": "x"}', "it has keys that are not SwarmUI's"),
        ("rgthree-info.json", b'{"x": 1}', "it is no record of rgthree"),
        ("civitai.info", b"{}", "it says that Civitai does not know the file"),
        ("metadata.json", b'{"model_name": "x", "sha256": "' + b"ab" * 32 + b'"}', "it speaks of another file"),
    ],
)
def test_what_is_foreign_or_broken_is_left_alone(
    registry: Registry, loras: Path, dialect: str, content: bytes, reason: str
) -> None:
    name = "a.safetensors.rgthree-info.json" if dialect == "rgthree-info.json" else f"a.{dialect}"
    (loras / name).write_bytes(content)
    model = _scanned(registry, notes="mine", trigger_words="w", name="Mine", base_model="Pony")
    (line,) = _write(registry, model, dialect)
    assert line.action == "refuse"
    assert line.reason.startswith(reason)
    assert (loras / name).read_bytes() == content


def test_a_file_that_was_edited_since_it_was_read_is_taken_in_first(registry: Registry, loras: Path) -> None:
    path = loras / "a.metadata.json"
    path.write_text('{"model_name": "x"}')
    model = _scanned(registry, notes="mine")
    path.write_text('{"model_name": "x", "notes": "typed there meanwhile"}')
    (line,) = _write(registry, model, "metadata.json")
    assert "hubman sidecar read" in line.reason
    reread(registry, [model])
    (line,) = _write(registry, model, "metadata.json")
    assert line.action == "change"


def test_links_and_two_models_of_one_name_are_refused(registry: Registry, loras: Path) -> None:
    (loras / "elsewhere").write_text("{}")
    (loras / "a.metadata.json").symlink_to(loras / "elsewhere")
    model = _scanned(registry, notes="mine")
    (line,) = _write(registry, model, "metadata.json")
    assert line.reason == "is a link or no file"
    write_model(loras / "a.pt", {}, seed=3)
    scan.scan(registry)
    lines = sidecar_write.plan(registry, library.model_ids(registry), ["json"])
    assert [one.reason for one in lines] == ["it lies beside two files of this name"] * 2


def test_dialects_come_from_the_setting_and_none_is_set_at_first(registry: Registry, loras: Path) -> None:
    model = _scanned(registry, notes="mine")
    with pytest.raises(UsageError, match="no dialect is set to be written"):
        sidecar_write.plan(registry, [model])
    with pytest.raises(UsageError, match="md can't be written"):
        sidecar_write.plan(registry, [model], ["md"])
    with registry.transaction() as db:
        sidecar_store.choose(db, {"json": "write"})
    assert [line.dialect for line in sidecar_write.plan(registry, [model])] == ["json"]


def test_an_undo_leaves_a_file_that_was_changed_since_unless_forced(registry: Registry, loras: Path) -> None:
    model = _scanned(registry, notes="mine")
    _write(registry, model, "json", "metadata.json")
    (loras / "a.json").write_text("{}")
    entry, kept = conflicts(registry)
    assert entry.verb == "write"
    assert [one.name for one in kept] == [str(loras / "a.json")]
    done = undo(registry)
    assert [one.name for one in done.kept] == [str(loras / "a.json")]
    assert not (loras / "a.metadata.json").exists()
    assert (loras / "a.json").read_text() == "{}"
    _write(registry, model, "metadata.json")
    number = journal.entries(registry)[0].id
    (loras / "a.metadata.json").write_text("{}")
    with pytest.raises(HubError, match="was changed since"):
        undo(registry, number)
    undo(registry, number, force=True)
    assert not (loras / "a.metadata.json").exists()


def test_a_write_that_fails_half_way_leaves_everything_as_it_was(registry: Registry, loras: Path) -> None:
    model = _scanned(registry, notes="mine")
    before = len(journal.entries(registry))
    writes = [(str(loras / "one"), b"1"), (str(loras / "no folder" / "two"), b"2")]
    with pytest.raises(HubError, match="nothing was changed"):
        written.carry_out(registry, "write", "two files", [model], writes)
    assert not (loras / "one").exists()
    assert len(journal.entries(registry)) == before


def test_what_a_killed_process_wrote_is_taken_back(
    registry: Registry, loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (loras / "one").write_bytes(b"before")
    model = _scanned(registry)
    calls = iter([None])

    def killed(_handle: int) -> None:
        if next(calls, "none is left") is not None:
            raise KeyboardInterrupt

    writes = [(str(loras / "one"), b"1"), (str(loras / "two"), b"2")]
    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        written.carry_out(registry, "write", "two files", [model], writes)
    monkeypatch.undo()
    assert (loras / "one").read_bytes() == b"1"
    assert sorted(path.name for path in loras.iterdir()) == ["a.safetensors", "one"], "no half of a file is left"
    undo(registry)
    assert (loras / "one").read_bytes() == b"before"


def test_what_was_taken_back_can_be_written_again_at_once(registry: Registry, loras: Path) -> None:
    (loras / "a.metadata.json").write_text('{"model_name": "x"}')
    model = _scanned(registry, notes="mine")
    _write(registry, model, "metadata.json")
    undo(registry)
    (line,) = sidecar_write.plan(registry, [model], ["metadata.json"])
    assert line.action == "change"


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 60), 1 << 60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.text(max_size=5), _VALUES, max_size=6),
    st.dictionaries(st.text(max_size=5), _VALUES, max_size=3),
    st.sampled_from([None, 1, 2, 4, "\t"]),
    st.booleans(),
)
def test_foreign_values_keep_their_bytes_whatever_they_are(
    theirs: dict[str, Any], ours: dict[str, Any], indent: Any, is_ascii: bool
) -> None:
    content = json.dumps(theirs, indent=indent, ensure_ascii=is_ascii).encode()
    result = render(content, ours, indent=4)
    assert json.loads(result) == {**theirs, **ours}
    before, after = parse(content), parse(result)
    assert {key: bytes(after[key]) for key in theirs if key not in ours} == {
        key: bytes(before[key]) for key in theirs if key not in ours
    }
    assert list(json.loads(result))[: len(theirs)] == list(theirs)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_what_is_rendered_was_an_object_before(content: bytes) -> None:
    try:
        rendered = render(content, {"a": 1}, indent=2)
    except ValueError:
        return
    assert json.loads(rendered) == {**json.loads(content), "a": 1}
