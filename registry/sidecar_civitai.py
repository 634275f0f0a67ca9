"""Civitai's own objects, which half of all sidecars hold: a version, and a whole model with its versions."""

from __future__ import annotations

from typing import Any

from registry import sidecar_values as values
from registry.sidecar_record import ALONE, Beside, Sidecar
from registry.sidecar_values import Document

_NO_DEADLINE = "9999-12-31T00:00:00.000Z"
_X = 8
_WHOLE_MODEL = (
    "name", "type", "creator", "tags", "description", "nsfw", "nsfwLevel", "allowNoCredit", "allowCommercialUse",
    "allowDerivatives", "allowDifferentLicense",
)  # fmt: skip


def civitai_version(doc: Document, _beside: Beside = ALONE) -> Sidecar:
    """``STEM.civitai.info``: a version as Civitai's API returns it, with what Civitai Helper's fork adds."""
    if not values.number(doc.get("id")):
        # The writer's note that Civitai does not know the file.
        return Sidecar(is_unknown_upstream=True)
    model = values.mapping(doc.get("model"))
    return Sidecar(
        version=values.said(
            version_name=values.name(doc.get("name")),
            base_model=values.base(doc.get("baseModel")),
            civitai_version_id=values.number(doc.get("id")),
            early_until=_early_until(doc),
        ),
        model=values.said(
            name=values.name(model.get("name")),
            kind=values.kind(model.get("type")),
            creator=values.name(values.mapping(model.get("creator") or doc.get("creator")).get("username")),
            civitai_model_id=values.number(doc.get("modelId")),
            nsfw_level=_level(model, doc),
            permissions=values.permissions(model),
            upstream_deleted=True if model.get("mode") == "TakenDown" else None,
        ),
        trigger_words=values.words(doc.get("trainedWords")),
        tags=values.words(model.get("tags")),
        description=values.prose(model.get("description")),
        changelog=values.prose(doc.get("description")),
        unplaced=values.filled(doc, "images"),
        hashes=_hashes(doc),
    )


def civitai_model(doc: Document, beside: Beside = ALONE) -> Sidecar:
    """A whole model of Civitai. Which of its versions the file is, its hash tells, or its name, or that there is one."""
    version = _version_of(doc, beside)
    parent = {key: doc.get(key) for key in _WHOLE_MODEL} | {"mode": doc.get("mode")}
    if version is not None:
        return civitai_version({**version, "modelId": doc.get("id"), "model": parent})
    bare = civitai_version({"id": 1, "modelId": doc.get("id"), "model": parent})
    return Sidecar(model=bare.model, tags=bare.tags, description=bare.description)


def names_file(doc: Document, beside: Beside) -> bool:
    """Whether a whole model of Civitai has the model file among its versions' files, by hash or by name."""
    return any(_has_file(version, beside) for version in values.items(doc.get("modelVersions")))


def _version_of(doc: Document, beside: Beside) -> Document | None:
    versions = [version for version in values.items(doc.get("modelVersions")) if isinstance(version, dict)]
    if beside.sha256:
        for version in versions:
            if beside.sha256 in _hashes(version):
                return version
    if beside.ids:
        return next((version for version in versions if values.number(version.get("id")) == beside.ids[1]), None)
    named = [version for version in versions if _has_file(version, beside)]
    if len(named) == 1:
        return named[0]
    return versions[0] if len(versions) == 1 else None


def _has_file(version: object, beside: Beside) -> bool:
    doc = values.mapping(version)
    if beside.sha256 and beside.sha256 in _hashes(doc):
        return True
    names = (values.mapping(file).get("name") for file in values.items(doc.get("files")))
    # Some programs put the version's number before the file's name.
    own = {beside.model, beside.model.removeprefix(f"{doc.get('id')}_")}
    return any(isinstance(name, str) and name in own for name in names)


def _level(model: Document, version: Document) -> int | None:
    """How explicit it is; of a plain "nsfw" the worse is assumed, since a picture shown by mistake can't be taken back."""
    told = values.level(model.get("nsfwLevel")) or values.level(version.get("nsfwLevel"))
    return told or (_X if model.get("nsfw") is True else None)


def _early_until(doc: Document) -> str | None:
    if values.mapping(doc.get("paidAccess")).get("permanent") is True:
        return _NO_DEADLINE
    ends = doc.get("earlyAccessEndsAt") or values.mapping(doc.get("earlyAccessConfig")).get("endsAt")
    return values.moment(ends) or (_NO_DEADLINE if doc.get("availability") == "EarlyAccess" else None)


def _hashes(doc: Document) -> frozenset[str]:
    found: list[Any] = [values.mapping(file).get("hashes") for file in values.items(doc.get("files"))]
    return values.sha256s(*(values.mapping(hashes).get("SHA256") for hashes in found))
