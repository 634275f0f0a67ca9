"""Whether others allow it: the models that it was merged from, and the base model's licence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

import msgspec

from hubman.civitai import contract, form_defaults
from hubman.civitai.finding import Finding, error, warning
from hubman.civitai.form import PublishForm, VersionPart
from registry import library, licence, lineage, prompt_name
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from registry.records import ModelDetail


def of_part(registry: Registry, form: PublishForm, part: VersionPart, account: str) -> Iterator[Finding]:
    """``account`` is the user that publishes: one's own models, and those that were trained here, forbid nothing."""
    yield from _base(form, part)
    for name, model in parents(registry, part):
        if model is None:
            yield warning("parent-unknown", f"it was merged from {name}, whose licence is not known here",
                          "see on its page whether merges of it may be published", part=part, is_harmless=False)  # fmt: skip
        elif model.origin != "trained" and (not account or model.creator != account):
            yield from _parent(form, part, model)


def _base(form: PublishForm, part: VersionPart) -> Iterator[Finding]:
    earns = [use for use in form.permissions.commercial_use if use != "Image"]
    if earns and form_defaults.is_for_nothing(part.base_model):
        terms = contract.base_models()[part.base_model].license
        yield warning("base-licence", f"{part.base_model} is under the {terms}, and others may {_said(earns)} yours",
                      "say --commercial-use image, or none", field="commercial_use", part=part, is_harmless=False)  # fmt: skip


def _said(uses: list[str]) -> str:
    return "sell" if "Sell" in uses else "rent out"


def _parent(form: PublishForm, part: VersionPart, model: ModelDetail) -> Iterator[Finding]:
    allowed = licence.answers(model.permissions)
    if allowed["derivatives"] is False:
        yield error("parent-forbids", f"{model.name}, which it was merged from, allows no merges",
                    f"ask {model.creator or 'its creator'}, or merge without it", part=part)  # fmt: skip
        return
    if allowed["relicense"] is not True and _differs(form, allowed):
        told = "allows merges" if allowed["relicense"] is False else "may allow merges"
        yield warning("parent-terms", f"{model.name} {told} under its own permissions only",
                      f"give yours the same: {licence.words(model.permissions)}", field="commercial_use", part=part,
                      is_harmless=False)  # fmt: skip
    if allowed["nocredit"] is False and not _is_credited(form, model):
        yield warning("parent-credit", f"{model.name} wants its creator to be named",
                      f"name {model.creator or 'them'} in the description", field="description", part=part)  # fmt: skip
    if not licence.is_known(model.permissions):
        yield warning("parent-unknown", f"what {model.name} allows is not known here", "hubman enrich asks Civitai",
                      part=part, is_harmless=False)  # fmt: skip


def _differs(form: PublishForm, allowed: dict[str, licence.Answer]) -> bool:
    uses = {use.lower() for use in form.permissions.commercial_use}
    given = {use: any(one.startswith(use) for one in uses) for use in ("image", "rent", "sell")}
    return any(given[use] and allowed[use] is False for use in given) or (
        form.permissions.allow_no_credit and allowed["nocredit"] is False
    )


def _is_credited(form: PublishForm, model: ModelDetail) -> bool:
    text = form.description.lower()
    return any(name and name.lower() in text for name in (model.creator, model.name))


def parents(registry: Registry, part: VersionPart) -> list[tuple[str, ModelDetail | None]]:
    """(name, the library's model or None) of what the header says the file was merged from."""
    version = library.version(registry, part.version_id)
    past = lineage.of(registry, version)
    if past.parents:
        return [
            (one.name, library.show(registry, one.model_id) if one.model_id else None)
            for one in past.parents
            if one.model_id != version.model_id
        ]
    file = library.file_by_hash(registry, part.file.library_sha256)
    found: dict[str, tuple[str, ModelDetail | None]] = {}
    for digest, name in _merged(file.metadata.get("sd_merge_models", "") if file else ""):
        known = library.file_by_hash(registry, digest)
        model = library.show(registry, library.version(registry, known.version_id).model_id) if known else None
        found[name] = (name, model or _by_name(registry, name))
    for name in past.merged_from:
        if name not in found:
            found[name] = (name, _by_name(registry, name))
    return [one for one in found.values() if one[1] is None or one[1].id != version.model_id]


def _merged(text: str) -> list[tuple[str, str]]:
    """(hash, name) pairs as A1111's mergers write them."""
    try:
        document = msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    return [
        (digest.lower(), str(told.get("name") or digest)) for digest, told in document.items() if isinstance(told, dict)
    ]


def _by_name(registry: Registry, name: str) -> ModelDetail | None:
    """The model that goes by exactly this name: what is only like it would be accused without reason."""
    stem = re.sub(r"(?i)\.(safetensors|sft)$", "", PurePath(name.replace("\\", "/")).name)
    try:
        model_id, version_id = prompt_name.find(registry, stem)
    except (NotFoundError, UsageError):
        return None
    model, version = library.show(registry, model_id), library.version(registry, version_id)
    names = {
        model.name,
        model.alias,
        prompt_name.of(model, version),
        *(PurePath(one.name).stem for one in version.files),
    }
    return model if stem.lower() in {one.lower() for one in names} else None
