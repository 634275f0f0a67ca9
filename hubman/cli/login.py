"""The key to Civitai: storing it, whose it is, forgetting it."""

from __future__ import annotations

import os
import sys

import click

from hubman import config
from hubman.cli import output
from hubman.cli.site import sandbox_option, site_of
from registry.errors import UsageError


@click.command()
@click.option(
    "--to", type=click.Choice(["civitai", "hf"]), default="civitai", help="Whose: Civitai's, or the Hugging Face Hub's."
)
@output.json_option
def login(to: str, as_json: bool) -> None:
    """Store a Civitai API key, or a Hugging Face token, in the system's keyring, after asking the site whether it works.

    The key is typed or pasted unseen, or read from standard input.
    """
    if to == "hf":
        _login_to_hub(as_json=as_json)
        return
    from hubman.civitai import auth, permissions
    from hubman.civitai.client import Civitai
    from hubman.civitai.shared import Shared

    page = auth.key_page()
    auth.check_keyring(page)
    key = _ask(page)
    with Civitai(auth.site_url(), key, shared=Shared(config.home())) as client:
        found = permissions.report(client.me(), key_page=page)
    auth.store_api_key(key)
    shadowed = bool(os.environ.get(auth.KEY_VARIABLE))
    if as_json:
        output.print_json({"stored": "keyring", "shadowed": shadowed, "key": found})
        return
    output.say(f"hello {found.username}; the key is in the system's keyring")
    for line in permissions.lines(found)[1:]:
        output.say(line)
    if shadowed:
        output.say(f"${auth.KEY_VARIABLE} is set and wins over the keyring: unset it to use the new key")


def _login_to_hub(*, as_json: bool) -> None:
    from hubman.huggingface import auth
    from hubman.huggingface.client import Hub

    token = _ask(f"{auth.endpoint()}/settings/tokens/new?tokenType=write", "Make a token with the right to write")
    account = Hub(auth.endpoint(), token).account()
    auth.store_token(token)
    if as_json:
        output.print_json({"stored": "keyring", "account": account})
        return
    output.say(f"hello {account.name}; the token is in the system's keyring")


def _ask(page: str, told: str = "Make a key with the scope Creator") -> str:
    from hubman.civitai import auth

    if not sys.stdin.isatty():
        return _given(auth.clean_key(sys.stdin.readline()))
    click.echo(f"{told} on {output.clean(page)}", err=True)
    return _given(auth.clean_key(click.prompt("Key", hide_input=True, err=True)))


def _given(key: str) -> str:
    if not key:
        raise UsageError("no key was given", "paste it, or hand it to standard input")
    return key


@click.command()
@sandbox_option
@output.json_option
def whoami(use_sandbox: bool, as_json: bool) -> None:
    """Whose the Civitai key is, where it comes from, and what it may do."""
    from hubman.civitai import auth, permissions
    from hubman.civitai.session import connect

    with connect(config.home(), site_of(use_sandbox)) as client:
        found = permissions.report(client.me(), key_page=auth.key_page())
        site = client.site
    source = "sandbox" if use_sandbox else auth.key_source()
    if as_json:
        output.print_json({"site": site, "source": source, "key": found})
        return
    for line in (*permissions.lines(found), f"key: from the {source}, for {site}"):
        output.say(line)


@click.command()
@output.json_option
def logout(as_json: bool) -> None:
    """Remove the Civitai key from the system's keyring. The site knows it until it is revoked there."""
    from hubman.civitai import auth

    was_there = auth.forget_api_key()
    remains = bool(os.environ.get(auth.KEY_VARIABLE))
    if as_json:
        output.print_json({"forgotten": was_there, "environment": remains})
        return
    output.say("the key is no longer in the keyring" if was_there else "the keyring held no key")
    if remains:
        output.say(f"${auth.KEY_VARIABLE} is still set: unset it too")
    output.say(f"to revoke it everywhere: {auth.site_url()}/user/account")
