"""Making a complete draft public, now or later, and hiding what is public."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from hubman.civitai import send_page, verifying
from hubman.civitai.errors import CivitaiError, RejectedError
from hubman.civitai.journal import PUBLIC as OUT
from hubman.civitai.journal import State
from hubman.civitai.owned import OwnedModel
from hubman.civitai.send_page import VERSION
from hubman.civitai.sending import PUBLIC, Draft, Sender, Sent
from hubman.civitai.steps import FRESH, LOOKS, Answer, Steps
from hubman.civitai.verifying import Difference

POST_OUT, VERSION_OUT, MODEL_OUT = "publish post", "publish version", "publish model"


def release(sender: Sender, draft: Draft, model: OwnedModel) -> bool:
    """Publish the model (or, added to a public model, the versions) with the posts; False where all of it is public.

    A model's first release names every version: without ``versionIds`` only the model would flip.
    """
    at = _date(sender.plan.published_at, sender.client.now())
    waiting = [sent for sent in draft.versions if status(model, sent.civitai_id) != "Published"]
    if waiting:
        _release_versions(sender, draft, model, waiting, at)
    # Not before the site took the model: a post is shown on its own. Taking the model, it publishes its draft posts.
    posts = [_publish_post(sender, sent, at if sent in waiting else None) for sent in draft.versions]
    return bool(waiting) or any(posts)


def _release_versions(
    sender: Sender, draft: Draft, model: OwnedModel, waiting: list[Sent], at: datetime | None
) -> None:
    _forget_what_was_undone(sender, model, waiting)
    when = {"publishedAt": sender.plan.published_at if at else ""}
    if model.status == "Published":
        for sent in waiting:
            _publish_version(sender.steps(sent.version_id), sent, when, at)
    else:
        numbers = [sent.civitai_id for sent in waiting]
        sender.lead.once(
            MODEL_OUT, {"versionIds": numbers, **when}, lambda: _publish_model(sender.lead, draft, numbers, at)
        )


def compare(sender: Sender, draft: Draft, model: OwnedModel) -> tuple[Difference, ...]:
    """Where the page differs from what was sent. A public version without a file is hidden at once.

    Raises :class:`CivitaiError` then: the nightly sweep would take it down, and the same command mends it. That no
    picture is shown is only told of: what a site shows of pictures depends on their rating, and these were just sent.
    """
    found: list[Difference] = []
    if sender.owns_page and sender.lead.made(send_page.MODEL):
        found += verifying.of_model(sender.plan, model)
    for version, sent in zip(sender.plan.versions, draft.versions, strict=True):
        there, post = sender.client.edit_version(sent.civitai_id), sender.client.post(sent.post_id)
        shown = model.version(sent.civitai_id)
        if not (there.files or (shown and shown.files)) and status(model, sent.civitai_id) == "Published":
            sender.client.unpublish_version(sent.civitai_id)
            raise CivitaiError(
                f"the public page of {version.name} has no file, so it was hidden again", "run the same command again"
            )
        found += verifying.of_version(version, there, post, sent.images)
    return tuple(found)


def status(model: OwnedModel, version_id: int) -> str:
    """The status that both the model and the version have, or the less public one."""
    version = model.version(version_id)
    if version is None:
        return ""
    return min(model.status, version.status, key=lambda name: _PUBLICITY.get(name, 0))


_PUBLICITY = {"Scheduled": 1, "Published": 2}
"""How public a status is; drafts and what was taken down are not at all."""


def _date(text: str, now: datetime) -> datetime | None:
    """When to go live; None for at once, also where the time has passed, by the site's clock, while a draft lay."""
    at = datetime.fromisoformat(text) if text else None
    if at is not None and at.tzinfo is None:
        at = at.astimezone()
    return at if at is not None and at > now else None


def _forget_what_was_undone(sender: Sender, model: OwnedModel, waiting: list[Sent]) -> None:
    """What was public and is not any more, taken down on the site or by its sweep, is published again."""
    for sent in waiting:
        if status(model, sent.civitai_id) not in PUBLIC:
            for steps, names in ((sender.steps(sent.version_id), (VERSION_OUT,)), (sender.lead, (MODEL_OUT,))):
                old = [name for name in names if (step := steps.log.step(name)) and step.is_done and step.age >= FRESH]
                steps.log.forget(*old)


def _publish_post(sender: Sender, sent: Sent, at: datetime | None) -> bool:
    """Publish a post that is still a draft, such as one made anew for a page that is out; whether it was."""
    if sender.client.post(sent.post_id).published_at:
        return False
    steps = sender.steps(sent.version_id)
    steps.log.forget(POST_OUT)

    def send() -> Answer:
        # The site schedules what this machine's clock, if it is fast, calls now.
        fields = {"publishedAt": at or sender.client.now()}
        fresh = steps.is_fresh("post")
        _unless_done("already published", lambda: sender.client.update_post(sent.post_id, fields, fresh=fresh))
        return {}

    steps.once(POST_OUT, {}, send)
    return True


def _publish_version(steps: Steps, sent: Sent, when: dict[str, str], at: datetime | None) -> None:
    def send() -> Answer:
        steps.client.publish_version(sent.civitai_id, at=at, fresh=steps.is_fresh(VERSION))
        return {}

    steps.once(VERSION_OUT, when, send)


def _publish_model(steps: Steps, draft: Draft, numbers: list[int], at: datetime | None) -> Answer:
    fresh = steps.is_fresh(send_page.MODEL)
    _unless_done("already published", lambda: steps.client.publish_model(draft.model_id, numbers, at=at, fresh=fresh))
    return {}


def confirm(sender: Sender, draft: Draft) -> OwnedModel:
    """Ask the site, uncached, whether it is public now. Raises :class:`CivitaiError` when it took no effect."""
    for wait in (*LOOKS, 0.0):
        model = send_page.owned(sender.lead, draft.model_id)
        if state(model, draft) in OUT:
            return model
        sender.client.wait(wait)
    sender.lead.log.forget(MODEL_OUT)
    for sent in draft.versions:
        sender.steps(sent.version_id).log.forget(VERSION_OUT)
    raise CivitaiError("Civitai took the publication, but still shows a draft", "run it again")


def state(model: OwnedModel, draft: Draft) -> State:
    """What the site shows of the versions of a plan: the least public of them counts."""
    found = {status(model, sent.civitai_id) for sent in draft.versions}
    if found <= PUBLIC:
        return "scheduled" if "Scheduled" in found else "published"
    return "unpublished" if "Unpublished" in found else "draft"


def _unless_done(words: str, call: Callable[[], None]) -> None:
    """Take a refusal that says ``words`` for success: the answer of an earlier try was lost."""
    try:
        call()
    except RejectedError as refusal:
        if words not in refusal.message:
            raise
