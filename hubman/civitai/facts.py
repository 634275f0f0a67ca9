"""Writing what Civitai says of a version into the registry, without ever touching what a person said."""

from __future__ import annotations

from typing import Any

from hubman.civitai.html_text import to_text
from hubman.civitai.records import RemoteModel, RemoteVersion
from registry import fields, ids, library, projection
from registry.database import Registry

_KINDS = {
    "LORA": "lora", "LoCon": "lora", "DoRA": "lora", "Checkpoint": "checkpoint", "TextualInversion": "embedding",
    "VAE": "vae", "Controlnet": "controlnet",
}  # fmt: skip


def record(registry: Registry, version_id: str, model: RemoteModel, version: RemoteVersion) -> str:
    """Say what Civitai says of a version and of its model; returns the model's id.

    Facts are refreshed each time, under the source ``civitai``. Tags, trigger words and texts have no source, so they
    are only filled in the first time: what a person removed doesn't come back.
    """
    with registry.transaction():
        before = library.version(registry, version_id)
        is_new = before.civitai_id != version.id
        model_id = ids.civitai_model_id(model.id)
        library.set_facts(registry, version_id, "civitai", {**_version_facts(version), "model": model_id})
        shown = library.version(registry, version_id).model_id
        if shown != before.model_id:
            _carry_over(registry, before.model_id, shown)
        library.set_facts(registry, shown, "civitai", _model_facts(model))
        if is_new:
            _fill(registry, version_id, shown, model, version)
    return shown


def _version_facts(version: RemoteVersion) -> dict[str, Any]:
    strengths = {
        ours: version.settings.get(theirs)
        for ours, theirs in (("strength", "strength"), ("strength_min", "minStrength"), ("strength_max", "maxStrength"))
    }
    said = {name: float(value) for name, value in strengths.items() if isinstance(value, (int, float))}
    return {
        "version_name": version.name or None,
        "base_model": version.base_model or None,
        "civitai_version_id": version.id,
        "early_until": _early_until(version),
        **said,
    }


_NO_DEADLINE = "9999-12-31T00:00:00.000Z"


def _early_until(version: RemoteVersion) -> str | None:
    """When the version stops being early access, None if it is none."""
    if version.early_access_deadline:
        return version.early_access_deadline
    return _NO_DEADLINE if version.availability == "EarlyAccess" else None


def _model_facts(model: RemoteModel) -> dict[str, Any]:
    return {
        "name": model.name or None,
        "kind": _KINDS.get(model.type, "other") if model.type else None,
        "creator": model.creator or None,
        "origin": "civitai",
        "civitai_model_id": model.id,
        "nsfw_level": model.nsfw_level,
        "upstream_deleted": False,
        "newest_upstream": newest_id(model),
        "permissions": {
            "allowNoCredit": model.allow_no_credit,
            "allowCommercialUse": list(model.allow_commercial_use),
            "allowDerivatives": model.allow_derivatives,
            "allowDifferentLicense": model.allow_different_license,
        },
    }


def newest_id(model: RemoteModel) -> int | None:
    """The number of the version that a model's page shows first."""
    return model.versions[0].id if model.versions else None


def _fill(registry: Registry, version_id: str, model_id: str, model: RemoteModel, version: RemoteVersion) -> None:
    words = [word.strip().rstrip(",").strip() for word in version.trained_words]
    library.update_set(registry, version_id, "trigger_words", add=[word for word in words if word])
    library.update_set(registry, model_id, "tags", add=[tag.strip().lower() for tag in model.tags if tag.strip()])
    for item, field, html in (
        (model_id, "description", model.description),
        (version_id, "changelog", version.description),
    ):
        if html and not projection.text_of(registry.db, item, field):
            library.write_text(registry, item, field, to_text(html))


def _carry_over(registry: Registry, old: str, new: str) -> None:
    """What a person said of a file's model before Civitai named it, said of the model that it now belongs to."""
    facts = registry.db.execute("SELECT field FROM facts WHERE item = ? AND source = 'user'", (old,)).fetchall()
    known = projection.best_facts(registry.db, new)
    said = projection.best_facts(registry.db, old)
    moved = {
        field: said[field][0]
        for (field,) in facts
        if field in said and said[field][1] == "user" and known.get(field, (None, ""))[1] != "user"
    }
    library.set_facts(registry, new, "user", {k: v for k, v in moved.items() if _of_model(k)})
    library.update_set(registry, new, "tags", add=projection.members(registry.db, old, "tags"))
    for field in ("notes", "description"):
        text = projection.text_of(registry.db, old, field)
        if text and not projection.text_of(registry.db, new, field):
            library.write_text(registry, new, field, text)


def _of_model(field: str) -> bool:
    known = fields.FIELDS.get(field)
    return known is not None and known.of == "model"
