from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from hubman.cli.inspection import inspect as command
from registry.errors import DamagedFileError, NotFoundError, UsageError
from registry.hashing import hash_file
from registry.inspection import Fact, inspect
from tests.support.model_files import real_keys, small_lora, write_model


def test_a_file_tells_what_it_is_and_why(tmp_path: Path) -> None:
    metadata, tensors = real_keys("sds_single_te")
    path = write_model(tmp_path / "a.safetensors", tensors, {**metadata, "ssmd_cover_images": "[...]"})
    found = inspect(path)
    assert (found["kind"], found["architecture"], found["network_type"], found["rank"]) == ("lora", "sd1", "locon", 8)
    assert found["sha256"] == hash_file(path).sha256
    assert found["dtypes"] == {"F32": 1050}
    assert found["layers"] == {"attention": 240, "convolution": 64, "feed-forward": 24, "time embedding": 22}
    assert found["part_modules"] == {"unet": 278, "te": 72}
    assert (found["trainer"], found["reasons"]["trainer"]) == (
        "sd-scripts",
        "it has the entry ss_sd_scripts_commit_hash",
    )
    assert found["reasons"]["architecture"] == "cross-attention takes 768 inputs"
    assert found["metadata"]["ss_network_dim"] == "8"
    assert found["metadata"]["ssmd_cover_images"] == "a picture of 5 characters"
    msgspec.json.encode(found)


def test_each_fact_has_its_reason(tmp_path: Path) -> None:
    metadata, tensors = real_keys("sds_single_te")
    facts = inspect(write_model(tmp_path / "a.safetensors", tensors, metadata))["facts"]
    assert all(fact.reason for fact in facts if fact.name != "contradiction")
    shown = {fact.name: fact.value for fact in facts}
    assert shown["rank"] == "mixed: 8 mostly, 4 to 8"
    assert shown["parts"] == "unet (278 modules), te (72 modules)"
    assert shown["contradiction"] == "ss_network_alpha says 4, but no alpha tensor does"
    assert Fact("architecture", "sd1", "cross-attention takes 768 inputs") in facts


def test_a_guess_is_said_to_be_one(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.safetensors", small_lora(width=2048), {"ss_sd_model_name": "ponyDiffusionV6XL"})
    (base,) = [fact for fact in inspect(path)["facts"] if fact.name == "base model"]
    assert base == Fact(
        "base model", "Pony", "a guess: ss_sd_model_name says ponyDiffusionV6XL; the tensors are SDXL's", is_guess=True
    )
    told = CliRunner().invoke(command, [str(path)]).output
    assert "Pony (a guess)" in told


def test_the_command_shows_reasons_settings_and_contradictions(tmp_path: Path) -> None:
    metadata, tensors = real_keys("sds_single_te")
    path = write_model(tmp_path / "a.safetensors", tensors, {**metadata, "ss_base_model_version": "sdxl_base_v1-0"})
    text = CliRunner().invoke(command, [str(path)]).output
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "architecture sd1 [cross-attention takes 768 inputs]" in lines
    assert "steps 1 [ss_steps]" in lines
    assert any(line.startswith("contradiction ss_base_model_version says sdxl_base_v1-0, but") for line in lines)
    document = json.loads(CliRunner().invoke(command, [str(path), "--json"]).output)
    assert document["reasons"]["architecture"] == "cross-attention takes 768 inputs"
    assert {"name": "steps", "value": "1", "reason": "ss_steps"} in document["training"]
    assert document["contradictions"]


def test_names_from_outside_do_not_steer_the_terminal(tmp_path: Path) -> None:
    metadata = {
        "ss_sd_model_name": "pony\x1b[31m\nfile",
        "modelspec.trigger_phrase": "a\x1b[0m",
        "modelspec.title": "\x1b]0;x",
    }
    path = write_model(tmp_path / "a.safetensors", small_lora(width=2048), metadata)
    assert "\x1b" not in CliRunner().invoke(command, [str(path)]).output


def test_a_pickle_is_hashed_and_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    found = inspect(path)
    assert found["format"] == "pickle (never opened)"
    assert "metadata" not in found
    assert "facts" not in found
    assert found["crc32"] == hash_file(path).crc32


def test_a_gguf_file_tells_its_architecture(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    key, value = b"general.architecture", b"flux"
    entry = len(key).to_bytes(8, "little") + key + (8).to_bytes(4, "little") + len(value).to_bytes(8, "little") + value
    path.write_bytes(
        b"GGUF" + (3).to_bytes(4, "little") + (780).to_bytes(8, "little") + (1).to_bytes(8, "little") + entry
    )
    found = inspect(path)
    assert (found["format"], found["kind"], found["architecture"], found["tensors"]) == (
        "gguf",
        "checkpoint",
        "flux",
        780,
    )
    assert found["facts"][1] == Fact("architecture", "flux", "general.architecture says flux")


def test_what_can_not_be_inspected_is_said_in_one_line(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.safetensors", small_lora())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match=r"a\.safetensors is damaged"):
        inspect(path)
    with pytest.raises(NotFoundError):
        inspect(tmp_path / "absent.safetensors")
    with pytest.raises(UsageError):
        inspect(tmp_path)
