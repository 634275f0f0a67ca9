"""The steps of a publication on the Hub, each journalled; what is there is looked up before anything is sent again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from hubman.civitai.journal import Journal
from hubman.huggingface.client import Hub, RemoteFile, Repository, Upload
from hubman.huggingface.errors import HubRefusedError
from hubman.huggingface.page import README, Page
from hubman.progress import Progress, Report

_LOOKS = (1.0, 3.0)
"""Seconds between looks at a repository that may not show yet what was just sent."""


class Sender:
    """Sends a page as far as its journal says that it has not been sent."""

    def __init__(
        self, hub: Hub, page: Page, log: Journal, report: Report, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._hub, self._page, self._log, self._report, self._sleep = hub, page, log, report, sleep

    def send(self, *, draft: bool, message: str) -> None:
        """Everything that the page is made of, and a look at it that it is there.

        A new repository is private until :meth:`make_public`, so that nobody sees it half filled. Raises
        :class:`HubRefusedError` for a draft where all can see the repository.
        """
        self._repository()
        if draft:
            self._refuse_public()
        for upload in self._page.uploads:
            if upload.name != README:
                self._file(upload)
        self._commit(message)
        self._verify()

    def make_public(self) -> None:
        found = self._look()
        if found is None or found.is_private:
            # Its owner may have hidden it since it was made public: the site's word counts, not the journal's.
            self._log.forget("public")
            self._step("public", self._page.repo, lambda: self._hub.make_public(self._page.repo))

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _repository(self) -> None:
        step = self._log.step("repo")
        if step is not None and step.state == "done" and self._look() is None:
            # Deleted on the site since: nothing of what was sent is left.
            self._log.forget_all()
        self._step("repo", self._page.repo, lambda: self._hub.create(self._page.repo, private=True))

    def _refuse_public(self) -> None:
        found = self._look()
        if found is not None and not found.is_private:
            raise HubRefusedError(
                f"{self._page.repo} is public, and a draft in it would be seen by all",
                "choose another name with --repo",
            )

    def _file(self, upload: Upload) -> None:
        def send() -> None:
            self._hub.send(self._page.repo, upload, lambda done, total: self._count(upload, done, total))

        self._step(f"upload {upload.name}", upload.sha256, send)

    def _commit(self, message: str) -> None:
        def send() -> None:
            try:
                self._hub.commit(self._page.repo, self._page.uploads, message=message)
            except HubRefusedError as error:
                # Without an answer it may have been done all the same.
                if (error.status and error.status < 500) or self._missing():
                    raise

        self._step("commit", self._page.fingerprint, send)

    def _step(self, name: str, fingerprint: str, send: Callable[[], None]) -> None:
        """Do a step that does no harm when repeated, unless it is done with the same ``fingerprint`` of what goes into it."""
        step = self._log.step(name)
        if step is not None and step.state == "done" and step.answer.get("of") == fingerprint:
            return
        self._log.begin(name, {"of": fingerprint})
        self._tell(name, "started")
        send()
        self._tell(name, "sent")
        self._log.finish(name, {"of": fingerprint})
        self._tell(name, "done")

    # -- the end -------------------------------------------------------------------------------------------------------

    def _verify(self) -> None:
        missing: list[str] = []
        for wait in (*_LOOKS, 0.0):
            missing = self._missing()
            if not missing:
                self._tell("verify", "done")
                return
            self._sleep(wait)
        self._log.forget("commit")
        raise HubRefusedError(
            f"{self._page.repo} does not hold what was sent ({', '.join(missing[:3])})", "run the same command again"
        )

    def _missing(self) -> list[str]:
        found = self._look()
        there = {file.name: file for file in found.files} if found else {}
        return [upload.name for upload in self._page.uploads if not _is_there(upload, there.get(upload.name))]

    def _look(self) -> Repository | None:
        return self._hub.repository(self._page.repo)

    def _count(self, upload: Upload, done: int, total: int) -> None:
        self._report(Progress(stage="upload", done=done, total=total, unit="B", message=upload.name))

    def _tell(self, step: str, state: str) -> None:
        self._report(Progress(stage="publish", message=f"{step}: {state}", data={"step": step, "state": state}))


def _is_there(upload: Upload, found: RemoteFile | None) -> bool:
    if found is None or found.size != upload.size:
        return False
    if found.sha256:
        return found.sha256 == upload.sha256
    # A small file is known by git's hash only, and we hold its bytes.
    return not upload.content or found.blob == _git_hash(upload.content)


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
