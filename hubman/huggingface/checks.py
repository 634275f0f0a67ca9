"""What can be said against a page before the first byte goes to the Hub."""

from __future__ import annotations

from collections.abc import Iterator

from hubman.civitai import checks_pictures, preflight
from hubman.civitai.finding import Finding
from hubman.civitai.form import PublishForm
from hubman.huggingface import bases
from hubman.huggingface.client import Account, Repository
from registry.database import Registry

_OF_CIVITAI = frozenset({
    "base-hidden", "base-monetised", "base-refused", "base-unknown", "category-missing", "category-others", "category-several",
    "category-unknown", "early-access", "pictures-many", "pictures-missing", "schedule", "schedule-past", "schedule-soon",
    "schema", "training-data", "type",
})  # fmt: skip
"""Rules of Civitai's alone; all others hold wherever a LoRA is published."""


def of_form(registry: Registry, form: PublishForm) -> list[Finding]:
    """What holds wherever it is published: the file is whole, its header tells nothing, licences allow it, all is answered."""
    return [one for one in preflight.findings(registry, None, form) if one.code not in _OF_CIVITAI]


def of_page(
    form: PublishForm, *, repo: str, account: Account, found: Repository | None, is_ours: bool, draft: bool = False
) -> list[Finding]:
    """The Hub's own rules. ``found`` is the repository as it is now; ``is_ours`` if it was made by publishing this model."""
    there = _repository(repo, found, is_ours=is_ours, draft=draft)
    return [*_account(repo, account), *there, *_licence(form), *_gallery(form)]


def _account(repo: str, account: Account) -> Iterator[Finding]:
    owner = repo.partition("/")[0]
    if account.may_write is False:
        yield _error(
            "hub-token", "the token may only read", "make one with the right to write, then hubman login --to hf"
        )
    if owner not in {account.name, *account.organisations}:
        yours = ", ".join([account.name, *account.organisations])
        yield _error("hub-owner", f"{owner} is not yours", f"the token's owner can write to {yours}")


def _repository(repo: str, found: Repository | None, *, is_ours: bool, draft: bool) -> Iterator[Finding]:
    if found is not None and draft and not found.is_private:
        hint = "choose another name with --repo, or publish it without --draft"
        yield _error("hub-public", f"{repo} is public already, and a draft in it would be seen by all", hint)
    if found is not None and found.files and not is_ours:
        also = ", and all that it holds becomes public" if found.is_private and not draft else ""
        message = f"{repo} is there already, and its README.md is replaced{also}"
        hint = "choose another name with --repo, or accept it"
        yield Finding(level="warning", code="hub-exists", message=message, hint=hint, is_harmless=False)


def _licence(form: PublishForm) -> Iterator[Finding]:
    for base in dict.fromkeys(part.base_model for part in form.parts if part.base_model):
        if not bases.licence(base).id:
            hint = "the card tells none: write the licence into the description"
            yield _warning("hub-licence", f"the licence of {base} is not known", hint, "base_model")
        if not bases.repository(base):
            message = f"the Hub has no base model {base} to link"
            yield _warning("hub-base", message, "the page is found by its tags only", "base_model")


def _gallery(form: PublishForm) -> Iterator[Finding]:
    if not any(checks_pictures.usable(part) for part in form.parts):
        yield _warning("hub-pictures", "there is no picture to show", "draw some in Generate, V takes one", "pictures")


def _error(code: str, message: str, hint: str) -> Finding:
    return Finding(level="error", code=code, message=message, hint=hint)


def _warning(code: str, message: str, hint: str, field: str) -> Finding:
    return Finding(level="warning", code=code, message=message, hint=hint, field=field)
