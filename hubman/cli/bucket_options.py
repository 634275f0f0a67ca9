"""The options of a command that opens a bucket. Keys are not among them: they come from the environment."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

_OPTIONS = (
    click.option("--endpoint", help="Where the store answers, if it is not its maker's own: https://s3.example.org."),
    click.option("--region", help="The bucket's region (s3)."),
    click.option("--account", help="The storage account (az)."),
    click.option("--profile", help="Whose keys of ~/.aws/credentials to use (s3), if the environment has none."),
    click.option("--anonymous", is_flag=True, help="Read a public bucket without keys."),
)


def bucket_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the command gets those that were given as ``bucket``, a ``dict[str, str]``."""

    @functools.wraps(command)
    def wrapped(*args: Any, anonymous: bool, **given: Any) -> None:
        names = ("endpoint", "region", "account", "profile")
        said = {name: given.pop(name) for name in names}
        bucket = {name: value for name, value in said.items() if value} | ({"anonymous": "yes"} if anonymous else {})
        command(*args, bucket=bucket, **given)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
