"""Axes are exact, grids are drawn once and resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman.generate.axes import Cost, parse_decimals, parse_floats, parse_integers, parse_values
from hubman.generate.grids.cells import cell_path, draw_grid, draw_requests
from hubman.generate.grids.grid import Grid, load_grid, make_grid
from hubman.generate.grids.lora_axes import combination_axis, lora_axis, ratio_axis, strength_axis
from hubman.generate.grids.order import coarse_to_fine
from hubman.generate.grids.prompt_axes import replace_axis
from hubman.generate.grids.setting_axes import field_axis, seed_axis
from hubman.generate.grids.sheet import write_sheets
from hubman.generate.guards import grid_guards, guards
from hubman.generate.infotext import infotext_of
from hubman.generate.pictures import Chunk, EngineNote, public, save_png
from hubman.generate.protocol import Picture
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.sweep import seed_grid, strength_sweep, two_lora_grid
from hubman.progress import Progress, Report, silent
from registry.errors import DamagedFileError, NotFoundError, UsageError
from tests.support.patient import PATIENT

INK = LoraUse(path="ink.safetensors", name="ink", sha256="a" * 64, trigger_words=("inkwash",))
NEON = LoraUse(path="neon.safetensors", name="neon", sha256="b" * 64)
REQUEST = DrawRequest(base="base", prompt="inkwash circle", loras=(INK, NEON))


class Painter:
    """Draws circles by Pillow whose greyness follows the strength of the first LoRA, and counts what it drew."""

    def __init__(self, stop_after: int = 10_000) -> None:
        self.drawn: list[DrawRequest] = []
        self._stop_after = stop_after

    def draw(
        self,
        requests: Sequence[DrawRequest],
        out: Path,
        *,
        batch: int = 4,
        report: Report = silent,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Picture]:
        for number, request in enumerate(requests):
            if number == self._stop_after:
                raise KeyboardInterrupt
            self.drawn.append(request)
            path = out / f"{request.key()}.png"
            note = EngineNote(dtype="float32", device="cpu", batch=1, versions={})
            chunk = Chunk(key=request.key(), request=public(request), engine=note)
            save_png(self._paint(request), path, infotext_of(request, size=(64, 64), model="m"), chunk)
            yield Picture(id=1, key=request.key(), path=str(path), seconds=0.1)

    @staticmethod
    def _paint(request: DrawRequest) -> Image.Image:
        strength = min(1.0, max(0.0, request.loras[0].strength)) if request.loras else 0.0
        y, x = np.mgrid[:64, :64]
        across = 20 + request.seed % 25
        inside = (x - across) ** 2 + (y - 32) ** 2 < (200 if "circle" in request.prompt else 900)
        plain = np.where(inside[..., None], (0.8, 0.2, 0.1), (0.3, 0.5, 0.6))
        styled = plain.mean(axis=-1, keepdims=True) * np.ones(3)
        pixels = plain + strength * (styled - plain)
        return Image.fromarray((pixels * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5-1.0 (+0.1)", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("0.5-1", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("0.5-1.0 [3]", [0.5, 0.75, 1.0]),
        ("-1-1 (+0.5)", [-1, -0.5, 0, 0.5, 1]),
        ("1-0 (-0.5)", [1, 0.5, 0]),
        ("0-1 (+0.3)", [0, 0.3, 0.6, 0.9]),
        ("0.2, 0.4 ,-.5", [0.2, 0.4, -0.5]),
    ],
)
def test_ranges_are_exact_and_keep_their_ends(text: str, expected: list[float]) -> None:
    assert list(parse_floats(text)) == expected


@PATIENT
@given(st.decimals(0, 1, places=2), st.decimals("0.01", 1, places=2))
def test_a_range_by_step_never_passes_its_end(start: object, step: object) -> None:
    values = parse_decimals(f"{start}-1 (+{step})")
    assert len(values) == len(set(values))
    assert max(values) <= 1


@PATIENT
@given(st.text(max_size=30))
def test_any_axis_text_is_values_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert parse_integers(text)


def test_seeds_count_by_one_and_quotes_keep_commas() -> None:
    assert parse_integers("1-4, 10") == (1, 2, 3, 4, 10)
    assert parse_values('a, "b, c"') == ("a", "b, c")
    for bad in ("", "x", "1.5", "1-9 (+0)", "0-1000000"):
        with pytest.raises(UsageError):
            parse_integers(bad)


def test_two_axes_may_change_the_same_lora() -> None:
    other = msgspec.structs.replace(INK, name="ink-2", sha256="c" * 64)
    x, y = lora_axis(REQUEST, "ink", [INK, other]), field_axis(REQUEST, "Steps", "steps", [4, 8], Cost.SAMPLING)
    grid = make_grid(REQUEST, [x, y], title="t")
    assert [(c.request.loras[0].name, c.request.steps) for c in grid.cells] == [
        ("ink", 4),
        ("ink", 8),
        ("ink-2", 4),
        ("ink-2", 8),
    ]


def test_axes_change_what_they_say() -> None:
    ratio = ratio_axis(REQUEST, "ink", "neon", 1.0, [0.25])
    assert [use.strength for use in ratio.points[0].apply(REQUEST).loras] == [0.25, 0.75]
    te = strength_axis(REQUEST, "ink", [0.5], "te").points[0].apply(REQUEST).loras[0]
    assert (te.strength, te.text_strength) == (1.0, 0.5)
    unet = strength_axis(REQUEST, "ink", [0.5], "unet").points[0].apply(REQUEST).loras[0]
    assert (unet.strength, unet.text_strength) == (0.5, 1.0)
    sets = combination_axis(REQUEST)
    assert [point.text for point in sets.points] == ["none", "ink", "neon", "ink + neon"]
    assert [use.strength for use in sets.points[1].apply(REQUEST).loras] == [1.0, 0.0]
    replaced = replace_axis(REQUEST, ["circle", "square"]).points[1].apply(REQUEST)
    assert replaced.prompt == "inkwash square"
    with pytest.raises(UsageError, match="does not hold"):
        replace_axis(REQUEST, ["triangle", "square"])
    with pytest.raises(UsageError, match="unknown"):
        field_axis(REQUEST, "Sampler", "sampler", ["Magic"], Cost.SAMPLING)
    with pytest.raises(UsageError, match="not in the prompt"):
        strength_axis(REQUEST, "clay", [1.0])


@PATIENT
@given(st.integers(0, 60))
def test_coarse_to_fine_visits_each_place_once_ends_first(count: int) -> None:
    order = coarse_to_fine(count)
    assert sorted(order) == list(range(count))
    assert order[:2] == [0, count - 1][: min(2, count)] or count < 2


def test_a_grid_is_drawn_once_and_resumes_where_it_stopped(tmp_path: Path) -> None:
    grid = two_lora_grid(REQUEST, "ink", "neon", strengths=[0, 0.5, 1], other_strengths=[0, 1])
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


def test_a_damaged_cell_is_drawn_again(tmp_path: Path) -> None:
    (path,) = draw_requests([REQUEST], tmp_path, Painter())
    path.write_bytes(b"half")
    again = Painter()
    list(draw_requests([REQUEST], tmp_path, again))
    assert len(again.drawn) == 1


def test_cells_of_one_request_share_one_picture(tmp_path: Path) -> None:
    grid = make_grid(REQUEST, [seed_axis(REQUEST, [1, 1, 2])], title="t")
    painter = Painter()
    list(draw_grid(grid, tmp_path / "g", painter))
    assert len(painter.drawn) == 2


def test_a_sweep_always_has_strength_zero_and_its_contrast_cells() -> None:
    sweep = strength_sweep(REQUEST, "ink", strengths=[0.8, 0.4], seeds=[1, 2], contrast="a square")
    assert sweep.strengths == (0.0, 0.4, 0.8)
    assert len({request.key() for request in sweep.requests()}) == 12
    assert sweep.grid().axes[0].values == ("0", "0.4", "0.8")
    with pytest.raises(UsageError, match="not in the prompt"):
        strength_sweep(REQUEST, "clay")
    with pytest.raises(UsageError, match="contrast"):
        strength_sweep(REQUEST, "ink", contrast=REQUEST.prompt)


def test_grid_files_that_are_missing_or_damaged_say_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no grid"):
        load_grid(tmp_path)
    (tmp_path / "grid.json").write_text("{}")
    with pytest.raises(DamagedFileError, match="cannot be read"):
        load_grid(tmp_path)


def test_the_sheet_shows_every_cell_and_leaves_boxes_for_missing_ones(tmp_path: Path) -> None:
    grid = strength_sweep(REQUEST, "ink", strengths=[0, 1], seeds=[1, 2]).grid()
    with pytest.raises(UsageError, match="no cell"):
        write_sheets(grid, tmp_path, tmp_path / "grid.png")[0]
    list(draw_requests([cell.request for cell in grid.cells][:3], tmp_path, Painter()))
    sheet = Image.open(write_sheets(grid, tmp_path, tmp_path / "grid.png")[0])
    assert sheet.width > 2 * 128
    assert sheet.height > 2 * 128
    colours = sheet.getcolors(1 << 20)
    assert colours is not None
    assert {(76, 127, 153)} <= {colour for _, colour in colours}
    small = Image.open(write_sheets(grid, tmp_path, tmp_path / "small.png", cell_side=32)[0])
    assert small.width < sheet.width


def test_the_title_of_a_grid_is_cut_to_its_width(tmp_path: Path) -> None:
    grid: Grid = seed_grid(msgspec.structs.replace(REQUEST, prompt="very " * 200), [1])
    list(draw_grid(grid, tmp_path / "g", Painter()))
    assert Image.open(write_sheets(grid, tmp_path, tmp_path / "grid.png")[0]).width < 300


def _codes(**changes: object) -> set[str]:
    return {guard.code for guard in guards(msgspec.structs.replace(REQUEST, **changes))}


def _ink(**changes: object) -> LoraUse:
    return msgspec.structs.replace(INK, **changes)


def test_guards_warn_with_a_fix_that_silences_them() -> None:
    assert _codes(loras=(_ink(strength=0.8),)) == set()
    assert _codes(loras=(_ink(strength=0.95),)) == {"strength-high"}
    assert _codes(loras=(_ink(strength=-0.5),)) == {"strength-negative"}
    assert _codes(loras=(_ink(strength=0.8),), prompt="a circle") == {"trigger-missing"}
    four = tuple(_ink(strength=0.5, name=str(i), sha256=str(i) * 64) for i in range(4))
    assert _codes(loras=four) == {"many-loras"}
    assert _codes(loras=(_ink(strength=0.5), _ink(strength=0.4))) == {"twice"}
    assert _codes(loras=(_ink(strength=0.8, name="lcm"),)) == {"accelerated"}
    for guard in guards(msgspec.structs.replace(REQUEST, prompt="x", loras=(_ink(strength=1.5),))):
        assert guard.fixed is not None
        assert guard.code not in {other.code for other in guards(guard.fixed)}


def test_sliders_may_run_far_but_not_everywhere() -> None:
    assert _codes(loras=(_ink(strength=-9, slider=True),)) == set()
    assert _codes(loras=(_ink(strength=20, slider=True),)) == {"strength-slider"}


def test_large_grids_say_how_long_they_take() -> None:
    assert grid_guards(200) == ()
    assert "10 minutes" in grid_guards(300, seconds_each=2)[0].message


def test_cells_lie_under_the_key_of_their_request(tmp_path: Path) -> None:
    assert cell_path(tmp_path, REQUEST) == tmp_path / "cells" / f"{REQUEST.key()}.png"
    moved = msgspec.structs.replace(REQUEST, loras=(_ink(path="elsewhere", name="other"), NEON))
    assert moved.key() == REQUEST.key()
    assert msgspec.structs.replace(REQUEST, seed=9).key() != REQUEST.key()
