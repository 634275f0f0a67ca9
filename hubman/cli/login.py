"""The key to Civitai."""

from __future__ import annotations

import click

from hubman.cli import output


@click.command()
def login() -> None:
    """Store a Civitai API key in the system's keyring, after asking the site whether it works."""
    from hubman.civitai import auth
    from hubman.civitai.client import Civitai

    page = f"{auth.site_url()}/user/account?addApiKey=1&name=hubman&scope=Creator"
    output.say(f"Make a key with the scope Creator on {page}")
    key = click.prompt("Key", hide_input=True).strip()
    with Civitai(auth.site_url(), key) as client:
        me = client.me()
    auth.store_api_key(key)
    output.say(f"hello {me.username}; the key is in the system's keyring")
