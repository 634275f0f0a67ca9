"""Buckets for tests: on moto, an S3 server in a thread of the test process, and on a real gateway where one runs.

moto believes any key and any signature, so what matters is also tried on Ceph (``scripts/s3-ceph.sh``, ``make test-s3``).
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from hubman.sync.storages.cloud import CloudStorage, open_cloud

REAL = "HUBMAN_TEST_S3"
"""The environment variable with the address of a gateway that knows the key testkey with the secret testsecret."""
_KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret"}
_FOREIGN = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True)
class S3Place:
    """A new bucket's address, what a remote's options say of it, and the environment that has the keys.

    The environment is set already in the process of the test; processes that it starts inherit it.
    """

    url: str
    options: dict[str, str]
    env: dict[str, str]

    def open(self) -> CloudStorage:
        return open_cloud(self.url, self.options)

    def through(self, endpoint: str) -> S3Place:
        """The same bucket, reached by way of a proxy."""
        return S3Place(self.url, {**self.options, "endpoint": endpoint}, self.env)


def start_moto() -> Iterator[str]:
    """An empty S3 server on a free port of loopback; yields its endpoint."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def real_endpoint() -> str:
    """The real gateway's endpoint; the test is skipped where none was started for it."""
    endpoint = os.environ.get(REAL)
    if not endpoint:
        pytest.skip(f"no real S3 server: make test-s3, or {REAL}=http://127.0.0.1:7480")
    return endpoint


def new_place(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> S3Place:
    """A new bucket there, with a folder in it, and the keys in the environment until the test ends."""
    for name in _FOREIGN:
        monkeypatch.delenv(name, raising=False)
    for name, value in _KEYS.items():
        monkeypatch.setenv(name, value)
    import httpx

    bucket = f"hubman-{secrets.token_hex(6)}"
    options = {"endpoint": endpoint, "region": "us-east-1"}
    httpx.put(_signed(bucket, options)).raise_for_status()
    return S3Place(f"s3://{bucket}/shared/library", options, dict(_KEYS))


def _signed(bucket: str, options: dict[str, str]) -> str:
    """An address that makes the bucket when something is put there."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(bucket, **options, client_options={"allow_http": True})
    return str(obstore.sign(store, "PUT", "", timedelta(minutes=1)))
