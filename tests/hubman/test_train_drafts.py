"""Captions by taggers and image-to-text models: real files of the real classes, tiny and of chosen or random weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman import tinybase
from hubman.cli.main import run
from hubman.jobs import store
from hubman.progress import Progress
from hubman.train.captioning import image_to_text, tagger
from hubman.train.captioning.captions import write_caption
from hubman.train.captioning.drafts import Drafted, DraftRequest, draft_captions
from hubman.train.captioning.image_to_text import ImageToText
from hubman.train.captioning.tagger import Tag, Tagger, clean, pixels
from hubman.train.data.dataset import read_caption
from hubman.train.data.pictures import measure
from registry.errors import CancelledError, DamagedFileError, HubError, MissingExtraError, NotFoundError, UsageError
from tests.support import tiny_captioners
from tests.support.tiny_tagger import write_tagger

SIDE = 16
TAGS: list[tuple[str, int, dict[str, float]]] = [
    ("general", 9, {"bias": 9}),
    ("red_sky", 0, {"red": 8, "blue": -8, "bias": -1}),
    ("blue_sky", 0, {"blue": 8, "red": -8, "bias": -1}),
    ("bright", 0, {"red": 1, "green": 1, "blue": 1, "bias": -1.5}),
    ("^_^", 0, {"bias": 0.5}),
    ("ann_(artist)", 4, {"red": 2}),
    ("bob", 4, {"red": 1}),
]


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tagger(tmp_path_factory.mktemp("tagger"), TAGS, SIDE)


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_captioners.make_tiny_blip(tmp_path_factory.mktemp("blip"))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights never come to an end by themselves."""
    monkeypatch.setattr(image_to_text, "LONG", 12)
    monkeypatch.setattr(image_to_text, "SHORT", 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "set"
    made.mkdir()
    for name in ("red", "blue", "green"):
        Image.new("RGB", (SIDE, SIDE), name).save(made / f"{name}.png")
    return made


def captions(folder: Path) -> dict[str, str | None]:
    return {path.stem: read_caption(path)[0] for path in sorted(folder.glob("*.png"))}


def drafted(folder: Path, **request: object) -> Drafted:
    return draft_captions(DraftRequest(folder=str(folder), **request), report=lambda _: None)  # type: ignore[arg-type]


# taggers --------------------------------------------------------------------------------------------------------------


def test_a_tagger_sees_blue_first_and_sorts_by_probability(tags: Path, folder: Path) -> None:
    found = Tagger(str(tags)).tags(folder / "red.png")
    assert [name for name, _ in found] == ["red sky", "ann (artist)", "^_^", "bright"]
    assert dict(found)["red sky"] == pytest.approx(1 / (1 + np.exp(-7)), abs=1e-6)
    assert Tagger(str(tags)).describe(folder / "blue.png") == "blue sky, ^_^, bright"


@pytest.mark.parametrize(
    ("general", "character", "found"),
    [(0.35, 0.85, "red sky, ann (artist), ^_^, bright"), (0.5, 0.9, "red sky, ^_^"), (0.99, 0.5, "red sky, ann (artist), bob")],
)  # fmt: skip
def test_each_kind_of_tag_has_its_threshold(
    tags: Path, folder: Path, general: float, character: float, found: str
) -> None:
    assert Tagger(str(tags / "model.onnx"), general, character).describe(folder / "red.png") == found


def test_a_picture_is_padded_to_a_white_square_and_given_as_blue_green_red() -> None:
    image = Image.new("RGB", (8, 4), (255, 128, 0))
    batch = pixels(image, 16)
    assert batch.shape == (1, 16, 16, 3)
    assert batch.dtype == np.dtype("float32")
    assert batch[0, 8, 8].tolist() == [0, 128, 255]
    assert batch[0, 0].min() == batch[0, -1].min() == 255
    assert batch[0, :, :, 0].mean() == pytest.approx(255 / 2, abs=1)
    # Shrinking takes the mean of the area, so a line as fine as a pixel still counts.
    fine = Image.new("RGB", (64, 64), "white")
    fine.paste("black", (0, 0, 1, 64))
    assert pixels(fine, 16)[0, :, 0].mean() == pytest.approx(255 * 3 / 4, abs=1)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [("long_hair", "long hair"), (">_<", ">_<"), ("(o)_(o)", "(o)_(o)"), ("||_||", "||_||"), ("c_c", "c_c"), ("a_(b)", "a (b)")],
)  # fmt: skip
def test_tags_are_cleaned_but_emoticons_stay(name: str, cleaned: str) -> None:
    assert clean(name) == cleaned


@given(st.lists(st.tuples(st.sampled_from([0, 4, 9]), st.floats(0, 1)), max_size=9), st.floats(0, 1), st.floats(0, 1))
def test_no_rating_and_nothing_below_its_threshold_is_chosen(
    lines: list[tuple[int, float]], general: float, character: float
) -> None:
    table = [Tag(f"tag {number}", category) for number, (category, _) in enumerate(lines)]
    chosen = tagger.choose(table, [score for _, score in lines], general, character)
    limit = {0: general, 4: character, 9: 2.0}
    assert dict(chosen) == {f"tag {n}": score for n, (category, score) in enumerate(lines) if score >= limit[category]}
    assert [score for _, score in chosen] == sorted((score for _, score in chosen), reverse=True)


def test_what_is_no_tagger_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no/tagger is not on this machine.*hf download no/tagger model\.onnx"):
        Tagger("no/tagger")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(NotFoundError, match=r"needs timm.*get model\.onnx"):
        Tagger(str(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(NotFoundError, match=r"has no selected_tags\.csv: put it there"):
        Tagger(str(tmp_path))
    (tmp_path / "selected_tags.csv").write_text("tag_id,name\n1,x\n")
    with pytest.raises(DamagedFileError, match=r"selected_tags\.csv is not a table of tags"):
        Tagger(str(tmp_path))
    (tmp_path / "selected_tags.csv").write_text("tag_id,name,category,count\n1,x,0,1\n")
    with pytest.raises(DamagedFileError, match=r"model\.onnx can't be loaded"):
        Tagger(str(tmp_path))
    with pytest.raises(DamagedFileError, match=r"has 3 tags, model\.onnx gives 7"):
        Tagger(str(write_tagger(tmp_path, TAGS, SIDE, outputs=3)))


def test_without_onnxruntime_it_is_said_what_to_install(tags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hubman\[tagger\]'"):
        Tagger(str(tags))


def test_a_tagger_is_found_by_name_in_the_local_cache(
    tags: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--tagger"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "abc").symlink_to(tags)
    assert Tagger("some/tagger").describe(folder / "blue.png") == "blue sky, ^_^, bright"


# image-to-text models -------------------------------------------------------------------------------------------------


def test_blip_captions_and_begins_with_the_prompt(blip: Path, folder: Path) -> None:
    plain = ImageToText(str(blip))
    assert plain.describe(folder / "red.png") == plain.describe(folder / "red.png")
    assert plain.describe(folder / "red.png") != plain.describe(folder / "blue.png")
    assert ImageToText(str(blip), "a picture of").describe(folder / "red.png").startswith("a picture of")


def test_a_chat_model_answers_without_repeating_the_question(tmp_path: Path, folder: Path) -> None:
    model = tiny_captioners.make_tiny_chat_model(tmp_path / "chat")
    asked = ImageToText(str(model), "describe the picture where the star and the star and the star")
    answer = asked.describe(folder / "red.png")
    assert answer
    assert "the star and the star" not in answer
    assert answer != ImageToText(str(model), "what").describe(folder / "red.png"), "the question counts"


def test_florence_is_given_a_task(tmp_path: Path, folder: Path) -> None:
    model = ImageToText(str(tiny_captioners.make_tiny_florence(tmp_path / "florence")))
    assert model.describe(folder / "red.png") != model.describe(folder / "blue.png")


def test_what_is_no_caption_model_is_named(blip: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="hf download Some/blip --exclude"):
        ImageToText("Some/blip")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NotFoundError, match=r"no model\.safetensors"):
        ImageToText(str(tmp_path))
    with pytest.raises(DamagedFileError, match="holds no image-to-text model"):
        ImageToText(str(tinybase.CLIP))


# drafts ---------------------------------------------------------------------------------------------------------------


def test_drafts_carry_trigger_prefix_and_suffix_and_leave_blacklisted_tags_out(tags: Path, folder: Path) -> None:
    write_caption(folder / "green.png", "typed")
    done = drafted(
        folder, source="tagger", model=str(tags), trigger="zvk", prefix="photo,", suffix=", end", blacklist=("^_^", "Bright")
    )  # fmt: skip
    assert done.written == ("blue.png", "red.png")
    assert captions(folder) == {
        "blue": "zvk, photo, blue sky, end", "red": "zvk, photo, red sky, ann (artist), end", "green": "typed",
    }  # fmt: skip


def test_another_draft_redraws_drafts_when_asked_and_never_what_a_person_wrote(
    tags: Path, blip: Path, folder: Path
) -> None:
    drafted(folder, source="tagger", model=str(tags))
    write_caption(folder / "red.png", "red sky, mine")
    assert drafted(folder, source="model", model=str(blip)) == Drafted()
    again = drafted(folder, source="model", model=str(blip), redraft=True)
    assert again.written == ("blue.png", "green.png")
    assert captions(folder)["red"] == "red sky, mine"


def test_the_interrogator_begins_with_a_models_sentence_and_a_negative_is_not_written(
    blip: Path, folder: Path, tmp_path: Path
) -> None:
    request = {"model": str(blip), "clip": str(tinybase.CLIP), "terms": str(tmp_path / "lists")}
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "flavours.txt").write_text("red circle\nblue star\ngreen ring\n")
    drafted(folder, mode="fast", **request)
    for name, caption in captions(folder).items():
        assert caption
        assert caption.startswith(ImageToText(str(blip)).describe(folder / f"{name}.png"))
    before = captions(folder)
    told = drafted(folder, mode="negative", **request)
    assert set(told.texts) == {"red.png", "blue.png", "green.png"}
    assert captions(folder) == before


def test_a_damaged_picture_is_told_and_the_others_go_on(tags: Path, folder: Path) -> None:
    (folder / "red.png").write_bytes((folder / "red.png").read_bytes()[:50])
    done = drafted(folder, source="tagger", model=str(tags), general=0.6, trigger="zvk")
    assert done.written == ("blue.png", "green.png")
    assert done.problems == {"red.png": measure(folder / "red.png").error}, "in the words of the checks"
    empty = drafted(folder, source="tagger", model=str(tags), general=1.0, trigger="zvk", redraft=True)
    assert empty.problems["blue.png"] == "nothing was found in it"
    assert captions(folder)["blue"] == "zvk, blue sky, ^_^", "the draft before stays"


def test_a_stop_keeps_what_was_drafted(tags: Path, folder: Path) -> None:
    seen: list[Progress] = []
    request = DraftRequest(folder=str(folder), source="tagger", model=str(tags))
    with pytest.raises(CancelledError):
        draft_captions(request, report=seen.append, should_stop=lambda: len(seen) == 3)
    assert [event.done for event in seen] == [0, 1, 2]
    assert [bool(caption) for caption in captions(folder).values()] == [True, True, False]
    assert drafted(folder, source="tagger", model=str(tags)).written == ("red.png",)


@pytest.mark.parametrize(
    "request_",
    [{"source": "tagger"}, {"source": "model"}, {"clip": "x"}, {"model": "x"}, {"source": "tagger", "model": "x", "mode": "negative"}],
)  # fmt: skip
def test_what_is_missing_in_a_request_is_said_before_anything_is_loaded(folder: Path, request_: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        drafted(folder, **request_)


def test_word_lists_without_a_sentence_need_a_caption_model(folder: Path) -> None:
    (folder / "flavours.txt").write_text("ink")
    with pytest.raises(HubError, match="no sentence"):
        drafted(folder, clip=str(tinybase.CLIP), terms=str(folder))


@pytest.mark.usefixtures("home")
def test_the_command_starts_a_job_with_what_was_said(
    folder: Path, tags: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hubman.jobs import runner

    # The job's own process would load everything again: here it runs in this one.
    monkeypatch.setattr(store, "spawn", lambda registry, job: runner.run(registry, job.id))
    words = [
        "--with",
        "tagger",
        "--model",
        str(tags),
        "--trigger",
        "zvk",
        "--blacklist",
        "^_^, x",
        "--threshold",
        "0.6",
    ]
    assert run(["dataset", "caption", str(folder), *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["problems"]) == (["blue.png", "green.png", "red.png"], {})
    assert captions(folder)["blue"] == "zvk, blue sky"
    assert run(["dataset", "caption", str(folder), "--with", "tagger"]) == 2
    assert "say --model" in capsys.readouterr().err
