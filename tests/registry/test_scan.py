from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from registry import edits, library, previews, roots, scan, scan_read
from registry.database import Registry
from registry.errors import HubError, NotFoundError, UsageError
from registry.hashing import FileHashes, hash_file
from registry.scan import ScanResult, index_file
from tests.support.model_files import real_keys, small_lora, write_model


@pytest.fixture
def loras(registry: Registry, tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    roots.add(registry, folder)
    return folder


def _counts(result: ScanResult) -> dict[str, int]:
    names = ("new", "changed", "moved", "missing", "damaged", "unchanged", "unhashed")
    return {name: getattr(result, name) for name in names if getattr(result, name)}


def _names(registry: Registry, line: str = "") -> list[str]:
    return [row.name for row in library.list_models(registry, line)]


def _clock(registry: Registry) -> str:
    """Every change ticks the clock: where it stands still, nothing was said."""
    return str(registry.db.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()[0])


def _ref(registry: Registry, name: str) -> tuple[str, str]:
    return library.resolve(registry, name)


def test_a_new_file_is_listed_with_what_its_header_says(registry: Registry, loras: Path) -> None:
    metadata, tensors = real_keys("sds_diffusers")
    path = write_model(loras / "style" / "ink.safetensors", tensors, metadata)
    assert _counts(scan.scan(registry)) == {"new": 1}
    (row,) = library.list_models(registry)
    assert (row.name, row.base_model, row.architecture, row.network_type, row.rank) == (
        "ink",
        "SD 1.5",
        "sd1",
        "lora",
        8,
    )
    assert row.trigger_words == ("zxq",)
    assert row.flags == ""
    version = library.version(registry, row.version_id)
    assert version.sources["base_model"] == "header"
    (file,) = version.files
    assert file.sha256 == hash_file(path).sha256
    assert (file.alpha, file.dtype, file.tensor_count, file.format) == (0.0, "fp32", 576, "safetensors")
    assert file.metadata["ss_output_name"] == "sds_diffusers"
    assert [place.path for place in file.places] == [str(path)]


def test_a_scan_of_what_is_known_reads_and_writes_nothing(
    registry: Registry, loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    (loras / "old.ckpt").write_bytes(b"pickle")
    scan.scan(registry)
    said = _clock(registry)
    monkeypatch.setattr(scan_read, "hash_file", pytest.fail)
    assert _counts(scan.scan(registry)) == {"unchanged": 2}
    assert _clock(registry) == said


def test_rehash_reads_everything_and_finds_nothing_new(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    said = _clock(registry)
    assert _counts(scan.scan(registry, rehash=True)) == {"unchanged": 1}
    assert _clock(registry) == said


def test_a_file_replaced_in_place_keeps_what_a_person_said(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "epoch.safetensors", small_lora(), {"modelspec.trigger_phrase": "old"}, seed=1)
    scan.scan(registry)
    old, version = _ref(registry, "epoch")
    edits.edit(registry, old, version, {"rating": "4", "strength": "0.7", "notes": "mine", "tags": "ink,wash"})
    library.update_set(registry, version, "trigger_words", add=["kept"], remove=["old"])
    first = hash_file(path).sha256
    write_model(path, small_lora(rank=8), {"modelspec.trigger_phrase": "old"}, seed=2)
    assert _counts(scan.scan(registry)) == {"changed": 1}
    (row,) = library.list_models(registry)
    assert row.id != old
    assert (row.rating, row.strength, row.rank, row.tags, row.trigger_words) == (4, 0.7, 8, ("ink", "wash"), ("kept",))
    assert library.show(registry, row.id).notes == "mine"
    history = registry.db.execute("SELECT path, sha256, replaced_by FROM file_history").fetchone()
    assert tuple(history) == (str(path), first, hash_file(path).sha256)


def test_a_new_epoch_of_a_known_model_becomes_its_newest_version(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "epoch.safetensors", small_lora(), seed=1)
    os.utime(path, ns=(10**18 * 17 // 10, 10**18 * 17 // 10))
    scan.scan(registry)
    _, version = _ref(registry, "epoch")
    library.set_facts(registry, version, "civitai", {"model": "m" + "0" * 25})
    library.set_facts(registry, "m" + "0" * 25, "civitai", {"name": "Epochs"})
    shutil.copy(path, loras / "kept.safetensors")
    scan.scan(registry)
    write_model(path, small_lora(rank=8), seed=2)
    scan.scan(registry)
    (row,) = library.list_models(registry)
    assert (row.name, row.versions, row.rank) == ("Epochs", 2, 8)


def test_replacing_one_of_two_copies_leaves_the_other_its_own(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    shutil.copy(path, loras / "b.safetensors")
    scan.scan(registry)
    assert _names(registry, "is:dup") == ["a"]
    edits.edit(registry, *_ref(registry, "a"), {"rating": "3"})
    write_model(path, small_lora(), seed=2)
    assert _counts(scan.scan(registry)) == {"changed": 1, "unchanged": 1}
    assert sorted(_names(registry, "rating:3")) == ["a", "b"]
    assert _names(registry, "is:dup") == []


@pytest.mark.parametrize("copied", [False, True])
def test_a_moved_file_keeps_everything_and_gets_its_new_name(registry: Registry, loras: Path, copied: bool) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    edits.edit(registry, *_ref(registry, "a"), {"rating": "5"})
    (loras / "sub").mkdir()
    if copied:
        shutil.copyfile(path, loras / "sub" / "b.safetensors")
        path.unlink()
    else:
        path.rename(loras / "sub" / "b.safetensors")
    assert _counts(scan.scan(registry)) == {"moved": 1}
    (row,) = library.list_models(registry)
    assert (row.name, row.rating, row.flags) == ("b", 5, "")
    assert _counts(scan.scan(registry)) == {"unchanged": 1}


def test_files_that_swap_their_names_keep_what_is_known_of_their_contents(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    write_model(loras / "b.safetensors", small_lora(rank=8), seed=2)
    scan.scan(registry)
    edits.edit(registry, *_ref(registry, "a"), {"rating": "5"})
    (loras / "a.safetensors").rename(loras / "c")
    (loras / "b.safetensors").rename(loras / "a.safetensors")
    (loras / "c").rename(loras / "b.safetensors")
    assert _counts(scan.scan(registry)) == {"changed": 2}
    assert [(row.name, row.rating, row.rank) for row in library.list_models(registry)] == [("a", 0, 8), ("b", 5, 4)]


def test_content_that_gave_way_to_a_copy_is_history_until_it_returns(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    write_model(loras / "b.safetensors", small_lora(rank=8), seed=2)
    scan.scan(registry)
    edits.edit(registry, *_ref(registry, "a"), {"rating": "5"})
    shutil.copyfile(loras / "b.safetensors", loras / "a.safetensors")
    scan.scan(registry)
    assert [(row.name, row.rating, row.flags) for row in library.list_models(registry)] == [("a", 0, "")]
    write_model(loras / "again.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    assert [(row.name, row.rating) for row in library.list_models(registry, "rating:5")] == [("again", 5)]
    (loras / "again.safetensors").unlink()
    scan.scan(registry)
    assert _names(registry, "is:missing") == ["again"]


def test_a_missing_file_is_flagged_and_comes_back(registry: Registry, loras: Path, tmp_path: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    write_model(loras / "b.safetensors", small_lora(), seed=2)
    scan.scan(registry)
    edits.edit(registry, *_ref(registry, "a"), {"notes": "keep"})
    path.rename(tmp_path / "away.safetensors")
    assert _counts(scan.scan(registry)) == {"missing": 1, "unchanged": 1}
    assert _names(registry, "is:missing") == ["a"]
    assert library.list_models(registry, "name:a")[0].flags == "M"
    assert _counts(scan.scan(registry)) == {"missing": 1, "unchanged": 1}
    (tmp_path / "away.safetensors").rename(path)
    assert _counts(scan.scan(registry)) == {"moved": 1, "unchanged": 1}
    assert _names(registry, "is:missing") == []
    assert _names(registry, "has:notes") == ["a"]


def test_a_folder_without_permission_is_reported_and_makes_nothing_missing(
    registry: Registry, loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(loras / "closed" / "a.safetensors", small_lora(), seed=1)
    write_model(loras / "b.safetensors", small_lora(), seed=2)
    scan.scan(registry)
    listing = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = scan.scan(registry)
    assert _counts(result) == {"unchanged": 1}
    assert [problem.reason for problem in result.problems] == ["can't be read (Permission denied)"]


def test_a_file_without_permission_is_reported_and_read_when_it_can_be(
    registry: Registry, loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)

    def refuse(_path: Path, *_: object) -> FileHashes:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(scan_read, "hash_file", refuse)
        patch.setattr(scan_read, "read_header", refuse)
        result = scan.scan(registry)
    assert _counts(result) == {"new": 1, "damaged": 1}
    assert "Permission denied" in result.problems[0].reason
    assert _names(registry) == []
    assert _counts(scan.scan(registry)) == {"unchanged": 1}
    assert _names(registry) == ["a"]
    with monkeypatch.context() as patch:
        patch.setattr(scan_read, "hash_file", refuse)
        assert _counts(scan.scan(registry, rehash=True)) == {"unchanged": 1, "damaged": 1}
    assert _names(registry, "is:damaged") == ["a"]
    assert _counts(scan.scan(registry)) == {"unchanged": 1}
    assert _names(registry, "is:damaged") == []


def test_a_damaged_file_is_listed_with_its_problem_until_it_is_sound(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    result = scan.scan(registry)
    assert _counts(result) == {"new": 1, "damaged": 1}
    assert "ends too early" in result.problems[0].reason
    assert library.list_models(registry, "is:damaged")[0].flags == "!"
    assert _counts(scan.scan(registry)) == {"unchanged": 1, "damaged": 1}
    path.write_bytes(content)
    assert _counts(scan.scan(registry)) == {"changed": 1}
    (row,) = library.list_models(registry)
    assert (row.flags, row.rank) == ("", 4)


def test_pickles_are_hashed_and_listed_and_never_opened(registry: Registry, loras: Path) -> None:
    bomb = b"cos\nsystem\n(S'touch /nowhere'\ntR."
    for name in ("a.ckpt", "b.pt", "c.pth", "d.bin"):
        (loras / name).write_bytes(bomb + name.encode())
    assert _counts(scan.scan(registry)) == {"new": 4}
    for row in library.list_models(registry):
        (file,) = library.version(registry, row.version_id).files
        assert (file.format, file.autov3, file.damage) == ("pickle", None, None)


def test_the_folders_name_tells_the_kind_of_what_is_not_opened(registry: Registry, loras: Path) -> None:
    for folder in ("embeddings", "Stable-diffusion", "Lora", "VAE"):
        (loras.parent / "models" / folder).mkdir(parents=True)
        (loras.parent / "models" / folder / f"{folder}.pt").write_bytes(folder.encode())
    roots.add(registry, loras.parent / "models")
    scan.scan(registry)
    kinds = {row.name: row.kind for row in library.list_models(registry)}
    assert kinds == {"embeddings": "embedding", "Stable-diffusion": "checkpoint", "Lora": "lora", "VAE": "vae"}


def test_what_belongs_to_another_model_or_program_is_no_model(registry: Registry, loras: Path) -> None:
    for name in ("base.vae.pt", "base.vae.safetensors", "a.part", "._a.safetensors", "a.json", ".trash/b.safetensors"):
        (loras / name).parent.mkdir(exist_ok=True)
        (loras / name).write_bytes(b"x")
    write_model(loras / "pipeline" / "unet" / "model.safetensors", small_lora())
    (loras / "pipeline" / "model_index.json").write_text("{}")
    assert _counts(scan.scan(registry)) == {}


def test_links_are_followed_and_loops_are_not(registry: Registry, loras: Path, tmp_path: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    write_model(tmp_path / "elsewhere" / "b.safetensors", small_lora(), seed=2)
    (loras / "0loop").symlink_to(loras)
    (loras / "outside").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(loras)
    (loras / "self").symlink_to(loras / "self")
    (loras / "broken.safetensors").symlink_to(tmp_path / "nothing")
    os.mkfifo(loras / "pipe.safetensors")
    assert _counts(scan.scan(registry)) == {"new": 2}
    assert _names(registry) == ["a", "b"]
    assert _counts(scan.scan(registry)) == {"unchanged": 2}


def test_a_name_that_is_not_utf8_is_reported_and_the_rest_is_indexed(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    odd = os.fsencode(loras) + b"/odd\xff.safetensors"
    shutil.copy(os.fsencode(loras / "a.safetensors"), odd)
    Path(os.fsdecode(os.fsencode(loras) + b"/folder\xfe")).mkdir()
    result = scan.scan(registry)
    assert _counts(result) == {"new": 1}
    assert [Path(problem.path).name for problem in result.problems] == ["folder\\xfe", "odd\\xff.safetensors"]


def test_a_file_that_is_being_written_waits_for_the_next_scan(
    registry: Registry, loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)

    def write_on(read: Path, *_: object) -> FileHashes:
        hashes = hash_file(read)
        with path.open("ab") as file:
            file.write(b"more")
        return hashes

    with monkeypatch.context() as patch:
        patch.setattr(scan_read, "hash_file", write_on)
        result = scan.scan(registry)
    assert _counts(result) == {"new": 1, "unhashed": 1}
    assert result.problems[0].reason == "is being written"
    assert _names(registry) == ["a"]
    assert _counts(scan.scan(registry)) == {"unchanged": 1, "damaged": 1}


def test_a_scan_that_is_stopped_goes_on_where_it_was(registry: Registry, loras: Path) -> None:
    for number in range(120):
        write_model(loras / f"{number:03}.safetensors", small_lora(), seed=number)

    def stop(stage: str, done: int, _total: int) -> None:
        if stage == "reading" and done == 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan.scan(registry, stop)
    assert len(_names(registry)) == 120
    assert registry.db.execute("SELECT count(*) FROM unhashed").fetchone()[0] == 70
    assert _counts(scan.scan(registry)) == {"unchanged": 120}


def test_progress_is_told_in_files(registry: Registry, loras: Path) -> None:
    for number in range(3):
        write_model(loras / f"{number}.safetensors", small_lora(), seed=number)
    told: list[tuple[str, int, int]] = []
    scan.scan(registry, lambda stage, done, total: told.append((stage, done, total)))
    assert [entry for entry in told if entry[0] == "reading"] == [("reading", done, 3) for done in (0, 1, 2, 3)]


def test_scanning_one_folder_leaves_the_others_alone(registry: Registry, loras: Path, tmp_path: Path) -> None:
    write_model(loras / "one" / "a.safetensors", small_lora(), seed=1)
    write_model(loras / "two" / "b.safetensors", small_lora(), seed=2)
    scan.scan(registry)
    (loras / "one" / "a.safetensors").unlink()
    (loras / "two" / "b.safetensors").unlink()
    assert _counts(scan.scan(registry, roots=[loras / "one"])) == {"missing": 1}
    assert _names(registry, "is:missing") == ["a"]
    with pytest.raises(UsageError):
        scan.scan(registry, roots=[tmp_path / "nowhere"])


def test_one_file_is_indexed_at_once_and_found_by_every_later_scan(registry: Registry, tmp_path: Path) -> None:
    path = write_model(registry.models_folder / "trained" / "new.safetensors", small_lora(), seed=1)
    stray = write_model(tmp_path / "stray.safetensors", small_lora(), seed=2)
    version = index_file(registry, path)
    index_file(registry, stray)
    assert library.version(registry, version).files[0].places[0].path == str(path)
    assert index_file(registry, path) == version
    assert _counts(scan.scan(registry)) == {"unchanged": 2}
    stray.unlink()
    assert _counts(scan.scan(registry)) == {"unchanged": 1, "missing": 1}
    with pytest.raises(NotFoundError):
        index_file(registry, stray)


def test_a_file_that_cannot_be_read_is_not_indexed_alone(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, *_: object) -> FileHashes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(scan_read, "hash_file", refuse)
    with pytest.raises(HubError, match="Permission denied"):
        index_file(registry, write_model(tmp_path / "a.safetensors", small_lora()))


def test_other_machines_learn_what_this_one_has(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    sha256 = hash_file(path).sha256
    scan.scan(registry)
    states = "SELECT state FROM holdings WHERE sha256 = ?"
    assert registry.db.execute(states, (sha256,)).fetchone()[0] == "present"
    path.unlink()
    write_model(loras / "b.safetensors", small_lora(), seed=2)
    scan.scan(registry)
    assert registry.db.execute(states, (sha256,)).fetchone()[0] == "gone"


def test_metadata_too_long_to_carry_around_is_left_in_the_file(registry: Registry, loras: Path) -> None:
    metadata = {f"long{number}": "x" * 30_000 for number in range(6)}
    metadata |= {"ss_output_name": "ink", "huge": "y" * 40_000, "ssmd_cover_images": "[]"}
    write_model(loras / "a.safetensors", small_lora(), metadata)
    scan.scan(registry)
    (row,) = library.list_models(registry)
    kept = library.version(registry, row.version_id).files[0].metadata
    assert kept["ss_output_name"] == "ink"
    assert {"huge", "ssmd_cover_images"}.isdisjoint(kept)
    assert sum(map(len, kept.values())) <= scan_read.MAX_METADATA


def _picture(path: Path, colour: str = "red") -> Path:
    Image.new("RGB", (8, 6), colour).save(path)
    return path


def test_the_picture_beside_a_file_shows_it(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    write_model(loras / "a.b.safetensors", small_lora(), seed=2)
    _picture(loras / "a.png", "blue")
    wanted = _picture(loras / "A.Preview.PNG")
    scan.scan(registry)
    shown = {row.name: row.preview for row in library.list_models(registry)}
    assert shown["a.b"] is None
    assert shown["a"] is not None
    assert previews.blob_path(registry, shown["a"]).read_bytes() == wanted.read_bytes()
    (preview,) = library.version(registry, _ref(registry, "a")[1]).previews
    assert (preview.source, preview.width, preview.height) == ("sidecar", 8, 6)


def test_a_picture_that_comes_later_is_found_and_one_taken_away_stays_away(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    _picture(loras / "a.png")
    assert _counts(scan.scan(registry)) == {"unchanged": 1}
    (row,) = library.list_models(registry)
    assert row.preview is not None
    previews.remove_preview(registry, row.version_id, row.preview)
    scan.scan(registry)
    assert library.list_models(registry)[0].preview is None


def test_a_damaged_picture_costs_the_file_nothing(registry: Registry, loras: Path) -> None:
    write_model(loras / "a.safetensors", small_lora(), seed=1)
    (loras / "a.png").write_bytes(b"no picture")
    assert _counts(scan.scan(registry)) == {"new": 1}
    assert library.list_models(registry)[0].preview is None


def test_the_thumbnail_inside_a_file_shows_it_when_nothing_lies_beside(registry: Registry, loras: Path) -> None:
    import base64
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (5, 5), "red").save(buffer, "JPEG")
    thumbnail = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    write_model(loras / "a.safetensors", small_lora(), {"modelspec.thumbnail": thumbnail})
    write_model(loras / "b.safetensors", small_lora(), {"modelspec.thumbnail": "data:image/jpeg;base64,%%%"})
    scan.scan(registry)
    shown = {row.name: row.preview for row in library.list_models(registry)}
    assert shown["b"] is None
    assert shown["a"] is not None
    assert previews.blob_path(registry, shown["a"]).read_bytes() == buffer.getvalue()


def test_a_root_covers_what_lies_below_it(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "models" / "lora").mkdir(parents=True)
    assert roots.add(registry, tmp_path / "models" / "lora") == tmp_path / "models" / "lora"
    assert roots.add(registry, tmp_path / "models" / "x" / "..") == tmp_path / "models"
    assert roots.add(registry, tmp_path / "models" / "lora") == tmp_path / "models"
    assert roots.all_roots(registry) == [tmp_path / "models"]
    roots.remove(registry, tmp_path / "models")
    assert roots.all_roots(registry) == []
    with pytest.raises(NotFoundError):
        roots.remove(registry, tmp_path / "models")
    with pytest.raises(UsageError):
        roots.add(registry, tmp_path / "nowhere")


def test_files_of_a_root_that_is_no_longer_indexed_stay_known(registry: Registry, loras: Path) -> None:
    path = write_model(loras / "a.safetensors", small_lora(), seed=1)
    scan.scan(registry)
    roots.remove(registry, loras)
    write_model(loras / "b.safetensors", small_lora(), seed=2)
    assert _counts(scan.scan(registry)) == {"unchanged": 1}
    path.unlink()
    assert _counts(scan.scan(registry)) == {"missing": 1}
