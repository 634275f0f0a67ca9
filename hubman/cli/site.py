"""Which site the commands speak to."""

from __future__ import annotations

import click

sandbox_option = click.option(
    "--sandbox", "use_sandbox", is_flag=True, help="Speak to the local sandbox instead of the real site."
)


def site_of(use_sandbox: bool) -> str | None:
    """The site as :func:`hubman.civitai.session.connect` takes it."""
    return "sandbox" if use_sandbox else None
