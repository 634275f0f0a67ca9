"""The Hub, as far as a publication needs it, through its own library."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hubman import __version__
from hubman.huggingface import auth
from hubman.huggingface.errors import HubRefusedError, translated
from hubman.secrecy import guard_logs, remember
from registry.errors import MissingExtraError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

Watch = Callable[[int, int], None]
"""(bytes sent, bytes in all)"""
_STEP = 1 << 20
"""Bytes between two calls of a :data:`Watch`."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file for a repository: from ``path``, or the bytes of ``content``. ``sha256`` is what it holds."""

    name: str
    sha256: str
    size: int
    path: str = ""
    content: bytes = b""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token it is. ``may_write`` is None where the token's own rights decide it for each repository."""

    name: str
    organisations: tuple[str, ...] = ()
    may_write: bool | None = None


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a repository has; ``sha256`` of a large one, else ``blob``, which is git's SHA-1 of it."""

    name: str
    size: int
    sha256: str = ""
    blob: str = ""


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository as it is now."""

    id: str
    is_private: bool
    files: tuple[RemoteFile, ...] = ()


class Hub:
    """One Hub with one token. Every method raises :class:`HubError` saying what was refused and what to do."""

    def __init__(self, site: str, token: str) -> None:
        if not token:
            page = f"{site}/settings/tokens"
            raise HubRefusedError(
                "there is no Hugging Face token",
                f"make one with the right to write at {page}, then hubman login --to hf, or set HF_TOKEN",
                status=401,
            )
        self.site = site
        remember(token)
        guard_logs()
        self._api = _api(site, token)

    @staticmethod
    def from_environment() -> Hub:
        """The Hub that ``$HF_ENDPOINT`` names with the token of ``$HF_TOKEN`` or the keyring."""
        return Hub(auth.endpoint(), auth.token())

    def account(self) -> Account:
        told = self._read("the account", self._api.whoami)
        role = told.get("auth", {}).get("accessToken", {}).get("role")
        return Account(
            name=str(told["name"]),
            organisations=tuple(str(one["name"]) for one in told.get("orgs", ()) if "name" in one),
            may_write={"write": True, "read": False}.get(str(role)),
        )

    def repository(self, repo: str) -> Repository | None:
        """The repository as its owner sees it, or None where there is none."""
        try:
            info = self._read(repo, lambda: self._api.model_info(repo, files_metadata=True))
        except HubRefusedError as error:
            # Of what is not there, and of what is somebody else's, the Hub says 401 as well.
            if error.status in {401, 404}:
                return None
            raise
        files = tuple(
            RemoteFile(
                name=file.rfilename,
                size=file.size or 0,
                sha256=file.lfs.sha256 if file.lfs else "",
                blob=file.blob_id or "",
            )
            for file in info.siblings or ()
        )
        return Repository(id=info.id, is_private=bool(info.private), files=files)

    def _read(self, what: str, ask: Callable[[], Any]) -> Any:
        """Ask once more where the answer got lost: a connection that was kept open may have been closed meanwhile."""
        try:
            with translated(self.site, what):
                return ask()
        except HubRefusedError as error:
            if error.status:
                raise
        with translated(self.site, what):
            return ask()

    def create(self, repo: str, *, private: bool) -> None:
        """Make a repository; one that is there already stays as it is."""
        with translated(self.site, repo):
            self._api.create_repo(repo, private=private, exist_ok=True)

    def send(self, repo: str, upload: Upload, watch: Watch) -> None:
        """Send the bytes of a large file; a small one travels with the commit. What is there already is not sent again.

        ``watch`` may raise to stop.
        """
        with translated(self.site, f"{repo}/{upload.name}"), _Opened(upload, watch) as opened:
            operation = self._operation(upload, opened)
            opened.is_watched = True
            # Only what preupload itself frees would be empty at the commit, and each of our files is opened anew for it.
            self._api.preupload_lfs_files(repo, [operation], free_memory=False)

    def commit(self, repo: str, uploads: Sequence[Upload], *, message: str) -> None:
        """Put the files into the repository in one commit. Those that it has already are left out of it."""
        opened = [_Opened(upload, _unwatched) for upload in uploads]
        try:
            with translated(self.site, repo):
                operations = [self._operation(upload, file) for upload, file in zip(uploads, opened, strict=True)]
                self._api.create_commit(repo, operations, commit_message=message)
        finally:
            for file in opened:
                file.close()

    def make_public(self, repo: str) -> None:
        with translated(self.site, repo):
            self._api.update_repo_settings(repo, private=False)

    def _operation(self, upload: Upload, opened: _Opened) -> CommitOperationAdd:
        from huggingface_hub import CommitOperationAdd

        operation = CommitOperationAdd(path_in_repo=upload.name, path_or_fileobj=opened)
        if operation.upload_info.sha256.hex() != upload.sha256:
            raise HubRefusedError(
                f"{upload.name} has changed since it was checked", "run hubman scan, then publish again"
            )
        return operation


def _api(site: str, token: str) -> HfApi:
    try:
        from huggingface_hub import HfApi, constants, logging
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise MissingExtraError("the Hub needs its own library", "pip install 'hubman[hf]'") from error
    # Nothing is told beyond what is sent. Not by the environment, which other jobs would inherit.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    logging.set_verbosity_error()
    return HfApi(endpoint=site, token=token, library_name="hubman", library_version=__version__)


def _unwatched(_done: int, _total: int) -> None:
    return


class _Opened(io.BufferedReader):
    """A file that tells how much of it was read, once ``is_watched``: hashing it before is no sending."""

    def __init__(self, upload: Upload, watch: Watch) -> None:
        raw: Any = io.FileIO(Path(upload.path)) if upload.path else io.BytesIO(upload.content)
        super().__init__(raw)
        self.is_watched = False
        self._size, self._watch, self._told = upload.size, watch, 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.is_watched:
            done = self.tell()
            if done >= self._size or not self._told <= done < self._told + _STEP:
                self._told = done
                self._watch(done, self._size)
        return data
