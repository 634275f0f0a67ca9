"""Every dialect of other programs, and whatever else may lie under its name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry import sidecars
from registry.fields import FIELDS
from registry.sidecar_dialects import DIALECTS
from registry.sidecar_names import preview_of
from registry.sidecar_record import Sidecar

OWN, OTHER = "ab" * 32, "cd" * 32
CIVITAI: dict[str, Any] = {
    "id": 51, "modelId": 50, "name": "v1.0", "baseModel": "Pony", "trainedWords": ["ink"], "description": "<p>better</p>",
    "nsfwLevel": 4, "earlyAccessEndsAt": "2030-01-02T03:04:05Z",
    "files": [{"name": "a.safetensors", "hashes": {"SHA256": OWN.upper()}}],
    "model": {
        "name": "Ink", "type": "LORA", "nsfw": False, "creator": {"username": "ann"}, "tags": ["style"], "description": "d",
        "allowNoCredit": False, "allowCommercialUse": "{Image,Sell}", "allowDerivatives": True,
    },
    "extensions": {"sd_civitai_helper": {"version": "1", "skeleton_file": False}},
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "id": 50, "name": "Ink", "type": "LORA", "creator": {"username": "ann"}, "tags": ["style"], "allowNoCredit": True,
    "modelVersions": [
        {"id": 60, "name": "v2", "baseModel": "SDXL 1.0", "files": [{"name": "b.safetensors", "hashes": {"SHA256": OTHER}}]},
        {"id": 51, "name": "v1", "baseModel": "Pony", "files": [{"name": "a.safetensors", "hashes": {"SHA256": OWN}}]},
    ],
}  # fmt: skip


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _read(
    folder: Path, name: str, content: Any, *, model: str = "a.safetensors", sha256: str | None = OWN
) -> Sidecar | None:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    (folder / model).touch()
    assert name in sidecars.find(model, _names(folder)), "it is found beside its model"
    said, broken = sidecars.read([path], sha256, folder / model)
    assert broken == []
    return said


def _fields(said: Sidecar | None) -> Mapping[str, object]:
    assert said is not None
    extra = ("trigger_words", "tags", "notes", "description", "changelog")
    told = {name: value for name in extra if (value := getattr(said, name))}
    return {**said.model, **said.version, **told}


def test_a_civitai_version_says_licence_level_early_access_and_what_is_new(tmp_path: Path) -> None:
    assert _fields(_read(tmp_path, "a.civitai.info", CIVITAI)) == {
        "name": "Ink", "kind": "lora", "creator": "ann", "civitai_model_id": 50, "nsfw_level": 4, "version_name": "v1.0",
        "base_model": "Pony", "civitai_version_id": 51, "early_until": "2030-01-02T03:04:05.000Z", "trigger_words": ("ink",),
        "tags": ("style",), "description": "d", "changelog": "better",
        "permissions": {"allowNoCredit": False, "allowCommercialUse": ["Image", "Sell"], "allowDerivatives": True},
    }  # fmt: skip


def test_what_a_licence_does_not_tell_is_unknown(tmp_path: Path) -> None:
    said = _read(tmp_path, "a.civitai.info", {"id": 5, "modelId": 6, "model": {"name": "x"}})
    assert "permissions" not in _fields(said)


@pytest.mark.parametrize(
    "doc", [{}, {"extensions": {"sd_civitai_helper": {"skeleton_file": True}}, "baseModel": "Pony"}, b""]
)
def test_a_skeleton_says_only_that_civitai_does_not_know_the_file(tmp_path: Path, doc: Any) -> None:
    said = _read(tmp_path, "a.civitai.info", doc)
    assert _fields(said) == {}
    assert said is not None
    assert said.is_unknown_upstream


@pytest.mark.parametrize(
    ("sha256", "version"),
    [(OWN, 51), (OTHER, 60), (None, 51)],
    ids=["by hash", "by another hash", "by file name"],
)
@pytest.mark.parametrize("name", ["a.json", "a.api_info.json"])
def test_of_a_whole_model_the_files_own_version_counts(
    tmp_path: Path, name: str, sha256: str | None, version: int
) -> None:
    assert _fields(_read(tmp_path, name, WHOLE, sha256=sha256))["civitai_version_id"] == version


def test_a_plain_json_is_told_by_its_shape_in_their_order(tmp_path: Path) -> None:
    settings_ = {"activation text": "x, y || z", "notes": "n", "negative text": "blurry", "preferred weight": 0.4}
    assert _fields(_read(tmp_path, "a.json", {**WHOLE, **CIVITAI, **settings_}))["version_name"] == "v1"
    assert _fields(_read(tmp_path, "a.json", {**CIVITAI, **settings_}))["version_name"] == "v1.0"
    assert _fields(_read(tmp_path, "a.json", {**settings_, "modelId": "Model not found", "sd version": "SD1"})) == {
        "strength": 0.4, "negative_prompt": "blurry", "trigger_words": ("x", "y", "z"), "notes": "n",
    }  # fmt: skip
    assert _read(tmp_path, "a.json", {"notes": "nobody knows of what"}) is None


def test_lora_managers_record_with_strengths_favourite_and_the_level_of_the_preview(tmp_path: Path) -> None:
    doc = {
        "file_name": "a", "model_name": "My ink", "base_model": "Unknown", "favorite": True, "preview_nsfw_level": 8,
        "notes": "keep", "usage_tips": '{"strength_range": "0.3-0.8", "strength": 0.6}', "trainedWords": ["mine"],
        "civitai": {**CIVITAI, "trainedWords": ["ink"]}, "modelDescription": "<b>d2</b>", "civitai_deleted": True,
    }  # fmt: skip
    said = _read(tmp_path, "a.metadata.json", doc)
    found = _fields(said)
    assert said is not None
    assert said.preview_level == 8
    assert {key: found[key] for key in ("name", "base_model", "favourite", "strength", "strength_min", "strength_max")} == {
        "name": "My ink", "base_model": "Pony", "favourite": True, "strength": 0.6, "strength_min": 0.3, "strength_max": 0.8,
    }  # fmt: skip
    assert (found["trigger_words"], found["upstream_deleted"], found["description"]) == (("mine", "ink"), True, "d2")


def test_stability_matrix_prefers_the_persons_title(tmp_path: Path) -> None:
    doc = {
        "ModelId": 50, "VersionId": 51, "ModelName": "Ink", "UserTitle": "Mine", "ModelType": "DoRA", "Nsfw": True,
        "VersionDescription": "new", "Hashes": {"SHA256": OWN.upper()}, "Source": 0, "Tags": None,
    }  # fmt: skip
    assert _fields(_read(tmp_path, "a.cm-info.json", doc)) == {
        "name": "Mine", "kind": "lora", "nsfw_level": 8, "civitai_model_id": 50, "civitai_version_id": 51, "changelog": "new",
    }  # fmt: skip


def test_swarms_flat_keys(tmp_path: Path) -> None:
    doc = {
        "modelspec.title": "Ink", "modelspec.author": "ann", "modelspec.trigger_phrase": "ink; wash", "modelspec.tags": "a, b",
        "modelspec.lora_default_weight": "0.7", "modelspec.usage_hint": "low", "modelspec.hash_sha256": "0x" + OTHER,
    }  # fmt: skip
    assert _fields(_read(tmp_path, "a.swarm.json", doc)) == {
        "name": "Ink", "creator": "ann", "trigger_words": ("ink", "wash"), "tags": ("a", "b"), "strength": 0.7, "notes": "low",
    }  # fmt: skip


def test_rgthree_stands_behind_the_whole_name_and_says_whose_each_word_is(tmp_path: Path) -> None:
    doc = {
        "file": "a.safetensors", "strengthMin": 0.2, "strengthMax": 1, "userTags": ["t"], "userNote": "n", "sha256": OWN,
        "trainedWords": [{"word": "mine", "user": True}, {"word": "ink", "civitai": True, "count": 3}, {"word": "m", "metadata": True}],
        "raw": {"civitai": {**CIVITAI, "trainedWords": ["more"]}},
    }  # fmt: skip
    said = _read(tmp_path, "a.safetensors.rgthree-info.json", doc)
    assert said is not None
    assert said.word_origins == {"mine": "user", "ink": "civitai", "m": "metadata", "more": "civitai"}
    assert (said.trigger_words, said.tags, said.notes) == (("mine", "ink", "m", "more"), ("t",), "n")
    assert (said.version["strength_min"], said.version["strength_max"], said.model["name"]) == (0.2, 1.0, "Ink")
    old = _read(tmp_path, "a.safetensors.rgthree-info.json", {"triggerWords": ["old"]})
    assert old is not None
    assert old.trigger_words == ("old",)


def test_a_noted_hash_counts_only_if_it_is_not_older_than_the_model(tmp_path: Path) -> None:
    said = _read(tmp_path, "a.sha256", OTHER.encode() + b"\n")
    assert said is not None
    assert (said.sha256, said.hashes) == ("", frozenset()), "of several together no hash is taken for the file's"
    assert said.parts[0].said.sha256 == OTHER
    assert not said.parts[0].is_of_other
    os.utime(tmp_path / "a.sha256", (1, 1))
    assert sidecars.read([tmp_path / "a.sha256"], OWN, tmp_path / "a.safetensors") == (None, [])


def test_texts_are_notes_and_descriptions(tmp_path: Path) -> None:
    said = _read(tmp_path, "a.txt", "grüße\x07".encode())
    assert _fields(said) == {"notes": "grüße"}
    assert _fields(_read(tmp_path, "a.description.txt", b"\xff\xfe" + "what".encode("utf-16-le"))) == {
        "description": "what"
    }


_MARKDOWN = f"""---
website: Civitai
modelPage: https://civitai.com/models/50/ink?modelVersionId=51
author: ann
baseModel: Pony
hashes:
  SHA256: {OWN.upper()}
preview:
  - x.png
---
# Trigger Words

ink, wash

# About this version

better

# Ink of night

It is *dark*.
"""


def test_markdown_with_a_front_matter(tmp_path: Path) -> None:
    said = _read(tmp_path, "a.md", _MARKDOWN.encode())
    assert _fields(said) == {
        "civitai_model_id": 50, "civitai_version_id": 51, "creator": "ann", "base_model": "Pony", "name": "Ink of night",
        "trigger_words": ("ink", "wash"), "changelog": "better", "description": "It is *dark*.",
    }  # fmt: skip
    assert said is not None
    assert said.hashes == {OWN}
    assert _fields(_read(tmp_path, "a.md", b"just a note")) == {"notes": "just a note"}


@pytest.mark.parametrize(
    "front",
    [
        ": : :",
        "only words",
        "a: &x [1]\nb: *x",
        "a: [",
        "a: !!python/object:os.system x",
        "? [a]\n: b",
        "\tx: 1",
        "a: b: c",
        "x: " + "[" * 5000,
    ],
)
def test_a_front_matter_that_is_none_is_told_in_one_line(tmp_path: Path, front: str) -> None:
    path = tmp_path / "a.md"
    path.write_text(f"---\n{front}\n---\nbody")
    said, broken = sidecars.read([path], OWN)
    if broken:
        assert said is None
        assert "\n" not in broken[0][1]
    else:
        assert front.startswith("a: !!python"), "a tag is a text like another"


@pytest.mark.parametrize("text", ["--- : : :", "---\na: b\nno end", "---", "---\r\nx: [\r\n---\r\n"])
def test_a_front_matter_that_does_not_end_is_broken_and_no_note(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.md").write_bytes(text.encode())
    said, broken = sidecars.read([tmp_path / "a.md"], OWN)
    assert said is None
    assert "front matter" in broken[0][1] or "in line" in broken[0][1]


def test_dashes_that_are_no_front_matter_are_notes(tmp_path: Path) -> None:
    for text in ("----\na rule", "a\n---\nb", "---x"):
        assert _fields(_read(tmp_path, "a.md", text.encode())) == {"notes": text}


def test_civitdl_tells_the_version_by_its_names(tmp_path: Path) -> None:
    model = "ink-mid_50-vid_60.safetensors"
    said = _read(tmp_path, "model_dict-mid_50-vid_60.json", WHOLE, model=model, sha256=None)
    found = _fields(said)
    assert (found["version_name"], found["civitai_version_id"], found["civitai_model_id"]) == ("v2", 60, 50)
    table = _fields(_read(tmp_path, "ink-mid_50-vid_60.csv", b"whatever", model=model))
    assert table == {"civitai_model_id": 50, "civitai_version_id": 60}
    bare, _ = sidecars.read([], None, tmp_path / model)
    assert _fields(bare) == table, "the name of the model itself tells as much"
    assert sidecars.read([], None, tmp_path / "ink.safetensors") == (None, [])
    assert "ink-mid_50-vid_60.csv" not in sidecars.find("ink.safetensors", _names(tmp_path))


def test_go_civitai_downloader_lays_one_model_beside_its_files_and_others(tmp_path: Path) -> None:
    assert _fields(_read(tmp_path, "50-ink.json", WHOLE, model="60_b.safetensors", sha256=None))["version_name"] == "v2"
    assert _read(tmp_path, "50-ink.json", WHOLE, model="stranger.safetensors", sha256=None) is None
    for number in range(9):
        (tmp_path / f"{number}-x.json").write_text("{}")
    assert sidecars.find("60_b.safetensors", _names(tmp_path)) == ()


def test_previews_are_looked_for_in_one_order() -> None:
    order = [
        *(f"a.preview.{kind}" for kind in ("png", "jpg", "jpeg", "webp", "avif", "gif")),
        *(f"a.{kind}" for kind in ("webp", "png", "jpg", "jpeg", "avif", "gif")),
        "a.thumb.jpg", "a.thumb.png", "a.example.0.jpeg", "a_0.jpg", "a_0.png",
        "a.preview.mp4", "a.preview.webm", "a.mp4", "a.webm",
    ]  # fmt: skip
    for first in range(len(order)):
        pictures = {name: name.upper() for name in reversed(order[first:])}
        assert preview_of("A.safetensors", pictures) == order[first].upper()
    assert preview_of("b.safetensors", {name: name for name in order}) is None


def test_a_sidecar_belongs_to_the_model_with_the_longer_name() -> None:
    names = ["a.safetensors", "a.metadata.safetensors", "a.metadata.json", "a.recipe.json"]
    assert sidecars.find("a.safetensors", names) == ()
    assert sidecars.find("a.metadata.safetensors", names) == ("a.metadata.json",)
    assert sidecars.dialect_of("a.metadata.json", "a.metadata.safetensors").name == "json"


def test_the_one_with_the_files_hash_goes_first_whatever_its_dialect(tmp_path: Path) -> None:
    info = {**CIVITAI, "files": [], "modelId": 70, "id": 71, "model": {"name": "Wrong"}}
    matrix = {"ModelId": 50, "VersionId": 51, "ModelName": "Right", "Hashes": {"SHA256": OWN}}
    for name, doc in (("a.civitai.info", info), ("a.cm-info.json", matrix)):
        (tmp_path / name).write_text(json.dumps(doc))
    paths = [tmp_path / "a.civitai.info", tmp_path / "a.cm-info.json"]
    said, _ = sidecars.read(paths, OWN)
    assert _fields(said)["name"] == "Right"
    assert _fields(said)["civitai_version_id"] == 51
    provisional, _ = sidecars.read(paths, None)
    assert _fields(provisional)["name"] == "Wrong", "without a hash the order of dialects holds"


def test_while_the_hash_is_unknown_a_sidecar_is_believed_and_later_not(tmp_path: Path) -> None:
    doc = {**CIVITAI, "files": [{"hashes": {"SHA256": OTHER}}]}
    (tmp_path / "a.civitai.info").write_text(json.dumps(doc))
    said, _ = sidecars.read([tmp_path / "a.civitai.info"], None)
    assert _fields(said)["name"] == "Ink"
    said, _ = sidecars.read([tmp_path / "a.civitai.info"], OWN)
    assert _fields(said) == {}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_DOC = st.dictionaries(
    st.sampled_from([
        "id", "modelId", "name", "model", "files", "modelVersions", "usage_tips", "civitai", "Hashes", "Tags", "raw", "trainedWords",
        "activation text", "preferred weight", "negative text", "sha256", "tags", "notes", "allowCommercialUse", "nsfwLevel",
        "earlyAccessEndsAt", "modelspec.tags", "modelspec.trigger_phrase", "modelspec.lora_default_weight", "strengthMin",
        "userTags", "creator", "preview_nsfw_level",
    ]),
    _JSON | st.dictionaries(st.sampled_from(["id", "name", "hashes", "files", "civitai", "nsfwLevel", "word"]), _JSON, max_size=4),
    max_size=8,
)  # fmt: skip
_YAML = st.text(st.sampled_from("ab:-[]{}!&*?|>'\"#, \n\t%@`=<~0"), max_size=60)
_CONTENT = st.one_of(
    st.binary(max_size=80),
    _DOC.map(lambda doc: json.dumps(doc).encode("utf-8", "surrogatepass")),
    _YAML.map(lambda text: f"---\n{text}\n---\n# Trigger Words\n{text}".encode()),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(DIALECTS), _CONTENT, st.sampled_from([OWN, None]))
def test_any_bytes_become_a_sidecar_or_one_line_that_says_why_not(
    tmp_path: Path, dialect: Any, content: bytes, sha256: str | None
) -> None:
    model = tmp_path / "a-mid_5-vid_6.safetensors"
    name = {"civitdl": "model_dict-mid_5-vid_6.json", "civitdl.csv": "a-mid_5-vid_6.csv", "go-civitai": "5-a.json"}.get(
        dialect.name, (model.name if dialect.of_file else model.stem) + dialect.ending
    )
    path = tmp_path / name
    path.write_bytes(content)
    said, broken = sidecars.read([path], sha256, model if model.exists() else None)
    for _, reason in broken:
        assert reason
        assert len(reason.splitlines()) == 1
    if said is None:
        return
    for field, value in [*said.model.items(), *said.version.items()]:
        assert FIELDS[field].fits(value), (field, value)
    words = [*said.trigger_words, *said.tags, said.notes, said.description, said.changelog]
    for text in [*words, *(value for value in said.version.values() if isinstance(value, str))]:
        text.encode()
        assert all(char.isprintable() or char in "\n\t" for char in text)
    assert sidecars.dialect_of(name, model.name).name == dialect.name
