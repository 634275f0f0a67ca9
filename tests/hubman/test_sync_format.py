"""What lies on a remote: names, heads, batches, safe file names; strict, bounded, the same for everybody."""

from __future__ import annotations

import contextlib
import unicodedata
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hubman.sync.records import batches, incoming, layout
from registry import changes
from registry.errors import HubError
from registry.safe_name import ENDINGS, MAX_BYTES, place_under, safe_name, with_suffix

DEVICE = "0123456789abcdef"
SHA256 = "ab" * 32
STAMP = f"{1 << 60:016x}-{DEVICE}"

scalars = st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats(-1e9, 1e9) | st.text(max_size=8)
json_values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=4), scalars, max_size=3)


@settings(deadline=None)
@given(st.lists(st.lists(json_values, max_size=5).map(lambda rest: ["set", *rest]), min_size=1, max_size=5))
def test_a_batch_comes_out_as_it_went_in(made: list[list[object]]) -> None:
    assert batches.decode(batches.encode(changes.encode(change) for change in made)) == made


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_unreadable(body: bytes) -> None:
    for data in (body, zlib.compress(body)):
        with contextlib.suppress(layout.UnreadableError):
            assert isinstance(batches.decode(data), list)


@pytest.mark.parametrize(
    "lines",
    [
        b"[" * 300_000,
        b'["set",' + b"[" * 9 + b"]" * 9 + b"]",
        b'["x","' + b"a" * (256 << 10) + b'"]',
        b"{}",
        b"[1]",
        b"",
    ],
)
def test_a_batch_out_of_bounds_is_refused(lines: bytes) -> None:
    with pytest.raises(layout.UnreadableError):
        batches.decode(zlib.compress(lines))


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(b"[1]\n" * (20 << 20), 9)
    assert len(bomb) < batches.PACKED_CAP
    with pytest.raises(layout.UnreadableError, match="far more"):
        batches.decode(bomb)
    with pytest.raises(layout.UnreadableError):
        batches.decode(zlib.compress(b'["a"]')[:-3])


def test_a_change_that_readers_would_refuse_is_not_sent() -> None:
    def fits(change: list[object]) -> bool:
        return batches.fits(changes.encode(change), change)

    assert fits(["txt", "i", "notes", "short", STAMP, []])
    assert not fits(["txt", "i", "notes", "x" * (batches.TEXT_CAP + 1), STAMP, []])
    assert not fits(["rec", "k", "i", {"x": "y" * batches.LINE_CAP}])
    assert not fits(["rec", "k", "i", {"x": [[[[[[[[1]]]]]]]]}])


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("hub.json", True),
        (f"heads/{DEVICE}", True),
        (f"heads/{DEVICE} (conflicted copy)", False),
        (f"heads/{DEVICE.upper()}", False),
        (f"heads/{DEVICE}.sync-conflict-20260101-1", False),
        (f"heads/{DEVICE}\n", False),
        (f"log/{DEVICE}/0000000001-{'a' * 32}", True),
        (f"log/{DEVICE}/1-{'a' * 32}", False),
        (f"blob/ab/{SHA256}", True),
        (f"blob/cd/{SHA256}", False),
        (f"blob/ab/{SHA256}.p/00001", True),
        (f"blob/ab/{SHA256}.p/1", False),
        (".hub-1234.tmp", False),
        ("blob/ab/../../x", False),
    ],
)
def test_only_names_of_the_exact_pattern_are_known(key: str, known: bool) -> None:
    assert layout.is_known(key) is known


def test_a_blob_is_one_object_or_parts_that_cover_it() -> None:
    assert layout.blob_keys(SHA256, 0, 10) == [(f"blob/ab/{SHA256}", 0, 0)]
    assert layout.blob_keys(SHA256, 10, 10) == [(f"blob/ab/{SHA256}", 0, 10)]
    parts = layout.blob_keys(SHA256, 25, 10)
    assert [(start, length) for _, start, length in parts] == [(0, 10), (10, 10), (20, 5)]
    assert all(layout.is_known(key) for key, _, _ in parts)


@pytest.mark.parametrize(
    "head",
    [
        {"v": 1, "seq": 2, "tail": [], "hlc": STAMP, "acks": {"x": "y"}},
        {"v": 1, "seq": 2, "tail": ["0000000001-" + "a" * 32], "hlc": STAMP},
        {"v": 1, "seq": 0, "tail": ["0000000000-" + "a" * 32], "hlc": STAMP},
        {"v": 1, "seq": 1, "tail": ["../../../etc/passwd"], "hlc": STAMP},
        {"v": 2, "seq": 0, "tail": [], "hlc": STAMP},
        {"v": 1, "seq": -1, "tail": [], "hlc": STAMP},
        [],
        "x",
    ],
)
def test_a_head_that_makes_no_sense_is_unreadable(head: object) -> None:
    with pytest.raises(layout.UnreadableError):
        layout.decode_head(msgspec.json.encode(head))


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_a_head_or_unreadable(data: bytes) -> None:
    for decode in (layout.decode_head, layout.decode_hub):
        with pytest.raises(layout.UnreadableError):
            decode(data)


@pytest.mark.parametrize(
    "hub", [{"format": 3}, {"min_reader": 3}, {"enc": "rot13"}, {"part": 0}, {"part": 1 << 40}, {"repo": 1}]
)
def test_a_remote_of_another_kind_is_refused_with_a_reason(hub: dict[str, object]) -> None:
    with pytest.raises(layout.UnreadableError) as caught:
        layout.decode_hub(msgspec.json.encode({"format": 1, "repo": "r", **hub}))
    assert caught.value.hint


def test_sound_changes_are_told_from_others() -> None:
    facts = {
        "version_id": "i1", "name": "n", "size": 1, "format": "safetensors", "autov2": "ab",
        "added_at": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    preview = {"name": "p", "width": 1, "height": 1}
    sound: list[changes.Change] = [
        ["set", "i", "user.rating", 3, STAMP],
        ["set", "i", "user.rating", None, STAMP],
        ["set", "i", "user.of_a_later_version", {"any": ["thing"]}, STAMP],
        ["add", "i", "tags", "x", STAMP],
        ["rem", "", "", "", [STAMP]],
        ["txt", "i", "notes", "x", STAMP, []],
        ["cnt", "i", "used", DEVICE, 3],
        ["file", SHA256, {**facts, "from_a_later_version": 1}],
        ["have", DEVICE, SHA256, "present", STAMP],
        ["dev", DEVICE, {"name": "x"}, STAMP],
        ["rec", "preview", f"i1/{SHA256}", preview],
        ["rec", "later", "x", {}],
        ["later", 1, 2],
    ]
    assert [change for change in sound if not incoming.is_sound(change)] == []
    unsound: list[changes.Change] = [
        ["set", "i", "user.rating", "five", STAMP],
        ["set", "i", "user.rating", 1 << 70, STAMP],
        ["set", "i", "user.name", {"a": 1}, STAMP],
        ["set", "i", "nobody.rating", 3, STAMP],
        ["set", "i", "user.rating", 3, "zzzz"],
        ["set", "i", "user.rating", 3],
        ["set", 1, 2, 3, 4],
        ["add", "i", "tags", ["x"], STAMP],
        ["add", "i", "tags", "x" * 5000, STAMP],
        ["rem", "i", "tags", "x", "dot"],
        ["txt", "i", "notes", "x" * (batches.TEXT_CAP + 1), STAMP, []],
        ["cnt", "i", "used", DEVICE, True],
        ["file", SHA256, {**facts, "size": "big"}],
        ["file", SHA256, {**facts, "size": -1}],
        ["file", SHA256, {**facts, "metadata": {"a": 1}}],
        ["file", "../../x", facts],
        ["file", SHA256, {**facts, "added_at": "yesterday"}],
        ["have", DEVICE, "x", "present", STAMP],
        ["dev", "me", {}, STAMP],
        ["rec", "preview", "i1/../../x", preview],
        ["rec", "run", "i1", {"samples": ["../x"]}],
        ["rec", "preview", f"i1/{SHA256}", {"width": "wide"}],
    ]
    assert [change for change in unsound if incoming.is_sound(change)] == []


@settings(deadline=None)
@given(
    st.sampled_from(["set", "add", "rem", "txt", "cnt", "file", "have", "dev", "rec"]),
    st.lists(json_values, max_size=6),
)
def test_no_content_breaks_the_check(kind: str, content: list[object]) -> None:
    assert incoming.is_sound([kind, *content]) in {True, False}


@settings(deadline=None)
@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
@example("../../etc/passwd")
@example("CON.safetensors")
@example("a" * 300 + ".safetensors")
@example("e\u0301" * 200)
@example(".safetensors")
@example("x.SAFETENSORS ")
@example("com\u00b9.pt")
@example("a\u202egnp.bin")
@example("-rf")
@example("")
def test_a_safe_name_is_one_harmless_name(name: str) -> None:
    safe = safe_name(name)
    assert safe == safe_name(safe)
    assert 0 < len(safe.encode()) <= MAX_BYTES
    assert Path(safe).suffix in ENDINGS
    assert not set(safe) & set('/\\:*?"<>|\0')
    assert safe[0] not in ".- "
    assert all(not unicodedata.category(char).startswith("C") for char in safe)
    assert unicodedata.is_normalized("NFC", safe)
    assert safe.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9", "com\u00b9"}
    longer = with_suffix(safe, "ab" * 32)
    assert len(longer.encode()) <= MAX_BYTES
    assert Path(longer).suffix == Path(safe).suffix


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Ink Wash v2.safetensors", "Ink Wash v2.safetensors"),
        ("水墨.safetensors", "水墨.safetensors"),
        ("a/b\\c.safetensors", "a_b_c.safetensors"),
        ("../../x.safetensors", "_.._x.safetensors"),
        ("evil.sh", "evil.sh.bin"),
        ("NUL", "_NUL.bin"),
        ("x.SafeTensors", "x.safetensors"),
    ],
)
def test_names_stay_readable(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_place_is_in_its_folder_and_no_link(tmp_path: Path) -> None:
    assert place_under(tmp_path, "x.bin") == tmp_path / "x.bin"
    (tmp_path / "link.bin").symlink_to("/etc/passwd")
    for name in ("../x.bin", "a/b.bin", "link.bin"):
        with pytest.raises(HubError):
            place_under(tmp_path, name)
