"""A tagger of a few bytes: the mean colour of the picture, times a matrix, through a sigmoid; written as ONNX by hand."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

FLOAT = 1
Bytes = bytes


def _varint(number: int) -> Bytes:
    made = b""
    while number > 0x7F:
        made += bytes([number & 0x7F | 0x80])
        number >>= 7
    return made + bytes([number])


def _field(number: int, value: int | str | Bytes) -> Bytes:
    """A field of a protobuf message: a number, a text, or a message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _tensor(name: str, dims: Sequence[int], values: Sequence[float]) -> Bytes:
    raw = struct.pack(f"<{len(values)}f", *values)
    return b"".join(_field(1, dim) for dim in dims) + _field(2, FLOAT) + _field(8, name) + _field(9, raw)


def _value(name: str, dims: Sequence[int]) -> Bytes:
    shape = b"".join(_field(1, _field(1, dim)) for dim in dims)
    return _field(1, name) + _field(2, _field(1, _field(1, FLOAT) + _field(2, shape)))


def _node(kind: str, inputs: Sequence[str], output: str, attributes: Bytes = b"") -> Bytes:
    return b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind) + attributes


def _ints(name: str, values: Sequence[int]) -> Bytes:
    return _field(5, _field(1, name) + b"".join(_field(8, value) for value in values) + _field(20, 7))


def _int(name: str, value: int) -> Bytes:
    return _field(5, _field(1, name) + _field(3, value) + _field(20, 2))


def write_tagger(
    folder: Path, tags: Sequence[tuple[str, int, Mapping[str, float]]], side: int = 16, outputs: int | None = None
) -> Path:
    """Write ``model.onnx`` and ``selected_tags.csv``.

    ``tags`` are (name, category, weights): the logit is the sum of each weight times the mean of its channel, from 0
    for none to 1 for full; ``bias`` is added. So ``{"red": 8, "bias": -4}`` is sure of red pictures. The input is read
    as blue, green, red, as these models do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    channels = ("blue", "green", "red")
    weights = [tag[2].get(channel, 0.0) / 255 for channel in channels for tag in tags]
    biases = [tag[2].get("bias", 0.0) for tag in tags]
    count = len(tags)
    graph = b"".join(
        (
            _field(1, _node("ReduceMean", ["input"], "mean", _ints("axes", [1, 2]) + _int("keepdims", 0))),
            _field(1, _node("MatMul", ["mean", "weights"], "product")),
            _field(1, _node("Add", ["product", "biases"], "logits")),
            _field(1, _node("Sigmoid", ["logits"], "output")),
            _field(2, "tagger"),
            _field(5, _tensor("weights", (3, count), weights)),
            _field(5, _tensor("biases", (count,), biases)),
            _field(11, _value("input", (1, side, side, 3))),
            _field(12, _value("output", (1, count))),
        )
    )
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))
    (folder / "model.onnx").write_bytes(model)
    rows = [f"{number},{name},{category},100" for number, (name, category, _) in enumerate(tags[:outputs])]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *rows]) + "\n")
    return folder
