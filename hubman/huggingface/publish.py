"""One call publishes on the Hub; the same call goes on with what was cut off."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from hubman.civitai import acceptances, finding, journal, stripping
from hubman.civitai.finding import Finding, PreflightError
from hubman.civitai.form import PublishForm
from hubman.huggingface import checks, page
from hubman.huggingface.client import Hub
from hubman.huggingface.page import Page
from hubman.huggingface.sending import Sender
from hubman.progress import Progress, Report
from registry import library
from registry.database import Registry

State = Literal["dry-run", "draft", "published"]


class HubPublication(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is now on the Hub. A draft is a repository that only its owner sees."""

    repo: str
    url: str
    status: State
    findings: tuple[Finding, ...] = ()
    files: tuple[str, ...] = ()
    readme: str = ""


def publish(
    registry: Registry,
    hub: Hub,
    form: PublishForm,
    *,
    accept: Collection[str] = (),
    repo: str = "",
    draft: bool = False,
    dry_run: bool = False,
    report: Report,
) -> HubPublication:
    """Put a form's versions into one repository, with their pictures and a model card.

    ``accept`` names the warnings that a person answers for. Raises :class:`PreflightError` naming all that stands in the way, and
    :class:`HubError` for refusals, after which the same call goes on. A dry run only tells.
    """
    target, checked = check(registry, hub, form, repo=repo, draft=draft, report=report)
    told = finding.accepted(checked, accept)
    if not dry_run:
        named = [one for one in told if finding.is_named(one, accept)]
        acceptances.remember(registry, hub.site, form.version_ids, named)
    if not dry_run and (in_the_way := finding.blocking(told)):
        raise PreflightError(in_the_way)
    is_sound = not any(one.level == "error" for one in told)
    found = page.compose(stripping.with_copies(registry, form) if is_sound else form, target)
    done = HubPublication(
        repo=target,
        url=f"{hub.site}/{target}",
        status="dry-run" if dry_run else "draft" if draft else "published",
        findings=told,
        files=tuple(upload.name for upload in found.uploads),
        readme=found.readme if dry_run else "",
    )
    if not dry_run:
        with journal.only_one(registry):
            _send(registry, hub, form, found, draft=draft, url=done.url, report=report)
    return done


def check(
    registry: Registry, hub: Hub, form: PublishForm, *, repo: str = "", draft: bool = False, report: Report
) -> tuple[str, list[Finding]]:
    """(OWNER/NAME of the repository, every finding); nothing is sent."""
    report(Progress(stage="check", message="account"))
    account = hub.account()
    known = repository_of(registry, form.model_id, hub.site)
    target = page.repository(form, account.name, repo or known)
    report(Progress(stage="check", message=target))
    there = hub.repository(target)
    found = checks.of_page(form, repo=target, account=account, found=there, is_ours=known == target, draft=draft)
    told = sorted([*found, *checks.of_form(registry, form)], key=lambda one: one.level)
    return target, list(acceptances.applied(registry, hub.site, form.version_ids, told))


def repository_of(registry: Registry, model_id: str, site: str) -> str:
    """The repository that a version of this model was sent to from here, or an empty text."""
    sql = """SELECT s.answer FROM publications p JOIN versions v ON v.id = p.version_id
        JOIN publication_steps s ON s.publication_id = p.id AND s.name = 'repo' AND s.state = 'done'
        WHERE v.model_id = ? AND p.site = ? ORDER BY p.created_at DESC LIMIT 1"""
    row = registry.db.execute(sql, (model_id, site)).fetchone()
    return str(msgspec.json.decode(row[0]).get("of", "")) if row else ""


def _send(
    registry: Registry, hub: Hub, form: PublishForm, found: Page, *, draft: bool, url: str, report: Report
) -> None:
    told = {"form": form, "repo": found.repo, "uploads": [[upload.name, upload.sha256] for upload in found.uploads]}
    log = journal.Journal(registry, form.version_ids[0], hub.site, msgspec.json.encode(told))
    sender = Sender(hub, found, log, report)
    sender.send(draft=draft, message=f"{form.name}: {', '.join(part.name for part in form.parts)}")
    if not draft:
        sender.make_public()
    log.close("draft" if draft else "published", model_id=0, version_id=0, post_id=0, file_id=0, url=url)
    if not draft:
        with registry.transaction():
            for version in form.version_ids:
                library.set_facts(registry, version, "user", {"hub_url": url})
    report(
        Progress(
            stage="done", done=1, total=1, message=url, data={"url": url, "status": "draft" if draft else "published"}
        )
    )
