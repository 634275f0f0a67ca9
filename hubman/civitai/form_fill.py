"""The publish form as far as it can be filled in from what is known, each field with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import msgspec

from hubman.civitai import (
    categories,
    describe,
    form_base,
    form_defaults,
    form_edit,
    form_last,
    form_training,
    image_meta,
)
from hubman.civitai.form import GUESS, TEMPLATE, YOU, FormFile, FormPicture, PublishForm, VersionPart
from registry import here, library, lineage, previews, prompt_name, scan
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from registry.fields import SOURCES
from registry.records import FileRow, ModelDetail, Preview, VersionRow

TYPES = {
    "dora": "DoRA", "locon": "LoCon", "loha": "LoCon", "lokr": "LoCon", "glora": "LoCon", "oft": "LoCon", "boft": "LoCon",
    "ia3": "LoCon", "full": "LoCon", "norm": "LoCon",
}  # fmt: skip
"""Civitai's type by network type: ``LoCon`` is everything of LyCORIS. Every other adapter is ``LORA``."""

_KINDS = {
    "checkpoint": "Checkpoint", "embedding": "TextualInversion", "vae": "VAE", "controlnet": "Controlnet",
    "t2i-adapter": "Controlnet", "upscaler": "Upscaler", "text-encoder": "TextEncoder", "image-encoder": "CLIPVision",
    "motion": "MotionModule",
}  # fmt: skip
_SAID = {"user": "library", "guess": GUESS}
"""How the registry's sources are called in a form; the others keep their names."""


def filled(registry: Registry, version_ids: Sequence[str], *, name: str = "") -> PublishForm:
    """One model with these versions, in this order, under the first one's name unless another is given.

    What was typed into an earlier form of the same publication is in it again. Raises :class:`HubError` for an unknown
    version, or one whose file is not on this machine.
    """
    if not version_ids:
        raise UsageError("nothing is chosen to be published", "name a model")
    versions = [library.version(registry, scan.hashed(registry, one)) for one in dict.fromkeys(version_ids)]
    models = [library.show(registry, version.model_id) for version in versions]
    parts = [_part(registry, model, version) for model, version in zip(models, versions, strict=True)]
    form = _model(registry, models[0], _distinct(parts))
    if name:
        form = msgspec.structs.replace(form, name=name, sources={**form.sources, "name": YOU})
    return form_edit.refreshed(form_last.as_last_time(registry, form))


def _model(registry: Registry, model: ModelDetail, parts: list[VersionPart]) -> PublishForm:
    permissions, said = form_defaults.permissions(registry.home, model, [part.base_model for part in parts])
    category, tags = categories.split(model.tags)
    network = parts[0].file.network_type.lower()
    return PublishForm(
        model_id=model.id,
        name=model.name.strip(),
        parts=tuple(parts),
        type=_KINDS.get(model.kind, TYPES.get(network, "LORA")),
        kind=model.kind,
        category=category,
        tags=tags,
        template=describe.template(registry.home),
        words=model.description or "",
        permissions=permissions,
        creator=model.creator or "",
        origin=model.origin,
        sources={
            "name": _source(model.sources, "name"),
            "type": "file",
            "category": "library" if category else "",
            "tags": "library" if tags else "",
            "description": TEMPLATE,
            **dict.fromkeys(form_defaults.NAMES, said),
        },
    )


def _part(registry: Registry, model: ModelDetail, version: VersionRow) -> VersionPart:
    file, path = file_here(version)
    told, said = _base(version, file)
    run, past = library.run_of(registry, version.id), lineage.of(registry, version)
    training, from_training = form_training.settings(run, file)
    shown = _pictures(registry, version)
    words = tuple(dict.fromkeys(word.strip() for word in version.trigger_words if word.strip()))
    known: dict[str, Any] = {
        "strength": version.strength,
        "strength_min": version.strength_min,
        "strength_max": version.strength_max,
    }
    return VersionPart(
        version_id=version.id,
        name=version.name.strip(),
        file=_form_file(file, path),
        base_model=told,
        description=version.changelog or "",
        trained_words=words,
        pictures=shown,
        offered=shown,
        dataset=past.dataset_path,
        base_path=past.base_path,
        prompt_name=prompt_name.of(model, version),
        facts=form_training.facts(run, file),
        **known,
        **training,
        sources={
            **{name: _source(version.sources, name) for name, value in known.items() if value is not None},
            "version_name": _source(version.sources, "version_name", "name") or "library",
            "version_description": "library" if version.changelog else "",
            "base_model": said,
            "trained_words": "library" if words else "",
            "pictures": "library" if shown else "",
            **from_training,
        },
    )


def _source(sources: Mapping[str, str], *names: str) -> str:
    said = next((sources[name] for name in names if name in sources), "")
    return _SAID.get(said, said)


def _base(version: VersionRow, file: FileRow) -> tuple[str, str]:
    """(name, source): one that is a guess, or that is no name of Civitai's, has the source ``guess``."""
    source = version.sources.get("base_model", "guess" if version.base_model else "")
    told = version.base_model or ""
    base = form_base.of(told, source, file.architecture or version.architecture or "", file.metadata)
    if base.is_sure:
        return base.name, _SAID.get(source, source) if told else "architecture"
    return base.name or told, GUESS


def file_here(version: VersionRow) -> tuple[FileRow, Path]:
    """The version's file and where it lies on this machine. Raises :class:`NotFoundError`."""
    if found := here.file_of(version):
        return found
    name = version.files[0].name if version.files else version.id
    raise NotFoundError(
        f"{name} is not on this machine",
        "hubman fetch brings it here from a remote; or plug in the drive that it is on",
    )


def _form_file(file: FileRow, path: Path) -> FormFile:
    return FormFile(
        path=str(path),
        name=PurePath(file.name).name,
        sha256=file.sha256,
        size=file.size,
        autov3=file.autov3 or "",
        dtype=file.dtype or "",
        network_type=file.network_type or "",
        architecture=file.architecture or "",
    )


def _pictures(registry: Registry, version: VersionRow) -> tuple[FormPicture, ...]:
    """One's own pictures, in the library's order: those that came from Civitai are other people's."""
    return tuple(_picture(registry, preview) for preview in version.previews if preview.source != "civitai")


def _picture(registry: Registry, preview: Preview) -> FormPicture:
    try:
        path = str(previews.blob_path(registry, preview.sha256))
    except NotFoundError:
        path = ""
    return FormPicture(
        sha256=preview.sha256,
        name=PurePath(preview.name).name,
        path=path,
        width=preview.width,
        height=preview.height,
        nsfw_level=preview.nsfw_level,
        generation=preview.generation,
        links=_links(registry, preview.generation),
    )


_ON_SITE = """
SELECT v.civitai_id FROM files f JOIN versions v ON v.id = f.version_id
WHERE f.sha256 >= ?1 AND f.sha256 < ?1 || 'g' AND v.civitai_id IS NOT NULL
"""


def _links(registry: Registry, generation: Mapping[str, Any]) -> dict[str, int]:
    rows = {digest: registry.db.execute(_ON_SITE, (digest,)).fetchone() for digest in image_meta.hashes(generation)}
    return {digest: int(row[0]) for digest, row in rows.items() if row}


def _distinct(parts: list[VersionPart]) -> list[VersionPart]:
    """Every version with a name of its own: its own, else its file's; the only one without a name is ``v1.0``."""
    if len(parts) == 1:
        return [parts[0] if parts[0].name else msgspec.structs.replace(parts[0], name="v1.0", sources=_named(parts[0]))]
    names = [part.name for part in parts]
    if all(names) and len(set(names)) == len(names):
        return parts
    return [
        msgspec.structs.replace(part, name=PurePath(part.file.name).stem, sources={**part.sources, "version_name": "file"})
        for part in parts
    ]  # fmt: skip


def _named(part: VersionPart) -> dict[str, str]:
    return {**part.sources, "version_name": "default"}


assert set(_SAID) <= set(SOURCES)  # noqa: S101 - two tables that must agree
