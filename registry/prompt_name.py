"""What a prompt calls a LoRA: the NAME of ``<lora:NAME:0.8>``, and the version that such a name means.

Other programs find a LoRA by its file's name without suffix, so that is the name of a version; an alias belongs to the
whole model, and stands for its newest version only where a person said it.
"""

from __future__ import annotations

from pathlib import PurePath

from registry import library
from registry.database import Registry
from registry.records import ModelDetail, VersionRow


def is_alias(model: ModelDetail, version: VersionRow) -> bool:
    """Whether the version goes by an alias that a person gave the model."""
    is_newest = bool(model.versions) and model.versions[0].id == version.id
    return is_newest and bool(model.alias) and model.sources.get("alias") == "user"


def of(model: ModelDetail, version: VersionRow) -> str:
    """The name of a version in prompts; never empty for a model that has one."""
    if is_alias(model, version):
        return model.alias
    return _stem(version) or model.alias or model.name


def _stem(version: VersionRow) -> str:
    """Of a file that lies on this machine now, else of what its file is called elsewhere."""
    places = [place for file in version.files for place in file.places]
    here = [place.path for place in places if place.state == "present"]
    return next((PurePath(name).stem for name in [*here, *(file.name for file in version.files)]), "")


_CALLED = """
SELECT v.model_id, v.id FROM places p JOIN files f ON f.sha256 = p.sha256 JOIN versions v ON v.id = f.version_id
WHERE p.state = 'present' AND instr(p.path, '/' || :name || '.') > 0
UNION SELECT id, version_id FROM models WHERE alias = :name
"""


def called(registry: Registry, name: str) -> list[tuple[str, str]]:
    """(model id, version id) of each that :func:`of` calls ``name``: several where files in two folders are called so."""
    rows = [(row[0], row[1]) for row in registry.db.execute(_CALLED, {"name": name})]
    return [
        (model, version)
        for model, version in rows
        if of(library.show(registry, model), library.version(registry, version)) == name
    ]


def find(registry: Registry, name: str) -> tuple[str, str]:
    """(model id, version id) of what :func:`of` calls ``name``, else of what :func:`registry.library.resolve` finds.

    Raises :class:`NotFoundError` when nothing fits and :class:`UsageError` when several models do.
    """
    found = called(registry, name)
    return found[0] if len(found) == 1 else library.resolve(registry, name)
