"""Machines over a remote that is encrypted or signed: all that works on a plain one, and nothing to read for strangers."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hubman.sync import remotes
from hubman.sync.care.check import check, check_and_repair
from hubman.sync.care.proofs import Ask
from hubman.sync.records import growth, layout
from hubman.sync.secrecy import keys
from hubman.sync.secrecy.joining import Secrecy
from hubman.sync.secrecy.repo_key import new_key
from hubman.sync.storages.links import links
from registry import edits, library
from registry.errors import HubError, UsageError
from tests.support.machines import Machine, WatchedStorage, quick_folder, settle
from tests.support.sealing import KeyRing, everything_in, sealed


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[tuple[KeyRing, Path]]:
    with quick_folder(tmp_path) as place, sealed() as keyring:
        yield keyring, place


@pytest.fixture
def pair(ring: tuple[KeyRing, Path]) -> Iterator[tuple[Machine, Machine]]:
    _, place = ring
    machines = Machine(place, "a", place / "remote"), Machine(place, "b", place / "remote")
    yield machines
    for machine in machines:
        machine.registry.close()


def test_two_machines_agree_and_a_stranger_reads_nothing(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    for machine in pair:
        machine.registry.db.execute("UPDATE remotes SET part = 1000")
    ink = a.add_lora("very secret style", rank=2)
    picture = a.add_picture(ink, b"picture of nobody")
    edits.edit(a.registry, ink, ink, {"rating": "4", "name": "private name", "notes": "dear diary"})
    library.update_set(a.registry, ink, "tags", add=["hidden-tag"])
    settle(pair)
    assert a.shown() == b.shown()
    assert a.state() == b.state()
    file = a.registry.models_folder / "very secret style.safetensors"
    assert (b.registry.models_folder / file.name).read_bytes() == file.read_bytes()
    assert (b.registry.blobs / picture[:2] / picture).read_bytes() == b"picture of nobody"
    assert len(list(a.remote.glob("blob/*/*.p/*"))) == -(-file.stat().st_size // 1000)
    assert check(b.registry, "r") == []
    with pytest.raises(HubError, match="r is encrypted"):
        links(a.registry, "r", ink, 60)
    seen = everything_in(a.remote)
    (sha256,) = a.registry.db.execute("SELECT sha256 FROM files").fetchone()
    told = [
        sha256, sha256[:32], picture, ink, "secret", "private", "diary", "hidden-tag", "safetensors", "picture of",
        "rating", '"seq"', '"tail"',
    ]  # fmt: skip
    assert [word for word in told if word.encode() in seen] == []
    assert file.read_bytes()[-40:] not in seen
    for path in a.remote.rglob("*"):
        if path.is_file() and path.name not in {"hub.json", ".stignore"}:
            assert path.read_bytes().startswith(b"age-encryption.org/v1\n"), path
    hub = msgspec.json.decode((a.remote / "hub.json").read_bytes())
    assert (hub["enc"], hub["min_reader"], hub["min_writer"]) == ("age", 2, 2)
    assert set(hub) == {"format", "repo", "part", "enc", "check", "min_reader", "min_writer"}


def test_an_upload_that_was_cut_goes_on_at_its_parts(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    for machine in pair:
        machine.registry.db.execute("UPDATE remotes SET part = 5000")
    a.add_lora("big", rank=16)

    def cut(operation: str, key: str) -> None:
        if operation == "put_stream" and key.endswith("00002"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        a.sync(storage=WatchedStorage(a.remote, before=cut))
    there = {path: path.stat().st_mtime_ns for path in a.remote.glob("blob/*/*.p/*")}
    assert there
    a.sync()
    assert len(list(a.remote.glob("blob/*/*.p/*"))) > len(there)
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert b.sync().downloaded == 1
    assert a.shown() == b.shown()


def test_objects_that_were_swapped_or_cut_off_are_not_believed(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink", seed=1)
    a.add_lora("other", seed=2)
    picture = a.add_picture(ink, b"picture")
    a.sync()
    weights = sorted(path for path in a.remote.glob("blob/*/*") if path.stat().st_size > 1000)
    first, second = (path.read_bytes() for path in weights)
    weights[0].write_bytes(second)
    weights[1].write_bytes(first[:-1] + bytes([first[-1] ^ 1]))
    (small,) = set(a.remote.glob("blob/*/*")) - set(weights)
    small.write_bytes(small.read_bytes()[:-1])
    result = b.sync()
    assert len([line for line in result.warnings if "damaged on the remote" in line]) == 3
    assert list(b.registry.models_folder.iterdir()) == []
    assert not (b.registry.blobs / picture[:2] / picture).exists()


def test_a_record_under_another_name_is_refused(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    edits.edit(a.registry, ink, ink, {"rating": "3"})
    a.sync()
    # The newest batch of one machine, as if the other one had written it next; a head in the other's place.
    body = max((a.remote / "log" / a.device).iterdir()).read_bytes()
    number = len(list((a.remote / "log" / b.device).iterdir())) + 1
    (a.remote / "log" / b.device / layout.batch_name(number, body)).write_bytes(body)
    a.sync(deep=True)
    problem = a.registry.db.execute("SELECT problem, seq FROM cursors WHERE device = ?", (b.device,)).fetchone()
    assert "was not written there by a machine that has the remote's key" in problem[0]
    assert problem[1] == number - 1
    (a.remote / "heads" / ("feed" * 4)).write_bytes((a.remote / "heads" / a.device).read_bytes())
    assert "feed" * 4 in " ".join(b.sync().warnings)
    assert library.show(b.registry, ink).rating == 3


def test_an_old_head_put_back_changes_nothing(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    head = a.remote / "heads" / a.device
    old = head.read_bytes()
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    settle(pair)
    before = b.state()
    head.write_bytes(old)
    assert "its head went back" in " ".join(b.sync().warnings)
    settle(pair)
    assert a.state() == b.state() == before
    assert head.read_bytes() != old


def test_a_wrong_key_is_one_line_and_leaves_no_trace(ring: tuple[KeyRing, Path], pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.sync()
    before = everything_in(a.remote)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "secrecy", Secrecy("age", lambda hub: new_key()))
        with pytest.raises(HubError, match="not the key of this remote"):
            Machine(ring[1], "c", a.remote)
        patch.setattr(Machine, "secrecy", Secrecy())
        with pytest.raises(HubError, match="the remote is encrypted, and its key is not on this machine"):
            Machine(ring[1], "d", a.remote)
    assert everything_in(a.remote) == before
    for name in "cd":
        assert not (ring[1] / name / "keys").exists()
    shutil.rmtree(a.home / "keys")
    with pytest.raises(HubError, match="the key of r is not on this machine"):
        a.sync()


def test_the_key_lies_in_one_file_that_nobody_else_reads(
    ring: tuple[KeyRing, Path], pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = pair
    a.add_lora("ink")
    a.sync()
    words = str(ring[0][0].words())
    (repo,) = a.registry.db.execute("SELECT repo FROM remotes").fetchone()
    path = a.home / "keys" / repo
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    raw = ring[0][0].raw
    for other in a.home.rglob("*"):
        if other.is_file() and other != path:
            assert not {words.encode(), raw, raw.hex().encode()} & {other.read_bytes()}
            assert words.encode() not in other.read_bytes()
            assert raw not in other.read_bytes()
    path.chmod(0o644)
    with pytest.raises(HubError, match="others may read"):
        a.sync()
    path.unlink()
    monkeypatch.setenv(keys.VARIABLE, str(new_key().words()))
    with pytest.raises(HubError, match="the key on this machine is not that of r"):
        a.sync()
    monkeypatch.setenv(keys.VARIABLE, words)
    a.sync()
    assert not path.exists()


def test_a_remote_that_says_suddenly_to_be_plain_gets_nothing(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.sync()
    hub = msgspec.json.decode((a.remote / "hub.json").read_bytes())
    (a.remote / "hub.json").write_bytes(msgspec.json.encode({**hub, "enc": "none"}))
    a.add_lora("ink")
    before = everything_in(a.remote)
    with pytest.raises(HubError, match="kept otherwise than when it was added"):
        a.sync()
    assert everything_in(a.remote) == before
    with pytest.raises(UsageError, match="neither encrypted nor signed"):
        Machine(a.home.parent, "c", a.remote)


def test_a_copied_registry_goes_on_as_a_new_machine(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    backup = a.home.with_name("backup")
    a.registry.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(a.home, backup)
    edits.edit(a.registry, ink, ink, {"rating": "1"})
    a.sync()
    library.update_set(a.registry, ink, "tags", add=["kept"])
    a.registry.close()
    shutil.rmtree(a.home)
    backup.rename(a.home)
    a.restart()
    library.update_set(a.registry, ink, "tags", add=["later"])
    a.sync()
    settle(pair)
    assert a.state() == b.state()
    assert sorted(library.show(b.registry, ink).tags) == ["later"]
    assert check(b.registry, "r") == []


def test_two_remotes_with_keys_of_their_own(ring: tuple[KeyRing, Path], pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    for machine in pair:
        remotes.add(machine.registry, "s", str(ring[1] / "second"), secrecy=ring[0].secrecy("hmac"))
    assert len(ring[0]) == 2
    ink = a.add_lora("ink")
    a.sync()
    from hubman.sync.run import sync

    sync(a.registry, "s")
    sync(b.registry, "s")
    assert library.show(b.registry, ink).name == "ink"
    assert b"safetensors" not in everything_in(ring[1] / "remote")


def test_what_is_said_on_a_signed_remote_is_believed_of_nobody_else(tmp_path: Path) -> None:
    with quick_folder(tmp_path) as place, sealed("hmac"):
        a, b = (Machine(place, name, place / "remote") for name in "ab")
        ink = a.add_lora("ink")
        a.add_picture(ink, b"picture")
        settle([a, b])
        assert a.shown() == b.shown()
        assert check(b.registry, "r") == []
        head = a.remote / "heads" / a.device
        signed = head.read_bytes()
        forged = layout.decode_head(signed[32:])
        from hubman.sync.records import batches

        body = batches.encode([msgspec.json.encode(["set", ink, "user.rating", 1, forged.hlc]).decode()])
        name = layout.batch_name(forged.seq + 1, body)
        (a.remote / "log" / a.device / name).write_bytes(body)
        tail = [*forged.tail, name]
        head.write_bytes(layout.encode(layout.Head(v=1, seq=forged.seq + 1, tail=tail, hlc=forged.hlc)))
        assert "was not written there by a machine that has the remote's key" in " ".join(b.sync().warnings)
        b.sync(deep=True)
        assert library.show(b.registry, ink).rating == 0
        assert "was not written" in " ".join(str(one) for one in check(b.registry, "r"))


def test_a_check_of_the_data_finds_what_is_damaged_and_a_repair_mends_it(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.add_picture(a.add_lora("ink"), b"picture")
    a.sync()
    assert check(a.registry, "r", read_data=Ask()) == []
    for blob in a.remote.glob("blob/*/*"):
        body = bytearray(blob.read_bytes())
        body[-1] ^= 1
        blob.write_bytes(body)
    assert [one.level for one in check(a.registry, "r", read_data=Ask())] == ["repairable", "repairable"]
    assert check_and_repair(a.registry, "r", read_data=Ask()).left == []
    assert check(a.registry, "r", read_data=Ask()) == []


def test_a_late_machine_reads_a_sealed_snapshot(
    ring: tuple[KeyRing, Path], pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in ((growth, "MAX_BATCHES", 3), (growth, "DELAY_MS", 0), (layout, "TAIL", 2)):
        monkeypatch.setattr(module, name, value)
    a, b = pair
    ink = a.add_lora("ink")
    for number in range(6):
        edits.edit(a.registry, ink, ink, {"notes": f"note {number}", "rating": str(number % 5 + 1)})
        a.sync()
    snapshots = list((a.remote / "snap").iterdir())
    assert snapshots
    assert all(path.read_bytes().startswith(b"age-encryption.org/v1\n") for path in snapshots)
    b.sync()
    assert b.registry.db.execute("SELECT count(*) FROM received").fetchone()[0] < 6
    settle(pair)
    assert a.state() == b.state()
    # The newest one under a later name, as if it covered more.
    body = max(snapshots).read_bytes()
    name = f"{'f' * 16}-{a.device}-{layout.hash32(body)}"
    (a.remote / "snap" / name).write_bytes(body)
    late = Machine(ring[1], "late", a.remote)
    late.sync()
    assert library.show(late.registry, ink).notes == "note 5"
    late.registry.close()
