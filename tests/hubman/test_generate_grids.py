"""Grids are drawn once in a useful order and resume, and come out as sheets, thumbnails and tables."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman.cli.main import run
from hubman.generate import studio
from hubman.generate.asked import asked, grid_of, request_of
from hubman.generate.client import Engine
from hubman.generate.curve import Curve
from hubman.generate.grids.cells import cell_path, draw_grid, draw_requests
from hubman.generate.grids.contact import write_contact
from hubman.generate.grids.grid import load_grid, save_grid
from hubman.generate.grids.order import coarse_to_fine, drawing_order
from hubman.generate.grids.plan import plan
from hubman.generate.grids.sheet import write_sheets
from hubman.generate.grids.spec import KINDS
from hubman.generate.grids.speed import learn
from hubman.generate.grids.table import write_table
from hubman.generate.grids.view import GridReader, grids
from hubman.generate.record import keep_sweep
from hubman.generate.request import DrawRequest
from hubman.progress import Progress, silent
from registry import scan as model_scan
from registry.database import Registry
from registry.errors import DamagedFileError, NotFoundError, UsageError
from tests.support.grids import REQUEST, made_grid
from tests.support.model_files import tiny_lora, write_model
from tests.support.painter import Painter
from tests.support.patient import PATIENT


def test_at_strength_0_one_picture_serves_every_file_and_step(tmp_path: Path) -> None:
    grid = made_grid("lora:ink=ink, clay", "start:ink=0, 4", "strength:ink=0, 1")
    painter = Painter()
    list(draw_grid(grid, tmp_path / "g", painter))
    assert (len(grid.cells), len(painter.drawn)) == (8, 5)


@PATIENT
@given(st.integers(0, 60))
def test_coarse_to_fine_visits_each_place_once_ends_first(count: int) -> None:
    order = coarse_to_fine(count)
    assert sorted(order) == list(range(count))
    assert order[:2] == [0, count - 1][: min(2, count)] or count < 2


def test_the_cheapest_change_is_innermost_and_corners_come_first() -> None:
    grid = made_grid("strength:ink=0.1, 0.2, 0.3", "seed=1-3", "checkpoint=a, b", "lora:neon=neon, clay", "steps=4, 8")
    order = drawing_order(grid)
    told = [(r.base, r.loras[1].name, r.steps) for r in order]
    assert [now for now, before in zip(told, [None, *told], strict=False) if now != before] == list(dict.fromkeys(told))
    assert len(dict.fromkeys((base, name) for base, name, _ in told)) == 4
    inner = [(r.seed, r.loras[0].strength) for r in order[:9]]
    assert inner[:4] == [(1, 0.1), (1, 0.3), (3, 0.1), (3, 0.3)]
    assert inner[-1][0] == 2 or inner[-1][1] == 0.2


def test_a_grid_is_drawn_once_and_resumes_where_it_stopped(tmp_path: Path) -> None:
    grid = made_grid("strength:ink=0, 0.5, 1", "strength:neon=0, 1")
    first = Painter(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        list(draw_grid(grid, tmp_path / "g", first))
    told: list[Progress] = []
    second = Painter()
    paths = list(draw_grid(grid, tmp_path / "g", second, report=told.append))
    assert len(first.drawn) == 2
    assert len(second.drawn) == 4
    assert len(set(paths)) == 6
    assert (told[0].done, told[0].total) == (2, 6)
    assert told[-1].done == 6
    assert Path(told[-1].data["image"]).is_file()
    third = Painter()
    assert len(list(draw_grid(grid, tmp_path / "g", third))) == 6
    assert third.drawn == []
    assert load_grid(tmp_path / "g") == grid


_KILLED = """
import os, signal, sys
from pathlib import Path
from hubman.generate.curve import Curve
from hubman.generate.grids.cells import draw_grid
from hubman.generate.grids.grid import load_grid
from tests.support.painter import Painter
folder = Path(sys.argv[1])
for number, _ in enumerate(draw_grid(load_grid(folder), folder, Painter())):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_grid_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    grid = made_grid("strength:ink=0-1 (+0.25)", "seed=1, 2")
    save_grid(grid, folder)
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(folder)], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert GridReader(folder).look().drawn == 4
    painter = Painter()
    list(draw_grid(grid, folder, painter))
    assert len(painter.drawn) == 6
    assert [request.key() for request in painter.drawn] == [request.key() for request in drawing_order(grid)[4:]]


def test_two_grids_share_the_pictures_that_both_have(tmp_path: Path) -> None:
    list(draw_grid(made_grid("strength:ink=0, 0.5, 1"), tmp_path / "one", Painter()))
    painter = Painter()
    list(draw_grid(made_grid("strength:ink=0-1 (+0.25)", "seed=0"), tmp_path / "two", painter))
    assert len(painter.drawn) == 2


def test_one_grid_is_drawn_in_one_data_type(tmp_path: Path) -> None:
    list(draw_grid(made_grid("strength:ink=0, 1"), tmp_path / "one", Painter(dtype="bfloat16")))
    told: list[Progress] = []
    painter = Painter()
    grid = made_grid("strength:ink=0-1 (+0.25)")
    list(draw_grid(grid, tmp_path / "two", painter, report=told.append))
    assert len(painter.drawn) == 5
    assert told[-1].done == told[-1].total == 5
    again = Painter(dtype="bfloat16")
    list(draw_grid(grid, tmp_path / "two", again))
    assert again.drawn == [], "what is whole and alike is not drawn for another device's sake"


def test_a_damaged_cell_is_drawn_again(tmp_path: Path) -> None:
    (path,) = draw_requests([REQUEST], tmp_path, Painter())
    path.write_bytes(b"half")
    again = Painter()
    list(draw_requests([REQUEST], tmp_path, again))
    assert len(again.drawn) == 1


def test_a_grid_is_looked_at_while_it_fills(tmp_path: Path) -> None:
    grid = made_grid("strength:ink=0, 0.5, 1", "seed=1, 2", "strength:neon=0, 1")
    folder = tmp_path / "g"
    drawing = draw_grid(grid, folder, Painter())
    next(drawing)
    reader = GridReader(folder)
    view = reader.look()
    assert (view.drawn, view.total, view.layout.pages) == (1, 12, ("neon 0", "neon 1"))
    assert [cell.labels for cell in view.cells if cell.path] == [("0", "1", "0")]
    list(drawing)
    view = reader.look()
    assert view.drawn == 12
    cell = view.page(1)[1, 2]
    assert (cell.labels, cell.request.seed) == (("1", "2", "1"), 2)
    assert Path(cell.path) == cell_path(tmp_path, cell.request)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "grid.json").write_text("{}")
    summaries = {one.id: one for one in grids(tmp_path)}
    assert (summaries["g"].drawn, summaries["g"].axes) == (12, ("ink (3)", "Seed (2)", "neon (2)"))
    assert "cannot be read" in summaries["broken"].problem


def test_grid_files_that_are_missing_or_damaged_say_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no grid"):
        load_grid(tmp_path)
    (tmp_path / "grid.json").write_text("{}")
    with pytest.raises(DamagedFileError, match="cannot be read"):
        load_grid(tmp_path)


def test_a_plan_says_cells_times_seconds_and_asks_above_200_or_a_limit(tmp_path: Path) -> None:
    small, large = made_grid("seed=1-4"), made_grid("seed=1-201")
    assert plan(small, tmp_path).seconds is None
    assert "not known" in str(plan(small, tmp_path))
    list(draw_grid(small, tmp_path / "small", Painter()))
    assert str(plan(small, tmp_path)) == "4 cells, all drawn"
    planned = plan(large, tmp_path)
    assert (planned.cells, planned.drawn, planned.missing) == (201, 4, 197)
    assert planned.seconds == pytest.approx(197 * 0.1, rel=1e-3)
    assert str(planned) == "201 cells, 4 there already: 197 x 0.1 s = about 20 s"
    assert not planned.asks()
    assert planned.asks(19)
    assert plan(made_grid("seed=5-205"), tmp_path).asks()


def test_the_sheet_shows_every_cell_and_leaves_boxes_for_missing_ones(tmp_path: Path) -> None:
    grid = made_grid("strength:ink=0, 1", "seed=1, 2")
    with pytest.raises(UsageError, match="no cell"):
        write_sheets(grid, tmp_path, tmp_path / "grid.png")
    list(draw_requests([cell.request for cell in grid.cells][:3], tmp_path, Painter()))
    (path,) = write_sheets(grid, tmp_path, tmp_path / "grid.png")
    sheet = Image.open(path)
    assert sheet.width > 2 * 128
    assert sheet.height > 2 * 128
    colours = sheet.getcolors(1 << 20)
    assert colours is not None
    assert {(76, 127, 153), (208, 208, 208)} <= {colour for _, colour in colours}
    small = Image.open(write_sheets(grid, tmp_path, tmp_path / "small.png", cell_side=32)[0])
    assert small.width < sheet.width


def test_sheets_come_in_pages_and_tiles_that_hold_every_cell(tmp_path: Path) -> None:
    grid = made_grid("seed=1-6", "strength:ink=0, 0.5, 1", "strength:neon=0, 1")
    list(draw_grid(grid, tmp_path / "g", Painter()))
    pages = write_sheets(grid, tmp_path, tmp_path / "grid.png", cell_side=64)
    assert [path.name for path in pages] == ["grid-01.png", "grid-02.png"]
    assert [Image.open(path).info["Title"].rpartition(" · ")[2] for path in pages] == ["neon 0", "neon 1"]
    limit = 40_000
    tiles = [
        Image.open(path) for path in write_sheets(grid, tmp_path, tmp_path / "t.png", cell_side=64, max_pixels=limit)
    ]
    assert len(tiles) > 4
    assert all(tile.width * tile.height <= limit for tile in tiles)
    area = sum((tile.width // 68) * ((tile.height - 44) // 68) for tile in tiles)
    assert area >= len(grid.cells)


def test_pictures_of_several_sizes_keep_their_shape_on_a_sheet(tmp_path: Path) -> None:
    class Sized(Painter):
        @staticmethod
        def _paint(request: DrawRequest) -> Image.Image:
            return Image.new("RGB", (request.width or 8, request.height or 8), "#ff0000")

    grid = made_grid("size=128x256, 256x128")
    list(draw_grid(grid, tmp_path / "g", Sized()))
    sheet = Image.open(write_sheets(grid, tmp_path, tmp_path / "grid.png")[0])
    assert sum(count for count, colour in sheet.getcolors(1 << 20) or [] if colour == (255, 0, 0)) == 2 * 128 * 256


def test_the_title_of_a_grid_is_cut_to_its_width(tmp_path: Path) -> None:
    grid = msgspec.structs.replace(made_grid("seed=1"), title="very " * 200)
    list(draw_grid(grid, tmp_path / "g", Painter()))
    assert Image.open(write_sheets(grid, tmp_path, tmp_path / "grid.png")[0]).width < 300


def test_the_table_has_a_row_for_every_cell_with_its_settings(tmp_path: Path) -> None:
    request = msgspec.structs.replace(REQUEST, prompt="=circle", base="/models/secret/v1-5.safetensors")
    grid = made_grid("strength:ink=0, 0.5", "seed=1, 2", request=request)
    folder = tmp_path / "g"
    save_grid(grid, folder)
    list(draw_requests([grid.cells[3].request], tmp_path, Painter()))
    with write_table(GridReader(folder).look(), tmp_path / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["column"], row["ink (strength)"], row["Seed (seed)"], row["drawn"]) for row in rows] == [
        ("1", "1", "0", "1", "no"), ("1", "2", "0.5", "1", "no"), ("2", "1", "0", "2", "no"), ("2", "2", "0.5", "2", "yes"),
    ]  # fmt: skip
    assert (rows[3]["base"], rows[3]["cfg"], rows[3]["negative"]) == ("v1-5.safetensors", "7", "blur")
    assert rows[3]["prompt"] == "'=circle <lora:ink:0.5> <lora:neon:1>"


def test_a_contact_sheet_shows_each_picture_once(tmp_path: Path) -> None:
    grid = made_grid("seed=1, 2, 1", "strength:ink=0, 1")
    folder = tmp_path / "g"
    list(draw_grid(grid, folder, Painter()))
    (path,) = write_contact(GridReader(folder).look(), folder / "contact.jpg", side=64, columns=2)
    assert Image.open(path).size == (2 * 72 + 8, 26 + 2 * (64 + 26 + 8))


class _Engine(Painter, Engine):
    """The painter where an engine is wanted."""


@pytest.fixture
def ink(home: Path, tmp_path: Path) -> str:
    with Registry(home) as registry:
        return model_scan.index_file(registry, write_model(tmp_path / "loras" / "ink.safetensors", tiny_lora()))


def test_a_job_asks_for_a_grid_and_goes_on_by_its_plan(home: Path, ink: str, tmp_path: Path) -> None:
    request = {
        "prompt": "a {shape}, {mood}", "slots": {"mood": "dim"}, "version_ids": [ink], "seeds": [3], "steps": 4, "cfg": None,
        "axes": ["slot:shape=cat, dog", "strength=0, 1"],
    }  # fmt: skip
    told = asked(request)
    with Registry(home) as registry:
        grid = grid_of(registry, told)
        assert [cell.request.prompt for cell in grid.cells] == ["a cat, dim", "a cat, dim", "a dog, dim", "a dog, dim"]
        assert {(cell.request.seed, cell.request.steps, cell.request.sampler) for cell in grid.cells} == {
            (3, 4, "DDIM")
        }
        first = _Engine(stop_after=2)
        with pytest.raises(KeyboardInterrupt):
            studio.draw_axes(registry, first, told, report=silent, should_stop=lambda: False, grid_id="g1")
        rest = asked({"prompt": "", "grid_id": "g1"})
        second = _Engine()
        done = studio.draw_axes(registry, second, rest, report=silent, should_stop=lambda: False, grid_id="g1")
        assert len(second.drawn) == 2
        assert [Path(path).is_file() for path in done.images] == [True] * 4
        name = registry.db.execute("SELECT name FROM sweeps WHERE id = 'g1'").fetchone()[0]
        assert name.startswith("shape x ink")


def test_going_on_with_a_sweep_keeps_what_was_measured(home: Path, ink: str) -> None:
    told = asked({"prompt": "a cat", "version_ids": [ink], "axes": ["strength=0, 1"], "steps": 4})
    curve = Curve(lora="ink", points=(), burn_floor=0.0, seeds=4)
    with Registry(home) as registry:
        drawn = studio.draw_axes(registry, _Engine(), told, report=silent, should_stop=lambda: False, grid_id="g1")
        keep_sweep(registry, msgspec.structs.replace(drawn, curve=curve), ink, "ink", told)
        rest = asked({"prompt": "", "grid_id": "g1"})
        studio.draw_axes(registry, _Engine(), rest, report=silent, should_stop=lambda: False, grid_id="g1")
        row = registry.db.execute("SELECT version_id, name, curve FROM sweeps WHERE id = 'g1'").fetchone()
    assert (row["version_id"], row["name"]) == (ink, "ink")
    assert msgspec.json.decode(row["curve"], type=Curve) == curve


def test_strengths_of_versions_and_several_seeds_are_axes(home: Path, ink: str) -> None:
    with Registry(home) as registry:
        grid = grid_of(registry, asked({"prompt": "a", "version_ids": [ink], "strengths": [0, 1], "seeds": [1, 2]}))
    assert [(axis.kind, axis.values) for axis in grid.axes] == [("strength", ("0", "1")), ("seed", ("1", "2"))]


def test_a_request_that_cannot_be_is_a_usage_error(home: Path) -> None:
    with Registry(home) as registry:
        with pytest.raises(UsageError, match="can't be drawn"):
            asked({"prompt": "a", "steps": "many"})
        with pytest.raises(UsageError, match="slot"):
            request_of(registry, asked({"prompt": "a {shape}"}))
        with pytest.raises(NotFoundError, match="init"):
            request_of(registry, asked({"prompt": "a", "init": "/nowhere.png"}))


def test_the_content_of_the_first_picture_decides_the_key(home: Path, tmp_path: Path) -> None:
    with Registry(home) as registry:
        keys = []
        for name, colour in (("a", "#111111"), ("b", "#111111"), ("c", "#222222")):
            path = tmp_path / f"{name}.png"
            Image.new("RGB", (8, 8), colour).save(path)
            keys.append(request_of(registry, asked({"prompt": "a", "init": str(path)})).key())
    assert keys[0] == keys[1] != keys[2]


def test_above_the_limit_of_time_somebody_has_to_agree(
    home: Path, ink: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry(home) as registry:
        request = request_of(
            registry, asked({"prompt": "a", "version_ids": [ink], "steps": 4, "cfg": 3, "sampler": "DDIM"})
        )
        learn(home / "generations", [(request, 5.0)])
    monkeypatch.setenv("HUBMAN_GRID_SECONDS", "19")
    assert run(["sweep", "ink", "a", "--axis", "seed=1-4", "--steps", "4"]) == 2
    told = capsys.readouterr().err
    assert "4 x 5 s = about 20 s" in told
    assert "nobody is there to agree" in told


def test_the_command_line_plans_lists_shows_and_exports(
    home: Path, ink: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str) -> object:
        assert run([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    axes = ["--axis", "strength=0-1 (+0.5)", "--axis", "seed=1-2"]
    planned = told("sweep", "ink", "a circle", "--dry-run", *axes)
    assert isinstance(planned, dict)
    assert planned["plan"]["cells"] == 6
    assert [axis["values"] for axis in planned["axes"]] == [["0", "0.5", "1"], ["1", "2"]]
    assert any("above 0.9" in line for line in planned["warnings"])
    curve = told("sweep", "ink", "a circle", "--contrast", "a square", "--strengths", "0.5,1", "--dry-run")
    assert isinstance(curve, dict)
    # Strength 0 is always drawn, with four seeds, and all of it for the contrast prompt.
    assert (curve["plan"]["cells"], curve["plan"]["pictures"]) == (12, 24)
    assert run(["sweep", "ink", "a circle", "--contrast", "a", "--axis", "seed=1-2"]) == 2
    assert run(["sweep", "ink", "a circle", "--axis", "seed=1-201"]) == 2
    assert "nobody is there to agree" in capsys.readouterr().err
    assert run(["combine", "ink", "a circle"]) == 2
    assert run(["sweep", "ink", "a circle", "--axis", "magic=1"]) == 2
    assert run(["generate"]) == 2
    assert run(["generate", "--from", str(tmp_path / "none.png")]) == 1
    assert run(["generate", "--from", str(tmp_path / "none.png"), "--steps", "3"]) == 2
    capsys.readouterr()
    note = tmp_path / "note.txt"
    note.write_text("no picture")
    for arguments, status, words in (
        (["a", "--hires-steps", "3"], 2, "no second pass"),
        (["a {mood}"], 2, "fill it in (--slot mood=…)"),
        (["a", "--denoise", "0.5"], 2, "say with --init"),
        (["a", "--switch-every", "2"], 2, "add --mode switch"),
        (["a", "--init", str(note)], 1, "is no picture: give a PNG"),
        (["--from", str(note)], 1, "is no picture: give a PNG"),
        (["--from", str(note), "--seed", "3"], 2, "and --seed would change it"),
    ):
        assert run(["generate", *arguments]) == status
        assert words in " ".join(capsys.readouterr().err.split())
    assert not list((home / "jobs").glob("*")), "none of these begins a job"

    grid = made_grid("strength:ink=0, 1", "seed=1, 2")
    list(draw_grid(grid, home / "generations" / "01grid", Painter()))
    (listed,) = json.loads(json.dumps(told("grid", "ls")))
    assert (listed["id"], listed["drawn"], listed["total"]) == ("01grid", 4, 4)
    shown = told("grid", "show", "grid")
    assert isinstance(shown, dict)
    assert [cell["labels"] for cell in shown["cells"]] == [["0", "1"], ["0", "2"], ["1", "1"], ["1", "2"]]
    written = told("grid", "export", "01grid", "--out", str(tmp_path / "out"))
    assert written == [str(tmp_path / "out" / name) for name in ("grid.png", "contact.jpg", "cells.csv")]
    assert all(Path(path).is_file() for path in json.loads(json.dumps(written)))
    assert {row["kind"] for row in json.loads(json.dumps(told("grid", "axes")))} == set(KINDS)
    assert run(["grid", "show", "nothing"]) == 1
