"""A remote is looked over, its bytes are read in turn, and what is wrong is mended by whoever can."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from hubman.cli.main import run
from hubman.sync.care import asks, check, devices, proofs
from hubman.sync.care.check import Finding, check_and_repair, exit_status
from hubman.sync.policies import policy
from hubman.sync.records import layout
from registry import edits, library
from registry.errors import UsageError
from tests.support.machines import Machine, WatchedStorage, settle

ALL = proofs.Ask()


def look(machine: Machine, read_data: proofs.Ask | None = None) -> list[Finding]:
    return check.check(machine.registry, "r", read_data=read_data)


def blob_of(machine: Machine) -> Path:
    (blob,) = machine.remote.glob("blob/*/*")
    return blob


def spoil(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


def newcomer(machine: Machine) -> Machine:
    new = Machine(machine.home.parent, "new", machine.remote)
    assert new.sync().warnings == ()
    assert new.sync(deep=True).warnings == ()
    return new


def test_a_blob_that_vanished_is_sent_again_by_who_has_it(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.add_lora("ink")
    a.sync()
    blob_of(a).unlink()
    (finding,) = look(a)
    assert (finding.level, finding.about, finding.kind) == ("repairable", "ink.safetensors", "absent")
    assert not list(a.remote.glob("blob/*/*")), "a look changes nothing"
    result = check_and_repair(a.registry, "r")
    assert result.done == ["ink.safetensors: sent again from here"]
    assert look(a, ALL) == result.left == []


@pytest.mark.parametrize("how", ["absent", "spoiled"])
def test_another_machine_is_asked_and_mends_it_when_it_syncs(pair: tuple[Machine, Machine], how: str) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    policy.set_policy(b.registry, policy.Policy(weights="none"))
    picture = a.add_picture(ink, b"picture")
    settle(pair)
    assert look(b, ALL) == []
    for blob in list(a.remote.glob("blob/*/*")):
        if picture not in blob.name:
            blob.unlink() if how == "absent" else spoil(blob)
    result = check_and_repair(b.registry, "r", read_data=ALL)
    assert [finding.kind for finding in result.findings] == [how]
    assert "asked" in result.done[0]
    assert exit_status(result.left) == 1
    assert "before" in check_and_repair(b.registry, "r", read_data=ALL).done[0]
    a.sync()
    b.sync()
    assert look(b, ALL) == []
    assert asks.waiting(a.registry.db, _repo(a)) == asks.waiting(b.registry.db, _repo(b)) == []


def _repo(machine: Machine) -> str:
    (repo,) = machine.registry.db.execute("SELECT repo FROM remotes").fetchone()
    return str(repo)


def test_wrong_bytes_that_were_deleted_by_hand_keep_no_machine_from_syncing(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    policy.set_policy(b.registry, policy.Policy(weights="none"))
    settle(pair)
    spoil(blob_of(a))
    check_and_repair(b.registry, "r", read_data=ALL)
    blob_of(a).unlink()
    assert a.sync().warnings == ()
    assert look(b, ALL) == []


def test_half_written_files_are_told_as_what_they_are(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.add_lora("ink")
    a.sync()
    (a.remote / "blob" / ".hub-0123456789abcdef.tmp").write_bytes(b"x")
    (finding,) = look(a)
    assert (finding.level, finding.about) == ("note", "the remote")
    assert "1 half-written" in finding.message
    assert exit_status([finding]) == 0


def test_wrong_bytes_of_the_right_size_are_found_by_reading_and_replaced(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    a.add_picture(ink, b"picture")
    settle(pair)
    for blob in a.remote.glob("blob/*/*"):
        spoil(blob)
    assert look(b) == []
    assert {finding.kind for finding in look(b, ALL)} == {"spoiled"}
    check_and_repair(b.registry, "r", read_data=ALL)
    assert look(a, ALL) == []


def test_what_is_here_in_wrong_bytes_never_replaces_anything(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.add_lora("ink")
    a.sync()
    spoil(a.registry.models_folder / "ink.safetensors")
    whole = blob_of(a).read_bytes()
    spoil(blob_of(a))
    result = check_and_repair(a.registry, "r", read_data=ALL)
    assert exit_status(result.left) == 1
    assert "asked" in result.done[0]
    assert blob_of(a).read_bytes() != whole


def test_data_that_nobody_has_is_missing_also_where_only_a_forgotten_device_had_it(
    pair: tuple[Machine, Machine],
) -> None:
    a, b = pair
    a.add_lora("ink")
    policy.set_policy(b.registry, policy.Policy(weights="none"))
    settle(pair)
    blob_of(a).unlink()
    assert exit_status(look(b)) == 1
    devices.retire(b.registry, a.device)
    assert exit_status(look(b)) == 0, "nobody in use says to have it, and this machine never saw it there"
    devices.come_back(a.registry)
    (a.registry.models_folder / "ink.safetensors").unlink()
    a.registry.db.execute("UPDATE places SET state = 'missing'")
    a.registry.db.execute("DELETE FROM holdings")
    assert [finding.level for finding in look(a)] == ["missing"]


def test_a_tenth_a_day_reads_everything_once_in_ten_days(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    for seed in range(10):
        a.add_lora(f"ink {seed}", seed=seed)
    a.sync()
    read: list[str] = []
    storage = WatchedStorage(
        a.remote, before=lambda operation, key: read.append(key) if operation == "read_range" else None
    )
    for day in range(1, 11):
        assert check.check(a.registry, "r", read_data=proofs.parse("10%"), storage=storage) == []
        assert len(read) == len(set(read)) == day
    assert check.check(a.registry, "r", read_data=proofs.parse("older-than 1d"), storage=storage) == []
    assert len(read) == 10


def test_a_batch_is_read_once_and_again_when_its_length_changed(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    ink = a.add_lora("ink")
    for rating in "123":
        edits.edit(a.registry, ink, ink, {"rating": rating})
        a.sync()
    first, second = WatchedStorage(a.remote), WatchedStorage(a.remote)
    assert check.check(a.registry, "r", storage=first) == check.check(a.registry, "r", storage=second) == []
    log = sorted((a.remote / "log" / a.device).iterdir())
    assert (first.counts["get"], second.counts["get"]) == (2 + len(log), 2), "hub.json, the head, the log"
    batch = log[-1]
    batch.write_bytes(batch.read_bytes()[:-1])
    assert [(finding.kind, finding.message) for finding in look(a)] == [("hole", "is not whole")]


@pytest.mark.parametrize(
    ("text", "share", "age"),
    [
        ("", 100, 0), ("1%", 1, 0), ("0.5%", 0.5, 0), ("older-than 30d", 100, 30), ("older-than=2w", 100, 14),
        ("7d", 100, 7), ("0%", None, 0), ("101%", None, 0), ("all", None, 0), ("older-than", None, 0),
    ],
)  # fmt: skip
def test_how_much_is_read_can_be_said_as_share_or_age(text: str, share: float | None, age: int) -> None:
    if share is None:
        with pytest.raises(UsageError):
            proofs.parse(text)
    else:
        assert proofs.parse(text) == proofs.Ask(share=share, older_than=timedelta(days=age))


@pytest.mark.parametrize("damage", [b"{}", None])
def test_a_lost_head_is_written_anew_by_its_own_device(pair: tuple[Machine, Machine], damage: bytes | None) -> None:
    a, b = pair
    a.add_lora("ink")
    settle(pair)
    head = a.remote / "heads" / a.device
    head.unlink()
    if damage:
        head.write_bytes(damage)
    result = check_and_repair(b.registry, "r")
    assert [(finding.kind, finding.level) for finding in result.findings] == [("head", "repairable")]
    assert exit_status(result.left) == 1
    assert check_and_repair(a.registry, "r").done == [f"heads/{a.device}: written anew"]
    assert look(b) == []
    assert layout.decode_head(head.read_bytes()).seq > 0


@pytest.mark.parametrize("is_bytes_kept", [True, False])
@pytest.mark.parametrize("damage", ["lost", "torn"])
def test_a_hole_in_the_own_log_is_filled_and_nothing_it_said_is_lost(
    pair: tuple[Machine, Machine], damage: str, *, is_bytes_kept: bool
) -> None:
    a, _ = pair
    ink = a.add_lora("ink")
    a.sync()
    edits.edit(a.registry, ink, ink, {"rating": "4", "notes": "soft"})
    a.sync()
    if not is_bytes_kept:
        edits.edit(a.registry, ink, ink, {"rating": "5"})
        a.sync()
        a.sync()
    batch = sorted((a.remote / "log" / a.device).iterdir())[-1 if is_bytes_kept else -2]
    if damage == "lost":
        batch.unlink()
    else:
        batch.write_bytes(b"torn")
    (finding,) = look(a)
    assert (finding.level, finding.kind) == ("repairable", "hole")
    result = check_and_repair(a.registry, "r")
    assert ("sent again" if is_bytes_kept else "a new snapshot says it") in result.done[0]
    assert exit_status(look(a)) == 0
    assert not a.sync().new_device
    c = newcomer(a)
    settle([a, c])
    assert c.shown() == a.shown()
    assert library.show(c.registry, ink).notes == "soft"
    c.registry.close()


def test_a_hole_in_anothers_log_is_filled_by_who_read_it(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    for rating in "123":
        edits.edit(a.registry, ink, ink, {"rating": rating})
        library.update_set(a.registry, ink, "tags", add=[f"tag {rating}"])
        a.sync()
    b.sync()
    sorted((a.remote / "log" / a.device).iterdir())[1].unlink()
    c = Machine(a.home.parent, "c", a.remote)
    assert "has not arrived" in c.sync().warnings[0]
    # Whoever never read it asks; whoever did fills it.
    assert "asked whoever read it" in check_and_repair(c.registry, "r").done[0]
    b.sync()
    assert c.sync().warnings == ()
    assert exit_status(look(c)) == 0
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    settle([a, b, c])
    assert a.shown() == b.shown() == c.shown()
    assert a.sync(deep=True).warnings == ()
    assert asks.waiting(c.registry.db, _repo(c)) == []
    c.registry.close()


def test_a_log_that_claims_numbers_without_end_costs_no_time(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.sync()
    body = b"x"
    device = "feedfeedfeedfeed"
    name = layout.batch_name(9_999_999_999, body)
    (a.remote / "log" / device).mkdir()
    (a.remote / "log" / device / name).write_bytes(body)
    result = check_and_repair(a.registry, "r")
    assert {finding.kind for finding in result.findings} == {"head", "hole"}
    assert len(list((a.remote / "log" / device).iterdir())) == 1


def test_junk_without_end_is_counted_and_not_listed(pair: tuple[Machine, Machine]) -> None:
    a, _ = pair
    a.sync()
    for number in range(300):
        (a.remote / f"junk{number}").touch()
        (a.remote / "blob" / "00").mkdir(parents=True, exist_ok=True)
        (a.remote / "blob" / "00" / f"00{number:062x}").touch()
    findings = look(a)
    assert len(findings) == 2 * 21
    assert any("280 more names" in finding.message for finding in findings)
    assert any("300 blobs" in finding.message for finding in findings)
    assert exit_status(findings) == 0


def test_the_command_tells_by_its_exit_status_and_repairs_only_when_told(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, _ = pair
    a.add_lora("ink")
    a.sync()
    monkeypatch.setenv("HUBMAN_HOME", str(a.home))
    assert run(["remote", "check", "r", "--read-data"]) == 0
    assert capsys.readouterr().out == "clean\n"
    assert run(["remote", "check", "r", "--read-data", "older-than", "30d"]) == 0
    assert run(["remote", "check", "r", "30d"]) == 2
    shutil.rmtree(a.remote / "blob")
    capsys.readouterr()
    assert run(["remote", "check", "r", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["level"] == "repairable"
    assert run(["remote", "check", "r", "--repair"]) == 0
    assert "sent again from here" in capsys.readouterr().out
    assert run(["remote", "check", "r", "--read-data", "1%"]) == 0
