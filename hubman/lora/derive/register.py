"""A derived file becomes a model of the library, with what its parents say of triggers, bases and permissions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from registry import library, licence
from registry.database import Registry
from registry.scan import index_file

Origin = Literal["merged", "resized", "extracted", "converted"]


def register(registry: Registry, path: Path, origin: Origin, parents: Sequence[str]) -> str:
    """Index the file at ``path``, which was made of the versions ``parents``; returns its version's id.

    Its permissions are the strictest that any parent has. Doing it again changes nothing.
    """
    version = index_file(registry, path)
    row = library.version(registry, version)
    known = [library.version(registry, parent) for parent in parents]
    models = {one.model_id: library.show(registry, one.model_id) for one in known}
    if origin == "merged":
        # The ratios are in the file.
        library.set_facts(registry, version, "training", {"strength": 1.0})
    facts: dict[str, object] = {"name": path.stem, "origin": origin}
    allowed = licence.strictest(
        [model.permissions for model in models.values() if model.origin != "trained" or model.permissions]
    )
    if allowed:
        facts["permissions"] = allowed
    library.set_facts(registry, row.model_id, "training", facts)
    bases = {one.base_model for one in known if one.base_model}
    if len(bases) == 1:
        library.set_facts(registry, version, "training", {"base_model": bases.pop()})
    words = [word for one in known for word in one.trigger_words]
    if words:
        library.update_set(registry, version, "trigger_words", add=list(dict.fromkeys(words)))
    return version
