"""Downloads: the right bytes under the right name or a clear reason, whatever the line and the site do."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.civitai import errors, refusals, spans
from hubman.civitai.client import Civitai
from hubman.civitai.downloads import Wish
from hubman.civitai.part import Part, PartBusyError, State
from hubman.civitai.reading import download_url
from hubman.civitai.transfer import Tuning
from hubman.progress import Progress, silent
from hubman.rate import Limit, parse
from hubman.sandbox import Fault, seed_model
from registry.errors import CancelledError, DamagedFileError, HubError, UsageError
from tests.support.civitai import Bench, bench, write_lora
from tests.support.patient import PATIENT

_MANY = Tuning(connections=4, piece=20_000, enough=1e12, look_s=0.0)
"""Several connections from the first answer on."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as opened:
        yield opened


@pytest.fixture
def site(running: Bench) -> Bench:
    running.sandbox.settings.faults = []
    running.sandbox.world.requests.clear()
    return running


@pytest.fixture(scope="module")
def source(running: Bench) -> Path:
    return write_lora(running.folder / "harbor.safetensors", size=300_000)


@pytest.fixture(scope="module")
def version(running: Bench, source: Path) -> int:
    return seed_model(running.sandbox, source, name="Harbor").version_id


@pytest.fixture(scope="module")
def sha256(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


@pytest.fixture
def wish(version: int, sha256: str, source: Path, tmp_path: Path) -> Wish:
    dest = tmp_path / "in" / "a.safetensors"
    return Wish(url=download_url(version), dest=dest, sha256=sha256, size=source.stat().st_size)


def _fetch(client: Civitai, wish: Wish, **changes: object) -> list[Progress]:
    heard: list[Progress] = []
    with client.downloading(msgspec.structs.replace(wish, **changes), heard.append):
        pass
    return heard


def _state(dest: Path, sha256: str) -> Path:
    return dest.with_name(f"{dest.name}.{sha256[:12]}.part.json")


def _leave_part(wish: Wish, content: bytes, done: tuple[tuple[int, int], ...], etag: str, total: int) -> Path:
    """What a killed process leaves."""
    wish.dest.parent.mkdir(exist_ok=True)
    state = _state(wish.dest, wish.sha256)
    state.write_bytes(msgspec.json.encode(State(etag=etag, total=total, done=done)))
    part = state.with_suffix("")
    part.write_bytes(content)
    return part


def _storage(site: Bench) -> list[int]:
    return [status for _method, path, status in site.sandbox.requests if "/sandbox-models/" in path]


def test_a_download_is_verified_before_it_gets_its_name(client: Civitai, wish: Wish, source: Path) -> None:
    with client.downloading(wish, silent) as got:
        assert (got.verified, got.sha256, got.size) == (True, wish.sha256, source.stat().st_size)
        assert wish.dest.read_bytes() == source.read_bytes()
    assert [path.name for path in wish.dest.parent.iterdir()] == [wish.dest.name]


@pytest.mark.parametrize("tuning", [Tuning(), _MANY])
def test_the_same_bytes_come_by_one_connection_and_by_several(
    site: Bench, client: Civitai, wish: Wish, source: Path, tuning: Tuning
) -> None:
    heard = _fetch(client, wish, tuning=tuning)
    assert wish.dest.read_bytes() == source.read_bytes()
    assert _storage(site)[0] == 200
    assert (206 in _storage(site)) is (tuning is _MANY)
    assert site.asked("/api/download/") == 1
    assert [p.done for p in heard] == sorted(p.done for p in heard)
    assert heard[-1].done == heard[-1].total == source.stat().st_size


@pytest.mark.parametrize("tuning", [Tuning(), _MANY])
def test_a_broken_download_goes_on_where_it_broke(
    site: Bench, client: Civitai, wish: Wish, source: Path, tuning: Tuning
) -> None:
    site.sandbox.settings.faults = [Fault("/sandbox-models/", method="GET", drop_after=5000, times=3)]
    _fetch(client, wish, tuning=tuning)
    assert wish.dest.read_bytes() == source.read_bytes()
    assert _storage(site).count(200) == 1


def test_a_download_goes_on_in_another_process(site: Bench, client: Civitai, wish: Wish, source: Path) -> None:
    content = source.read_bytes()
    etag = _etag(site, wish)
    holed = content[:100_000] + bytes(100_000) + content[200_000:]
    _leave_part(wish, holed, ((0, 100_000), (200_000, 250_000)), etag, len(content))
    heard = _fetch(client, wish)
    assert wish.dest.read_bytes() == content
    assert heard[0].done >= 150_000
    assert _storage(site)[1:] == [206, 206]


def _etag(site: Bench, wish: Wish) -> str:
    """As the storage tells it."""
    return str(site.http.get(site.sandbox.url + wish.url, follow_redirects=True).headers["ETag"])


def test_bytes_that_nobody_claims_are_fetched_anew(site: Bench, client: Civitai, wish: Wish, source: Path) -> None:
    part = _leave_part(wish, b"x" * 100_000, (), "", 0)
    _fetch(client, wish)
    assert wish.dest.read_bytes() == source.read_bytes()
    assert not part.exists()


def test_a_file_that_changed_on_the_site_begins_anew(site: Bench, client: Civitai, wish: Wish, source: Path) -> None:
    size = source.stat().st_size
    for etag, total in (('"another"', size), (_etag(site, wish), size + 1)):
        wish.dest.unlink(missing_ok=True)
        _leave_part(wish, b"x" * size, ((0, 1000),), etag, total)
        _fetch(client, wish, tuning=_MANY)
        assert wish.dest.read_bytes() == source.read_bytes()


def test_a_whole_part_is_only_verified(site: Bench, client: Civitai, wish: Wish, source: Path) -> None:
    content = source.read_bytes()
    _leave_part(wish, content, ((0, len(content)),), '"e"', len(content))
    _fetch(client, wish)
    assert wish.dest.read_bytes() == content
    assert _storage(site) == []


def test_without_a_hash_only_the_same_etag_is_continued(site: Bench, client: Civitai, wish: Wish, source: Path) -> None:
    content = source.read_bytes()
    unknown = msgspec.structs.replace(wish, sha256="")
    _leave_part(unknown, b"x" * 1000, ((0, 1000),), '"other"', len(content))
    _fetch(client, unknown)
    assert wish.dest.read_bytes() == content


def test_a_mismatch_is_asked_about_once_and_then_kept_apart(site: Bench, client: Civitai, wish: Wish) -> None:
    asked: list[str] = []

    def ask_again() -> str:
        asked.append("")
        return "1" * 64

    with pytest.raises(DamagedFileError, match="kept apart as"):
        _fetch(client, wish, sha256="0" * 64, ask_again=ask_again)
    kept = sorted(path.name for path in (wish.dest.parent / ".quarantine").iterdir())
    assert kept == ["a.safetensors.1.damaged", "a.safetensors.1.damaged.txt"]
    assert [path.name for path in wish.dest.parent.iterdir()] == [".quarantine"]
    assert _storage(site) == [200, 200]


def test_a_hash_that_was_corrected_on_the_site_is_accepted(site: Bench, client: Civitai, wish: Wish) -> None:
    with client.downloading(msgspec.structs.replace(wish, sha256="0" * 64, ask_again=wish.sha256.upper), silent) as got:
        assert (got.verified, got.sha256) == (True, wish.sha256)
    assert _storage(site) == [200]


@pytest.mark.parametrize("tuning", [Tuning(), _MANY])
def test_an_expired_address_is_asked_for_again(
    site: Bench, client: Civitai, wish: Wish, source: Path, tuning: Tuning
) -> None:
    cut = Fault("/sandbox-models/", method="GET", drop_after=9000)
    site.sandbox.settings.faults = [cut, Fault("/sandbox-models/", method="GET", status=403)]
    _fetch(client, wish, tuning=tuning)
    assert wish.dest.read_bytes() == source.read_bytes()
    assert site.asked("/api/download/") == 2


def test_a_page_in_place_of_the_file_is_no_file(site: Bench, client: Civitai, wish: Wish, source: Path) -> None:
    page = Fault("/sandbox-models/", status=200, headers={"Content-Type": "text/html"}, body="<html>busy</html>")
    site.sandbox.settings.faults = [page]
    _fetch(client, wish)
    assert wish.dest.read_bytes() == source.read_bytes()


def test_a_server_that_has_enough_of_connections_gets_fewer(
    site: Bench, client: Civitai, wish: Wish, source: Path
) -> None:
    site.sandbox.settings.faults = [Fault("/sandbox-models/", method="GET", status=429, skip=1, times=2)]
    _fetch(client, wish, tuning=_MANY)
    assert wish.dest.read_bytes() == source.read_bytes()


def test_a_download_that_never_comes_ends(site: Bench, client: Civitai, wish: Wish) -> None:
    site.sandbox.settings.faults = [Fault("/sandbox-models/", method="GET", status=503, times=99)]
    with pytest.raises(errors.UnavailableError, match="it resumes"):
        _fetch(client, wish)
    assert len(_storage(site)) == 6


def test_a_full_disk_is_told_before_the_first_byte(site: Bench, client: Civitai, wish: Wish) -> None:
    with pytest.raises(HubError, match="MiB free"):
        _fetch(client, wish, size=1 << 60)
    assert _storage(site) == []


def test_a_stopped_download_keeps_what_it_has(site: Bench, client: Civitai, wish: Wish, source: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done:
            raise CancelledError("stopped")

    site.sandbox.settings.faults = [Fault("/sandbox-models/", method="GET", drop_after=50_000)]
    with pytest.raises(CancelledError), client.downloading(wish, stop):
        pass
    state = msgspec.json.decode(_state(wish.dest, wish.sha256).read_bytes(), type=State)
    assert spans.count(state.done) > 0
    assert not wish.dest.exists()
    _fetch(client, wish)
    assert wish.dest.read_bytes() == source.read_bytes()


def test_two_never_write_one_part(wish: Wish, client: Civitai) -> None:
    part = Part(wish.dest, wish.sha256)
    with pytest.raises(PartBusyError, match="another process"):
        _fetch(client, wish)
    part.close()
    _fetch(client, wish)


def test_a_name_that_was_taken_meanwhile_is_not_overwritten(client: Civitai, wish: Wish) -> None:
    wish.dest.parent.mkdir()
    wish.dest.write_bytes(b"mine")
    with pytest.raises(HubError, match="has appeared"):
        _fetch(client, wish)
    assert wish.dest.read_bytes() == b"mine"


def test_a_file_that_was_not_flushed_when_the_power_failed_is_not_trusted(client: Civitai, wish: Wish) -> None:
    wish.dest.parent.mkdir()
    wish.dest.write_bytes(b"zeros")
    _state(wish.dest, wish.sha256).write_bytes(msgspec.json.encode(State(whole=wish.sha256)))
    _fetch(client, wish)
    assert hashlib.sha256(wish.dest.read_bytes()).hexdigest() == wish.sha256
    assert (wish.dest.parent / ".quarantine" / "a.safetensors.1.damaged").read_bytes() == b"zeros"


_CHILD = """
import os, signal, sys
from pathlib import Path
from hubman.civitai import part, transfer
from hubman.civitai.client import Civitai
from hubman.civitai.downloads import Wish
from hubman.rate import Limit

part.SAVE_S = 0.01
site, url, dest, sha256, size, at = sys.argv[1:]
tuning = transfer.Tuning(connections=4, piece=20_000, enough=1e12, look_s=0.0)
saved = part.Part.save

def save(self, done):
    saved(self, done)
    if sum(b - a for a, b in done) >= int(at):
        os.kill(os.getpid(), signal.SIGKILL)

part.Part.save = save
# Slow enough that claims are made on the way.
limit = Limit(600_000)
with Civitai(site) as client, client.downloading(
    Wish(url=url, dest=Path(dest), sha256=sha256, size=int(size), tuning=tuning, limit=limit), lambda _p: None
):
    pass
"""


def test_a_process_killed_amid_a_download_costs_only_what_it_had_not_claimed(
    site: Bench, client: Civitai, wish: Wish, source: Path
) -> None:
    arguments = [site.sandbox.url, wish.url, str(wish.dest), wish.sha256, str(wish.size), "60000"]
    child = subprocess.run([sys.executable, "-c", _CHILD, *arguments], env={**os.environ}, check=False)
    assert child.returncode == -signal.SIGKILL
    part = _state(wish.dest, wish.sha256).with_suffix("")
    state = msgspec.json.decode(_state(wish.dest, wish.sha256).read_bytes(), type=State)
    assert spans.count(state.done) >= 60_000
    content, there = source.read_bytes(), part.read_bytes()
    assert all(there[start:stop] == content[start:stop] for start, stop in state.done)
    heard = _fetch(client, wish)
    assert heard[0].done >= spans.count(state.done)
    assert wish.dest.read_bytes() == content


# what is refused ---------------------------------------------------------------------------------------------------


_LOGIN = "The creator of this asset requires you to be logged in to download it"
_DISABLED = "The creator of this asset has disabled downloads on this file"


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (401, {"error": "Unauthorized", "message": _LOGIN}, errors.TokenError, "with a key"),
        (401, {"error": "Unauthorized", "message": _DISABLED}, errors.ForbiddenError, "disabled downloads"),
        (403, {"error": "Early Access", "deadline": "2026-12-24T00:00:00.000Z"}, errors.ForbiddenError, "until 2026-12-24"),
        (403, {"error": "You do not have access to download this file"}, errors.ForbiddenError, "paid"),
        (403, {"error": "Forbidden"}, errors.ForbiddenError, "open its page"),
        (404, {"error": "File not found"}, errors.MissingError, "deleted"),
        (410, {"error": "Model archived, not available for download"}, errors.GoneError, "archived"),
        (429, {"error": "We've noticed an unusual amount of downloading…"}, refusals.DownloadLimitError, "unusual amount"),
        (451, {"error": "Access to this service is not available in your region", "code": "REGION_BLOCKED"}, errors.RegionError, "country"),
    ],
)  # fmt: skip
def test_each_refusal_is_one_clear_line_and_not_asked_twice(
    site: Bench, client: Civitai, wish: Wish, status: int, body: dict[str, str], kind: type[HubError], says: str
) -> None:
    site.sandbox.settings.faults = [
        Fault("/api/download/", status=status, body=msgspec.json.encode(body).decode(), times=9)
    ]
    with pytest.raises(kind) as caught:
        _fetch(client, wish)
    assert says in str(caught.value)
    assert wish.dest.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert site.asked("/api/download/") == 1


# bookkeeping -------------------------------------------------------------------------------------------------------

_SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


@PATIENT
@given(_SPANS, st.integers(0, 60))
def test_spans_count_as_sets_of_bytes(raw: list[tuple[int, int]], total: int) -> None:
    there = {byte for start, stop in raw for byte in range(start, stop)}
    joined = spans.join(raw)
    assert {byte for start, stop in joined for byte in range(start, stop)} == there
    assert all(a[1] < b[0] for a, b in itertools.pairwise(joined))
    assert spans.count(joined) == len(there)
    missing = {byte for start, stop in spans.gaps(joined, total) for byte in range(start, stop)}
    assert missing == set(range(total)) - there
    assert spans.prefix(joined) == next(byte for byte in range(99) if byte not in there)
    inside = {byte for start, stop in spans.within(raw, total) for byte in range(start, stop)}
    assert inside == {byte for byte in there if byte < total}


def test_a_limit_holds_for_all_who_take_bytes() -> None:
    limit = Limit(1000, clock=lambda: 0.0)
    assert [limit.took(500), limit.took(500), limit.took(1000)] == [0.5, 1.0, 2.0]
    assert Limit().took(1 << 30) == 0.0
    assert [parse(text) for text in ("5M", "1.5k", "0", "2 GB/s", "10MiB")] == [
        5_000_000,
        1500,
        0,
        2_000_000_000,
        10_000_000,
    ]
    with pytest.raises(UsageError, match="5M"):
        parse("fast")


# servers with other habits --------------------------------------------------------------------------------------------

_CONTENT = bytes(range(256)) * 40


class _Odd(BaseHTTPRequestHandler):
    """Serves ``_CONTENT`` as its path says: without a length, in chunks, or breaking off and never resuming.

    Of ``/waves`` the connections break all together, ``broken`` times.
    """

    asked = 0
    broken = 0
    together = threading.Barrier(4)

    def log_message(self, *_args: object) -> None:
        pass

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.path == "/waves":
            self.send_response(302)
            self.send_header("Location", "/wave")
            self.end_headers()
            return
        if self.path == "/wave":
            self._serve_in_waves()
            return
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(_CONTENT), 3000):
                piece = _CONTENT[start : start + 3000]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        if self.path == "/breaks":
            self.send_header("Content-Length", str(len(_CONTENT)))
        self.send_header("ETag", 'W/"weak"')
        self.end_headers()
        whole = self.path == "/plain" or type(self).asked > 2
        self.wfile.write(_CONTENT if whole else _CONTENT[:5000])
        self.close_connection = True

    def _serve_in_waves(self) -> None:
        self.close_connection = True
        asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        start, stop = int(asked[0]), int(asked[1] or len(_CONTENT) - 1) + 1
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"strong"')
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(_CONTENT)}")
        self.end_headers()
        if type(self).broken:
            if self.together.wait(5) == 0:
                type(self).broken -= 1
            self.together.wait(5)
            return
        self.wfile.write(_CONTENT[start:stop])


@pytest.fixture(scope="module")
def odd() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Odd) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/plain", "/chunked", "/breaks"])
def test_a_server_without_lengths_or_ranges_serves_too(odd: str, path: str, tmp_path: Path) -> None:
    _Odd.asked = 0
    sha256 = hashlib.sha256(_CONTENT).hexdigest()
    with (
        Civitai(odd, sleep=lambda _s: None) as client,
        client.downloading(Wish(url=path, dest=tmp_path / "a.bin", sha256=sha256, tuning=_MANY), silent) as got,
    ):
        assert (got.verified, got.size) == (True, len(_CONTENT))
    assert (tmp_path / "a.bin").read_bytes() == _CONTENT


def test_a_break_of_all_connections_at_once_counts_once(odd: str, tmp_path: Path) -> None:
    _Odd.broken = 3
    sha256 = hashlib.sha256(_CONTENT).hexdigest()
    tuning = msgspec.structs.replace(_MANY, piece=1000)
    with (
        Civitai(odd, sleep=lambda _s: None) as client,
        client.downloading(Wish(url="/waves", dest=tmp_path / "a.bin", sha256=sha256, tuning=tuning), silent),
    ):
        pass
    assert (tmp_path / "a.bin").read_bytes() == _CONTENT
