"""The curve of a sweep, what it suggests and why, and what is kept of it with the version."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from hubman.civitai import form_edit, form_fill, form_plan
from hubman.cli.main import run
from hubman.generate import recommend
from hubman.generate.curve import Curve, CurvePoint, as_rows, write_csv
from hubman.generate.grids.cells import cell_path
from hubman.generate.measure import measure
from hubman.generate.metrics.pixels import Array
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.suggestion import suggest_strength
from hubman.generate.sweep import StrengthSweep, strength_sweep
from hubman.generate.training_images import training_images
from registry import edits, ids, library, timestamps
from registry.database import Registry
from registry.errors import NotFoundError, UsageError
from registry.scan import index_file
from tests.support.civitai import write_lora

INK = LoraUse(path="ink.safetensors", name="ink", sha256="a" * 64, trigger_words=("inkwash",))
REQUEST = DrawRequest(base="base", prompt="inkwash circle", loras=(INK,))
CONTRAST = "a big square"


def _paint(request: DrawRequest, obeys: float = 1.0) -> Image.Image:
    """A disc whose greyness follows the strength; ``obeys`` is how much of the prompt is left at strength 1."""
    strength = request.loras[0].strength
    y, x = np.mgrid[:64, :64]
    inside = (x - 20 - request.seed % 25) ** 2 + (y - 32) ** 2 < 400
    other = inside if "circle" in request.prompt else (abs(x - 32) < 28) & (abs(y - 32) < 28)
    share = 1 - min(1.0, max(0.0, strength)) * (1 - obeys)
    mixed = (share * other + (1 - share) * inside)[..., None]
    plain = mixed * np.array((0.8, 0.2, 0.1)) + (1 - mixed) * np.array((0.3, 0.5, 0.6))
    styled = plain + min(1.0, max(0.0, strength)) * (plain.mean(axis=-1, keepdims=True) * np.ones(3) - plain)
    return Image.fromarray((styled * 255).astype(np.uint8))


def _drawn(folder: Path, sweep: StrengthSweep, obeys: float = 1.0) -> StrengthSweep:
    for request in sweep.requests():
        path = cell_path(folder, request)
        path.parent.mkdir(parents=True, exist_ok=True)
        _paint(request, obeys).save(path)
    return sweep


def _sweep(strengths: Sequence[float] = (0.25, 0.5, 1.0), seeds: int = 4) -> StrengthSweep:
    return strength_sweep(REQUEST, "ink", strengths=strengths, seeds=range(1, seeds + 1), contrast=CONTRAST)


class Seer:
    """Sees two numbers of a picture: its mean red and blue. The prompt's disc is small and the rest of it blue."""

    def images(self, pictures: Sequence[Path]) -> Array:
        means = np.array(
            [np.asarray(Image.open(path), dtype=float)[..., (0, 2)].mean(axis=(0, 1)) for path in pictures]
        )
        vectors: Array = means / np.linalg.norm(means, axis=1, keepdims=True)
        return vectors

    def text(self, prompt: str) -> Array:
        return np.array([0.0, 1.0]) if "circle" in prompt else np.array([1.0, 0.0])


# measuring --------------------------------------------------------------------------------------------------------


def test_the_curve_follows_the_style(tmp_path: Path) -> None:
    curve = measure(_drawn(tmp_path, _sweep()), tmp_path)
    first, *_, last = curve.points
    changes = [point.change for point in curve.points]
    assert changes == sorted(changes)
    assert (first.change, first.structure, first.burn, first.response, first.variety) == (0, 0, 0, 1, 1)
    assert changes[-1] > 0.1
    assert last.texture is not None
    assert (curve.seeds, curve.training_images, last.style, last.clip) == (4, 0, None, None)


def test_response_falls_when_the_lora_takes_over(tmp_path: Path) -> None:
    curve = measure(_drawn(tmp_path, _sweep((0.1, 0.5, 1.0)), obeys=0.0), tmp_path)
    responses = [point.response for point in curve.points]
    assert responses[0] == 1
    assert responses[-1] == 0
    kept = [point.kept for point in curve.points if point.kept is not None]
    assert kept[0] == 1
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.8
    assert suggest_strength(curve).strength == 0.1


def test_the_spread_of_seeds_falls_when_all_look_alike(tmp_path: Path) -> None:
    sweep = _drawn(tmp_path, _sweep())
    one = _paint(REQUEST)
    for seed in sweep.seeds:
        for prompt in (None, CONTRAST):
            one.save(cell_path(tmp_path, sweep.at(1.0, seed, prompt)))
    varieties = [point.variety for point in measure(sweep, tmp_path).points]
    assert varieties[0] == 1
    assert varieties[-1] == pytest.approx(0, abs=1e-9)


def test_training_images_tell_how_near_the_style_is(tmp_path: Path) -> None:
    sweep = _drawn(tmp_path, _sweep())
    images = [tmp_path / f"{seed}.png" for seed in range(8)]
    for seed, path in enumerate(images):
        _paint(msgspec.structs.replace(sweep.at(1.0, seed), prompt=("circle", "square")[seed % 2])).save(path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    curve = measure(sweep, tmp_path, training=[*images, tmp_path / "broken.png"])
    styles = [point.style for point in curve.points if point.style is not None]
    assert len(styles) == 4
    assert curve.training_images == 8
    assert styles[0] == 0
    assert styles == sorted(styles)
    assert styles[-1] == pytest.approx(1, abs=0.2)


def test_clip_tells_effect_consistency_obedience_and_likeness(tmp_path: Path) -> None:
    sweep = _drawn(tmp_path, _sweep())
    grey = tmp_path / "grey.png"
    Image.new("RGB", (8, 8), "grey").save(grey)
    curve = measure(sweep, tmp_path, clip=Seer(), training=[grey])
    first, *_, last = curve.points
    assert (first.effect, first.consistency, first.clip_response) == (0, None, 1)
    assert last.effect is not None
    assert last.effect > 0.1
    assert last.consistency is not None
    assert -1 <= last.consistency <= 1
    assert last.clip_response is not None
    assert last.clip_response < 0.1
    likes = [point.clip_style for point in curve.points if point.clip_style is not None]
    assert len(likes) == 4
    assert likes == sorted(likes)
    assert all(point.clip is not None and 0 < point.clip < 1 for point in curve.points)


def test_measuring_an_unfinished_sweep_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not drawn"):
        measure(strength_sweep(REQUEST, "ink"), tmp_path)


def test_a_curve_is_written_and_told_by_the_same_numbers(tmp_path: Path) -> None:
    curve = _curve([0, 0.05, 0.4, 0.6], [1, 1, 0.9, 0.7])
    write_csv(curve, tmp_path / "curve.csv")
    with (tmp_path / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["strength"] for row in rows] == ["0", "0.2", "0.4", "0.6"]
    assert [row["burnt"] for row in rows] == ["no", "no", "yes", "yes"]
    assert rows[0]["clip"] == ""
    assert {"strength", "distance", "burn", "response", "clip", "style"} <= as_rows(curve)[1].keys()


# the rules ----------------------------------------------------------------------------------------------------------


def _curve(
    burns: Sequence[float],
    responses: Sequence[float | None] = (),
    *,
    change: float = 0.2,
    clip_responses: Sequence[float | None] = (),
    styles: Sequence[float | None] = (),
    varieties: Sequence[float | None] = (),
    kept: Sequence[float | None] = (),
    floor: float = 0.1,
    seeds: int = 4,
    start: float = 0.0,
) -> Curve:
    def at(values: Sequence[float | None], number: int) -> float | None:
        return values[number] if values else None

    points = [
        CurvePoint(
            strength=round(start + i * 0.2, 4),
            change=change * i,
            change_spread=0,
            burn=value,
            burn_spread=0,
            response=at(responses, i),
            clip_response=at(clip_responses, i),
            style=at(styles, i),
            variety=at(varieties, i),
            kept=at(kept, i),
        )
        for i, value in enumerate(burns)
    ]
    return Curve(lora="ink", points=tuple(points), burn_floor=floor, seeds=seeds)


def test_the_suggestion_is_the_largest_strength_that_is_not_burnt() -> None:
    suggestion = suggest_strength(_curve([0, 0.05, 0.1, 0.2, 0.4, 0.6]))
    assert (suggestion.strength, suggestion.maximum) == (0.6, 0.6)
    assert "burn from 0.8" in suggestion.reason


def test_the_suggestion_still_obeys_the_prompt() -> None:
    suggestion = suggest_strength(_curve([0] * 6, [1, 1, 0.95, 0.85, 0.7, 0.5]))
    assert suggestion.strength == 0.6
    assert "followed less from 0.8" in suggestion.reason


def test_a_response_of_four_fifths_is_enough() -> None:
    assert suggest_strength(_curve([0] * 6, [1, 1, 1, 1, 1, 0.8])).strength == 1.0
    assert suggest_strength(_curve([0] * 6, [1, 1, 1, 1, 1, 0.79])).strength == 0.8


def test_noise_that_answers_again_beyond_a_deaf_strength_does_not_count() -> None:
    assert suggest_strength(_curve([0] * 6, [1, 1, 0.9, 0.5, 0.9, 1.2])).strength == 0.4


def test_without_a_contrast_prompt_seeds_that_look_alike_say_that_the_lora_has_taken_over() -> None:
    varied = [1, 1, 0.9, 0.6, 0.4, 0.2]
    suggestion = suggest_strength(_curve([0] * 6, varieties=varied))
    assert suggestion.strength == 0.6
    assert suggestion.reason.startswith("seeds look alike from 0.8 on (0.40); without a contrast prompt")
    assert suggest_strength(_curve([0] * 6, [1] * 6, varieties=varied)).strength == 1.0


def test_one_loud_point_without_a_rise_before_it_is_not_called_burnt() -> None:
    assert suggest_strength(_curve([0, 0.05, 0.04, 0.5, 0.1, 0.1])).strength == 1.0


def test_what_seeds_differ_by_anyway_is_not_called_burnt() -> None:
    burns = [0, 0.2, 0.35, 0.5, 0.55, 0.56]
    assert suggest_strength(_curve(burns, floor=0.6)).strength == 1.0
    assert suggest_strength(_curve(burns, floor=0.1)).strength == 0.2


def test_a_few_pictures_are_never_called_burnt() -> None:
    suggestion = suggest_strength(_curve([0, 0.5, 1, 2, 3, 4], seeds=1))
    assert suggestion.strength == 1.0
    assert "1 seed cannot tell what burns" in suggestion.reason


def test_beyond_the_first_burnt_strength_nothing_is_suggested() -> None:
    assert suggest_strength(_curve([0, 0.1, 0.4, 0.6, 0.58, 0.55])).strength == 0.2


def test_burning_counts_outwards_from_zero_on_both_sides() -> None:
    curve = _curve([0.9, 0.6, 0.2, 0.05, 0, 0.01], start=-0.8)
    assert [curve.is_burnt(number) for number in range(6)] == [True, True, False, False, False, False]


def test_clip_never_decides_alone() -> None:
    deaf = [1, 0.9, 0.6, 0.4, 0.2, 0.1]
    assert suggest_strength(_curve([0] * 6, [1] * 6, clip_responses=deaf)).strength == 1.0
    assert suggest_strength(_curve([0] * 6, deaf, clip_responses=deaf)).strength == 0.2


def test_a_prompt_of_which_little_is_kept_is_lost_if_clip_agrees() -> None:
    kept, agreeing = [1, 0.9, 0.7, 0.5, 0.35, 0.3], [1, 1, 0.7, 0.7, 0.7, 0.7]
    lost = suggest_strength(_curve([0] * 6, [1] * 6, kept=kept, clip_responses=agreeing))
    assert (lost.strength, lost.reason) == (0.6, "the prompt is lost from 0.8 on (0.35)")
    assert suggest_strength(_curve([0] * 6, [1] * 6, kept=kept)).strength == 1.0
    assert suggest_strength(_curve([0] * 6, [1] * 6, kept=kept, clip_responses=[1] * 6)).strength == 1.0
    assert suggest_strength(_curve([0] * 6, [1] * 6, kept=[1, 0.9, 0.7, 0.5, 0.19, 0.1])).strength == 0.6


def test_clip_may_vouch_for_pictures_that_a_style_paints_over() -> None:
    suggestion = suggest_strength(
        _curve([0] * 6, [1, 0.9, 0.7, 0.6, 0.5, 0.4], clip_responses=[1, 1, 1, 0.9, 0.9, 0.7])
    )
    assert suggestion.strength == 0.8


def test_the_range_begins_where_half_of_the_style_is_there() -> None:
    styles = [0, 0.1, 0.3, 0.5, 0.7, 0.9]
    suggestion = suggest_strength(_curve([0] * 6, styles=styles))
    assert (suggestion.minimum, suggestion.strength, suggestion.maximum) == (0.6, 1.0, 1.0)
    assert suggest_strength(_curve([0] * 6)).minimum == 0.6


def test_a_style_that_comes_only_where_the_prompt_is_lost_has_no_strength() -> None:
    responses, styles = [1, 0.95, 0.9, 0.6, 0.5, 0.4], [0, 0.02, 0.1, 0.5, 0.8, 0.9]
    suggestion = suggest_strength(_curve([0] * 6, responses, styles=styles))
    assert suggestion.strength is None
    assert suggestion.reason.startswith(
        "the style of the training images shows only beyond 0.4; the prompt is followed less"
    )
    assert suggest_strength(_curve([0] * 6, responses, styles=[0, 0.3, 0.65, 0.7, 0.8, 0.9])).strength == 0.4
    assert suggest_strength(_curve([0] * 6, responses, styles=[0, 0.3, 0.6, 0.7, 0.8, 0.9])).strength is None
    assert suggest_strength(_curve([0] * 6, responses, styles=[0, 0.02, 0.02, 0.1, 0.1, 0.1])).strength == 0.4


def test_strengths_above_1_widen_the_range_and_are_not_recommended() -> None:
    suggestion = suggest_strength(_curve([0] * 9))
    assert (suggestion.strength, suggestion.maximum) == (1.0, 1.6)


def test_above_1_only_what_the_style_needs_is_recommended() -> None:
    weak = suggest_strength(_curve([0] * 9, styles=[0, 0, 0, 0, 0.1, 0.2, 0.5, 0.7, 0.8]))
    assert (weak.minimum, weak.strength, weak.maximum) == (1.2, 1.4, 1.6)
    assert "below it little of the style shows" in weak.reason
    assert suggest_strength(_curve([0] * 9, styles=[0, 0, 0.1, 0.2, 0.3, 0.6, 0.6, 0.7, 0.8])).strength == 1.0
    assert suggest_strength(_curve([0] * 9, styles=[0, 0, 0, 0, 0.01, 0.02, 0.1, 0.2, 0.2])).strength == 1.0
    assert suggest_strength(_curve([0] * 3, start=1.2)).reason == "nothing up to 1 was drawn; from 1.2 on it works"


def test_a_lora_that_changes_nothing_gets_no_suggestion() -> None:
    suggestion = suggest_strength(_curve([0] * 6, change=0))
    assert suggestion.strength is None
    assert "does nothing" in suggestion.reason


def test_where_nothing_is_sound_the_reason_is_told() -> None:
    suggestion = suggest_strength(_curve([0] * 4, [1, 0.7, 0.5, 0.3]))
    assert (suggestion.strength, suggestion.minimum, suggestion.maximum) == (None, None, None)
    assert "followed less from 0.2" in suggestion.reason
    assert suggest_strength(_curve([0.0])).reason == "no strength above 0 was drawn"


# kept with the version ----------------------------------------------------------------------------------------------


def _finished(registry: Registry, folder: Path, curve: Curve | None = None, seeds: int = 4) -> tuple[str, str]:
    """(version, sweep) of a sweep whose pictures are drawn."""
    version = index_file(registry, write_lora(folder / "models" / "ink.safetensors", seed=1))
    sweep = _drawn(folder, _sweep((0.2, 0.4, 0.6, 0.8, 1.0), seeds))
    curve = curve or _curve([0, 0.05, 0.1, 0.2, 0.4, 0.6], [1] * 6, seeds=seeds)
    with registry.transaction() as db:
        db.execute(
            "INSERT INTO sweeps (id, name, version_id, plan, curve, created_at) VALUES ('s1', 'ink', ?, ?, ?, ?)",
            (version, msgspec.json.encode(sweep).decode(), msgspec.json.encode(curve).decode(), timestamps.now()),
        )
        for request in sweep.requests():
            path = cell_path(folder, request)
            db.execute(
                "INSERT INTO generations (id, key, path, sha256, sweep_id, request, created_at) VALUES (?, ?, ?, '', 's1', '', ?)",
                (ids.new_id(), request.key(), str(path), timestamps.now()),
            )
    return version, "s1"


def test_what_a_sweep_finds_is_kept_and_published_with_its_pictures(registry: Registry, tmp_path: Path) -> None:
    version, sweep = _finished(registry, tmp_path)
    kept = recommend.keep(registry, sweep)
    assert (kept.minimum, kept.strength, kept.maximum) == (0.4, 0.6, 0.6)
    row = library.version(registry, version)
    assert {row.sources[name] for name in recommend.FIELDS} == {"sweep"}
    assert [preview.generation["seed"] for preview in row.previews] == [1, 2, 3, 4]
    assert {preview.generation["loras"][0]["strength"] for preview in row.previews} == {0.6}
    form = form_fill.filled(registry, [version])
    part = form.parts[0]
    assert (part.strength_min, part.strength, part.strength_max) == (0.4, 0.6, 0.6)
    assert form_edit.source_of(form, "strength") == "sweep"
    assert [picture.generation["seed"] for picture in part.pictures] == [1, 2, 3, 4]
    assert form_plan.version_fields(form, part)["settings"] == {"strength": 0.6, "minStrength": 0.4, "maxStrength": 0.6}
    assert recommend.keep(registry, sweep) == kept


def test_what_a_person_said_is_never_overwritten(registry: Registry, tmp_path: Path) -> None:
    version, sweep = _finished(registry, tmp_path)
    edits.say(registry, version, {"strength": 0.5})
    kept = recommend.keep(registry, sweep)
    assert (kept.minimum, kept.strength, kept.maximum, kept.own) == (0.4, 0.5, 0.6, ("strength",))
    assert library.version(registry, version).sources["strength"] == "user"


def test_a_range_that_contradicts_a_person_is_not_kept(registry: Registry, tmp_path: Path) -> None:
    version, sweep = _finished(registry, tmp_path)
    edits.say(registry, version, {"strength": 0.9})
    with pytest.raises(UsageError, match=r"strength 0\.9.*exclude each other"):
        recommend.keep(registry, sweep)
    row = library.version(registry, version)
    assert (row.strength, row.strength_min, row.previews) == (0.9, None, ())


def test_a_sweep_counts_more_than_a_training_or_page_and_less_than_a_person(registry: Registry, tmp_path: Path) -> None:
    version, sweep = _finished(registry, tmp_path)
    library.set_facts(registry, version, "civitai", {"strength": 1.0})
    library.set_facts(registry, version, "training", {"strength": 0.8})
    assert recommend.keep(registry, sweep).strength == 0.6


def test_too_few_seeds_or_no_suggestion_keep_nothing(registry: Registry, tmp_path: Path) -> None:
    version, sweep = _finished(registry, tmp_path, seeds=3)
    with pytest.raises(UsageError, match="3 seeds is too little"):
        recommend.keep(registry, sweep)
    nothing = msgspec.json.encode(_curve([0] * 6, change=0)).decode()
    with registry.transaction() as db:
        db.execute("UPDATE sweeps SET curve = ? WHERE id = ?", (nothing, sweep))
    with pytest.raises(UsageError, match="does nothing"):
        recommend.keep(registry, sweep)
    with registry.transaction() as db:
        db.execute("UPDATE sweeps SET curve = 'null', plan = '{}' WHERE id = ?", (sweep,))
    with pytest.raises(UsageError, match="not a sweep of one LoRA"):
        recommend.keep(registry, sweep)
    with pytest.raises(NotFoundError, match="no sweep"):
        recommend.keep(registry, "none")
    assert library.version(registry, version).strength is None


def test_the_command_tells_and_keeps_the_newest_sweep(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version, sweep = _finished(registry, tmp_path)
    monkeypatch.setenv("HUBMAN_HOME", str(registry.home))
    assert run(["recommend", "ink"]) == 0
    said = capsys.readouterr().out
    assert "suggested strength 0.6 (works from 0.4 to 0.6): pictures burn from 0.8 on" in said
    assert library.version(registry, version).strength is None
    assert run(["recommend", "ink", "--set", "--json"]) == 0
    told_now = json.loads(capsys.readouterr().out)
    assert (told_now["sweep_id"], told_now["kept"]["strength"]) == (sweep, 0.6)
    assert told_now["burnt"] == [False, False, False, False, True, True]
    assert library.version(registry, version).strength == 0.6
    edits.say(registry, version, {"strength": 0.9})
    assert run(["recommend", "ink", "--set"]) == 2
    index_file(registry, write_lora(tmp_path / "models" / "other.safetensors", seed=2))
    assert run(["recommend", "other"]) == 1
    assert "no strength of it was swept" in capsys.readouterr().err
    assert run(["recommend", "other", "--sweep", sweep, "--set"]) == 2
    assert "is not of other" in capsys.readouterr().err


@pytest.mark.parametrize(("seeds", "offered"), [(4, True), (3, False)])
def test_only_what_can_be_kept_is_offered(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seeds: int,
    offered: bool,
) -> None:  # fmt: skip
    monkeypatch.setenv("HUBMAN_HOME", str(registry.home))
    _finished(registry, tmp_path, seeds=seeds)
    assert run(["recommend", "ink"]) == 0
    assert ("hubman recommend ink --set" in capsys.readouterr().out) is offered


def test_pictures_that_are_gone_are_left_out(registry: Registry, tmp_path: Path) -> None:
    version, sweep = _finished(registry, tmp_path)
    cell_path(tmp_path, _sweep((0.2, 0.4, 0.6, 0.8, 1.0)).at(0.6, 2)).unlink()
    assert len(recommend.keep(registry, sweep).pictures) == 3
    assert [preview.generation["seed"] for preview in library.version(registry, version).previews] == [1, 3, 4]


def test_training_images_come_from_the_folder_that_the_run_read(registry: Registry, tmp_path: Path) -> None:
    version = index_file(registry, write_lora(tmp_path / "ink.safetensors", seed=1))
    assert training_images(registry, version) == []
    run = {
        "id": version,
        "name": "ink",
        "recipe": {},
        "dataset_fingerprint": "a",
        "seed": 0,
        "steps": 1,
        "seconds": 1.0,
    }
    (tmp_path / "recipe.toml").write_text(f"dataset = {str(tmp_path / 'pictures')!r}\n")
    library.add_record(registry, "run", version, run)
    with registry.transaction() as db:
        db.execute(
            "INSERT INTO jobs (id, kind, title, state, folder, request, result, created_at) "
            "VALUES ('j', 'train', '', 'done', '', ?, ?, '')",
            (json.dumps({"recipe": str(tmp_path / "recipe.toml")}), json.dumps({"version_id": version})),
        )
    assert training_images(registry, version) == []
    (tmp_path / "pictures").mkdir()
    for number in range(50):
        Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / f"{number:02}.png")
    found = [int(path.stem) for path in training_images(registry, version)]
    assert (len(found), found[0]) == (32, 0)
    assert found[-1] > 45
