"""The key and signatures are nowhere: not in files, databases, logs, process titles, messages or crash reports."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hubman import logs, secrecy
from hubman.civitai.addresses import web_address
from hubman.civitai.errors import CivitaiError, from_answer
from hubman.sandbox import Fault, seed_model
from registry.database import Registry
from tests.support.civitai import Bench, bench, quick_registry, write_lora, write_png
from tests.support.publishing import NAME, make_version, publish_now

_SIGNATURE = re.compile(rb"(?i)(?:signature|credential)=[0-9a-f]{6}")

_RUN = """
import io, json, logging, os, random, sys
from pathlib import Path
from unittest import mock
import httpx, keyring
from rich.console import Console
from rich.traceback import Traceback
from hubman.cli.main import run
from hubman.civitai.session import connect
from tests.hubman.test_civitai_key import Drawer

random.uniform = lambda low, high: 0.0
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
keyring.set_keyring(Drawer())
version, local, key = sys.argv[1], sys.argv[2], sys.stdin.readline().strip()

def crash(where, what):
    try:
        with mock.patch(where, side_effect=RuntimeError("a mistake")), connect(Path(os.environ["HUBMAN_HOME"])) as client:
            what(client)
    except Exception:
        # As Textual reports a crash.
        Console(width=200).print(Traceback(show_locals=True, locals_max_length=5))

sys.stdin = io.StringIO(f'"Bearer {key}"')
run(["login"])
for line in [
    ["whoami", "--json"], ["doctor"], ["search", "Harbor"], ["search", "Harbor"], ["search", "Harbor"], ["pull", version],
    ["pull", version], ["enrich"], ["updates"], ["publish", local, "--yes", "--no-nsfw", "--no-poi", "--no-minor"], ["journal"],
]:
    print(line, run(line), flush=True)
os.environ["CIVITAI_API_KEY"] = key
crash("hubman.civitai.lenient.decode", lambda client: client.me())
crash("httpx.Client.send", lambda client: client.search("x"))
crash("httpcore.ConnectionPool.handle_request", lambda client: client.download(5, Path(os.environ["HUBMAN_HOME"]) / "x"))
print(Path("/proc/self/cmdline").read_bytes(), Path("/proc/self/comm").read_text())
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path / "site", chunk_size=1000) as running:
        yield running


def test_a_run_with_faults_leaves_no_secret_anywhere(site: Bench, tmp_path: Path) -> None:
    home, key = tmp_path / "home", site.sandbox.token()
    seeded = seed_model(
        site.sandbox, write_lora(tmp_path / "a.safetensors", seed=5), name="Harbor", previews=[(write_png(tmp_path / "a.png"), {})]
    )  # fmt: skip
    with quick_registry(home) as registry:
        local = make_version(registry, tmp_path)
    site.sandbox.settings.faults = [
        # A site that repeats what it was sent.
        Fault("/api/v1/models", status=400, body=f'{{"error":"no such token {key} or Bearer {key}"}}'),
        Fault("/api/v1/models", status=429, headers={"Retry-After": "0"}),
        Fault("/api/v1/models", status=200, body="<html>busy</html>", headers={"Content-Type": "text/html"}),
        Fault("/api/v1/models", drop=True),
        Fault("/api/download", status=503),
        Fault("/object", drop_after=500),
        Fault("/media", drop=True),
        Fault("modelFile.create", status=400, body=f'{{"message":"Authorization: Bearer {key} has no such file"}}'),
    ]
    environment = {
        **{name: value for name, value in os.environ.items() if name != "CIVITAI_API_KEY"},
        "HUBMAN_HOME": str(home), "HUBMAN_CIVITAI_URL": site.sandbox.url, "HUBMAN_LOG": "debug",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(seeded.version_id), NAME],
        input=key.encode() + b"\n", capture_output=True, env=environment, check=False,
    )  # fmt: skip
    shown = done.stdout + done.stderr
    assert done.returncode == 0, shown[-3000:].decode()
    _check_it_happened(shown, home, local)
    files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert home / "logs" / "hubman.log" in files
    assert {path.name for path in files} >= {"registry.db", "limiter.db", "cache.db"}
    for where, content in {Path("output"): shown, **files}.items():
        assert key.encode() not in content, where
        assert not _SIGNATURE.search(content), where


def _check_it_happened(shown: bytes, home: Path, local: str) -> None:
    """The run said what a leak would need: requests were logged, refused, sent on and crashed."""
    text = shown.decode()
    for sign in (
        "HTTP Request: GET",
        "receive_response_headers",
        "no such token",
        "X-Amz-Signature=…",
        "a mistake",
        "verified",
    ):
        assert sign in text, sign
    assert "['whoami', '--json'] 0" in text
    assert re.search(r"\['publish', .*\] 1", text)
    assert "self = <hubman" in text
    assert "receive_response_headers" in (home / "logs" / "hubman.log").read_text()
    assert local


def test_whatever_logs_an_address_logs_it_clean(tmp_path: Path) -> None:
    secret = "fedcba9876543210fedcba9876543210"
    logs.keep(tmp_path)
    secrecy.remember(secret)
    secrecy.guard_logs()
    for name in ("hubman.civitai.transport", "httpx", "httpcore.http11", "hubman.anything"):
        logging.getLogger(name).warning(
            "GET %s %r", httpx.URL(f"https://u:{secret}@h/x?token={secret}&a=1"), {"k": secret}
        )
    text = logs.log_path(tmp_path).read_text()
    assert secret not in text
    assert "a=1" in text
    assert oct(logs.log_path(tmp_path).stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://s3/x?X-Amz-Signature=beef&part=1", "https://s3/x?X-Amz-Signature=…&part=1"),
        ("(b'location', b'https://s3/x?a=1&Signature=be%2Fef')", "(b'location', b'https://s3/x?a=1&Signature=…')"),
        ("proxy http://user:pass@host:1 failed", "proxy http://…@host:1 failed"),
        ("Authorization: Bearer abc123", "Authorization: Bearer …"),
        ("https://civitai.com/api?token=abc&x=1", "https://civitai.com/api?token=…&x=1"),
        ("https://civitai.com/models/5?modelVersionId=7", "https://civitai.com/models/5?modelVersionId=7"),
    ],
)
def test_secrets_are_cut_out_of_texts(text: str, clean: str) -> None:
    assert secrecy.scrub(text) == clean


def test_of_two_keys_the_longer_is_cut_out_whole() -> None:
    for key in ("startofakey", "startofakeyandmore"):
        secrecy.remember(key)
    assert secrecy.scrub("startofakeyandmore startofakey") == "… …"


def test_what_a_storage_repeats_in_a_refusal_is_one_line_without_its_signature(
    site: Bench, registry: Registry, tmp_path: Path
) -> None:
    told = "no\nhttps://s3.example/x?X-Amz-Signature=beef"
    site.sandbox.settings.faults = [Fault("/sandbox-models/", method="PUT", status=403, body=told, times=99)]
    with site.client() as client, pytest.raises(CivitaiError) as caught:
        publish_now(registry, client, make_version(registry, tmp_path))
    assert caught.value.message.endswith("(no https://s3.example/x?X-Amz-Signature=…)")


def test_an_address_and_a_download_s_refusal_are_cut_after_the_key_was_cut_out() -> None:
    secret = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
    secrecy.remember(secret)
    with pytest.raises(CivitaiError) as caught:
        web_address("ftp://" + "x" * 60 + secret)
    assert secret[:8] not in caught.value.message
    assert secret[:8] not in from_answer(400, "y" * 280 + secret, what="the download").message


def test_a_log_that_grew_large_begins_anew(tmp_path: Path) -> None:
    path = logs.log_path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * (1 << 20) + b"y")
    logs.keep(tmp_path)
    logging.getLogger("hubman.test").warning("new")
    assert path.read_text().endswith("new\n")
    assert path.stat().st_size < 200
    assert path.with_suffix(".log.1").stat().st_size > 1 << 20
