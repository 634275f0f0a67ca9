"""What other programs take for the same bytes: rclone, rsync and obstore alone. For benchmarks/sync.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

_PUT = """
import sys, time
from pathlib import Path
from obstore import put
from benchmarks.sync_references import s3_store
store = s3_store(sys.argv[1], sys.argv[2])
began = time.perf_counter()
put(store, "bare", Path(sys.argv[3]))
print(time.perf_counter() - began)
"""

_GET = """
import sys, time
from pathlib import Path
from obstore import get
from benchmarks.sync_references import s3_store
store = s3_store(sys.argv[1], sys.argv[2])
began = time.perf_counter()
with Path(sys.argv[3]).open("wb") as file:
    for piece in get(store, "bare").stream(min_chunk_size=8 << 20):
        file.write(piece)
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class S3:
    """A server for tests, and a bucket in it; the keys are those of the environment."""

    endpoint: str
    bucket: str

    @property
    def is_there(self) -> bool:
        return subprocess.run(["curl", "-so", "/dev/null", "-m", "5", self.endpoint], check=False).returncode == 0

    def make_bucket(self) -> None:
        key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        subprocess.run(
            ["curl", "-sS", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{key}:{secret}",
             "-H", "x-amz-content-sha256:UNSIGNED-PAYLOAD", "-X", "PUT", f"{self.endpoint}/{self.bucket}"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def empty(self) -> None:
        import obstore

        store = s3_store(self.endpoint, self.bucket)
        for page in obstore.list(store):
            obstore.delete(store, [meta["path"] for meta in page])

    def rclone_path(self, folder: str) -> str:
        return f":s3:{self.bucket}/{folder}"

    @property
    def rclone_options(self) -> list[str]:
        return [
            "--s3-provider", "Ceph", "--s3-endpoint", self.endpoint, "--s3-access-key-id", os.environ["AWS_ACCESS_KEY_ID"],
            "--s3-secret-access-key", os.environ["AWS_SECRET_ACCESS_KEY"],
        ]  # fmt: skip


def s3_store(endpoint: str, bucket: str) -> Any:
    from obstore.store import S3Store

    return S3Store(bucket, endpoint=endpoint, region="us-east-1", client_options={"allow_http": True})


def has(program: str) -> bool:
    return shutil.which(program) is not None


def rclone(source: str, target: str, options: list[str] | None = None) -> float:
    """Seconds of ``rclone sync``."""
    return _timed(["rclone", "--config", "/dev/null", "sync", source, target, *(options or [])])


def rsync(source: Path, target: Path) -> float:
    return _timed(["rsync", "-a", f"{source}/", f"{target}/"])


def obstore_put(s3: S3, file: Path) -> float:
    return _told([_PUT, s3.endpoint, s3.bucket, str(file)])


def obstore_get(s3: S3, file: Path) -> float:
    return _told([_GET, s3.endpoint, s3.bucket, str(file)])


def _timed(command: list[str]) -> float:
    began = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - began


def _told(arguments: list[str]) -> float:
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", *arguments], check=True, stdout=subprocess.PIPE, text=True, cwd=root)
    return float(done.stdout)
