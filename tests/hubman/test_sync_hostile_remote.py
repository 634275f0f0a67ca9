"""A remote that lies: forged, rolled-back and replayed heads and logs, numbers and names without end."""

from __future__ import annotations

import shutil
import tracemalloc

import msgspec
import pytest

from hubman.sync.care.check import check
from hubman.sync.records import layout
from hubman.sync.storages.folder import FolderStorage
from registry import changes, edits, ids, library
from tests.hubman.test_sync_hostile import STRANGER, everything_below, file_change, packed, stamp, write_log
from tests.support.machines import Machine, settle, sha256_of


@pytest.mark.parametrize(
    "said",
    [
        {"seq": 1 << 70, "tail": []},
        {"seq": -1, "tail": []},
        {"seq": 1, "tail": ["../../../hub.json"]},
        {"seq": 100, "tail": [f"{number:010d}-{'0' * 32}" for number in range(1, 101)]},
        {"acks": {"../x": 1}},
        {"acks": {f"{number:016x}": 1 for number in range(300)}},
        {"acks": {STRANGER: 1 << 70}},
        {"hlc": "not a stamp"},
        {"hlc": f"{'f' * 16}-{STRANGER}"},
        {"v": 2},
        [[[[[[]]]]]],
        "x" * (layout.HEAD_CAP + 1),
    ],
)
def test_a_forged_head_gets_a_line_at_most_and_holds_up_nobody(pair: tuple[Machine, Machine], said: object) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    a.sync()
    honest = {"v": 1, "seq": 0, "tail": [], "hlc": stamp()}
    body = msgspec.json.encode({**honest, **said} if isinstance(said, dict) else said)
    (a.remote / "heads" / STRANGER).write_bytes(body)
    before = everything_below(b.home)
    assert len(b.sync().warnings) <= 1
    assert len(b.sync(deep=True).warnings) <= 1
    assert library.show(b.registry, ink).name == "ink"
    new = {path.name for path in everything_below(b.home) - before}
    assert new <= {"ink.safetensors", "registry.db-wal", "registry.db-shm", "sync.lock"}
    check(b.registry, "r")


def test_a_head_that_went_back_is_told_once_and_undoes_nothing(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    a.sync()
    old = (a.remote / "heads" / a.device).read_bytes()
    edits.edit(a.registry, ink, ink, {"rating": "3"})
    settle(pair)
    newest = (a.remote / "heads" / a.device).read_bytes()
    (a.remote / "heads" / a.device).write_bytes(old)
    (warning,) = b.sync().warnings
    assert "went back from batch" in warning
    assert b.sync().warnings == ()
    assert library.show(b.registry, ink).rating == 3
    (a.remote / "heads" / a.device).write_bytes(newest)
    assert b.sync().warnings == ()


def test_a_remote_restored_from_an_older_copy_gets_back_what_was_sent_since(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    a.sync()
    copy = a.remote.with_name("copy")
    shutil.copytree(a.remote, copy)
    edits.edit(a.registry, ink, ink, {"rating": "4"})
    a.sync()
    shutil.rmtree(a.remote)
    copy.rename(a.remote)
    assert not a.sync().new_device
    assert b.sync().warnings == ()
    assert library.show(b.registry, ink).rating == 4


def test_replayed_batches_change_nothing(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    edits.edit(a.registry, ink, ink, {"rating": "4", "tags": "x"})
    library.update_set(a.registry, ink, "tags", remove=["x"])
    settle(pair)
    state = b.state()
    bodies = [path.read_bytes() for path in sorted((a.remote / "log" / a.device).iterdir())]
    write_log(a.remote, *bodies, *reversed(bodies))
    assert b.sync().warnings == ()
    assert b.state() == state


def test_swapped_blobs_of_one_size_never_get_each_others_place(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("one", seed=1)
    a.add_lora("two", seed=2)
    a.sync()
    first, second = a.remote.glob("blob/*/*")
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    result = b.sync()
    assert result.downloaded == 0
    assert len(result.warnings) == 2
    assert not list(b.registry.models_folder.glob("*.safetensors"))


def test_strangers_without_number_push_no_known_device_out(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAX_DEVICES", 8)
    a, b = pair
    ink = a.add_lora("ink")
    settle(pair)
    for number in range(40):
        write_log(a.remote, packed(["set", ink, "user.notes", "x", stamp()]), device=f"{number:016x}")
    edits.edit(a.registry, ink, ink, {"rating": "5"})
    a.sync()
    (warning,) = b.sync().warnings
    assert "more than 8 devices; 34 new ones are not read" in warning
    assert library.show(b.registry, ink).rating == 5
    (b.remote / "heads" / a.device).unlink()
    b.sync(deep=True)
    (count,) = b.registry.db.execute("SELECT count(*) FROM cursors").fetchone()
    assert count <= 8 + 8


def test_a_file_that_claims_to_be_endless_is_kept_as_said_and_not_obeyed(pair: tuple[Machine, Machine]) -> None:
    _, b = pair
    b.sync()
    write_log(b.remote, packed(file_change("x", "a" * 64, 1 << 60)))
    result = b.sync()
    assert (result.strange_changes, result.warnings) == (1, ())
    with pytest.raises(layout.UnreadableError):
        layout.blob_keys("a" * 64, 1 << 60, 1)


@pytest.mark.parametrize("part", [1, 1 << 20])
def test_parts_too_small_to_be_counted_are_no_remote(part: int) -> None:
    with pytest.raises(layout.UnreadableError, match="part size"):
        layout.decode_hub(msgspec.json.encode({"format": 1, "repo": "r", "part": part}))


def test_names_and_folders_without_end_take_no_memory(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    ink = a.add_lora("ink")
    a.sync()
    log = a.remote / "log" / STRANGER
    log.mkdir()
    for number in range(2_000):
        (a.remote / "heads" / f"junk-{number}").touch()
        (log / f"{number + 2:010d}-{number:032x}").touch()
    deep = a.remote / "log" / STRANGER / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    (deep / "e").touch()
    tracemalloc.start()
    b.sync()
    check(b.registry, "r")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
    assert library.show(b.registry, ink).name == "ink"
    assert not [entry for entry in FolderStorage(a.remote).entries("") if "/d/" in entry.key]


def test_names_from_the_remote_steer_no_terminal(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hubman.cli.main import run

    _, b = pair
    b.sync()
    name = "\x1b]0;owned\x07\u202eevil"
    made: list[changes.Change] = [
        ["dev", STRANGER, {"name": name, "policy": {}, "app_version": name}, stamp()],
        file_change(name, "b" * 64, 5),
    ]
    write_log(b.remote, packed(*made))
    (b.remote / f"{name}.tmp").touch()
    monkeypatch.setenv("HUBMAN_HOME", str(b.home))
    for words in (["sync", "r"], ["remote", "check", "r"], ["device", "ls"], ["device", "ls", "--json"]):
        run(words)
        printed = capsys.readouterr()
        assert "\x1b" not in printed.out + printed.err
        assert "--json" in words or "\u202e" not in printed.out + printed.err


def test_weights_planted_under_a_device_name_or_a_taken_path_leave_what_is_there(pair: tuple[Machine, Machine]) -> None:
    import hashlib

    _, b = pair
    mine = b.add_lora("ink")
    path = b.registry.models_folder / "ink.safetensors"
    right = sha256_of(path)
    data = b"other weights"
    sha256 = hashlib.sha256(data).hexdigest()
    blob = b.remote / "blob" / sha256[:2]
    blob.mkdir(parents=True)
    (blob / sha256).write_bytes(data)
    outside = b.home.parent / "outside"
    outside.mkdir()
    (b.registry.models_folder / "linked").symlink_to(outside)
    b.sync()
    write_log(b.remote, packed(file_change("ink.safetensors", sha256, len(data))))
    b.sync()
    assert sha256_of(path) == right
    assert not list(outside.iterdir())
    assert library.show(b.registry, mine).id == mine
    assert ids.item_id(sha256) in library.model_ids(b.registry, "")
