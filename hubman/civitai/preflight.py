"""Every rule that can be checked before the first byte goes out, and what is sent when nothing stands in the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime

import msgspec

from hubman.civitai import (
    acceptances,
    checks_file,
    checks_form,
    checks_licence,
    checks_pictures,
    checks_site,
    checks_version,
    conformance,
    form_plan,
    journal,
    stripping,
    training_data,
)
from hubman.civitai.checks_site import Site, check_account
from hubman.civitai.client import Civitai
from hubman.civitai.finding import Finding, PreflightError, accepted, blocking, error
from hubman.civitai.form import PublishForm, VersionPart
from hubman.civitai.planned import Plan, PlannedFile
from hubman.progress import Progress, Report, silent
from registry.database import Registry

__all__ = ["Checked", "Finding", "PreflightError", "check", "check_account", "findings"]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks found; ``plan`` is None where something stands in the way."""

    form: PublishForm
    findings: tuple[Finding, ...]
    plan: Plan | None = None

    @property
    def blocking(self) -> list[Finding]:
        return blocking(self.findings)


def findings(
    registry: Registry,
    client: Civitai | None,
    form: PublishForm,
    *,
    accept: Collection[str] = (),
    is_there: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    report: Report = silent,
) -> tuple[Finding, ...]:
    """What stands in the way and what is to be accepted, errors first; each says what to do. Nothing is sent.

    Without a ``client`` only what can be told offline is checked. ``accept`` are codes of warnings, or ``harmless``; what
    was accepted before is so still. ``is_there`` says that the versions are on their page already, also if nothing was
    sent from here. Raises :class:`CivitaiError` when the site can't be asked.
    """
    report(Progress(stage="check", message="account"))
    user, refused = checks_site.account(client) if client is not None else (form.creator, ())
    site = checks_site.lists(client)
    found = [*refused, *checks_form.of_model(form, site.categories, now()), *checks_version.of_all(form)]
    for part in form.parts:
        report(Progress(stage="check", message=part.file.name))
        found += _of_part(registry, form, part, site, user)
    if client is not None and not refused:
        report(Progress(stage="check", message="what the site has already"))
        new = () if is_there else tuple(new_parts(registry, client, form))
        found += checks_site.of(registry, client, form, user, new)
    if not any(one.level == "error" for one in found):
        found += _schemas(form, site)
    told = accepted(sorted(found, key=lambda one: one.level), accept)
    return acceptances.applied(registry, client.site, form.version_ids, told) if client is not None else told


def new_parts(registry: Registry, client: Civitai, form: PublishForm) -> Iterator[VersionPart]:
    """The versions of which nothing was sent from here."""
    return (part for part in form.parts if not journal.begun(registry, part.version_id, client.site))


def _of_part(registry: Registry, form: PublishForm, part: VersionPart, site: Site, user: str) -> Iterator[Finding]:
    yield from checks_version.of_part(form, part, site.active_base_models)
    yield from checks_file.of_part(form, part)
    yield from checks_pictures.of_part(part)
    yield from checks_licence.of_part(registry, form, part, user)
    if form.attach_training_data and not part.dataset:
        yield error(
            "training-data", f"the training images of {part.name} are not on this machine", "keep them private",
            field="attach_training_data", part=part,
        )  # fmt: skip


def _schemas(form: PublishForm, site: Site) -> Iterator[Finding]:
    """What the other rules let through and Civitai's schemas do not."""
    for call, problem in conformance.problems(form_plan.plan(_as_sent(form, site))):
        yield error("schema", f"{call} takes no such input: {problem}", "correct the field that it names")


def _as_sent(form: PublishForm, site: Site) -> PublishForm:
    """Without what is left out: pictures that the site doesn't take, and tags that are further categories."""
    parts = tuple(msgspec.structs.replace(part, pictures=checks_pictures.usable(part)) for part in form.parts)
    tags = tuple(tag for tag in form.tags if tag.strip().lower() not in site.categories)
    return msgspec.structs.replace(form, parts=parts, tags=tags)


def check(
    registry: Registry,
    client: Civitai,
    form: PublishForm,
    *,
    accept: Collection[str] = (),
    is_there: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    report: Report = silent,
) -> Checked:
    """Check the form and, if nothing stands in the way, compose what will be sent, with copies made where they are due."""
    found = findings(registry, client, form, accept=accept, is_there=is_there, now=now, report=report)
    report(Progress(stage="check", data={"findings": msgspec.to_builtins(found)}))
    if blocking(found):
        return Checked(form=form, findings=found)
    ready = _as_sent(stripping.with_copies(registry, form), checks_site.lists(client))
    copies = [part for part in new_parts(registry, client, ready) if part.file.is_stripped and not is_there]
    if there := tuple(checks_site.files_there(client, copies)):
        return Checked(form=form, findings=(*there, *found))
    extra = _extra(registry, ready)
    joined = journal.model_on_site(registry, form.model_id, client.site)
    absent = {part.version_id: checks_pictures.absent(part) for part in form.parts}
    plan = form_plan.plan(ready, site=client.site, civitai_model_id=joined, extra=extra, absent=absent)
    return Checked(form=ready, findings=found, plan=plan)


def _extra(registry: Registry, form: PublishForm) -> dict[str, PlannedFile]:
    if not form.attach_training_data:
        return {}
    return {part.version_id: training_data.pack(part, stripping.folder(registry, part)) for part in form.parts}
