"""Writing what Civitai says of a version into the registry, without ever touching what a person said."""

from __future__ import annotations

from typing import Any

from hubman.civitai.html_text import to_text
from hubman.civitai.records import RemoteModel, RemoteVersion
from registry import ids, journal, library, projection
from registry.database import Registry

_KINDS = {
    "LORA": "lora", "LoCon": "lora", "DoRA": "lora", "Checkpoint": "checkpoint", "TextualInversion": "embedding",
    "VAE": "vae", "Controlnet": "controlnet",
}  # fmt: skip


def record(
    registry: Registry, version_id: str, model: RemoteModel, version: RemoteVersion, *, is_rehearsal: bool
) -> str:
    """Say what Civitai says of a version and of its model; returns the model's id.

    Facts are refreshed each time, under the source ``civitai``; what the site leaves out this time stays. Tags, trigger
    words and texts have no source, so they are only filled in the first time, words and texts never where a person
    edited them: what he removed doesn't come back. The numbers of a rehearsal, which mean other things on the real site, are left
    out.
    """
    with registry.transaction():
        before = library.version(registry, version_id)
        of_version, of_model = _version_facts(version), _model_facts(model)
        if is_rehearsal:
            is_new = "civitai" not in before.sources.values()
        else:
            # A sidecar may have told the number; the site itself was not asked before.
            is_new = (before.civitai_id, before.sources.get("civitai_version_id")) != (version.id, "civitai")
            of_version |= {"civitai_version_id": version.id, "model": ids.civitai_model_id(model.id)}
            of_model |= {"civitai_model_id": model.id, "newest_upstream": newest_id(model)}
        library.set_facts(registry, version_id, "civitai", of_version)
        shown = library.version(registry, version_id).model_id
        library.set_facts(registry, shown, "civitai", of_model)
        if is_new:
            _fill(registry, version_id, shown, model, version)
    return shown


def _version_facts(version: RemoteVersion) -> dict[str, Any]:
    strengths = {
        ours: version.settings.get(theirs)
        for ours, theirs in (("strength", "strength"), ("strength_min", "minStrength"), ("strength_max", "maxStrength"))
    }
    said = {name: float(value) for name, value in strengths.items() if isinstance(value, (int, float))}
    told = _told({"version_name": version.name, "base_model": version.base_model})
    return {**told, **said, "early_until": early_until(version)}


def _told(values: dict[str, Any]) -> dict[str, Any]:
    """Those that say something: a page that was taken down, or whose creator left, must not empty what is known."""
    return {name: value for name, value in values.items() if value not in (None, "", 0)}


_NO_DEADLINE = "9999-12-31T00:00:00.000Z"


def early_until(version: RemoteVersion) -> str | None:
    """When the version stops being early access, None if it is none."""
    if version.early_access_deadline:
        return version.early_access_deadline
    if version.paid_access is not None and version.paid_access.ends_at and not version.paid_access.permanent:
        return version.paid_access.ends_at
    return _NO_DEADLINE if version.availability == "EarlyAccess" else None


def _model_facts(model: RemoteModel) -> dict[str, Any]:
    told = {
        "name": model.name,
        "kind": _KINDS.get(model.type, "other") if model.type else None,
        "creator": model.creator,
        "nsfw_level": model.nsfw_level,
        "permissions": permissions(model),
    }
    return {**_told(told), "origin": "civitai", "upstream_deleted": False, "upstream_mode": model.mode or None}


def permissions(model: RemoteModel) -> dict[str, Any] | None:
    """What the site tells of the licence. What it leaves out is unknown, but for an empty list of uses."""
    flags = {
        "allowNoCredit": model.allow_no_credit,
        "allowDerivatives": model.allow_derivatives,
        "allowDifferentLicense": model.allow_different_license,
    }
    told: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    if told or model.allow_commercial_use:
        told["allowCommercialUse"] = list(model.allow_commercial_use)
    return told or None


def newest_id(model: RemoteModel) -> int | None:
    """The number of the version that was made last. Numbers grow with time, the order on the page is its creator's."""
    return max((version.id for version in model.versions if not version.is_gone), default=None)


def _fill(registry: Registry, version_id: str, model_id: str, model: RemoteModel, version: RemoteVersion) -> None:
    # Before Civitai knew it, the model of a file was the file's version itself.
    items = dict.fromkeys((version_id, model_id))

    def is_free(name: str) -> bool:
        return not any(journal.was_edited(registry.db, item, name) for item in items)

    words = [word.strip().rstrip(",").strip() for word in version.trained_words]
    if is_free("trigger_words"):
        # They go into prompts as they stand: a person's own list is not added to.
        library.update_set(registry, version_id, "trigger_words", add=[word for word in words if word])
    removed = {tag for item in items for tag in journal.taken_away(registry.db, item, "tags")}
    tags = [tag.strip().lower() for tag in model.tags]
    library.update_set(registry, model_id, "tags", add=[tag for tag in tags if tag and tag not in removed])
    for item, field, html in (
        (model_id, "description", model.description),
        (version_id, "changelog", version.description),
    ):
        if html and is_free(field) and not projection.text_of(registry.db, item, field):
            library.write_text(registry, item, field, to_text(html))
