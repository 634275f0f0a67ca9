"""Keys for S3 out of the files that AWS tools share, for those who keep none in the environment.

obstore reads the environment and what a cloud gives its own machines; the files are read here. Format: the AWS SDKs
and Tools Reference Guide, "Shared config and credentials files".
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from registry.errors import HubError, UsageError

_IN_ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")


def provider(profile: str) -> Callable[[], dict[str, Any]] | None:
    """What gives obstore the keys of ``profile``, anew for each store; None where the environment has to do.

    Without a name it is ``$AWS_PROFILE`` or ``default``, and only where the environment names no key.
    Raises :class:`UsageError` for a profile that is not there and :class:`HubError` for a file that can't be read.
    """
    if not profile and any(os.environ.get(name) for name in _IN_ENVIRONMENT):
        return None
    name = profile or os.environ.get("AWS_PROFILE", "default")
    found = _section(name)
    if found is None:
        if profile:
            raise UsageError(
                f"{_path()} has no keys for the profile {profile}", "aws configure --profile NAME makes one"
            )
        return None
    credential = {
        "access_key_id": found["aws_access_key_id"],
        "secret_access_key": found["aws_secret_access_key"],
        "token": found.get("aws_session_token"),
        "expires_at": None,
    }
    return lambda: credential


def _path() -> Path:
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()


def _section(name: str) -> configparser.SectionProxy | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(_path(), encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        # The error's text would quote the file's lines, keys and all.
        raise HubError(
            f"{_path()} can't be read ({type(error).__name__})", "is it as aws configure wrote it?"
        ) from None
    if name not in parser:
        return None
    section = parser[name]
    return section if section.get("aws_access_key_id") and section.get("aws_secret_access_key") else None
