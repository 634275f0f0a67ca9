"""What a person does with a page that is out: hide it, or let a new file take the place of a broken one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hubman.civitai import handoff, journal, links
from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError
from hubman.civitai.journal import Published
from hubman.civitai.releasing import MODEL_OUT, VERSION_OUT
from hubman.civitai.send_page import MODEL, VERSION
from hubman.civitai.send_post import POST
from hubman.civitai.sending import PUBLIC
from registry import library
from registry.database import Registry
from registry.errors import HubError


class Hidden(msgspec.Struct, frozen=True, kw_only=True):
    """What was hidden: the site's versions, and whether the whole page is."""

    model_id: int
    version_ids: tuple[int, ...]
    is_whole: bool
    url: str


def unpublish(registry: Registry, client: Civitai, version_ids: Sequence[str]) -> Hidden:
    """Hide these versions of one page; the page with them where no other version of it is public.

    Nothing is deleted: publishing them again shows the same page. What was published from another machine is known by
    its ids and hidden where the account owns it; no journal is begun for it. Raises :class:`HubError` for what was not
    published or is somebody else's, and :class:`CivitaiError` when the site still shows it.
    """
    with journal.only_one(registry):
        found = [_published(registry, client, version_id) for version_id in dict.fromkeys(version_ids)]
        if len({one.civitai_model_id for one in found}) > 1:
            raise HubError("these versions are on several pages", "hide one page at a time")
        model_id, numbers = found[0].civitai_model_id, {one.civitai_version_id for one in found}
        others = [v for v in client.owned_model(model_id).versions if v.id not in numbers and v.status in PUBLIC]
        here = [one for one in found if one.id]
        logs = [journal.Journal(registry, one.version_id, client.site, keep_plan=True) for one in here]
        for log in logs:
            log.begin("unpublish", {"model": model_id})
        if others:
            for number in sorted(numbers):
                client.unpublish_version(number)
        else:
            client.unpublish_model(model_id)
        _confirm(client, model_id, numbers)
        for one, log in zip(here, logs, strict=True):
            log.finish("unpublish", {})
            _close(one, log)
        for one in found if not client.is_rehearsal else ():
            library.set_facts(registry, one.version_id, "civitai", {"published_url": None})
    url = handoff.page(client.site, model_id)
    return Hidden(model_id=model_id, version_ids=tuple(sorted(numbers)), is_whole=not others, url=url)


def called(registry: Registry, version_id: str) -> str:
    """A version as a person knows it: by its model's name, and its own where it has one."""
    version = library.version(registry, version_id)
    return f"{library.show(registry, version.model_id).name} {version.name}".rstrip()


def published_as(registry: Registry, version_id: str, site: str) -> str:
    """The version whose publication this one goes on with: itself, or the one whose file it replaced on this machine.

    A file with other bytes is another version to the library; on the page it is the same one, with its file replaced.
    Empty where nothing of either was sent.
    """
    replaced = (library.file_by_hash(registry, old.sha256) for old in library.version(registry, version_id).history)
    for known in (version_id, *(file.version_id for file in replaced if file is not None)):
        if journal.begun(registry, known, site):
            return known
    return ""


def take_place(registry: Registry, version_id: str, site: str) -> None:
    """Let a version go on with the publication of the one whose file it replaced, if there was any."""
    known = published_as(registry, version_id, site)
    if known not in {"", version_id}:
        journal.hand_over(registry, known, version_id, site)


def _published(registry: Registry, client: Civitai, version_id: str) -> Published:
    found = journal.published(registry, version_id, client.site)
    if found is not None and not found.civitai_version_id:
        # Killed after it went live and before that was written down: the steps know what they made.
        found = _of_steps(registry, client.site, found)
    if found is not None and found.civitai_version_id:
        return found
    number = links.number(registry, client, version_id)
    if not number:
        name = called(registry, version_id)
        raise HubError(f"{name} was not published on {client.site} from here", "hide it on its page in a browser")
    there = links.own(client, number)
    if there is None:
        raise HubError(f"version {number} on {client.site} is not yours", "only its owner can hide it")
    return Published(
        id="", version_id=version_id, state="published", civitai_model_id=there.model_id, civitai_version_id=there.id
    )


def _of_steps(registry: Registry, site: str, found: Published) -> Published:
    own = journal.Journal(registry, found.version_id, site, keep_plan=True)
    lead = journal.Journal(registry, journal.lead(registry, [found.version_id], site), site, keep_plan=True)
    return msgspec.structs.replace(
        found,
        civitai_model_id=_made(lead, MODEL),
        civitai_version_id=_made(own, VERSION),
        civitai_post_id=_made(own, POST),
        civitai_file_id=_made(own, "file"),
    )


def _made(log: journal.Journal, name: str) -> int:
    step = log.step(name)
    return int(step.answer["id"]) if step is not None and step.is_done else 0


def _confirm(client: Civitai, model_id: int, numbers: set[int]) -> None:
    for wait in (1.0, 2.0, 4.0, 0.0):
        model = client.owned_model(model_id)
        shown = [v.id for v in model.versions if v.id in numbers and v.status in PUBLIC]
        if not shown or model.status not in PUBLIC:
            return
        client.wait(wait)
    raise CivitaiError("Civitai still shows it", f"hide it in a browser: {handoff.page(client.site, model_id)}")


def _close(one: Published, log: journal.Journal) -> None:
    """What made it public may be done again."""
    log.forget(MODEL_OUT, VERSION_OUT)
    log.close(
        "unpublished", model_id=one.civitai_model_id, version_id=one.civitai_version_id, post_id=one.civitai_post_id,
        file_id=one.civitai_file_id, url=one.url,
    )  # fmt: skip
