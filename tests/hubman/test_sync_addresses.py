"""Remotes in buckets as a person meets them: adding one, what its place can do, and addresses for other machines."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from hubman.cli.main import run
from hubman.sync import remotes
from hubman.sync.storages import probe
from hubman.sync.storages.folder import FolderStorage
from hubman.sync.storages.storage import RefusedError, open_storage
from registry import timestamps
from registry.database import Registry
from registry.errors import HubError
from tests.support.machines import Machine
from tests.support.memory_storage import MemoryStorage
from tests.support.s3 import S3Place

EVERYTHING = {
    "creates_once": True,
    "deletes_by_tag": True,
    "gives_addresses": True,
    "lists_after": True,
    "reads_own_writes": True,
    "reads_ranges": True,
}


def added(place: S3Place, *more: str) -> int:
    bucket = [place.url, "--endpoint", place.options["endpoint"], "--region", place.options["region"]]
    return run(["remote", "add", "r", *bucket, *more])


def known(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert run(["remote", "ls", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert isinstance(listed["capabilities"], dict)
    return listed["capabilities"]


@pytest.fixture
def synced(home: Path, scanned: Path, s3_store: S3Place) -> S3Place:
    """A library of one model, "ink wash", on a bucket of moto."""
    assert added(s3_store) == 0
    assert run(["sync"]) == 0
    return s3_store


def test_a_bucket_is_tried_out_when_it_is_added(
    home: Path, s3_store: S3Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert added(s3_store) == 0
    found = known(capsys)
    assert found.items() >= (EVERYTHING | {"compares": "both"}).items()
    assert list(s3_store.open().entries("probe/")) == []
    assert run(["remote", "ls"]) == 0
    assert "does all that helps" in capsys.readouterr().out


@pytest.mark.s3real
def test_what_ceph_cannot_do_is_found_out(home: Path, real_s3: S3Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert added(real_s3) == 0
    assert known(capsys).items() >= (EVERYTHING | {"compares": "unquoted", "deletes_by_tag": False}).items()
    assert run(["remote", "ls"]) == 0
    assert "compares tags without quotes, deletes whatever the tag" in capsys.readouterr().out


@pytest.mark.s3real
def test_a_wrong_key_is_refused_in_one_line(
    home: Path, real_s3: S3Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-it")
    assert added(real_s3) == 1
    said = capsys.readouterr().err
    assert "was refused: check the bucket's name and your access key" in said
    assert "not-it" not in said


def test_a_folder_without_links_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe.probe(FolderStorage(tmp_path)).creates_once

    def link(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert not probe.probe(FolderStorage(tmp_path)).creates_once


def test_a_place_is_tried_out_again_after_a_week(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "a", tmp_path / "remote")
    place = FolderStorage(tmp_path / "remote")

    def probed(days: int) -> bool:
        old = timestamps.of(datetime.now(UTC) - timedelta(days=days))
        machine.registry.db.execute("UPDATE remotes SET capabilities = ?", (json.dumps({"probed_at": old}),))
        machine.sync(storage=place, deep=True)
        found = remotes.find(machine.registry).capabilities
        assert found is not None
        return found.probed_at != old

    assert [probed(6), probed(8)] == [False, True]
    machine.registry.close()


def test_a_remote_that_may_not_be_written_is_told_when_it_is_added(tmp_path: Path) -> None:
    class Refusing(MemoryStorage):
        def create(self, key: str, data: bytes) -> bool:
            raise RefusedError(f"{key} was refused")

    place = Refusing()
    place.put("hub.json", b'{"format":1,"repo":"01J00000000000000000000000"}')
    with Registry(tmp_path / "home") as registry:
        with pytest.raises(RefusedError, match="add it with --read-only"):
            remotes.add(registry, "r", "s3://bucket", storage=place)
        assert remotes.all_remotes(registry) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["s3://key:secret@bucket/x"],
        ["s3://bucket/x?X-Amz-Signature=secret"],
        ["az://container/x?sig=secret"],
        ["s3://bucket", "--endpoint", "https://key:secret@s3.example.org"],
        ["s3://bucket", "--endpoint", "s3.example.org"],
        ["s3://bucket", "--account", "a"],
        ["gs://bucket", "--profile", "p"],
        ["s3://bucket", "--profile", "no-such-profile"],
        ["FOLDER", "--endpoint", "https://s3.example.org"],
    ],
)
def test_an_address_that_says_too_much_or_the_wrong_thing_is_wrong_usage(
    home: Path,
    tmp_path: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert run(["remote", "add", "r", *[one.replace("FOLDER", str(tmp_path / "f")) for one in arguments]]) == 2
    assert "secret" not in capsys.readouterr().err.replace("AWS_SECRET_ACCESS_KEY", "")


def test_the_keys_of_a_profile_go_before_those_of_the_environment_and_stay_in_their_file(
    home: Path, tmp_path: Path, moto: str, s3_store: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "credentials"
    keys.write_text("[studio]\naws_access_key_id = studiokey\naws_secret_access_key = studiosecret%\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-environment")
    assert run(["remote", "add", "r", s3_store.url, "--endpoint", moto, "--profile", "studio"]) == 0
    with Registry(home) as registry:
        remote = remotes.find(registry)
    url = open_storage(remote.kind, remote.location, remote.options).url("hub.json", 60)
    assert url is not None
    said = parse_qs(urlsplit(url).query)
    assert said["X-Amz-Credential"][0].startswith("studiokey/")
    assert "X-Amz-Security-Token" not in said
    kept = b"".join(path.read_bytes() for path in home.glob("registry.db*"))
    assert not any(secret in kept for secret in (b"studiokey", b"studiosecret", b"testkey", b"testsecret"))


def test_a_damaged_key_file_is_told_without_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text("aws_secret_access_key = topsecret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(HubError, match="can't be read") as caught:
        open_storage("cloud", "s3://bucket", {"profile": "x"})
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "options"), [("az://c/x", {"account": "acc"}), ("abfss://c@acc.dfs.core.windows.net/x", {})]
)
def test_azure_signs_addresses_with_the_accounts_key(
    url: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
    signed = open_storage("cloud", url, options).url("heads/a", 60)
    assert signed is not None
    assert signed.startswith("https://acc.blob.core.windows.net/c/x/heads/a?")
    assert "c2VjcmV0" not in signed


def test_google_signs_addresses_with_a_service_accounts_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "private_key": key.decode(), "private_key_id": "1", "client_email": "a@b.iam"}
    (tmp_path / "key.json").write_text(json.dumps(account | {"client_id": "1", "token_uri": "http://127.0.0.1:9/"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    signed = open_storage("cloud", "gs://bucket/x", {}).url("heads/a", 60)
    assert signed is not None
    assert signed.startswith("https://storage.googleapis.com/bucket/x/heads/a?X-Goog-Algorithm=")
    assert parse_qs(urlsplit(signed).query)["X-Goog-Expires"] == ["60"]


# addresses for other machines -------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [None, 500])
def test_a_machine_without_hubman_fetches_a_model(
    synced: S3Place,
    home: Path,
    tmp_path: Path,
    scanned: Path,
    part: int | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if part:
        with Registry(home) as registry:
            registry.db.execute("UPDATE remotes SET part = ?", (part,))
            registry.db.execute("DELETE FROM remote_blobs")
            registry.db.execute(
                "INSERT INTO blob_queue (remote, way, sha256, kind) SELECT remotes.repo, 'up', sha256, 'weights' FROM files, remotes"
            )
        assert run(["sync"]) == 0
    capsys.readouterr()
    assert run(["remote", "url", "r", "ink wash"]) == 0
    said = capsys.readouterr()
    elsewhere = tmp_path / "gpu"
    elsewhere.mkdir()
    done = subprocess.run(
        ["sh"],
        input=said.out,
        cwd=elsewhere,
        env={"PATH": os.environ["PATH"]},
        text=True,
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stdout) == (0, "ink wash.safetensors: OK\n")
    original = (scanned / "ink wash.safetensors").read_bytes()
    assert [path.name for path in elsewhere.iterdir()] == ["ink wash.safetensors"]
    assert (elsewhere / "ink wash.safetensors").read_bytes() == original
    assert said.out.count("curl") == (1 if part is None else -(-len(original) // part))
    assert "24 hours" in said.err
    broken = said.out.replace("echo ", "echo 0")
    assert subprocess.run(["sh"], input=broken, cwd=elsewhere, text=True, check=False, capture_output=True).returncode


def test_addresses_come_in_order_with_sizes(synced: S3Place, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["remote", "url", "r", "ink wash", "--hours", "1", "--json"]) == 0
    (link,) = json.loads(capsys.readouterr().out)
    assert [len(httpx.get(part["url"]).content) for part in link["parts"]] == [link["size"]]
    assert parse_qs(urlsplit(link["parts"][0]["url"]).query)["X-Amz-Expires"] == ["3600"]
    assert run(["remote", "url", "r", "ink wash", "--hours", "169"]) == 2


@pytest.mark.s3real
def test_a_real_server_takes_its_signed_address_and_no_changed_one(
    home: Path, scanned: Path, real_s3: S3Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (added(real_s3), run(["sync"])) == (0, 0)
    capsys.readouterr()
    assert run(["remote", "url", "r", "ink wash", "--json"]) == 0
    (link,) = json.loads(capsys.readouterr().out)
    url = link["parts"][0]["url"]
    assert httpx.get(url).content == (scanned / "ink wash.safetensors").read_bytes()
    assert httpx.get(url.replace("X-Amz-Expires=86400", "X-Amz-Expires=99999")).status_code == 403


def test_a_folder_has_paths_and_no_addresses(
    home: Path, scanned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (run(["remote", "add", "nas", str(tmp_path / "nas")]), run(["sync"])) == (0, 0)
    assert run(["remote", "url", "nas", "ink wash"]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "nas is a folder and has no addresses" in said
    path = Path(said.rpartition("cat ")[2])
    assert path.read_bytes() == (scanned / "ink wash.safetensors").read_bytes()


def test_what_is_not_there_whole_gets_no_address(synced: S3Place, capsys: pytest.CaptureFixture[str]) -> None:
    place = synced.open()
    (blob,) = [entry.key for entry in place.entries("blob/")]
    place.put(blob, b"short")
    assert run(["remote", "url", "r", "ink wash"]) == 1
    assert "is not on r, or not whole" in capsys.readouterr().err
    assert run(["remote", "url", "r", "no such model"]) == 1


def test_an_encrypted_remote_gives_no_addresses(
    home: Path, scanned: Path, s3_store: S3Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (added(s3_store, "--encrypt"), run(["sync"])) == (0, 0)
    assert run(["remote", "url", "r", "ink wash"]) == 1
    assert "r is encrypted" in capsys.readouterr().err
