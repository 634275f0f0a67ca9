"""What can go wrong, said in one line with what to do about it."""

from __future__ import annotations


class HubError(Exception):
    """An expected failure that a person can act on.

    ``message`` names the file or field and what is wrong with it, without a full stop; ``hint`` says what to do.
    Neither ever holds a secret.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class UsageError(HubError):
    """The request itself is wrong (exit status 2)."""


class NotFoundError(HubError):
    """A name, id or path that leads nowhere."""


class DamagedFileError(HubError):
    """A file whose content contradicts its format."""


class MissingExtraError(HubError):
    """A verb whose optional packages are not installed."""


class CancelledError(HubError):
    """The person stopped it."""
