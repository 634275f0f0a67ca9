"""What may be seen: privacy mode, covered pictures, and the one picture by the terminal's own protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Input

from hubman.terminal import Pictures
from registry import collecting, library, previews
from registry.database import Registry
from registry.errors import HubError
from tests.support import library_factory
from tests.support.jobs import fake_job
from tests.support.library import add_entry
from tests.support.screens import notes_of, press, settle, text_of, write
from tests.support.videos import write_video
from tui import actions
from tui.app import HubmanApp
from tui.screens.library import LibraryScreen
from tui.widgets.gallery import Gallery
from tui.widgets.picture import Picture

OpenApp = Callable[[], HubmanApp]
SECRET = "secret"


@pytest.fixture
def secrets(home: Path, tmp_path: Path) -> list[str]:
    """Three models of which everything that a person or a page wrote has the word in it."""
    with Registry(home) as registry:
        models = [
            add_entry(
                registry,
                f"secret name {number}",
                facts={
                    "version_name": "secret version",
                    "published_url": "https://secret.example",
                    "hub_url": "https://secret.example/hub",
                },
                model_facts={"creator": "secret creator", "alias": "secret_alias", "name": f"secret name {number}"},
                tags=["secret tag"],
                triggers=["secret word"],
                place=f"/secret/folder/secret{number}.safetensors",
                metadata={"ss_output_name": "secret run", "ss_steps": "5", "ss_sd_model_name": "secret base"},
            )
            for number in range(3)
        ]
        library_factory.add_pictures(registry, models, tmp_path / "secret pictures")
        for model in models:
            library.write_text(registry, model, "notes", "secret note")
            library.write_text(registry, model, "description", "secret description")
        collecting.create(registry, "secret box")
        collecting.put(registry, "secret box", models)
        fake_job(registry, "train", "train secret style", {"recipe": "/secret/recipe.toml"}, state="failed")
    return models


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_privacy_mode_hides_every_word_and_picture_on_every_screen(
    open_app: OpenApp, secrets: list[str], size: tuple[int, int]
) -> None:
    app = open_app()
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert SECRET in text_of(app)
        await press(pilot, "X")
        assert "private" in text_of(app).splitlines()[0]
        assert "model 1" in text_of(app)
        for keys in (
            (),
            ("j",),
            ("c",),
            ("f",),
            ("escape",),
            ("b",),
            ("greater_than_sign",),
            ("z",),
            ("space",),
            ("asterisk",),
        ):
            await press(pilot, *keys)
            assert SECRET not in text_of(app), keys
            assert not any(SECRET in note for note in notes_of(app)), keys
        app.poll_soon()
        for mode in "234561":
            await press(pilot, mode)
            assert SECRET not in text_of(app), mode
            assert "private" in text_of(app).splitlines()[0]
        picture = app.screen.query_one(Picture)
        assert picture.path is None
        await press(pilot, "X")
        assert SECRET in text_of(app)
        await press(pilot, "6")
        assert SECRET in text_of(app)


async def test_nothing_that_would_show_a_word_opens_in_privacy_mode(open_app: OpenApp, secrets: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "X")
        for action in actions.of_scope("library"):
            if action.name in {"filter", "level", "sort"}:
                continue
            await press(pilot, action.keys.split(",")[0])
            assert SECRET not in text_of(app), action.id
            await press(pilot, *(["escape"] if app.screen.is_modal else []))
            assert not any(SECRET in note for note in notes_of(app)), action.id


async def test_the_hash_is_hidden_and_an_undo_is_told_without_its_name(
    open_app: OpenApp, home: Path, secrets: list[str]
) -> None:
    with Registry(home) as registry:
        (file,) = library.show(registry, secrets[0]).versions[0].files
    app = open_app()
    async with app.run_test(size=(120, 60)) as pilot:
        await settle(pilot)
        assert file.autov2 in text_of(app)
        await press(pilot, "X")
        assert file.autov2 not in text_of(app)
        await press(pilot, "b", "z")
        assert notes_of(app)[-1] == "one change undone"


async def test_a_model_keeps_its_number_and_the_query_is_not_readable(open_app: OpenApp, secrets: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        await press(pilot, "X")
        before = [line for line in text_of(app).splitlines() if "model 2" in line]
        await press(pilot, "slash")
        await write(pilot, "sort:-name")
        assert "sort:-name" not in text_of(app)
        await press(pilot, "enter")
        assert before
        assert app.looks.name(secrets[1], "x") == app.looks.name(secrets[1], "y")
        await press(pilot, "slash")
        app.screen.query_one("#query", Input).value = "secret:1"
        await settle(pilot)
        assert SECRET not in text_of(app)


async def test_f8_closes_what_is_being_typed(open_app: OpenApp, secrets: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "t")
        assert "secret tag" in text_of(app)
        await press(pilot, "f8")
        assert isinstance(app.screen, LibraryScreen)
        assert SECRET not in text_of(app)


async def test_x_closes_a_choice_that_shows_words(open_app: OpenApp, secrets: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "e")
        assert "secret creator" in text_of(app)
        await press(pilot, "X")
        assert isinstance(app.screen, LibraryScreen)
        assert SECRET not in text_of(app)


async def test_privacy_mode_can_be_set_for_the_start(
    home: Path, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBMAN_PRIVACY", "yes")
    app = HubmanApp(home, poll=0)
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        assert SECRET not in text_of(app)
        assert "private" in text_of(app)


@pytest.fixture
def levelled(home: Path, tmp_path: Path) -> list[str]:
    """Models called by the levels of their pictures; ``inherits`` has none of its own and a model of X."""
    with Registry(home) as registry:
        found = []
        for name, level in (("pg", 1), ("r", 4), ("xxx", 16), ("unknown", 0), ("inherits", 0)):
            model = add_entry(registry, name, model_facts={"nsfw_level": 8 if name == "inherits" else 0})
            (path,) = library_factory.write_pictures(tmp_path / name, 1)
            previews.add_preview(registry, model, path, nsfw_level=level)
            found.append(model)
    return found


async def test_pictures_above_the_threshold_are_covered_with_their_level(
    open_app: OpenApp, levelled: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        await press(pilot, "c")
        text = text_of(app)
        assert text.count(" covered ") == 4, "three cards, and the detail of the one at the cursor, which inherits X"
        app.looks.show_up_to("r")
        app.looks_changed.publish(app.looks)
        await settle(pilot)
        assert text_of(app).count(" covered ") == 3


async def test_the_threshold_is_chosen_by_a_key(open_app: OpenApp, levelled: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "slash")
        await write(pilot, "name:xxx")
        await press(pilot, "enter")
        assert "covered" in text_of(app)
        await press(pilot, "L", "G", "enter")
        assert app.looks.up_to == "xxx"
        assert "covered" not in text_of(app)
        assert app.screen.query_one(Picture).path is not None


async def test_a_persons_level_of_a_picture_counts_at_once_and_is_undone(
    open_app: OpenApp, levelled: list[str]
) -> None:
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "slash")
        await write(pilot, "name:pg")
        await press(pilot, "enter")
        assert "covered" not in text_of(app)
        await press(pilot, "P", "G", "k", "enter")
        assert "XXX" in text_of(app)
        assert "covered" in text_of(app)
        await press(pilot, "z")
        assert "covered" not in text_of(app)


async def test_pictures_of_a_version_are_stepped_through(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    with Registry(home) as registry:
        model = add_entry(registry, "ink")
        for path in library_factory.write_pictures(tmp_path / "p", 3):
            previews.add_preview(registry, model, path)
    app = open_app()
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        first = app.screen.query_one(Picture).path
        assert "1 of 3" in text_of(app)
        await press(pilot, "right_square_bracket", "right_square_bracket", "right_square_bracket")
        assert "3 of 3" in text_of(app)
        assert app.screen.query_one(Picture).path != first
        await press(pilot, "left_square_bracket", "left_square_bracket")
        assert app.screen.query_one(Picture).path == first


async def test_a_video_shows_its_frame_and_a_broken_one_says_so(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"nothing of a video")
    with Registry(home) as registry:
        for name, path in (("fine", write_video(tmp_path / "fine.webm")), ("spoilt", tmp_path / "broken.mp4")):
            previews.add_preview(registry, add_entry(registry, name), path)
    app = open_app()
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        assert app.screen.query_one(Picture).path is not None
        await press(pilot, "j")
        assert app.screen.query_one(Picture).path is None
        assert "no video" in text_of(app)


async def test_a_video_without_a_decoder_names_the_extra(
    open_app: OpenApp, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry(home) as registry:
        previews.add_preview(registry, add_entry(registry, "ink"), write_video(tmp_path / "clip.mp4"))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    monkeypatch.setenv("PATH", "")
    app = open_app()
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        assert "hubman[video]" in text_of(app).replace("\n", "")


@pytest.mark.parametrize(("method", "widget"), [("kitty", "TGPImage"), ("sixel", "SixelImage"), ("blocks", "")])
async def test_the_detail_has_the_one_real_picture_where_the_terminal_can(
    open_app: OpenApp, home: Path, models: list[str], tmp_path: Path, method: str, widget: str
) -> None:
    with Registry(home) as registry:
        library_factory.add_pictures(registry, models, tmp_path / "pictures")
    app = open_app()
    app.looks.pictures = Pictures(
        "kitty" if method == "kitty" else "sixel" if method == "sixel" else "blocks", "as set"
    )
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        found = app.screen.query_one(Picture).query("TGPImage, Image")
        assert len(found) == (1 if widget else 0)
        if widget:
            assert type(found.first()).__mro__[0].__name__ in {widget, "Image"}
            assert found.first().image is not None  # type: ignore[attr-defined]
            await press(pilot, "X")
            assert found.first().image is None  # type: ignore[attr-defined]


async def test_no_picture_is_read_where_pictures_are_off(
    open_app: OpenApp, home: Path, models: list[str], tmp_path: Path
) -> None:
    with Registry(home) as registry:
        library_factory.add_pictures(registry, models, tmp_path / "pictures")
    app = open_app()
    app.looks.pictures = Pictures("off", "switched off")
    async with app.run_test(size=(160, 48)) as pilot:
        await settle(pilot)
        await press(pilot, "c")
        assert app.screen.query_one(Gallery).row_count == len(models)
        assert not app.screen.query_one(Picture).display
    assert not (home / "thumbs").exists()


async def test_a_narrow_terminal_shows_no_picture_until_it_is_wider(
    open_app: OpenApp, home: Path, models: list[str], tmp_path: Path
) -> None:
    with Registry(home) as registry:
        library_factory.add_pictures(registry, models, tmp_path / "pictures")
    app = open_app()
    async with app.run_test(size=(70, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert "licence" in text_of(app)
        assert app.screen.query_one(Picture).path is None
        assert not (home / "thumbs").exists()
        await pilot.resize_terminal(100, 30)
        await settle(pilot)
        assert app.screen.query_one(Picture).path is not None


async def test_the_gallery_reads_only_what_is_on_the_screen(open_app: OpenApp, home: Path, tmp_path: Path) -> None:
    with Registry(home) as registry:
        models = library_factory.fill(registry, 60)
        library_factory.add_pictures(registry, models, tmp_path / "pictures")
    app = open_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "c")
        seen = len(list((home / "thumbs").glob("*/*.jpg")))
        assert 0 < seen <= 12
        await press(pilot, "G")
        assert len(list((home / "thumbs").glob("*/*.jpg"))) <= 2 * 12 + 1


def test_a_tile_of_a_damaged_picture_says_why(home: Path, tmp_path: Path) -> None:
    from tui.looks import Looks
    from tui.pictures import of_version

    with Registry(home) as registry:
        model = add_entry(registry, "ink")
        (path,) = library_factory.write_pictures(tmp_path / "p", 1)
        sha256 = previews.add_preview(registry, model, path)
        previews.blob_path(registry, sha256).unlink()
        with pytest.raises(HubError):
            previews.thumbnail(registry, sha256)
        tile = of_version(registry, model, Looks())
    assert tile.path is None
    assert "not on this machine" in tile.words[0]
