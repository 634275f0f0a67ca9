"""One call publishes; the same call resumes what was cut off, at any instant, without making anything twice."""

from __future__ import annotations

import msgspec

from hubman.civitai import journal, plan
from hubman.civitai import preflight_old as preflight
from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError
from hubman.civitai.plan import Plan, PublishOptions
from hubman.civitai.preflight_old import Finding, Material, PreflightError
from hubman.civitai.sending import Sender
from hubman.progress import Progress, Report
from registry import library, scan
from registry.database import Registry

__all__ = ["Publication", "PublishOptions", "prepare", "publish"]


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """Where a version is now. ``status`` is ``published``, ``scheduled``, ``draft`` or ``dry-run`` (all ids 0)."""

    model_id: int
    version_id: int
    post_id: int
    url: str
    status: str
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None


def publish(
    registry: Registry, client: Civitai, version_id: str, *, options: PublishOptions, report: Report
) -> Publication:
    """Publish a local version on the client's site, or go on with it where it was cut off.

    With ``options.draft`` everything is sent but nothing made public; the same call without it publishes that draft.
    With ``options.dry_run`` only the checks run. Raises :class:`PreflightError` naming all that stands in the way,
    and :class:`CivitaiError` for refusals, after which the same call goes on.
    """
    version_id = scan.hashed(registry, version_id)
    material, made = prepare(registry, client, version_id, options, report=report)
    if options.dry_run:
        page = f"{client.site}/models/create"
        findings = material.findings
        return Publication(
            model_id=0, version_id=0, post_id=0, url=page, status="dry-run", findings=findings, plan=made
        )
    with journal.only_one(registry):
        return _send(registry, client, version_id, made, material, options, report)


def prepare(
    registry: Registry, client: Civitai, version_id: str, options: PublishOptions, *, report: Report
) -> tuple[Material, Plan]:
    """Check everything and compose what would be sent; nothing is sent. Raises :class:`PreflightError`."""
    version_id = scan.hashed(registry, version_id)
    report(Progress(stage="check", message="account"))
    me = preflight.check_account(client)
    report(Progress(stage="check", message="model, file and pictures"))
    material = preflight.gather(registry, client, version_id, options, account=me.username)
    if not journal.begun(registry, version_id, client.site):
        known = client.by_hash_ids([material.file.sha256])
        if known:
            page = f"{client.site}/models/{known[0].model_id}?modelVersionId={known[0].model_version_id}"
            exists = Finding(level="error", message="Civitai has this very file already", hint=f"see {page}")
            material = msgspec.structs.replace(material, findings=(exists, *material.findings))
    report(Progress(stage="check", data={"findings": msgspec.to_builtins(material.findings)}))
    if material.errors:
        raise PreflightError(material.errors)
    model_id = options.civitai_model_id or journal.model_on_site(registry, material.model.id, client.site)
    return material, plan.make(material, options, site=client.site, civitai_model_id=model_id)


def _send(
    registry: Registry,
    client: Civitai,
    version_id: str,
    made: Plan,
    material: Material,
    options: PublishOptions,
    report: Report,
) -> Publication:
    log = journal.Journal(registry, version_id, client.site, msgspec.json.encode(made))
    sender = Sender(registry, client, made, log, report)
    try:
        sent = sender.send_draft()
    except CivitaiError as error:
        # Every stage leaves a draft that can be finished by hand (section 1.7 of the contract).
        if page := sender.wizard():
            error.hint = f"{error.hint}; the draft is kept: {page}".removeprefix("; ")
        raise
    url = f"{client.site}/models/{sent.model_id}?modelVersionId={sent.version_id}"
    status: journal.State = "draft"
    if not options.draft:
        status = sender.make_public(sent)
    log.close(status, model_id=sent.model_id, version_id=sent.version_id, post_id=sent.post_id, url=url)
    if status != "draft" and not client.is_rehearsal:
        _remember(registry, version_id, material, sent.model_id, sent.version_id, url)
    report(Progress(stage="done", done=1, total=1, message=url, data={"url": url, "status": status}))
    return Publication(
        model_id=sent.model_id,
        version_id=sent.version_id,
        post_id=sent.post_id,
        url=url,
        status=status,
        findings=material.findings,
    )


def _remember(
    registry: Registry, version_id: str, material: Material, civitai_model: int, civitai_version: int, url: str
) -> None:
    with registry.transaction():
        facts = {"civitai_version_id": civitai_version, "published_url": url}
        library.set_facts(registry, version_id, "civitai", facts)
        library.set_facts(registry, material.model.id, "civitai", {"civitai_model_id": civitai_model})
