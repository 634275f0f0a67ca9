"""Files made to break their reader cost a scan an error line each, and no more memory than they are worth."""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from registry import library, previews, roots, scan, scan_read
from registry.database import Registry
from registry.errors import DamagedFileError, HubError
from registry.headers import read_header
from registry.identify import identify
from tests.support.model_files import small_lora, write_model

_COUNT = 1000
_MEMORY = 64 << 20


def _with_length(raw: bytes, length: int) -> bytes:
    return length.to_bytes(8, "little") + raw


def _entry(draw: random.Random, **changes: object) -> dict[str, object]:
    return {"dtype": "F16", "shape": [draw.randint(1, 9)], "data_offsets": [0, 1 << 40], **changes}


def _hostile(draw: random.Random) -> bytes:
    """A file that no reader of the format accepts."""
    name = "".join(draw.choices("ab\u202e\x1b[31m\n\0é", k=6))
    entries: list[Any] = [
        {name: _entry(draw)},
        {name: _entry(draw, shape=[1 << 62, 1 << 62], data_offsets=[0, 0])},
        {name: _entry(draw, shape=[-1])},
        {name: _entry(draw, data_offsets=[5, 2])},
        {name: _entry(draw, dtype=7)},
        {name: [draw.random()]},
        {"__metadata__": {name: {}}, "a": {}},
        {"__metadata__": [name] * draw.randint(1, 50)},
        [name] * draw.randint(1, 99),
        {f"{name}{number}": _entry(draw, data_offsets=[number, 0]) for number in range(draw.randint(2, 40))},
    ]
    text = json.dumps(draw.choice(entries)).encode()
    return draw.choice((
        lambda: _with_length(text, len(text)),
        lambda: _with_length(text[: len(text) // 2], len(text) // 2),
        lambda: _with_length(text, draw.randint(len(text) + 1, 1 << 63)),
        lambda: _with_length(b'{"a":' + b"[" * draw.randint(1000, 200_000), 1000),
        lambda: _with_length(deep := b'{"a":' * draw.randint(1000, 30_000), len(deep)),
        lambda: draw.randbytes(draw.randint(0, 200)),
        lambda: _with_length(b'{"a\xff":1}', 9),
    ))()  # fmt: skip


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    draw = random.Random(11)
    for number in range(_COUNT):
        yield (
            folder / f"{number:04}.safetensors",
            b"%06d" % number + _hostile(draw) if number % 9 == 0 else _hostile(draw),
        )


def test_a_thousand_hostile_files_are_a_thousand_lines(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    roots.add(registry, folder)
    for path, content in _files(folder):
        path.write_bytes(content)
    sound = write_model(folder / "sound.safetensors", small_lora())
    tracemalloc.start()
    result = scan.scan(registry)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < _MEMORY
    assert (result.damaged, result.unchanged) == (_COUNT, 0)
    assert {problem.path for problem in result.problems} == {
        str(path) for path in folder.iterdir() if path != sound
    }  # fmt: skip
    assert all("\n" not in problem.reason for problem in result.problems)
    assert [row.name for row in library.list_models(registry, "-is:damaged")] == ["sound"]
    assert scan.scan(registry).unchanged == _COUNT + 1


def test_a_header_that_claims_a_lot_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:
        file.write((90_000_000).to_bytes(8, "little"))
        file.truncate(100_000_000)
    tracemalloc.start()
    with pytest.raises(DamagedFileError, match="no JSON object"):
        read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


_DEEP = "[" * 100_000
_TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "{}", "[]", "null", _DEEP, '{"a":' * 50_000, "1e999", "NaN", '{"a": {"b": "c"}}', '{"a": {"b": 1e400}}', "9" * 5000, "-1"]
)  # fmt: skip
_KEYS = [
    "ss_tag_frequency", "ss_network_dim", "ss_network_alpha", "ss_network_args", "ss_base_model_version", "ss_sd_model_name",
    "lora_adapter_metadata", "modelspec.architecture", "modelspec.title", "modelspec.trigger_phrase", "modelspec.thumbnail",
    "modelspec.network_alpha", "ss_output_name", "ss_network_module", "ss_dataset_dirs", "ss_datasets", "training_info",
    "ss_bucket_info", "software", "version",
]  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(_KEYS), _TEXTS, max_size=8))
def test_hostile_metadata_costs_nothing_but_itself(tmp_path: Path, metadata: dict[str, str]) -> None:
    header = read_header(write_model(tmp_path / "a.safetensors", small_lora(), metadata))
    assert identify(header).network_type == "lora"
    scan_read.kept_metadata(header.metadata)


@pytest.mark.parametrize("ending", [".png", ".mp4", ".json"])
def test_a_pipe_that_is_called_like_a_picture_or_a_sidecar_is_not_waited_for(
    registry: Registry, tmp_path: Path, ending: str
) -> None:
    write_model(tmp_path / "m" / "a.safetensors", small_lora(), seed=1)
    os.mkfifo(tmp_path / "m" / f"a{ending}")
    Image.new("RGB", (8, 8)).save(tmp_path / "m" / "a.jpg")
    roots.add(registry, tmp_path / "m")
    scan.scan(registry, hashing=False)
    scan.scan(registry)
    (row,) = library.list_models(registry)
    assert [picture.name for picture in library.show(registry, row.id).versions[0].previews] == ["a.jpg"]


@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
def test_a_pipe_is_no_picture_that_can_be_added(registry: Registry, tmp_path: Path, name: str) -> None:
    path = write_model(tmp_path / "m" / "a.safetensors", small_lora(), seed=1)
    os.mkfifo(tmp_path / "m" / name)
    version = scan.index_file(registry, path)
    with pytest.raises(HubError):
        previews.add_preview(registry, version, tmp_path / "m" / name)


def test_a_picture_put_beside_a_known_file_is_copied_before_others_have_to_wait(
    registry: Registry, tmp_path: Path
) -> None:
    write_model(tmp_path / "m" / "a.safetensors", small_lora(), seed=1)
    roots.add(registry, tmp_path / "m")
    scan.scan(registry)
    Image.new("RGB", (8, 8)).save(tmp_path / "m" / "a.jpg")
    copied_at_begin: list[bool] = []
    copied_at_write: list[bool] = []

    def look(statement: str) -> None:
        is_copied = any(registry.blobs.glob("??/*"))
        if statement == "BEGIN IMMEDIATE":
            copied_at_begin.append(is_copied)
        elif "INTO set_members" in statement:
            copied_at_write.append(copied_at_begin[-1])

    registry.db.set_trace_callback(look)
    scan.scan(registry)
    registry.db.set_trace_callback(None)
    assert copied_at_write == [True]
