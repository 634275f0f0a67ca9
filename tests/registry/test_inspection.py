from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from registry.errors import DamagedFileError, NotFoundError, UsageError
from registry.hashing import hash_file
from registry.inspection import inspect
from tests.support.model_files import real_keys, small_lora, write_model


def test_a_file_tells_what_it_is_and_why(tmp_path: Path) -> None:
    metadata, tensors = real_keys("sds_single_te")
    path = write_model(tmp_path / "a.safetensors", tensors, {**metadata, "ssmd_cover_images": "[...]"})
    found = inspect(path)
    assert (found["kind"], found["architecture"], found["network_type"], found["rank"]) == ("lora", "sd1", "locon", 8)
    assert found["sha256"] == hash_file(path).sha256
    assert found["dtypes"] == {"F32": 1050}
    assert found["reasons"]["architecture"] == "cross-attention takes 768 inputs"
    assert found["metadata"]["ss_network_dim"] == "8"
    assert found["metadata"]["ssmd_cover_images"] == "a picture of 5 characters"
    msgspec.json.encode(found)


def test_a_pickle_is_hashed_and_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    found = inspect(path)
    assert found["format"] == "pickle (never opened)"
    assert "metadata" not in found
    assert found["crc32"] == hash_file(path).crc32


def test_what_can_not_be_inspected_is_said_in_one_line(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.safetensors", small_lora())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match=r"a\.safetensors is damaged"):
        inspect(path)
    with pytest.raises(NotFoundError):
        inspect(tmp_path / "absent.safetensors")
    with pytest.raises(UsageError):
        inspect(tmp_path)
