"""Captions by CLIP and word lists: the chain by itself, on a random CLIP, and for real on the embedded one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hubman import tinybase
from hubman.tinybase.drawing import draw, random_scene
from hubman.train.captioning.chain import Score, chain
from hubman.train.captioning.clip_model import ClipModel
from hubman.train.captioning.interrogator import Interrogator, Mode
from hubman.train.captioning.term_ranking import CHUNK, TermRanking, rank_terms
from hubman.train.captioning.terms import FILES, Terms, read_terms
from hubman.train.data.pictures import load_rgb
from registry.errors import DamagedFileError, HubError
from tests.support.tiny_pipeline import make_tiny_clip

TERMS = Terms(
    ("a {colour} {shape}",),
    {"colour": ("red", "blue"), "shape": ("circle", "star")},
    mediums=("ink wash", "paper"),
    artists=("ann", "bob"),
    trending=("a wall",),
    movements=("style",),
    flavours=("white", "black", "green", "on paper"),
    negatives=("triangle",),
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipModel:
    return ClipModel(make_tiny_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.linear_gradient("L").convert("RGB").resize((40, 30)).save(path)
    return path


# the chain ------------------------------------------------------------------------------------------------------------


def _scores(values: dict[str, int]) -> Score:
    def score(texts: Sequence[str]) -> list[float]:
        return [float(sum(values[phrase] for phrase in text.split(", ") if phrase)) for text in texts]

    return score


@given(st.dictionaries(st.sampled_from("abcdefghijkl"), st.integers(-9, 9)), st.integers(0, 5), st.integers(0, 12))
def test_a_chain_takes_the_best_phrase_each_round_and_ends_at_its_highest(
    values: dict[str, int], least: int, most: int
) -> None:
    values = {**values, "start": 1}
    text, reached = chain(
        _scores(values), [name for name in values if name != "start"], "start", least=least, most=most
    )
    good = sorted((value for name, value in values.items() if name != "start" and value > 0), reverse=True)[:most]
    assert reached == 1 + sum(good)
    assert [values[phrase] for phrase in text.split(", ")] == [1, *good]


def test_the_first_phrases_go_on_even_where_they_do_not_help_at_once() -> None:
    likes = {"a": 1.0, "a, x": 0.9, "a, y": 0.2, "a, x, y": 2.0}
    score = lambda texts: [likes.get(text, 0.0) for text in texts]  # noqa: E731
    assert chain(score, ["x", "y"], "a", least=2) == ("a, x, y", 2.0)
    assert chain(score, ["x", "y"], "a", least=0) == ("a", 1.0)


def test_a_chain_stops_at_what_fits() -> None:
    score = lambda texts: [float(len(text)) for text in texts]  # noqa: E731
    assert chain(score, ["xxxx", "yy"], "a", fits=lambda text: len(text) <= 8) == ("a, xxxx", 7.0)
    assert chain(score, [], "") == ("", 0.0)


# on a random CLIP -----------------------------------------------------------------------------------------------------


def test_ranking_in_chunks_finds_what_one_comparison_finds(clip: ClipModel, picture: Path) -> None:
    import torch

    vectors = torch.nn.functional.normalize(torch.randn(CHUNK * 2 + 7, 16, generator=torch.Generator().manual_seed(0)))
    names = [str(number) for number in range(len(vectors))]
    image = clip.embed_image(load_rgb(picture))
    exact = (vectors.half().float() @ image).argsort(descending=True).tolist()
    ranking = TermRanking(names, vectors.half())
    assert [name for name, _ in ranking.top(image, 40)] == [str(at) for at in exact[:40]]
    assert [name for name, _ in ranking.top(image, 9, lowest=True)] == [str(at) for at in exact[:-10:-1]]


def test_each_mode_is_made_as_the_method_says(clip: ClipModel, picture: Path) -> None:
    interrogator = Interrogator(clip, TERMS)
    view = clip.embed_image(load_rgb(picture))

    def nearest(*names: str) -> list[str]:
        terms = [term for name in names for term in TERMS.lists()[name]]
        scores = (clip.embed_texts(terms).half().float() @ view).tolist()
        return [term for _, term in sorted(zip(scores, terms, strict=True), reverse=True)]

    sentence = interrogator.caption(picture, "fast").split(", ")[0]
    assert sentence in TERMS.candidates()
    every = nearest("mediums", "artists", "trending", "movements", "flavours")
    fast, classic = interrogator.caption(picture, "fast"), interrogator.caption(picture, "classic")
    assert every[: fast.count(", ")] == fast.split(", ")[1:]
    assert classic == ", ".join(
        [
            sentence,
            *(nearest(name)[0] for name in ("mediums", "artists", "trending", "movements")),
            *nearest("flavours")[:3],
        ]
    )
    best, negative = interrogator.caption(picture), interrogator.caption(picture, "negative")
    texts = [best, sentence, fast, classic, negative]
    scores = (clip.embed_texts(texts) @ view).tolist()
    assert scores[0] == max(scores)
    assert scores[4] == min(scores)
    assert set(negative.split(", ")) <= {*every, "triangle"}
    assert all(clip.fits(text) for text in texts)


def test_a_caption_model_says_the_first_sentence(clip: ClipModel, picture: Path) -> None:
    lists = Terms(flavours=("ink wash",))
    interrogator = Interrogator(clip, lists, lambda path: f"a {path.stem}")
    assert interrogator.caption(picture, "fast") == "a picture, ink wash"


def test_the_vectors_of_a_list_are_kept_until_the_list_changes(clip: ClipModel, tmp_path: Path) -> None:
    import torch

    def rank(*terms: str) -> TermRanking:
        return rank_terms(clip, "mediums", terms, tmp_path / "cache")

    first = rank("red", "blue")
    (file,) = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    assert torch.equal(rank("red", "blue").vectors, first.vectors)
    assert file.stat().st_mtime_ns == written
    assert torch.equal(rank("blue", "red").vectors, first.vectors.flip(0)), "another order is another list"
    assert first.vectors.dtype == torch.float16
    for broken in (b"broken", b""):
        file.write_bytes(broken)
        assert torch.equal(rank("red", "blue").vectors, first.vectors)
        assert file.stat().st_size > 100


def test_a_folder_without_clip_is_named(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DamagedFileError, match="nothing"):
        ClipModel(tmp_path / "nothing")


# word lists -----------------------------------------------------------------------------------------------------------


def test_a_folder_of_text_files_is_read_as_lists(tmp_path: Path) -> None:
    for number, files in enumerate(FILES.values()):
        (tmp_path / files[-1]).write_text(f"\ufeffone {number}\n\n  two {number} \n", encoding="utf-8")
    terms = read_terms(tmp_path)
    assert terms.negatives == ("one 5", "two 5")
    assert terms.lists()["artists"] == ("one 1", "inspired by one 1", "two 1", "inspired by two 1")
    assert terms.lists()["flavours"] == ("one 4", "two 4")
    (tmp_path / "flavors.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DamagedFileError, match=r"flavors\.txt is not UTF-8"):
        read_terms(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DamagedFileError, match=r"mediums\.txt"):
        read_terms(tmp_path / "empty")


def test_bad_term_lists_are_named(tmp_path: Path) -> None:
    path = tmp_path / "terms.json"
    for content in ('{"templates": ["a {thing}"]}', "[]", '{"templates": []}', '{"templates": ["{"]}', "{"):
        path.write_text(content)
        with pytest.raises(DamagedFileError, match=r"terms\.json"):
            read_terms(path)
    with pytest.raises(HubError, match="more than"):
        Terms(("{a} {b}",), {"a": tuple(map(str, range(100))), "b": tuple(map(str, range(100)))}).candidates()


# for real -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["best", "negative"])
def test_the_embedded_clip_finds_what_is_in_a_drawing_from_the_lists_of_its_domain(tmp_path: Path, mode: Mode) -> None:
    rng = random.Random(3)
    interrogator = Interrogator(ClipModel(tinybase.CLIP), read_terms(tinybase.PHRASES))
    for number in range(2 if mode == "best" else 1):
        scene = random_scene(rng)
        draw(scene, rng).save(tmp_path / f"{number}.png")
        caption = interrogator.caption(tmp_path / f"{number}.png", mode).split(", ")
        shown = {f"{scene.colour} {scene.shape}", f"on a {scene.background} background"}
        if mode == "best":
            assert caption[0] == "a shape", "it begins with the sentence that says nothing"
            assert shown <= set(caption)
        else:
            assert not shown & set(caption)
