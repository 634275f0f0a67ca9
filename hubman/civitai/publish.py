"""One call publishes; the same call resumes what was cut off, at any instant, without making anything twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from hubman.civitai import acceptances, adopting, after, handoff, journal, preflight, releasing, send_page
from hubman.civitai.client import Civitai
from hubman.civitai.dry_run import DryRun, Request
from hubman.civitai.errors import CivitaiError, MissingError
from hubman.civitai.finding import Finding, PreflightError, is_named
from hubman.civitai.form import PublishForm
from hubman.civitai.planned import Plan
from hubman.civitai.send_page import VERSION
from hubman.civitai.send_post import left_over
from hubman.civitai.sending import PUBLIC, Draft, Sender
from hubman.civitai.verifying import Difference
from hubman.progress import Progress, Report, silent, stoppable
from registry import library
from registry.database import Registry
from registry.errors import HubError

__all__ = ["Publication", "publish", "send"]

Elsewhere = Mapping[str, Sequence[adopting.Known]]


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """Where a page is now. ``status`` is ``published``, ``scheduled``, ``draft`` or ``dry-run`` (all ids 0).

    ``version_id`` and ``post_id`` are those of the last version, which the site shows first; ``url`` leads to it.
    """

    model_id: int
    version_id: int
    post_id: int
    url: str
    status: str
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None
    version_ids: tuple[int, ...] = ()
    differences: tuple[Difference, ...] = ()
    """Where the page, read back, says another thing than was sent."""
    notes: tuple[str, ...] = ()
    """What is left to a person."""
    requests: tuple[Request, ...] = ()
    """What a dry run would have sent, in order."""


def publish(
    registry: Registry,
    client: Civitai,
    form: PublishForm,
    *,
    accept: Collection[str] = (),
    draft: bool = False,
    dry_run: bool = False,
    edit: bool = False,
    replace: bool = False,
    report: Report = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Publication:
    """Publish the versions of a form on the client's site as one model, or go on where it was cut off.

    ``draft`` sends everything but makes nothing public that is not; the same call without it publishes that draft. What is
    public already is no draft: a :class:`HubError` says so, and a public page that a draft joins keeps its own words.
    Warnings that ``accept`` names, and not only as harmless, are accepted the next time too, as long as they say the same.
    ``dry_run`` sends nothing and tells the requests. ``edit`` changes a page as far as the form was changed since it was
    sent; ``replace`` also puts other bytes in the place of a file that is public. Raises :class:`PreflightError` naming
    all that stands in the way, :class:`CancelledError` where ``should_stop`` says so, and :class:`CivitaiError` for
    refusals, after which the same call goes on.
    """
    report = stoppable(report, should_stop)
    report(Progress(stage="check", message="account"))
    for version_id in form.version_ids:
        if replace and not after.published_as(registry, version_id, client.site):
            raise HubError(
                f"no file that {form.part(version_id).file.name} replaced is published", "publish it as a new version"
            )
    elsewhere = {v: adopting.look(registry, client, form, v) for v in form.version_ids if edit and not replace}
    preflight.check_account(client)
    checked = preflight.check(registry, client, form, accept=accept, is_there=edit or replace, report=report)
    if not dry_run:
        named = [one for one in checked.findings if is_named(one, accept)]
        acceptances.remember(registry, client.site, form.version_ids, named)
    if checked.plan is None:
        raise PreflightError(checked.blocking)
    done = send(
        registry, client, checked.plan, draft=draft, dry_run=dry_run, edit=edit, replace=replace, elsewhere=elsewhere,
        report=report,
    )  # fmt: skip
    return msgspec.structs.replace(done, findings=checked.findings)


def send(
    registry: Registry,
    client: Civitai,
    made: Plan,
    *,
    draft: bool = False,
    dry_run: bool = False,
    edit: bool = False,
    replace: bool = False,
    elsewhere: Elsewhere | None = None,
    report: Report,
) -> Publication:
    """Send a checked plan, or what is left of it.

    ``draft`` makes nothing public that is not; ``dry_run`` sends nothing and tells the requests. ``edit`` also changes
    a page that these versions only joined, and ``replace`` puts other bytes in the place of a public file. ``elsewhere``
    is what was sent of each version from another machine.
    """
    if dry_run:
        return _rehearse(
            registry, client, made, draft=draft, edit=edit, replace=replace, elsewhere=elsewhere or {}, report=report
        )
    with journal.only_one(registry):
        for version in made.versions if replace else ():
            after.take_place(registry, version.version_id, client.site)
        for version_id, known in (elsewhere or {}).items():
            adopting.adopt(registry, version_id, client.site, known)
        written = msgspec.json.encode(made)
        logs = {v.version_id: journal.Journal(registry, v.version_id, client.site, written) for v in made.versions}

        def journals(version_id: str) -> journal.Journal:
            return logs.get(version_id) or journal.Journal(registry, version_id, client.site, keep_plan=True)

        sender = Sender(registry, client, made, journals, report, edit=edit, replace=replace)
        if draft and not edit:
            _keep_public_as_it_is(sender)
        with _hand_off(sender):
            sent = sender.send_draft()
            model = send_page.owned(sender.lead, sent.model_id)
            if not (draft or edit) and releasing.release(sender, sent, model):
                model = releasing.confirm(sender, sent)
        differences = releasing.compare(sender, sent, model)
        return _finish(registry, sender, sent, releasing.state(model, sent), differences, report)


def _keep_public_as_it_is(sender: Sender) -> None:
    """Raises :class:`HubError` where a version of the plan is public already: all would see what is sent as a draft."""
    number = sender.page
    if not number:
        return
    try:
        model = send_page.owned(sender.lead, number)
    except MissingError:
        return
    for version in sender.plan.versions:
        shown = releasing.status(model, sender.steps(version.version_id).made(VERSION))
        if shown in PUBLIC:
            hint = "say --edit to change what is public, or make a draft of other versions"
            raise HubError(f"{version.name} is {shown.lower()} already, so it can't be a draft", hint)
    if model.status in PUBLIC:
        sender.owns_page = False


@contextmanager
def _hand_off(sender: Sender) -> Iterator[None]:
    """Every stage leaves a draft that can be finished by hand: a refusal says where."""
    try:
        yield
    except CivitaiError as error:
        if page := sender.wizard():
            error.hint = f"{error.hint}; the draft is kept: {page}".removeprefix("; ")
        elif 400 <= error.status < 500:
            page = handoff.wizard(sender.client.site, 0, ())
            error.hint = f"{error.hint}; it can be made in a browser too: {page}".removeprefix("; ")
        raise


def _rehearse(
    registry: Registry,
    client: Civitai,
    made: Plan,
    *,
    draft: bool,
    edit: bool,
    replace: bool,
    elsewhere: Elsewhere,
    report: Report,
) -> Publication:
    dry = DryRun(client)

    def journals(version_id: str) -> journal.Journal:
        known = after.published_as(registry, version_id, client.site) if replace else version_id
        log = journal.Rehearsed(registry, known, client.site)
        adopting.write(log, elsewhere.get(version_id, ()))
        return log

    sender = Sender(registry, dry, made, journals, report, edit=edit, replace=replace)
    if draft and not edit:
        _keep_public_as_it_is(sender)
    sent = sender.send_draft()
    if not (draft or edit):
        releasing.release(sender, sent, send_page.owned(sender.lead, sent.model_id))
    page = handoff.wizard(client.site, 0, ())
    requests = tuple(dry.requests)
    return Publication(model_id=0, version_id=0, post_id=0, url=page, status="dry-run", plan=made, requests=requests)


def _finish(
    registry: Registry,
    sender: Sender,
    draft: Draft,
    state: journal.State,
    differences: tuple[Difference, ...],
    report: Report,
) -> Publication:
    """Write down how far it came, tell the library, and say what is left to a person."""
    client, last = sender.client, draft.versions[-1]
    for sent in draft.versions:
        url = handoff.page(client.site, draft.model_id, sent.civitai_id)
        sender.steps(sent.version_id).log.close(
            state,
            model_id=draft.model_id,
            version_id=sent.civitai_id,
            post_id=sent.post_id,
            file_id=sent.files[0],
            url=url,
        )
        if state in journal.PUBLIC and not client.is_rehearsal:
            _remember(registry, sent.version_id, draft.model_id, sent.civitai_id, url)
    url = handoff.page(client.site, draft.model_id, last.civitai_id)
    report(Progress(stage="done", done=1, total=1, message=url, data={"url": url, "status": state}))
    return Publication(
        model_id=draft.model_id,
        version_id=last.civitai_id,
        post_id=last.post_id,
        url=url,
        status=state,
        version_ids=tuple(sent.civitai_id for sent in draft.versions),
        differences=differences,
        notes=tuple(_notes(sender, draft, state)),
    )


def _notes(sender: Sender, draft: Draft, state: journal.State) -> Iterator[str]:
    if state == "draft":
        yield "Civitai deletes drafts that nobody touches for 30 days"
    if sender.page_differs():
        yield "the page's own words and permissions stay as they were: --edit changes them"
    for version, sent in zip(sender.plan.versions, draft.versions, strict=True):
        if count := len(left_over(sender.steps(sent.version_id), version)):
            page = handoff.post_editor(sender.client.site, sent.post_id)
            what = "a picture that you took out is" if count == 1 else f"{count} pictures that you took out are"
            yield f"{what} still shown, because a key can't remove it: {page}"


def _remember(registry: Registry, version_id: str, civitai_model: int, civitai_version: int, url: str) -> None:
    model_id = library.version(registry, version_id).model_id
    with registry.transaction():
        facts = {"civitai_version_id": civitai_version, "published_url": url}
        library.set_facts(registry, version_id, "civitai", facts)
        library.set_facts(registry, model_id, "civitai", {"civitai_model_id": civitai_model})
