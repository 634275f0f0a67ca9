from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.strip import Strip

from registry.civitai_stats import Counts
from registry.lineage import Lineage, Relative
from registry.records import FileRow, ModelDetail, Place, Replaced, VersionRow
from registry.usage_profile import Companion, Profile, Strengths
from tui.widgets.detail import About, describe
from tui.widgets.strip_cache import StripCache
from tui.widgets.tile import tile_line

_AT = "2026-11-01T00:00:00.000Z"


def _model(**more: object) -> ModelDetail:
    places = (
        Place(path="/m/ink.safetensors", state="present", problem="has NaN in 3 tensors", verified_at=_AT),
        Place(path="/nas/ink.safetensors", state="offline", problem="its drive is away"),
    )
    file = FileRow(
        sha256="ab" * 32, version_id="v", name="ink.safetensors", size=5_000_000, format="safetensors", places=places
    )
    version = VersionRow(
        id="v", model_id="m", name="v2", base_model="Pony", strength=0.7, strength_min=0.4, strength_max=1.0,
        trigger_words=("ink wash",), files=(file,), sources={"base_model": "guess", "strength": "user"},
        history=tuple(Replaced(sha256=f"{number}" * 64, path="/m/ink.safetensors", at=_AT) for number in range(5)),
    )  # fmt: skip
    said = {"permissions": "civitai", "creator": "sidecar"}
    values = {"name": "Ink", "creator": "Ann", "permissions": {"allowNoCredit": True}, "sources": said, "added_at": _AT}
    return ModelDetail(id="m", kind="lora", versions=(version,), **{**values, **more})  # type: ignore[arg-type]


def _lines(about: About, width: int = 60) -> list[str]:
    return describe(about, width).plain.splitlines()


def _line(lines: list[str], name: str) -> str:
    return next(line for line in lines if line.startswith(name))


def test_each_field_has_the_letter_of_who_said_it() -> None:
    lines = _lines(About(_model()))
    assert _line(lines, "base").split()[1:3] == ["g", "Pony"]
    assert _line(lines, "strength").split()[1] == "u"
    assert _line(lines, "licence").split()[1:3] == ["c", "C????"]
    assert "by Ann s" in lines[1]
    assert any("s sidecar" in line for line in lines)


def test_what_civitai_counted_of_a_published_version_is_told() -> None:
    known = {"model": "Ink", "url": "", "civitai_model_id": 1, "civitai_version_id": 2, "read_at": _AT}
    mine = Counts(version_id="v", name="v2", downloads=1512, liked=40, comments=0, **known)  # type: ignore[arg-type]
    other = Counts(version_id="w", name="v1", downloads=7, **known)  # type: ignore[arg-type]
    lines = _lines(About(_model(), counts=(mine, other)))
    assert "1,512 downloads, 40 liked, 0 comments" in _line(lines, "counted")
    assert sum(line.startswith("counted") for line in lines) == 1


def test_what_verify_found_stands_under_its_place() -> None:
    lines = _lines(About(_model()))
    assert "NaN" in _line(lines, "found")
    assert _line(lines, "verified").endswith("ago")
    assert "(offline: its drive is away)" in "".join(lines)


def test_how_pictures_used_it_is_told() -> None:
    assert "in no picture that is known" in " ".join(_lines(About(_model())))
    with_it = Companion(model_id="n", name="Line Weight", kind="lora", times=3)
    usage = Profile(times=7, last_at=_AT, strengths=Strengths(low=0.4, median=0.7, high=0.9), together=(with_it,))
    lines = _lines(About(_model(), usage=usage))
    assert _line(lines, "used").split()[1:4] == ["in", "7", "pictures,"]
    assert _line(lines, "at").endswith("0.4 to 0.9, mostly 0.7")
    assert _line(lines, "with").endswith("Line Weight (3)")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"upstream_deleted": True, "upstream_mode": "Archived"}, "deleted from Civitai; kept here"),
        ({"upstream_mode": "TakenDown"}, "taken down by Civitai; kept here"),
        ({"upstream_mode": "Archived"}, "archived on Civitai: its files are gone there"),
    ],
)
def test_what_became_of_its_page_stands_at_the_head(fields: dict[str, object], said: str) -> None:
    assert said in _lines(About(_model(**fields)))
    assert said not in _lines(About(_model()))


def test_what_sidecars_disagree_on_is_named() -> None:
    assert not [line for line in _lines(About(_model())) if line.startswith("disputed")]
    lines = _lines(About(_model(), disputed=("base_model", "strength")), 90)
    assert "base model, strength" in _line(lines, "disputed")


def test_a_file_that_is_not_hashed_says_so() -> None:
    assert "not yet" in _line(_lines(About(_model())), "hash")


def test_strength_has_its_range() -> None:
    line = _line(_lines(About(_model())), "strength")
    assert "0.4" in line
    assert "▮" in line
    assert line.endswith("0.7")


def test_lineage_is_told() -> None:
    lineage = Lineage(
        run="inkwash", trained_at="2026-11-20", steps=1200, dataset="abcdef", dataset_path="/pictures/ink",
        base="pony.safetensors", merged_from=("a", "b"), replaced_by=Relative(version_id="w", model_id="m", name="Ink 3"),
        epochs=tuple(Relative(version_id=f"v{n}" if n < 2 else "v", model_id="m", name="ink", epoch=n) for n in (1, 2)),
    )  # fmt: skip
    lines = _lines(About(_model(), lineage=lineage))
    assert _line(lines, "trained").endswith("inkwash · 2026-11-20 · 1,200 steps")
    assert _line(lines, "images").endswith("/pictures/ink · abcdef")
    assert _line(lines, "on").endswith("pony.safetensors")
    assert _line(lines, "merged").endswith("from a, b")
    assert _line(lines, "epochs").endswith("1, ▸2  (2 here)")
    assert _line(lines, "replaced").endswith("by Ink 3")
    assert len([line for line in lines if line.startswith("before")]) == 3
    assert any("and 2 before that" in line for line in lines)


@pytest.mark.parametrize("width", [20, 31, 44, 100])
def test_words_keep_within_the_pane(width: int) -> None:
    long = _model(tags=("a tag of some length",) * 6, alias="ink" * 30)
    for line in _lines(About(long), width):
        assert cell_len(line) <= max(width, 20) or line.startswith(("Ink", "by "))


@given(st.lists(st.text(max_size=60), max_size=4), st.integers(0, 50), st.integers(1, 20))
def test_a_tile_fills_its_cells(words: list[str], width: int, height: int) -> None:
    for y in range(height):
        assert cell_len(tile_line(words, width, height, y)) == width


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40))), st.integers(10, 60))
def test_the_pictures_that_are_kept_stay_within_their_cells(asked: list[tuple[int, int]], most: int) -> None:
    cache: StripCache[int] = StripCache(most)
    for key, width in asked:
        strips = [Strip.blank(width)] if width else []
        cache.put(key, strips)
        assert cache.get(key) is strips, "the newest is always kept"
        assert cache.cells <= most or len(cache) == 1
    cache.clear()
    assert cache.cells == 0
