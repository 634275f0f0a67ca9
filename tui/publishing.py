"""The publish form: what would be told, by whom it is known, and what still stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from hubman.civitai.plan import PublishOptions
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.civitai.plan import Plan
    from hubman.civitai.preflight import Finding
    from registry.database import Registry
    from registry.records import ModelDetail, VersionRow

Kind = Literal["text", "long", "flag", "choice", "number", "list"]

FIELDS: Mapping[str, tuple[Kind, str]] = {
    "name": ("text", "the model's name on its page"),
    "version_name": ("text", "the version's name, such as v1.0"),
    "base_model": ("text", "Civitai's exact name of the base model"),
    "category": ("text", "Civitai's category, such as style or character"),
    "description": ("long", "what the page says; empty takes the library's description, trigger words and strength"),
    "draft": ("flag", "yes sends everything but makes nothing public; publishing again goes on from the draft"),
    "nsfw": ("flag", "whether the model is for mature content"),
    "poi": ("flag", "whether it depicts a real person"),
    "minor": ("flag", "whether it depicts minors"),
    "sfw_only": ("flag", "whether it may only be used for safe content"),
    "no_trigger_words": ("flag", "yes where it works without any"),
    "allow_no_credit": ("choice", "may others use it without naming you?"),
    "allow_derivatives": ("choice", "may others merge it?"),
    "allow_different_license": ("choice", "may merges have other permissions?"),
    "commercial_use": ("list", "of Image, RentCivit, Rent, Sell, with commas; none allows nothing"),
    "civitai_model_id": ("number", "the number of a model of yours to add a version to; empty makes a new one"),
}


@dataclass(frozen=True)
class Checked:
    """What the checks found; ``plan`` is None where something stands in the way."""

    findings: tuple[Finding, ...]
    plan: Plan | None


def check(registry: Registry, version_id: str, options: PublishOptions, site: str | None) -> Checked:
    """Run every check of the site's rules; nothing is sent. Raises ``HubError`` when the site can't be asked."""
    from hubman.civitai.preflight import PreflightError
    from hubman.civitai.publish import prepare
    from hubman.civitai.session import connect
    from hubman.progress import silent

    with connect(registry.home, site) as client:
        try:
            material, plan = prepare(registry, client, version_id, options, report=silent)
        except PreflightError as error:
            return Checked(tuple(error.findings), None)
    return Checked(material.findings, plan)


def assign(options: PublishOptions, name: str, text: str) -> PublishOptions:
    """The options with one field as it was typed. Raises ``UsageError``."""
    return msgspec.structs.replace(options, **{name: _parse(name, text.strip())})


def _parse(name: str, text: str) -> object:
    kind = FIELDS[name][0]
    if kind in {"text", "long"}:
        return text
    if kind == "list":
        words = tuple(word.strip() for word in text.split(",") if word.strip())
        unknown = [word for word in words if word not in {"Image", "RentCivit", "Rent", "Sell", "none"}]
        if unknown:
            raise UsageError(f"commercial use can't be {unknown[0]}", "use Image, RentCivit, Rent, Sell, or none")
        return tuple(word for word in words if word != "none") if words else None
    if kind == "number":
        if text and not text.isdigit():
            raise UsageError(f"{text!r} is no number", "it stands in the address of the model's page")
        return int(text or 0)
    if text.lower() not in {"yes", "no", "true", "false", ""}:
        raise UsageError(f"{name.replace('_', ' ')} can't be {text!r}", "say yes or no")
    if not text:
        return None if kind == "choice" else False
    return text.lower() in {"yes", "true"}


def chosen(options: PublishOptions, name: str) -> str:
    """What a person chose for a field, as text; empty where nothing was."""
    value = getattr(options, name)
    if value is None or (value == 0 and name == "civitai_model_id"):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return str(value)


def known(name: str, model: ModelDetail, version: VersionRow, plan: Plan | None) -> str:
    """What is sent where nothing was chosen."""
    if plan is not None:
        told: dict[str, Any] = {**plan.version, **plan.model}
        by_plan = {
            "name": plan.model.get("name"),
            "version_name": plan.version.get("name"),
            "base_model": plan.version.get("baseModel"),
            "category": next((tag.get("name") for tag in plan.model.get("tagsOnModels", [])), None),
            "description": "from the library",
            "allow_no_credit": told.get("allowNoCredit"),
            "allow_derivatives": told.get("allowDerivatives"),
            "allow_different_license": told.get("allowDifferentLicense"),
            "commercial_use": told.get("allowCommercialUse"),
        }
        return _text(by_plan.get(name))
    return _text({"name": model.name, "version_name": version.name, "base_model": version.base_model}.get(name))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "" if value is None else str(value)


def request(version_id: str, options: PublishOptions, site: str | None) -> dict[str, object]:
    """The ``publish`` job's request."""
    defaults = PublishOptions()
    given = {name: value for name, value in msgspec.structs.asdict(options).items() if value != getattr(defaults, name)}
    return {"version_id": version_id, "options": msgspec.to_builtins(given), "site": site}
