"""What can be said against a page before the first byte goes to the Hub."""

from __future__ import annotations

from collections.abc import Iterator

from hubman.civitai.finding import Finding
from hubman.civitai.form import PublishForm
from hubman.huggingface import bases, card
from hubman.huggingface.client import Account, Repository


def of_page(
    form: PublishForm, *, repo: str, account: Account, found: Repository | None, is_ours: bool
) -> list[Finding]:
    """The Hub's own rules. ``found`` is the repository as it is now; ``is_ours`` if it was made by publishing this model."""
    return [*_account(repo, account), *_repository(repo, found, is_ours=is_ours), *_licence(form), *_gallery(form)]


def _account(repo: str, account: Account) -> Iterator[Finding]:
    owner = repo.partition("/")[0]
    if account.may_write is False:
        yield _error(
            "hub-token", "the token may only read", "make one with the right to write, then hubman login --to hf"
        )
    if owner not in {account.name, *account.organisations}:
        yours = ", ".join([account.name, *account.organisations])
        yield _error("hub-owner", f"{owner} is not yours", f"the token's owner can write to {yours}")


def _repository(repo: str, found: Repository | None, *, is_ours: bool) -> Iterator[Finding]:
    if found is not None and found.files and not is_ours:
        message = f"{repo} is there already, and its README.md is replaced"
        hint = "choose another name with --repo, or accept it"
        yield Finding(level="warning", code="hub-exists", message=message, hint=hint, is_harmless=False)


def _licence(form: PublishForm) -> Iterator[Finding]:
    for part in {part.base_model: part for part in form.parts}.values():
        base, licence = part.base_model, bases.licence(part.base_model)
        if not licence.id:
            message = f"the licence of {base or 'an unknown base model'} is not known"
            hint = "the card tells none: name the base model, or write the licence into the description"
            yield _warning("hub-licence", message, hint, "base_model")
        elif licence.is_restricted and "Sell" in form.permissions.commercial_use:
            message = f"the licence of {base} forbids selling, and the card says that others may"
            yield _warning("base-licence", message, "set commercial use to none", "commercial_use")
        if base and not bases.repository(base):
            message = f"the Hub has no base model {base} to link"
            yield _warning("hub-base", message, "the page is found by its tags only", "base_model")


def _gallery(form: PublishForm) -> Iterator[Finding]:
    shown = [picture for part in form.parts for picture in part.pictures]
    if not shown:
        yield _warning("pictures", "there is no picture to show", "draw some in Generate, V takes one", "pictures")
    elif not any(card.prompt_of(picture)[0] for picture in shown):
        hint = "show at least one with a prompt"
        yield _warning("picture-meta", "no picture says what it was drawn with", hint, "pictures")


def _error(code: str, message: str, hint: str) -> Finding:
    return Finding(level="error", code=code, message=message, hint=hint)


def _warning(code: str, message: str, hint: str, field: str) -> Finding:
    return Finding(level="warning", code=code, message=message, hint=hint, field=field)
