"""The key of a remote on the command line: made with it, asked for when it is joined, handed to other machines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

import click

from hubman.cli import output
from hubman.cli.bucket_options import bucket_options
from hubman.cli.library import open_registry
from registry.errors import UsageError

if TYPE_CHECKING:
    from hubman.sync.records.layout import Hub
    from hubman.sync.remote import Remote
    from hubman.sync.secrecy.joining import Secrecy
    from hubman.sync.secrecy.repo_key import RepoKey
    from hubman.sync.storages.storage import Storage
    from registry.database import Registry

_LOSS = "Write these words down and keep them apart from this machine: without them or a machine that has the key, "


def key_file_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--key-file``, whose ``-`` is standard input."""
    return click.option(
        "--key-file", type=click.File(encoding="utf-8"), help="A file with the words of the remote's key; - for stdin."
    )(command)


def wished(*, encrypt: bool, sign: bool, key_file: TextIO | None) -> Secrecy:
    """What the options of ``remote add`` ask for. Raises :class:`UsageError`."""
    from hubman.sync.secrecy.joining import Secrecy

    if encrypt and sign:
        raise UsageError("--encrypt and --sign exclude each other", "what is encrypted is signed as well")
    return Secrecy("age" if encrypt else "hmac" if sign else "", lambda hub: _asked(hub, key_file), _tell)


def _asked(hub: Hub, key_file: TextIO | None) -> RepoKey:
    """The key out of a file, or typed unseen. Raises :class:`registry.errors.HubError` where nobody can be asked."""
    from hubman.sync.secrecy.joining import NO_SECRECY
    from hubman.sync.secrecy.repo_key import from_words

    if key_file is not None:
        return from_words(_read(key_file))
    if not sys.stdin.isatty():
        return NO_SECRECY.give(hub)
    return from_words(click.prompt("The words of the remote's key", hide_input=True, err=True))


def _read(file: TextIO) -> str:
    try:
        return file.read(4096)
    except UnicodeDecodeError as error:
        raise UsageError("the file of the key is no text", "it holds the key's words and nothing else") from error


def _tell(key: RepoKey) -> None:
    _show_words(key)
    output.say("This is the only time that they are shown unasked; hubman remote key show NAME shows them again.")


def _show_words(key: RepoKey) -> None:
    words = str(key.words()).split()
    output.say(_LOSS + "everything on the remote is lost.")
    for start in range(0, len(words), 6):
        output.say("  " + " ".join(words[start : start + 6]))


def _show_identity(key: RepoKey, remote: Remote) -> None:
    from hubman.sync.secrecy import age_keys
    from hubman.sync.secrecy.sealed import age_secret

    if remote.enc != "age":
        raise UsageError(f"{remote.name} is not encrypted", "what lies there can be read as it is")
    output.say(age_keys.identity(age_secret(key, remote.repo)))


@click.group("key")
def key() -> None:
    """The key of an encrypted or signed remote, and the machines that were let in."""


@key.command("show")
@click.argument("name", required=False, default="")
@click.option("--age", "as_age", is_flag=True, help="Show the identity by which the age tool opens what lies there.")
@output.json_option
def show(name: str, as_age: bool, as_json: bool) -> None:
    """Show the words of the key of the remote NAME, and the number by which two machines compare it.

    --json tells the number only: the words are for people.
    """
    from hubman.sync.remote import find
    from hubman.sync.secrecy import keys

    with open_registry() as registry:
        remote = find(registry, name)
        _need_key(remote.enc, remote.name)
        found = keys.key_of(registry, remote)
    if as_json:
        output.print_json({"remote": remote.name, "enc": remote.enc, "check": remote.key_check})
        return
    if as_age:
        _show_identity(found, remote)
        return
    _show_words(found)
    output.say(f"its number: {remote.key_check}")


@key.command("join")
@click.argument("name")
@click.argument("location", required=False)
@bucket_options
@key_file_option
@output.json_option
def join(name: str, location: str | None, bucket: dict[str, str], key_file: TextIO | None, as_json: bool) -> None:
    """Take the key of a remote that this machine was let in to, and add the remote as NAME if it is new here.

    Not let in yet, it says what to run on a machine that has the key. --key-file gives the words instead.
    """
    from hubman.sync import remotes
    from hubman.sync.secrecy import joining
    from hubman.sync.storages.readonly import open_remote
    from hubman.sync.storages.storage import open_storage

    with open_registry() as registry:
        known = {one.name: one for one in remotes.all_remotes(registry)}
        if name in known:
            remote = known[name]
            place = open_remote(remote)
            hub = remotes.check_is_same(place, remote)
            _need_key(hub.enc, name)
            joining.take_key(registry, hub, _giver(registry, place, key_file))
        else:
            if location is None:
                raise UsageError(f"there is no remote {name} here yet", f"hubman remote key join {name} LOCATION")
            kind, where = remotes.place_of(registry, location, bucket)
            place = open_storage(kind, where, bucket)
            remotes.read_hub(place, where)
            give = _giver(registry, place, key_file)
            remote = remotes.add(registry, name, location, options=bucket, secrecy=joining.Secrecy(give=give))
    told = {"remote": remote.name, "enc": remote.enc, "check": remote.key_check}
    if as_json:
        output.print_json(told)
        return
    if remote.enc == "none":
        output.say(f"added {name}, which needs no key; hubman sync {name} syncs with it")
        return
    output.say(f"this machine has the key of {name}; hubman sync {name} syncs with it")
    output.say(f"its number: {remote.key_check}; hubman remote key show says it on the machine that let this one in")


def _giver(registry: Registry, place: Storage, key_file: TextIO | None) -> Callable[[Hub], RepoKey]:
    from hubman.sync.secrecy.recipients import key_for_this_machine

    if key_file is not None:
        return lambda hub: _asked(hub, key_file)
    return lambda hub: key_for_this_machine(registry, place, hub)


@key.command("recipients")
@click.argument("name", required=False, default="")
@output.json_option
def recipients(name: str, as_json: bool) -> None:
    """List the machines that the key of the remote NAME lies there for."""
    from hubman.sync.care.devices import name_of
    from hubman.sync.remote import find
    from hubman.sync.secrecy import recipients as admitted
    from hubman.sync.storages.readonly import open_remote

    with open_registry() as registry:
        remote = find(registry, name)
        _need_key(remote.enc, remote.name)
        found = [{"device": one, "name": name_of(registry.db, one)} for one in admitted.admitted(open_remote(remote))]
    if as_json:
        output.print_json(found)
    else:
        output.table([(one["device"], one["name"]) for one in found], ("device", "name"))


@key.command("add-recipient")
@click.argument("name")
@click.argument("request")
@output.json_option
def add_recipient(name: str, request: str, as_json: bool) -> None:
    """Let a machine in to the remote NAME, by the REQUEST that hubman remote key join printed there."""
    from hubman.sync.remote import find
    from hubman.sync.secrecy import keys
    from hubman.sync.secrecy import recipients as admitted
    from hubman.sync.storages.readonly import open_remote

    with open_registry() as registry:
        remote = find(registry, name)
        _need_key(remote.enc, remote.name)
        device = admitted.admit(open_remote(remote), remote.repo, keys.key_of(registry, remote), request)
    if as_json:
        output.print_json({"device": device, "check": remote.key_check})
        return
    output.say(f"device {device} may take the key now: hubman remote key join {name} LOCATION, there")
    output.say(f"the key's number: {remote.key_check}; it must be the same there")


@key.command("remove")
@click.argument("name")
@click.argument("device")
@output.json_option
def remove(name: str, device: str, as_json: bool) -> None:
    """Let DEVICE take the key of the remote NAME no more."""
    from hubman.sync.care import devices
    from hubman.sync.remote import find
    from hubman.sync.secrecy import recipients as admitted
    from hubman.sync.storages.readonly import open_remote
    from registry.errors import NotFoundError

    with open_registry() as registry:
        remote = find(registry, name)
        _need_key(remote.enc, remote.name)
        place = open_remote(remote)
        theirs = device if device in admitted.admitted(place) else devices.find(registry, device).id
        if not admitted.withdraw_all(place, {theirs}):
            raise NotFoundError(f"the key does not lie there for {device}", f"hubman remote key recipients {name}")
    if as_json:
        output.print_json({"removed": theirs})
        return
    output.say(f"{device} can't take the key from {name} any more")
    output.say(
        "If it has taken it already it keeps it, and can read what is there and what will come: to shut it out, take "
        "away its access to the place, and move to a new remote with a new key."
    )


def _need_key(enc: str, name: str) -> None:
    if enc == "none":
        raise UsageError(f"{name} has no key", "it is neither encrypted nor signed")
