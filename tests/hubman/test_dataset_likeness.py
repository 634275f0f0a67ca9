"""What the embedded CLIP says of images of its own kind: near duplicates and outliers, kept for checks without torch."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from hubman import tinybase
from hubman.tinybase.drawing import Scene, draw
from hubman.train.checks import Rules, check
from hubman.train.data.dataset import Dataset, read_dataset
from hubman.train.data.left_out import leave
from hubman.train.data.likeness import compare
from hubman.train.data.likeness_cache import Likeness, likeness_file, read_likeness
from registry.errors import DamagedFileError
from tests.support.training_pictures import photo

RULES = Rules(resolution=64)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Likeness, Path]:
    """Thirty red and orange circles and squares, a photograph among them."""
    folder, home = tmp_path_factory.mktemp("set"), tmp_path_factory.mktemp("home")
    rng = random.Random(5)
    for number in range(30):
        scene = Scene(rng.choice(["circle", "square"]), rng.choice(["red", "orange"]), rng.choice(["blue", "green"]))
        draw(scene, rng).save(folder / f"{number:02}.png")
    photo(1, (64, 64)).save(folder / "photo.png")
    found = read_dataset(folder)
    return found, compare(found, tinybase.CLIP, home), home


def test_an_image_of_another_kind_is_an_outlier(world: tuple[Dataset, Likeness, Path]) -> None:
    found, likeness, _ = world
    outliers = [finding for finding in check(found, RULES, likeness=likeness) if finding.code == "outlier"]
    assert [finding.image for finding in outliers] == ["photo.png"]
    assert "CLIP" in outliers[0].sentence


def test_likeness_is_the_mean_cosine_to_the_five_nearest(world: tuple[Dataset, Likeness, Path]) -> None:
    from hubman.train.captioning.clip_model import ClipModel
    from hubman.train.data.pictures import load_rgb

    found, likeness, _ = world
    model = ClipModel(tinybase.CLIP)
    vectors = [model.embed_image(load_rgb(image.path)) for image in found.images]
    cosines = sorted((float(vectors[0] @ other) for other in vectors[1:]), reverse=True)
    assert likeness.nearest[found.images[0].picture.pixels] == pytest.approx(sum(cosines[:5]) / 5, abs=1e-5)
    alike = {
        (one.picture.pixels, other.picture.pixels)
        for j, other in enumerate(found.images)
        for i, one in enumerate(found.images[:j])
        if float(vectors[i] @ vectors[j]) >= 0.985
    }
    assert set(likeness.alike) == alike


def test_pairs_that_clip_finds_alike_are_near_duplicates(world: tuple[Dataset, Likeness, Path]) -> None:
    found, likeness, _ = world
    one, other = (image for image in found.images[:2])
    pair = Likeness(likeness.clip, likeness.nearest, ((one.picture.pixels, other.picture.pixels),))
    near = {f.image for f in check(found, RULES, likeness=pair) if f.code == "near-duplicate"}
    assert near - {f.image for f in check(found, RULES) if f.code == "near-duplicate"} == {other.name}


def test_what_clip_said_is_read_back_without_torch(world: tuple[Dataset, Likeness, Path]) -> None:
    found, likeness, home = world
    path = likeness_file(home, found.folder)
    assert read_likeness(path) == likeness
    program = (
        "import sys; from pathlib import Path; from hubman.train.data.likeness_cache import read_likeness; "
        "from hubman.train.checks import check; from hubman.train.data.dataset import read_dataset; "
        "found = check(read_dataset(Path(sys.argv[1])), likeness=read_likeness(Path(sys.argv[2]))); "
        "print(sum('CLIP' in each.sentence for each in found), 'torch' in sys.modules)"
    )
    words = [sys.executable, "-c", program, str(found.folder), str(path)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.split() == ["1", "False"]
    path.write_text("{broken")
    assert read_likeness(path) is None
    assert compare(found, tinybase.CLIP, home) == likeness


def test_a_set_that_got_an_image_since_is_measured_by_numbers(world: tuple[Dataset, Likeness, Path]) -> None:
    found, likeness, home = world
    new = found.folder / "new.png"
    photo(2, (640, 640)).save(new)
    try:
        grown = read_dataset(found.folder)
        outliers = {f.image: f.sentence for f in check(grown, RULES, likeness=likeness) if f.code == "outlier"}
        assert "its size" in outliers["new.png"]
        assert set(compare(grown, tinybase.CLIP, home).nearest) == {i.picture.pixels for i in grown.images}
        leave(found.folder, ["new.png"])
        again = check(read_dataset(found.folder), RULES, likeness=likeness)
        assert any("CLIP" in finding.sentence for finding in again)
    finally:
        new.unlink()


def test_loading_a_clip_writes_nothing_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    from hubman.train.captioning.clip_model import ClipModel

    logging.enable_progress_bar()
    ClipModel(tinybase.CLIP)
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_a_clip_is_named(world: tuple[Dataset, Likeness, Path], tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="is not a CLIP model folder"):
        compare(world[0], tmp_path, tmp_path)
