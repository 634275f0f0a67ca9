"""What obstore raises, as one line that names the object and holds no header, key or signature."""

from __future__ import annotations

import re

from hubman.sync.storages.storage import RefusedError, StorageError

_GENERIC = re.compile(r"^(Generic \w+ error: )?(Error performing list request: )?")
_AZURE = "set AZURE_STORAGE_ACCOUNT_KEY"
_WHERE_KEYS_ARE = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or add it with --profile",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file",
}
_OF_THE_CLOUD = ("//169.254.169.254", "//metadata.google.internal")
"""Who is asked for keys in the end: what a cloud tells its own machines, and no other."""
_UNSENT = "error sending request"
"""What reqwest says when there was no answer at all: no such name, no route, nobody listening."""
_STATUS = re.compile(r"non-2xx status code: (\d{3} [A-Za-z -]*)")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")


class Told:
    """Turns errors inside the ``with`` into :class:`StorageError`; ``shown`` is the store's address."""

    def __init__(self, shown: str, key: str) -> None:
        self._shown = shown
        self._name = f"{shown}/{key}".rstrip("/")

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

        if isinstance(error, StorageError):
            return
        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
            raise RefusedError(f"{self._name} was refused", "check the bucket's name and your access key") from error
        if isinstance(error, InvalidPathError):
            raise StorageError(
                f"{self._shown} holds an object whose name can't be read ({_first_line(error)})", "remove that object"
            ) from error
        if error is not None and any(host in str(error) for host in _OF_THE_CLOUD):
            scheme = self._shown.partition(":")[0]
            raise StorageError(f"no key for {self._shown} is found", _WHERE_KEYS_ARE.get(scheme, _AZURE)) from error
        if is_missing_bucket(error):
            raise StorageError(f"{self._shown} is not there", "make the bucket first, or check its name") from error
        if error is not None and _UNSENT in str(error):
            raise StorageError(
                f"{self._name} can't be reached: no answer from {_host(error)}", "check --endpoint and the network"
            ) from error
        if error is not None and (status := _STATUS.search(str(error))):
            raise self._answered(status, _CODE.search(str(error))) from error
        if isinstance(error, BaseError | OSError):
            raise StorageError(f"{self._name} can't be reached ({_first_line(error)})", "try again") from error

    def _answered(self, status: re.Match[str], code: re.Match[str] | None) -> StorageError:
        """What a store said that obstore has no error of its own for, as of every listing."""
        said = status[1].strip() + (f", {code[1]}" if code else "")
        if said.startswith(("401", "403")):
            return RefusedError(f"{self._name} was refused ({said})", "check the bucket's name and your access key")
        if said.startswith("4"):
            return StorageError(f"{self._name} can't be had ({said})", "check --endpoint, --region and your access key")
        return StorageError(f"{self._name} can't be reached ({said})", "try again")


def is_missing_bucket(error: BaseException | None) -> bool:
    """Whether it is not the object that is missing: an object of a bucket that is not there is no absent object."""
    return error is not None and any(word in str(error) for word in _NO_BUCKET)


def is_beyond_end(error: BaseException) -> bool:
    return "416 Range Not Satisfiable" in str(error)


def is_whole_answer(error: BaseException) -> bool:
    """Whether a store answered a range with the whole object."""
    return "Received non-partial response" in str(error)


def _host(error: BaseException) -> str:
    """Who was asked, without what: an address may hold a signature."""
    found = re.search(r"https?://[^/?\s]+", str(error))
    return found[0] if found else "the store"


def _first_line(error: BaseException) -> str:
    """Of an obstore error, which goes on with a dump of the request."""
    lines = str(error).splitlines() or [type(error).__name__]
    return _GENERIC.sub("", lines[0]).partition("?")[0][:200]
