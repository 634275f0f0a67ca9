"""Scanning folders of pictures: what is read again and what is not, what counts and what goes on to count."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hubman.cli.main import run
from hubman.generate import naming, record, studio
from hubman.generate.client import Engine
from hubman.generate.infotext import infotext_of
from hubman.generate.pictures import Chunk, EngineNote, public, save_png
from hubman.generate.protocol import Picture, Preview
from hubman.generate.request import DrawRequest
from hubman.images import scanning
from hubman.images.scanning import ImageScan
from hubman.progress import Report, silent
from registry import image_folders, library, usage_profile
from registry import scan as model_scan
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from tests.support import drawings
from tests.support.drawings import as_json, comment, graph, infotext, loader, set_time, write_exif, write_png
from tests.support.library import add_entry
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def ink(registry: Registry) -> str:
    return add_entry(registry, "ink")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


def _png(path: Path, number: int = 0, tag: str = "<lora:ink:0.8>") -> Path:
    return write_png(path, {"parameters": infotext(f"picture {number} {tag}")}, number=number)


def _scan(registry: Registry, *folders: Path) -> ImageScan:
    return scanning.scan(registry, folders=folders or None)


def _uses(registry: Registry, item: str) -> int:
    return int(registry.db.execute("SELECT uses FROM listing WHERE id = ?", (item,)).fetchone()[0])


def _counts(found: ImageScan) -> tuple[int, int, int, int]:
    return found.read, found.new, found.gone, found.unchanged


# formats ----------------------------------------------------------------------------------------------------------


def test_pictures_of_every_program_and_format_are_counted(registry: Registry, ink: str, folder: Path) -> None:
    _png(folder / "a1111.png", 1)
    write_exif(folder / "deep" / "forge.jpg", {0x9286: comment(infotext("2 <lora:ink:0.5>"))}, number=2)
    write_exif(folder / "deep" / "forge.WEBP", {0x9286: comment(infotext("3 <lora:ink:0.5>"))}, number=3)
    told = as_json(graph(loader("LoraLoader", lora_name="styles\\ink.safetensors", strength_model=0.9)))
    write_png(folder / "comfy.png", {"prompt": told, "workflow": "{}"}, number=4)
    write_exif(folder / "comfy.webp", {0x0110: f"prompt:{told}"}, number=5)
    write_png(folder / "plain.png", {}, number=6)
    (folder / "notes.txt").write_text("<lora:ink:1>")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    found = _scan(registry, folder)
    assert (found.read, found.told, found.new, found.problems) == (7, 5, 5, ())
    assert _uses(registry, ink) == 5
    assert usage_profile.profile(registry, ink).strengths == usage_profile.Strengths(low=0.5, median=0.8, high=0.9)


def test_a_scan_changes_nothing_in_the_folder(registry: Registry, ink: str, folder: Path) -> None:
    del ink
    path = set_time(_png(folder / "a.png"), 1e9)
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(folder.iterdir())
    _scan(registry, folder)
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(folder.iterdir())) == before


def test_the_time_of_the_file_says_when_it_was_drawn(registry: Registry, ink: str, folder: Path) -> None:
    set_time(_png(folder / "a.png", 1), 1_700_000_000)
    set_time(_png(folder / "b.png", 2), -(1 << 40))
    _scan(registry, folder)
    assert usage_profile.profile(registry, ink).last_at == "2023-11-14T22:13:20.000Z"
    assert library.model_ids(registry, "used:2023") == [ink]


# what is read again ------------------------------------------------------------------------------------------------


def test_only_new_and_changed_pictures_are_read(registry: Registry, ink: str, folder: Path) -> None:
    for number in range(3):
        _png(folder / f"{number}.png", number)
    assert _counts(_scan(registry, folder)) == (3, 3, 0, 0)
    assert _counts(_scan(registry)) == (0, 0, 0, 3)
    _png(folder / "more.png", 3)
    assert _counts(_scan(registry)) == (1, 1, 0, 3)
    assert _uses(registry, ink) == 4


def test_a_picture_that_was_overwritten_in_place_is_another_and_both_count(
    registry: Registry, ink: str, folder: Path
) -> None:
    wash = add_entry(registry, "wash")
    path = set_time(_png(folder / "a.png", 1), 1e9)
    _scan(registry, folder)
    path.unlink()
    set_time(_png(path, 2, "<lora:wash:1>"), 1e9)
    assert _counts(_scan(registry)) == (1, 1, 0, 0)
    assert (_uses(registry, ink), _uses(registry, wash)) == (1, 1)


def test_a_picture_whose_time_alone_changed_is_read_and_not_counted_again(
    registry: Registry, ink: str, folder: Path
) -> None:
    path = _png(folder / "a.png")
    _scan(registry, folder)
    set_time(path, 2e9)
    assert _counts(_scan(registry)) == (1, 0, 0, 0)
    assert _uses(registry, ink) == 1


def test_moved_and_deleted_pictures_go_on_to_count(registry: Registry, ink: str, folder: Path) -> None:
    moved, deleted = _png(folder / "moved.png", 1), _png(folder / "deleted.png", 2)
    _scan(registry, folder)
    (folder / "sorted").mkdir()
    moved.rename(folder / "sorted" / "renamed.png")
    deleted.unlink()
    assert _counts(_scan(registry)) == (1, 0, 2, 0)
    assert _uses(registry, ink) == 2
    shown = {Path(one.path).name: one.is_here for one in usage_profile.pictures(registry, ink)}
    assert shown == {"renamed.png": True, "deleted.png": False}


def test_a_folder_that_was_deleted_below_a_watched_one_is_noticed(registry: Registry, ink: str, folder: Path) -> None:
    _png(folder / "day" / "a.png")
    _scan(registry, folder)
    shutil.rmtree(folder / "day")
    assert _counts(_scan(registry)) == (0, 0, 1, 0)
    assert _uses(registry, ink) == 1


def test_a_drive_that_is_away_is_told_and_nothing_on_it_is_gone(
    registry: Registry, ink: str, folder: Path, tmp_path: Path
) -> None:
    _png(folder / "a.png")
    _scan(registry, folder)
    folder.rename(tmp_path / "unplugged")
    found = _scan(registry)
    assert (found.gone, [problem.path for problem in found.problems]) == (0, [str(folder)])
    (tmp_path / "unplugged").rename(folder)
    assert _counts(_scan(registry)) == (0, 0, 0, 1)
    assert _uses(registry, ink) == 1


def test_one_content_in_two_folders_counts_once(registry: Registry, ink: str, folder: Path, tmp_path: Path) -> None:
    path = _png(folder / "a.png")
    (tmp_path / "other").mkdir()
    shutil.copy(path, tmp_path / "other" / "b.png")
    found = _scan(registry, folder, tmp_path / "other")
    assert (found.told, found.new) == (2, 1)
    assert _uses(registry, ink) == 1


def test_pictures_of_one_request_that_differ_count_each(registry: Registry, ink: str, folder: Path) -> None:
    for number in range(2):
        write_png(folder / f"{number}.png", {"parameters": infotext("x <lora:ink:1>")}, number=number)
    _scan(registry, folder)
    assert _uses(registry, ink) == 2


def test_links_to_folders_are_followed_but_not_round_in_circles(registry: Registry, ink: str, folder: Path) -> None:
    _png(folder / "a.png")
    (folder / "again").symlink_to(folder, target_is_directory=True)
    assert _scan(registry, folder).read == 1
    assert _uses(registry, ink) == 1


def test_hidden_folders_and_folders_of_grids_are_left_out(registry: Registry, ink: str, folder: Path) -> None:
    _png(folder / ".thumbs" / "a.png", 1)
    _png(folder / "txt2img-grids" / "grid-0001.png", 2)
    assert _scan(registry, folder).read == 0
    assert _uses(registry, ink) == 0
    assert _scan(registry, folder / "txt2img-grids").read == 1, "asked for by name it is looked at"


@pytest.mark.skipif(os.name == "nt", reason="names of bytes")
def test_a_name_that_is_no_text_is_told(registry: Registry, folder: Path) -> None:
    path = os.fsencode(folder) + b"/a\xff.png"
    Path(os.fsdecode(path)).write_bytes(_png(folder / "b.png").read_bytes())
    found = _scan(registry, folder)
    assert found.read == 1
    assert "not UTF-8" in found.problems[0].reason


def test_a_scan_that_was_stopped_goes_on_from_there(
    registry: Registry, ink: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "BATCH", 4)
    for number in range(10):
        _png(folder / f"{number}.png", number)

    def stop(done: int, _total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scanning.scan(registry, stop, [folder])
    assert _counts(_scan(registry)) == (2, 2, 0, 8)
    assert _uses(registry, ink) == 10


def test_two_registries_on_one_folder_each_count_it_once_and_say_nothing_to_each_other(
    registry: Registry, ink: str, folder: Path, tmp_path: Path
) -> None:
    _png(folder / "a.png")
    with Registry(tmp_path / "second") as second:
        other = add_entry(second, "ink")
        for one in (registry, second):
            _scan(one, folder)
        assert (_uses(registry, ink), _uses(second, other)) == (1, 1)
        for one in (registry, second):
            assert one.db.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0


# models that come later --------------------------------------------------------------------------------------------


def test_a_file_that_a_scan_finds_later_gets_its_pictures(registry: Registry, folder: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "loras" / "other.safetensors", small_lora(), seed=1)
    model_scan.scan(registry, roots=[_rooted(registry, tmp_path / "loras")])
    _png(folder / "a.png", tag="<lora:ink late:0.8>")
    assert [one.name for one in _scan(registry, folder).unmatched] == ["ink late"]
    write_model(tmp_path / "loras" / "ink late.safetensors", small_lora(), seed=2)
    model_scan.scan(registry)
    (model,) = library.model_ids(registry, "used:ever")
    assert library.show(registry, model).name == "ink late"


def test_a_file_that_is_pulled_or_trained_later_gets_its_pictures(
    registry: Registry, folder: Path, tmp_path: Path
) -> None:
    _png(folder / "a.png", tag="<lora:fresh:0.8>")
    _scan(registry, folder)
    version = model_scan.index_file(registry, write_model(tmp_path / "loras" / "fresh.safetensors", small_lora()))
    assert _uses(registry, library.version(registry, version).model_id) == 1


def _rooted(registry: Registry, path: Path) -> Path:
    from registry import roots

    return roots.add(registry, path)


# hubman's own ------------------------------------------------------------------------------------------------------


class Painter(Engine):
    """Writes the pictures that the engine process would, without drawing."""

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 4,
        report: Report = silent,
        cancelled: Callable[[], bool] = lambda: False,
        preview: Callable[[Preview], None] | None = None,
    ) -> Iterator[Picture]:
        for request in requests:
            path = out / f"{request.key()}.png"
            note = EngineNote(dtype="float32", device="cpu", batch=batch, versions={})
            chunk = Chunk(key=request.key(), request=public(request), engine=note)
            save_png(Image.new("RGB", (8, 8)), path, infotext_of(request, size=(8, 8), model="m"), chunk)
            yield Picture(id=1, key=request.key(), path=str(path), seconds=0.1)


def test_what_hubman_drew_counts_once_wherever_it_is_found(registry: Registry, folder: Path, tmp_path: Path) -> None:
    path = write_model(tmp_path / "loras" / "ink.safetensors", small_lora())
    version = model_scan.index_file(registry, path)
    use = naming.lora_use(registry, version, 0.6)
    request = DrawRequest(base="/models/base.safetensors", prompt="a lighthouse", loras=(use,))
    painter = Painter()
    drawn = studio.draw(registry, painter, request, [1, 2], report=silent, should_stop=lambda: False)
    model = library.version(registry, version).model_id
    assert _uses(registry, model) == 2
    shutil.copy(drawn[0], folder / "kept.png")
    found = _scan(registry, folder, record.generations_folder(registry))
    assert (found.told, found.new) == (3, 0)
    assert _uses(registry, model) == 2
    studio.draw(registry, painter, request, [1], report=silent, should_stop=lambda: False)
    assert _uses(registry, model) == 2, "the same picture drawn again is one picture"
    profile = usage_profile.profile(registry, model)
    assert (profile.times, profile.prompts) == (2, ("a lighthouse",))
    assert profile.strengths == usage_profile.Strengths(low=0.6, median=0.6, high=0.6)


def test_a_picture_of_hubman_from_elsewhere_counts_by_the_sha_256_in_it(
    registry: Registry, ink: str, folder: Path
) -> None:
    (sha256,) = registry.db.execute("SELECT sha256 FROM files").fetchone()
    request = {"prompt": "x", "loras": [{"name": "another name", "sha256": sha256, "strength": 0.4}]}
    write_png(folder / "x.png", {"hubman": as_json({"key": "ab" * 32, "request": request})})
    _scan(registry, folder)
    assert _uses(registry, ink) == 1


# folders ----------------------------------------------------------------------------------------------------------


def test_folders_cover_one_another(registry: Registry, folder: Path) -> None:
    (folder / "a").mkdir()
    assert image_folders.add(registry, folder / "a") == folder / "a"
    assert image_folders.add(registry, folder) == folder
    assert image_folders.add(registry, folder / "a") == folder
    assert [one.path for one in image_folders.all_folders(registry)] == [folder]
    with pytest.raises(UsageError, match="no folder"):
        image_folders.add(registry, folder / "none")
    with pytest.raises(NotFoundError, match="no watched folder"):
        image_folders.remove(registry, folder / "a")


def test_a_folder_that_is_watched_no_more_counts_on_unless_it_is_forgotten(
    registry: Registry, ink: str, folder: Path, tmp_path: Path
) -> None:
    both = _png(folder / "both.png", 1)
    _png(folder / "here.png", 2)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(both, other / "both.png")
    _scan(registry, folder, other)
    assert image_folders.remove(registry, folder) == 0
    assert _uses(registry, ink) == 2
    _scan(registry, folder)
    assert image_folders.remove(registry, folder, forget=True) == 1
    assert _uses(registry, ink) == 1
    with registry.transaction() as db:
        (sha256,) = db.execute("SELECT sha256 FROM files").fetchone()
        drawings.draw(db, sha256)
    assert image_folders.remove(registry, other, forget=True) == 1
    assert _uses(registry, ink) == 1


# commands ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs a command with ``--json`` on a home with one LoRA called ink, and returns what it printed."""
    monkeypatch.setenv("HUBMAN_HOME", str(tmp_path / "home"))
    write_model(tmp_path / "loras" / "ink.safetensors", small_lora())
    assert run(["scan", str(tmp_path / "loras")]) == 0
    set_time(_png(folder / "a.png"), 1_700_000_000)

    def command(*words: str) -> Any:
        capsys.readouterr()
        assert run([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return command


def test_the_commands_from_adding_a_folder_to_the_pictures_of_a_model(
    told: Callable[..., Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told("images", "add", str(folder)) == [str(folder)]
    found = told("images", "scan")
    assert (found["read"], found["told"], found["new"]) == (1, 1, 1)
    assert told("images", "ls") == [{"path": str(folder), "pictures": 1, "told": 1, "is_here": True}]
    assert told("images", "unmatched") == []
    (use,) = told("images", "uses", "ink")
    assert (use["path"], use["strength"], use["found_by"]) == (str(folder / "a.png"), 0.8, "name")
    shown = told("show", "ink")
    assert (shown["usage"]["times"], shown["usage"]["last_at"]) == (1, "2023-11-14T22:13:20.000Z")
    assert run(["show", "ink"]) == 0
    assert "used       in 1 pictures, last on 2023-11-14" in capsys.readouterr().out
    assert told("images", "rm", str(folder), "--forget") == {"folder": str(folder), "forgotten": 1}
    assert run(["show", "ink"]) == 0
    assert "used       never" in capsys.readouterr().out


def test_the_commands_in_words(told: Callable[..., Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del told
    _png(folder / "b.png", 1, "<lora:strange:1>")
    capsys.readouterr()
    assert run(["images", "scan", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "2 read, 2 of them tell what they were drawn with, 2 new" in out
    assert "1 names fit no file or several" in out
    assert run(["images", "unmatched"]) == 0
    assert capsys.readouterr().out == "strange\tlora\t\t1\tno such file\n"
    assert run(["images", "uses", "ink", "--most", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"{folder}/a.png\t2023-11-14\t0.8\tpicture 0")
    assert run(["images", "ls"]) == 0
    assert capsys.readouterr().out == f"{folder}\t2\t2\t\n"
    assert run(["images", "add", str(folder / "none")]) == 2
    assert run(["images", "rm", str(folder / "none")]) == 1
    assert run(["images", "uses", "nobody"]) == 1
    assert run(["images", "add", "--preset", "nothing", str(folder)]) == 2


def test_names_from_pictures_do_not_steer_the_terminal(
    told: Callable[..., Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del told
    _png(folder / "b.png", 1, "<lora:x\x1b[31m:1> and <lora:ink:0.5> \x1b[2J")
    assert run(["images", "scan", str(folder)]) == 0
    assert run(["images", "unmatched"]) == 0
    assert run(["images", "uses", "ink"]) == 0
    assert run(["show", "ink"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_programs_are_found_in_the_usual_places(
    told: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    base = tmp_path / "person" / "ComfyUI"
    for name in ("custom_nodes", "models/loras", "output"):
        (base / name).mkdir(parents=True)
    found = [one for one in told("images", "find") if one["base"] == str(base)]
    assert found == [{"preset": "comfyui", "base": str(base), "folders": [str(base / "output")]}]


def test_a_programs_folder_of_pictures_is_found_by_its_preset(told: Callable[..., Any], tmp_path: Path) -> None:
    base = tmp_path / "ComfyUI"
    (base / "output").mkdir(parents=True)
    assert told("images", "add", "--preset", "comfyui", str(base)) == [str(base / "output")]
