"""A whole publication, step by step: everything as a draft, and nothing that its journals say has been sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from hubman.civitai import by_hand, handoff, journal, losses, send_files, send_page, send_post
from hubman.civitai.client import Civitai
from hubman.civitai.errors import CivitaiError, PostLimitError
from hubman.civitai.owned import EditVersion, Post
from hubman.civitai.planned import Plan, PlannedVersion
from hubman.civitai.send_page import MODEL, VERSION
from hubman.civitai.send_post import ADD, POST
from hubman.civitai.steps import Steps
from hubman.progress import Report
from registry.database import Registry
from registry.errors import HubError

PUBLIC = frozenset({"Published", "Scheduled"})
Journals = Callable[[str], journal.Journal]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One version as the site has it. ``version_id`` is the library's, ``files`` and ``images`` the site's ids."""

    version_id: str
    civitai_id: int
    post_id: int
    files: tuple[int, ...]
    images: tuple[int, ...]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of all that a plan made, in the plan's order."""

    model_id: int
    versions: tuple[Sent, ...]


class Sender:
    """Sends a plan as far as its journals say that it has not been sent.

    ``edit`` allows to change a page that these versions only joined, and ``replace`` to put other bytes in the place of
    a file that is public.
    """

    def __init__(
        self,
        registry: Registry,
        client: Civitai,
        plan: Plan,
        journals: Journals,
        report: Report,
        *,
        edit: bool = False,
        replace: bool = False,
    ) -> None:
        self.registry, self.client, self.plan, self.report = registry, client, plan, report
        self._edit, self._replace = edit, replace
        ids = [version.version_id for version in plan.versions]
        self._steps = {version_id: Steps(client, journals(version_id), report) for version_id in ids}
        lead = journal.lead(registry, ids, client.site)
        self.lead = self._steps.get(lead) or Steps(client, journals(lead), report)
        if plan.civitai_model_id and self.lead.made(MODEL) != plan.civitai_model_id:
            # Another page than the one that this model is on: nothing of it belongs into that one's journal.
            lead, self.lead = ids[0], self._steps[ids[0]]
        self.owns_page = edit or lead in self._steps
        """Whether the page's own words are this plan's to change."""

    @property
    def page(self) -> int:
        """The site's model that the versions belong to; 0 before it is made."""
        return self.plan.civitai_model_id or self.lead.made(MODEL)

    def steps(self, version_id: str) -> Steps:
        return self._steps[version_id]

    def send_draft(self) -> Draft:
        """Everything that Civitai needs, still visible to its owner only. What the site has lost is sent again."""
        public = self._look_for_lost()
        draft = self._send(public)
        if self._forget_missing(draft, public):
            draft = self._send(public)
        return draft

    def page_differs(self) -> bool:
        """Whether the plan says other things of a page that its versions only joined."""
        step = self.lead.log.step(MODEL)
        told = journal.fingerprint(self.plan.model)
        return not self.owns_page and step is not None and step.inputs not in {"", told}

    def wizard(self) -> str:
        """The page where the draft can be finished in a browser, at the step that comes next; empty without a draft."""
        model_id = self.page
        if not model_id:
            return ""
        every = list(self._steps.values())
        steps = next((one for one in every if not (one.made(VERSION) and one.made("file"))), every[-1])
        done = [name for name in (VERSION, "file") if steps.made(name)]
        joined = not steps.made(MODEL)
        return handoff.wizard(self.client.site, model_id, done, version_id=steps.made(VERSION), joined=joined)

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, public: frozenset[int]) -> Draft:
        model_id = send_page.send_model(self.lead, self.plan, may_change=self.owns_page)
        # What a version alone needs comes first: the posts, whose number a day is limited, come last.
        numbers = {version.version_id: self._send_version(version, model_id, public) for version in self.plan.versions}
        sent = [self._send_showcase(version, model_id, *numbers[version.version_id]) for version in self.plan.versions]
        return Draft(model_id=model_id, versions=tuple(sent))

    def _send_version(
        self, version: PlannedVersion, model_id: int, public: frozenset[int]
    ) -> tuple[int, tuple[int, ...]]:
        steps = self._steps[version.version_id]
        among_others = len(self._steps) > 1 or self.lead.made(MODEL) != steps.made(MODEL) or not steps.made(MODEL)
        fresh = self.lead.is_fresh(MODEL)
        number = send_page.send_version(steps, version, model_id, among_others=among_others, fresh=fresh)
        may_replace = self._replace or number not in public
        files = [
            send_files.send_file(steps, file, number, may_replace=may_replace, mend=self._replace)
            for file in version.files
        ]
        return number, tuple(files)

    def _send_showcase(self, version: PlannedVersion, model_id: int, number: int, files: tuple[int, ...]) -> Sent:
        steps = self._steps[version.version_id]
        by_hand.take_post(steps, self.registry, version, model_id, number, post=POST, add=ADD)
        keys = {
            picture.sha256: send_post.send_image(steps, self.registry, version, picture, number)
            for picture in version.pictures
        }
        try:
            post_id = send_post.send_post(steps, version, model_id, number, fresh=steps.is_fresh(VERSION))
        except PostLimitError as error:
            error.hint = self._when_to_go_on(error)
            raise
        images = send_post.send_pictures(steps, self.registry, version, post_id, number, keys)
        return Sent(
            version_id=version.version_id, civitai_id=number, post_id=post_id, files=files, images=tuple(images)
        )

    def _when_to_go_on(self, error: PostLimitError) -> str:
        """The limit counts the posts of a day, or of an hour on an account's first day."""
        window = timedelta(hours=1) if "hourly" in error.message else timedelta(days=1)
        made = journal.posts_since(self.registry, self.client.site, window)
        at = (made[0] if made else journal.now()) + window
        return f"the draft is kept: run the same command again after {at.astimezone():%a %H:%M}"

    # -- what the site has lost --------------------------------------------------------------------------------------

    def _look_for_lost(self) -> frozenset[int]:
        """Begin anew what is gone: deleted by its owner, or by Civitai after 30 days. Returns the public versions."""
        model_id = self.page
        if not model_id:
            return frozenset()
        if self.lead.made(MODEL) == model_id and self.lead.is_fresh(MODEL):
            # Nothing can be lost yet, and lists may lag behind; the primary database does not.
            there = (self._version_there(steps, model_id) for steps in self._steps.values())
            return frozenset(version.id for version in there if version is not None and version.status in PUBLIC)
        known = [number for steps in (self.lead, *self._steps.values()) if (number := steps.made(VERSION))]
        if known or self.lead.made(MODEL) == model_id:
            model = losses.model(self.client, model_id, known)
        else:
            # A page that a person named, and of which nothing was made here: never made anew.
            model = self.client.owned_model(model_id)
        if model is None:
            self._begin_anew(model_id)
            return frozenset()
        for steps in self._steps.values():
            if model.version(steps.made(VERSION)) is None:
                self._version_there(steps, model_id)
        return frozenset(version.id for version in model.versions if version.status in PUBLIC)

    def _version_there(self, steps: Steps, model_id: int) -> EditVersion | None:
        """A version as the primary database has it; one that is gone is forgotten, to be made anew.

        Raises :class:`HubError` where it is on another page than ``model_id``.
        """
        number = steps.made(VERSION)
        there = losses.version(self.client, number) if number else None
        if there is not None and there.model_id not in {0, model_id}:
            page = handoff.page(self.client.site, there.model_id, number)
            raise HubError(f"{there.name} is on another page already", f"see {page}")
        if number and there is None and not steps.is_fresh(VERSION):
            steps.log.forget(*(name for name in steps.log.steps() if name != MODEL))
        return there

    def _begin_anew(self, model_id: int) -> None:
        """The page is gone, drafts and all: what joined it gets one of its own."""
        with self.registry.transaction():
            for steps in (self.lead, *self._steps.values()):
                steps.log.forget_page(model_id)
        self.plan = msgspec.structs.replace(self.plan, civitai_model_id=0)
        if self.lead not in self._steps.values():
            self.lead, self.owns_page = next(iter(self._steps.values())), True

    def _forget_missing(self, draft: Draft, public: frozenset[int]) -> bool:
        """Stop where the scans say no; forget the steps of what somebody took away on the site. Whether there was any."""
        found = False
        for version, sent in zip(self.plan.versions, draft.versions, strict=True):
            steps = self._steps[version.version_id]
            there = self.client.edit_version(sent.civitai_id)
            post = losses.post(self.client, sent.post_id, draft.model_id, sent.civitai_id)
            _check_scans(there, post)
            gone = losses.files(self.client, there, sent.files, draft.model_id)
            names = _missing(version, sent, gone, post, public=sent.civitai_id in public)
            steps.log.forget(*names)
            found = found or bool(names)
        return found


def _missing(version: PlannedVersion, sent: Sent, gone: set[int], post: Post | None, *, public: bool) -> list[str]:
    """The steps to take again, ``gone`` being files. Pictures that were taken out of a public page were taken out on purpose."""
    names = [
        name
        for file, number in zip(version.files, sent.files, strict=True)
        if number in gone
        for name in send_files.step_names(file.kind)
    ]
    images = [(picture.sha256, number) for picture, number in zip(version.pictures, sent.images, strict=True)]
    if post is None:
        # Their bytes were perhaps thrown away with it.
        return [
            *names,
            POST,
            send_post.ORDER,
            *(f"image {sha256}" for sha256, _ in images),
            *(ADD + sha256 for sha256, _ in images),
        ]
    held = {image.id for image in post.images}
    if not public or not held:
        # Their bytes' keys are kept: a picture that is only not shown is found again by its key, and not doubled.
        names += [ADD + sha256 for sha256, number in images if number not in held]
    return names


def _check_scans(there: EditVersion, post: Post | None) -> None:
    """Stop where Civitai's scans have said no already. They need not be over: publishing doesn't wait for them."""
    for file in there.files:
        if "Danger" in {file.virus_scan_result, file.pickle_scan_result}:
            raise CivitaiError(
                f"Civitai's scan calls {file.name} dangerous", "make it anew and send that with --replace-file"
            )
    for image in post.images if post else ():
        if image.ingestion == "Blocked":
            reason = image.blocked_for or "its rules"
            raise CivitaiError(
                f"Civitai blocked a picture ({reason})", "take the picture out on the site, and publish without it"
            )
