"""The rules that the form alone keeps or breaks: Civitai's, and those of its own web form. Versions: ``checks_version``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hubman.civitai import contract, markdown
from hubman.civitai.checks_pictures import names
from hubman.civitai.finding import Finding, error, warning
from hubman.civitai.form import PublishForm
from hubman.civitai.form_fields import ANSWERS
from hubman.civitai.form_plan import trimmed

_SOON = timedelta(minutes=60)
"""A post with a date before now + 60 minutes is public at once, whatever the version's date."""
_MATURE = 4
"""The least bit of a picture's level that is mature: R."""


def of_model(form: PublishForm, categories: tuple[str, ...], now: datetime) -> Iterator[Finding]:
    """The rules of ``model.upsert``."""
    if form.kind != "lora":
        yield error("kind", f"{form.name} is a {form.kind}; only LoRAs can be published", "publish it in a browser")
    elif form.type not in {"LORA", "LoCon", "DoRA"}:
        yield warning(
            "type",
            f"a LoRA is published as {form.type}",
            "its type is LORA, LoCon or DoRA",
            field="type",
            is_harmless=False,
        )
    if not trimmed(form.name):
        yield error("name", "the model has no name", "give one with --name", field="name")
    if not markdown.to_html(form.description):
        yield error("description", "the page says nothing of the model", "describe it: hubman edit, or --description",
                    field="description")  # fmt: skip
    yield from _category(form, categories)
    yield from _answers(form)
    yield from _unrated(form)
    yield from _schedule(form, now)
    yield from _early_access(form)


def _category(form: PublishForm, categories: tuple[str, ...]) -> Iterator[Finding]:
    offered = f"choose one with --category: {', '.join(categories)}"
    chosen = form.category.strip().lower()
    others = [tag for tag in form.tags if tag.strip().lower() in categories and tag.strip().lower() != chosen]
    if chosen and chosen not in categories:
        yield error("category-unknown", f"Civitai has no category {form.category}", offered, field="category")
    elif not chosen and len(others) > 1:
        named = ", ".join(others)
        yield error(
            "category-several", f"the tags {named} are all categories, and a model has one", offered, field="category"
        )
    elif not chosen:
        yield error("category-missing", "no category is set", offered, field="category")
    if chosen in categories and others:
        hint = f"they are left out: a model has one category, and {chosen} is chosen"
        yield warning("category-others", f"the tags {', '.join(others)} are categories too", hint, field="tags")


def _answers(form: PublishForm) -> Iterator[Finding]:
    asked = {
        "nsfw": "is it meant for mature content?",
        "poi": "does it depict a real person?",
        "minor": "does it depict somebody under age?",
    }
    for name in ANSWERS:
        if getattr(form, name) is None:
            yield error(
                f"{name}-unanswered", f"not answered yet: {asked[name]}", f"say --{name} or --no-{name}", field=name
            )
    refused = "Civitai refuses it; one of the two answers is wrong, or it can't be published there"
    rules = (
        ("nsfw-poi", form.nsfw and form.poi, "mature content must not depict a real person"),
        ("nsfw-minor", form.nsfw and form.minor, "mature content must not depict a minor"),
        ("nsfw-sfw-only", form.nsfw and form.sfw_only, "a model can't be both mature and safe for work only"),
    )
    yield from (error(code, message, refused, field="nsfw") for code, broken, message in rules if broken)
    mature = [picture for part in form.parts for picture in part.pictures if picture.nsfw_level >= _MATURE]
    if mature and (form.poi or form.minor or form.sfw_only):
        who = "a real person" if form.poi else "somebody under age" if form.minor else "safe content only"
        yield error("pictures-mature", f"{len(mature)} pictures are mature, and the model is for {who}",
                    "take them out", field="pictures")  # fmt: skip
    elif mature and form.nsfw is False:
        yield warning("nsfw-pictures", f"{len(mature)} pictures are mature, and the model is said not to be",
                      "say --nsfw, or take them out", field="nsfw", is_harmless=False, fact=names(mature))  # fmt: skip


def _unrated(form: PublishForm) -> Iterator[Finding]:
    """Pictures of which nobody said how mature they are, where none may be."""
    unrated = [picture for part in form.parts for picture in part.pictures if picture.nsfw_level == 0]
    if unrated and (form.poi or form.minor or form.sfw_only):
        yield warning("pictures-unrated", f"nobody said how mature {len(unrated)} of the pictures are, and none may be",
                      "rate them in the detail pane, or look at them once more", field="pictures", fact=names(unrated))  # fmt: skip


def _schedule(form: PublishForm, now: datetime) -> Iterator[Finding]:
    if form.published_at is None:
        return
    try:
        at = datetime.fromisoformat(form.published_at).astimezone(UTC)
    except ValueError:
        yield error("schedule", f"{form.published_at!r} is no time", "give one such as 2027-01-31T18:00, or +2d",
                    field="published_at")  # fmt: skip
        return
    if at <= now:
        yield warning("schedule-past", f"{at:%Y-%m-%d %H:%M} UTC is over: it becomes public at once", "give a later time",
                      field="published_at", is_harmless=False)  # fmt: skip
    elif at < now + _SOON:
        yield warning("schedule-soon", "it is scheduled within the hour: its pictures become public at once",
                      "give a time that is an hour away at least", field="published_at", is_harmless=False,
                      fact=at.isoformat())  # fmt: skip


def _early_access(form: PublishForm) -> Iterator[Finding]:
    if not form.early_access_days and not form.early_access_price:
        return
    if not form.early_access_days or form.early_access_price < 100:
        yield error("early-access", "early access wants days and a price of at least 100 Buzz", "set both, or 0 for none",
                    field="early_access_days")  # fmt: skip
    for part in form.parts:
        if part.base_model in contract.enum_values("NonCommercialBaseModel"):
            yield error("base-monetised", f"the licence of {part.base_model} forbids to earn with it",
                        "turn early access off", field="early_access_days", part=part)  # fmt: skip
