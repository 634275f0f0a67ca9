"""What will be sent: a publication's whole content, decided before the first byte goes out."""

from __future__ import annotations

from typing import Any

import msgspec

from hubman.civitai import describe, image_meta
from hubman.civitai.preflight_old import Material
from registry.records import Preview, RunRow

_FP = {
    "fp16": "fp16",
    "bf16": "bf16",
    "fp32": "fp32",
    "F16": "fp16",
    "BF16": "bf16",
    "F32": "fp32",
    "F8_E4M3": "fp8",
    "F8_E5M2": "fp8",
}
MODEL_TYPES = {"dora": "DoRA", "locon": "LoCon", "loha": "LoCon", "lokr": "LoCon", "glora": "LoCon"}
"""Civitai's type by network type; every other adapter is ``LORA``."""


class PublishOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A person's choices. Empty texts and ``None`` mean: what the library knows."""

    draft: bool = False
    dry_run: bool = False
    name: str = ""
    version_name: str = ""
    base_model: str = ""
    category: str = ""
    description: str = ""
    nsfw: bool = False
    poi: bool = False
    """It depicts a real person."""
    minor: bool = False
    sfw_only: bool = False
    no_trigger_words: bool = False
    """It works without any."""
    civitai_model_id: int = 0
    """Add a version to this model of yours instead of making a new one."""
    allow_no_credit: bool | None = None
    allow_derivatives: bool | None = None
    allow_different_license: bool | None = None
    commercial_use: tuple[str, ...] | None = None
    """Of ``Image``, ``RentCivit``, ``Rent``, ``Sell``; an empty one allows nothing."""
    pictures: tuple[str, ...] = ()
    """SHA-256 of the previews to show, in order; empty: those that the version shows."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One picture to show. ``sha256`` names it in the blob store."""

    sha256: str
    name: str
    width: int
    height: int
    strength: float | None
    meta: dict[str, Any]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the site is told, but for the ids that it gives."""

    site: str
    path: str
    file_name: str
    sha256: str
    size: int
    model: dict[str, Any]
    version: dict[str, Any]
    file_metadata: dict[str, Any]
    post_title: str
    pictures: tuple[Picture, ...]
    civitai_model_id: int = 0
    """The model to add a version to; 0 makes a new one."""


def make(material: Material, options: PublishOptions, *, site: str, civitai_model_id: int) -> Plan:
    """Compose what will be sent from checked ``material``."""
    version, file = material.version, material.file
    name = (options.name or material.model.name).strip()
    version_name = (options.version_name or version.name or "v1.0").strip()
    return Plan(
        site=site,
        path=str(material.path),
        file_name=file.name,
        sha256=file.sha256,
        size=file.size,
        model=_model_fields(material, options, name),
        version=_version_fields(material, version_name),
        file_metadata={"format": "SafeTensor", "size": "full", "fp": _FP.get(file.dtype or "")},
        post_title=f"{name} - {version_name} Showcase",
        pictures=tuple(_picture(material, preview) for preview in material.pictures),
        civitai_model_id=civitai_model_id,
    )


def _model_fields(material: Material, options: PublishOptions, name: str) -> dict[str, Any]:
    category = material.category
    others = [tag for tag in material.model.tags if tag != category and tag not in material.categories]
    return {
        "name": name,
        "type": MODEL_TYPES.get((material.file.network_type or "").lower(), "LORA"),
        "uploadType": "Created",
        "status": "Draft",
        "description": describe.model_html(material, options.description),
        "tagsOnModels": [{"name": tag} for tag in [category, *others]],
        "nsfw": options.nsfw,
        "poi": options.poi,
        "minor": options.minor,
        "sfwOnly": options.sfw_only,
        **_permissions(material, options),
    }


def _permissions(material: Material, options: PublishOptions) -> dict[str, Any]:
    """A choice of now, else what the library holds of the model, else the defaults of Civitai's own form."""
    known = material.model.permissions
    chosen = {
        "allowNoCredit": options.allow_no_credit,
        "allowDerivatives": options.allow_derivatives,
        "allowDifferentLicense": options.allow_different_license,
    }
    answers: dict[str, Any] = {
        name: bool(known.get(name, True)) if value is None else value for name, value in chosen.items()
    }
    uses = options.commercial_use
    if uses is None:
        uses = tuple(known.get("allowCommercialUse", ("Sell",)))
    return {**answers, "allowCommercialUse": expand_uses(uses)}


def expand_uses(uses: tuple[str, ...]) -> list[str]:
    """With what each use implies, as the site's form does: selling implies renting out, that implies Civitai's renting."""
    implied = {"Sell": ("Image", "RentCivit", "Rent", "Sell"), "Rent": ("RentCivit", "Rent")}
    wide = {use for name in uses for use in implied.get(name, (name,))}
    return [use for use in ("Image", "RentCivit", "Rent", "Sell") if use in wide]


def _version_fields(material: Material, name: str) -> dict[str, Any]:
    version, run = material.version, material.run
    fields: dict[str, Any] = {
        "name": name,
        "baseModel": material.base_model,
        "baseModelType": "Standard",
        "status": "Draft",
        "description": describe.version_html(material),
        "trainedWords": list(version.trigger_words),
        "requireAuth": True,
        "usageControl": "Download",
        "uploadType": "Created",
        **(_training_fields(run) if run else {}),
    }
    strengths = {"strength": version.strength, "minStrength": version.strength_min, "maxStrength": version.strength_max}
    if known := {key: value for key, value in strengths.items() if value is not None}:
        fields["settings"] = known
    return fields


def _training_fields(run: RunRow) -> dict[str, Any]:
    recipe = run.recipe
    fields: dict[str, Any] = {"steps": max(0, run.steps)}
    if isinstance(recipe.get("epochs"), int) and 0 <= recipe["epochs"] <= 100_000:
        fields["epochs"] = recipe["epochs"]
    if isinstance(recipe.get("clip_skip"), int) and 1 <= recipe["clip_skip"] <= 12:
        fields["clipSkip"] = recipe["clip_skip"]
    return fields


def _picture(material: Material, preview: Preview) -> Picture:
    composed = image_meta.compose(
        preview.generation, image_meta.own_of(material), path=material.picture_paths[preview.sha256]
    )
    return Picture(
        sha256=preview.sha256,
        name=preview.name,
        width=preview.width,
        height=preview.height,
        strength=composed.strength,
        meta=composed.meta,
    )
