"""Any nested state, such as an optimizer's ``state_dict``, as tensors by name and one JSON text, and back exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_TENSOR, _TUPLE, _PAIRS = "$tensor", "$tuple", "$pairs"


def flatten(tree: object) -> tuple[dict[str, Tensor], str]:
    """The tensors of ``tree``, copied to the CPU, by a path such as ``optimizer.state.3.exp_avg``; the rest as JSON.

    ``tree`` may hold dicts (keys of text or numbers), lists, tuples, tensors, numbers, texts, booleans and None.
    Raises TypeError for anything else: what can't be written down can't be resumed.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, json.dumps(_down(tree, "", tensors))


def restore_tree(tensors: Mapping[str, Tensor], text: str) -> Any:
    """What :func:`flatten` was given. Raises ValueError or KeyError for what it can't have written."""
    return _up(json.loads(text), tensors)


def _down(value: object, path: str, tensors: dict[str, Tensor]) -> object:
    if isinstance(value, Tensor):
        # A copy of its own: the format refuses tensors that share memory.
        tensors[path] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        below = [(key, _down(each, f"{path}.{key}" if path else str(key), tensors)) for key, each in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in below):
            return dict(below)
        # JSON would make texts of numbers.
        return {_PAIRS: [[_plain(key, path), each] for key, each in below]}
    if isinstance(value, list | tuple):
        items = [_down(each, f"{path}.{i}", tensors) for i, each in enumerate(value)]
        return {_TUPLE: items} if isinstance(value, tuple) else items
    return _plain(value, path)


def _plain(value: object, path: str) -> object:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{path} is a {type(value).__name__}, which a checkpoint cannot hold")


def _up(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_up(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(_up(each, tensors) for each in value[_TUPLE])
    if _PAIRS in value:
        return {key: _up(each, tensors) for key, each in value[_PAIRS]}
    return {key: _up(each, tensors) for key, each in value.items()}
