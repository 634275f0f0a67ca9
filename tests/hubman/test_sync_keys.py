"""Keys at the command line: shown once, asked for, handed to another machine, taken back; never told to programs."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pyrage
import pytest

from hubman.cli.main import run
from hubman.sync.care import devices
from hubman.sync.records import layout
from hubman.sync.secrecy import keys, recipients
from hubman.sync.secrecy.repo_key import new_key
from hubman.sync.storages.folder import FolderStorage
from registry.database import Registry
from tests.support.machines import quick_folder
from tests.support.sealing import everything_in, no_keyring

Command = Callable[..., tuple[int, str, str]]
"""``command(home, *words, given=standard input)``: exit status, output, errors."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as folder, no_keyring():
        yield folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path) -> Command:
    monkeypatch.delenv(keys.VARIABLE, raising=False)

    def act(home: str, *words: str, given: str = "") -> tuple[int, str, str]:
        monkeypatch.setenv("HUBMAN_HOME", str(place / home))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        status = run(words)
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return act


@pytest.fixture
def words(command: Command, place: Path) -> str:
    """Of an encrypted remote ``r`` that machine ``a`` has made."""
    status, shown, _ = command("a", "remote", "add", "r", str(place / "remote"), "--encrypt")
    assert status == 0
    assert "everything on the remote is lost" in shown
    return " ".join(re.findall(r"^  ((?:[a-z]+ ?){6})$", shown, re.MULTILINE))


def files_with(text: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_the_words_are_shown_to_people_and_are_nowhere_else(command: Command, words: str, place: Path) -> None:
    assert len(words.split()) == 24
    (kept,) = files_with(words, place)
    assert kept.parent == place / "a" / "keys"
    for asked in (["remote", "ls"], ["remote", "key", "show"], ["sync"], ["remote", "check", "r"], ["doctor"]):
        _, shown, errors = command("a", *asked, "--json")
        assert words not in shown + errors
        assert words.split()[3:6] not in [shown.split()[at : at + 3] for at in range(len(shown.split()))]
    _, again, _ = command("a", "remote", "key", "show", "r")
    assert words.split() == re.findall(r"[a-z]+", again.split("lost.")[1].split("its number")[0])
    assert len(files_with(words, place)) == 1
    _, identity, _ = command("a", "remote", "key", "show", "r", "--age")
    (head,) = (place / "remote" / "heads").iterdir()
    opened = pyrage.decrypt(head.read_bytes(), [pyrage.x25519.Identity.from_str(identity.strip())])
    assert layout.decode_head(opened[32:]).seq > 0


def test_the_words_open_the_remote_on_another_machine(command: Command, words: str, place: Path) -> None:
    remote = str(place / "remote")
    before = everything_in(place / "remote")
    status, _, error = command("b", "remote", "add", "r", remote)
    assert (status, error.count("\n")) == (1, 1)
    assert "the remote is encrypted, and its key is not on this machine" in error
    made = [str(new_key().words()) for _ in range(2)]
    # The list of words has "key", "remote" and "this": what is said is of no key if it is the same of every key.
    for wrong, code in ((made, 1), (("some words", "two others"), 2), ((words + " more", made[0] + " other"), 2)):
        told = [command("b", "remote", "add", "r", remote, "--key-file", "-", given=text) for text in wrong]
        assert [(status, error.count("\n")) for status, _, error in told] == [(code, 1)] * 2
        assert told[0] == told[1]
    assert not (place / "b" / "keys").exists()
    assert everything_in(place / "remote") == before
    assert command("b", "remote", "add", "r", remote, "--key-file", "-", given=words.upper())[0] == 0
    assert command("b", "sync")[0] == 0
    (place / "words.txt").write_text(words.replace(" ", "\n"))
    assert command("c", "remote", "add", "r", remote, "--key-file", str(place / "words.txt"))[0] == 0


def test_a_machine_without_storage_takes_the_words_from_its_environment(
    command: Command, words: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(keys.VARIABLE, str(new_key().words()))
    assert "are not the key of this remote" in command("b", "remote", "add", "r", str(place / "remote"))[2]
    monkeypatch.setenv(keys.VARIABLE, words)
    assert command("b", "remote", "add", "r", str(place / "remote"))[0] == 0
    assert command("b", "sync")[0] == 0
    assert files_with(words, place / "b") == []


def test_a_machine_is_let_in_by_another_and_taken_off_the_list(command: Command, words: str, place: Path) -> None:
    remote = str(place / "remote")
    status, _, error = command("b", "remote", "key", "join", "r", remote)
    assert status == 1
    request = error.split()[-1]
    assert re.fullmatch(r"[0-9a-f]{16}/age1[0-9a-z]{58}", request)
    for wrong in ("age1x", request.upper(), request[:-1] + "b", "../" + request):
        assert command("a", "remote", "key", "add-recipient", "r", wrong)[0] == 2
    status, told, _ = command("a", "remote", "key", "add-recipient", "r", request, "--json")
    number = msgspec.json.decode(told)["check"]
    _, told, _ = command("b", "remote", "key", "join", "r", remote)
    assert number in told
    assert command("b", "sync")[0] == command("a", "sync")[0] == 0
    (kept,) = files_with(words, place / "b")
    device = request[:16]
    listed = msgspec.json.decode(command("a", "remote", "key", "recipients", "r", "--json")[1])
    assert [one["device"] for one in listed] == [device]
    kept.unlink()
    assert "is not on this machine" in command("b", "sync")[2]
    assert command("b", "remote", "key", "join", "r")[0] == command("b", "sync")[0] == 0
    status, told, _ = command("a", "remote", "key", "remove", "r", device)
    assert (status, "keeps it, and can read what is there" in told) == (0, True)
    assert command("a", "remote", "key", "remove", "r", device)[0] == 1
    assert list((place / "remote" / "keys").iterdir()) == []


def test_what_a_stranger_puts_there_for_a_machine_is_not_its_key(command: Command, words: str, place: Path) -> None:
    remote = str(place / "remote")
    request = command("b", "remote", "key", "join", "r", remote)[2].split()[-1]
    device, _, recipient = request.partition("/")
    hub = layout.decode_hub((place / "remote" / "hub.json").read_bytes())
    to = pyrage.x25519.Recipient.from_str(recipient)
    folder = place / "remote" / "keys"
    folder.mkdir()
    bodies = [
        b"no age file",
        pyrage.encrypt(b"no json", [to]),
        pyrage.encrypt(msgspec.json.encode({"repo": hub.repo, "key": new_key().raw.hex()}), [to]),
        pyrage.encrypt(msgspec.json.encode({"repo": hub.repo, "key": "x"}), [to]),
    ]
    for body in bodies:
        (folder / f"{device}-{layout.hash32(body)}").write_bytes(body)
    (folder / f"{device}-{'0' * 32}").write_bytes(b"of another hash")
    (folder / f"{device}-{'1' * 32}").write_bytes(b"x" * 10_000)
    status, _, error = command("b", "remote", "key", "join", "r", remote)
    assert (status, error.count("\n")) == (1, 1)
    assert not list((place / "b" / "keys").glob("0*"))


def test_a_forgotten_machine_is_taken_off_the_list_by_the_next_deep_sync(
    command: Command, words: str, place: Path
) -> None:
    remote = str(place / "remote")
    request = command("b", "remote", "key", "join", "r", remote)[2].split()[-1]
    command("a", "remote", "key", "add-recipient", "r", request)
    command("b", "remote", "key", "join", "r", remote)
    command("b", "sync")
    command("a", "sync")
    assert recipients.admitted(FolderStorage(place / "remote")) == [request[:16]]
    from hubman.sync.run import sync

    with Registry(place / "a") as registry:
        devices.retire(registry, request[:16])
        sync(registry, "r", deep=True)
    assert recipients.admitted(FolderStorage(place / "remote")) == []


def test_what_makes_no_sense_is_wrong_usage(command: Command, words: str, place: Path) -> None:
    assert command("b", "remote", "add", "x", str(place / "new"), "--encrypt", "--sign")[0] == 2
    assert not (place / "new").exists()
    assert command("b", "remote", "add", "plain", str(place / "plain"))[0] == 0
    assert command("b", "remote", "key", "show", "plain")[0] == 2
    assert command("b", "remote", "key", "join", "other")[0] == 2
    for kind in ("--encrypt", "--sign"):
        assert command("c", "remote", "add", "p", str(place / "plain"), kind)[0] == 2
    assert command("c", "remote", "add", "r", str(place / "remote"), "--sign")[0] == 2
    status, told, _ = command("c", "remote", "add", "s", str(place / "signed"), "--sign")
    assert (status, len(re.findall(r"^  (?:[a-z]+ ?){6}$", told, re.MULTILINE))) == (0, 4)


@pytest.mark.parametrize("package", ["pyrage", "mnemonic", "cryptography"])
def test_without_its_packages_no_encrypted_remote_is_begun(
    command: Command, place: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for loaded in (package, f"{package}.x25519"):
        monkeypatch.setitem(sys.modules, loaded, None)
    status, _, error = command("a", "remote", "add", "r", str(place / "remote"), "--encrypt")
    assert (status, error.count("\n")) == (1, 1)
    assert "pip install 'hubman[crypt]'" in error
    assert list((place / "remote").iterdir()) == []
