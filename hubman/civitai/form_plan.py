"""From the publish form to what is sent: decided before the first byte goes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubman.civitai import image_meta, markdown
from hubman.civitai.form import FormPicture, PublishForm, VersionPart
from hubman.civitai.planned import Picture, Plan, PlannedFile, PlannedVersion

FP = {
    "fp16": "fp16", "bf16": "bf16", "fp32": "fp32", "F16": "fp16", "BF16": "bf16", "F32": "fp32", "F8_E4M3": "fp8",
    "F8_E5M2": "fp8",
}  # fmt: skip
"""Civitai's name of a precision by the header's."""


_EDGES = re.compile(r"^[\s\ufeff]+|[\s\ufeff]+$")


def plan(
    form: PublishForm,
    *,
    site: str = "",
    civitai_model_id: int = 0,
    extra: Mapping[str, PlannedFile] | None = None,
    absent: Mapping[str, tuple[str, ...]] | None = None,
) -> Plan:
    """Compose what will be sent from a checked form. By version, ``extra`` are the packed training data, and ``absent``
    the pictures of it that can't be sent.
    """
    return Plan(
        site=site,
        model=model_fields(form),
        versions=tuple(
            _version(form, part, extra or {}, (absent or {}).get(part.version_id, ())) for part in form.parts
        ),
        civitai_model_id=form.civitai_model_id or civitai_model_id,
        published_at=form.published_at or "",
        form=form,
    )


def model_fields(form: PublishForm) -> dict[str, Any]:
    """The input of ``model.upsert`` for a new model."""
    fields: dict[str, Any] = {
        "name": trimmed(form.name),
        "type": form.type,
        "uploadType": "Created",
        "status": "Draft",
        "description": markdown.to_html(form.description) or None,
        "tagsOnModels": [{"name": tag} for tag in tags(form)],
        "nsfw": bool(form.nsfw),
        "poi": bool(form.poi),
        "minor": bool(form.minor),
        "sfwOnly": bool(form.sfw_only),
        "allowNoCredit": form.permissions.allow_no_credit,
        "allowDerivatives": form.permissions.allow_derivatives,
        "allowDifferentLicense": form.permissions.allow_different_license,
        "allowCommercialUse": expand_uses(form.permissions.commercial_use),
    }
    return {**fields, "checkpointType": "Trained"} if form.type == "Checkpoint" else fields


def tags(form: PublishForm) -> list[str]:
    """The category first, then the other tags; trimmed and lower-case, as the site keeps them."""
    every = [form.category, *form.tags]
    return list(dict.fromkeys(name for tag in every if (name := " ".join(trimmed(tag).split()).lower())))


def trimmed(text: str) -> str:
    """As the site trims: a byte order mark is white space there."""
    return _EDGES.sub("", text)


def expand_uses(uses: tuple[str, ...]) -> list[str]:
    """With what each use implies, as the site's form does: selling implies renting out, that implies Civitai's renting."""
    implied = {"Sell": ("Image", "RentCivit", "Rent", "Sell"), "Rent": ("RentCivit", "Rent")}
    wide = {use for name in uses for use in implied.get(name, (name,))}
    return [use for use in ("Image", "RentCivit", "Rent", "Sell") if use in wide]


def version_fields(form: PublishForm, part: VersionPart) -> dict[str, Any]:
    """The input of ``modelVersion.upsert`` for a new version, but for ``modelId``."""
    fields: dict[str, Any] = {
        "name": trimmed(part.name),
        "baseModel": part.base_model,
        "baseModelType": "Standard",
        "status": "Draft",
        "description": markdown.to_html(part.description) or None,
        "trainedWords": list(part.trained_words),
        # What the site defaults to is another thing than what its form sends.
        "requireAuth": True,
        "usageControl": "Download",
        "uploadType": "Created",
    }
    numbers = {"steps": part.steps, "epochs": part.epochs, "clipSkip": part.clip_skip}
    fields |= {name: value for name, value in numbers.items() if value is not None}
    strengths = {"strength": part.strength, "minStrength": part.strength_min, "maxStrength": part.strength_max}
    if known := {name: value for name, value in strengths.items() if value is not None}:
        fields["settings"] = known
    if form.early_access_price:
        terms = {"download": {"price": form.early_access_price}}
        fields["paidAccess"] = {"terms": terms, "timeframeDays": form.early_access_days}
    return fields


def _version(
    form: PublishForm, part: VersionPart, extra: Mapping[str, PlannedFile], absent: tuple[str, ...]
) -> PlannedVersion:
    file = part.file
    told = {"format": "SafeTensor", "size": "full", "fp": FP.get(file.dtype)}
    weights = PlannedFile(
        path=file.path,
        name=file.name,
        sha256=file.sha256,
        size=file.size,
        metadata={name: value for name, value in told.items() if value},
    )
    attached = (extra[part.version_id],) if part.version_id in extra else ()
    return PlannedVersion(
        version_id=part.version_id,
        fields=version_fields(form, part),
        files=(weights, *attached),
        post_title=f"{trimmed(form.name)} - {trimmed(part.name)} Showcase",
        pictures=tuple(_picture(part, picture) for picture in part.pictures),
        absent=absent,
    )


def _picture(part: VersionPart, picture: FormPicture) -> Picture:
    composed = image_meta.compose(
        picture.generation, image_meta.own(part), path=Path(picture.path), links=picture.links
    )
    return Picture(
        sha256=picture.sha256,
        name=picture.name,
        width=picture.width,
        height=picture.height,
        strength=composed.strength,
        meta=composed.meta,
    )
