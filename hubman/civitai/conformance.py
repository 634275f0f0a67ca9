"""Whether what is about to be sent is what Civitai's own schemas take: asked before the first byte, not by a refusal."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hubman.civitai import contract
from hubman.civitai.planned import Plan, PlannedVersion

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

_SOME_ID, _SOME_KEY = 1, "00000000-0000-0000-0000-000000000000"
"""What the site will give stands in for by these."""


def problems(plan: Plan) -> Iterator[tuple[str, str]]:
    """(call, what is wrong with its input) for everything that the plan will send."""
    yield from _of("model.upsert", plan.model)
    for version in plan.versions:
        yield from _of_version(version)


def _of_version(version: PlannedVersion) -> Iterator[tuple[str, str]]:
    yield from _of("modelVersion.upsert", {**version.fields, "modelId": _SOME_ID})
    for file in version.files:
        fields = {"name": file.name, "url": "https://example.org/file", "sizeKB": file.size / 1024, "type": file.kind,
                  "modelVersionId": _SOME_ID, "visibility": file.visibility, "metadata": file.metadata}  # fmt: skip
        yield from _of("modelFile.create", fields)
    yield from _of("post.create", {"modelVersionId": _SOME_ID, "title": version.post_title})
    for picture in version.pictures:
        fields = {"postId": _SOME_ID, "url": _SOME_KEY, "name": picture.name, "width": picture.width,
                  "height": picture.height, "meta": picture.meta or None}  # fmt: skip
        yield from _of("post.addImage", fields)


def _of(call: str, value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for error in _validator(call).iter_errors(value):
        where = ".".join(str(step) for step in error.absolute_path) or "the input"
        yield call, f"{where}: {error.message[:160]}"


@functools.cache
def _validator(call: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    found = contract.endpoint(call)
    return Draft202012Validator(found.input_schema if found else {})
