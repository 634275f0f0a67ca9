"""The key to Civitai."""

from __future__ import annotations

import click

from hubman.cli import output


@click.command()
@click.option(
    "--to", type=click.Choice(["civitai", "hf"]), default="civitai", help="Whose: Civitai's, or the Hugging Face Hub's."
)
def login(to: str) -> None:
    """Store a Civitai API key, or a Hugging Face token, in the system's keyring, after asking the site whether it works."""
    if to == "hf":
        _login_to_hub()
        return
    from hubman.civitai import auth
    from hubman.civitai.client import Civitai

    page = f"{auth.site_url()}/user/account?addApiKey=1&name=hubman&scope=Creator"
    output.say(f"Make a key with the scope Creator on {page}")
    key = click.prompt("Key", hide_input=True).strip()
    with Civitai(auth.site_url(), key) as client:
        me = client.me()
    auth.store_api_key(key)
    output.say(f"hello {me.username}; the key is in the system's keyring")


def _login_to_hub() -> None:
    from hubman.huggingface import auth
    from hubman.huggingface.client import Hub

    output.say(f"Make a token with the right to write on {auth.endpoint()}/settings/tokens/new?tokenType=write")
    token = click.prompt("Token", hide_input=True).strip()
    account = Hub(auth.endpoint(), token).account()
    auth.store_token(token)
    output.say(f"hello {account.name}; the token is in the system's keyring")
