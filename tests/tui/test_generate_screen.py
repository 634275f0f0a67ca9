from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hubman.jobs.records import Job
from registry import edits, library
from registry.database import Registry
from registry.errors import HubError
from registry.scan import index_file
from tests.support.generate_pane import FITS, answer, flat_text, in_generate, item_of, loras, screen_of, set_up
from tests.support.model_files import write_model
from tests.support.screens import notes_of, press, settle, text_of
from tui import generate_settings, generation
from tui.app import HubmanApp
from tui.generation import StackItem
from tui.widgets.stack import AxisList, SettingsList, StackList

__all__ = ["in_generate", "loras"]

OpenApp = Callable[[], HubmanApp]


# stack ----------------------------------------------------------------------------------------------------------------


async def test_a_model_comes_from_the_library_with_its_strength(
    open_app: OpenApp, home: Path, loras: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HubmanApp, "DEFAULT_MODE", "library")
    with Registry(home) as registry:
        detail = library.show(registry, loras[0])
        edits.edit(registry, loras[0], detail.versions[0].id, {"strength": "0.65"})
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "T")
        assert (item_of(app).alias, item_of(app).strength) == ("ink", 0.65)


async def test_keys_and_the_mouse_move_strengths_and_each_step_is_undone(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await set_up(pilot, loras[:1])
        await press(pilot, "plus", "l", "right", "h")
        assert item_of(app).strength == 0.9
        await press(pilot, "minus", "left")
        assert item_of(app).strength == 0.8
        rows = screen.query_one(StackList)
        left, width = rows._bar_place()
        assert width
        await pilot.click(StackList, offset=(left + width // 2, 1))
        await settle(pilot)
        assert item_of(app).strength == 0.55
        await press(pilot, "space")
        assert (item_of(app).strength, "off" in text_of(app)) == (0, True)
        await press(pilot, "space", "s")
        await answer(pilot, "0.4:0.6:start=3")
        item = item_of(app)
        assert (item.te, item.strength, item.start) == (0.4, 0.6, 3)
        assert item.tag == "<lora:ink:te=0.4:unet=0.6:start=3>"
        await press(pilot, "z", "z", "z", "z")
        assert item_of(app).strength == 0.8
        await press(pilot, "d")
        assert screen.setup.stack == ()
        await press(pilot, "d")
        assert "put a LoRA on the stack first (a)" in notes_of(app)[-1]


def test_what_a_tag_has_behind_its_name_is_read_or_refused() -> None:
    item = StackItem("v", "ink", "a" * 64, "ink.safetensors")
    assert generation.typed_strength(item, "0.8:stop=12").stop == 12
    for bad in ("much", "40", "", "0.5>x", "start=x"):
        with pytest.raises(HubError):
            generation.typed_strength(item, bad)


# prompt ---------------------------------------------------------------------------------------------------------------


async def test_tags_in_the_prompt_move_to_the_stack_with_all_that_they_say(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        screen = screen_of(app)
        screen.take_prompt("a red circle <lora:wash:0.4:0.6:stop=9>")
        await settle(pilot)
        assert (item_of(app).alias, item_of(app).te, item_of(app).strength, item_of(app).stop) == ("wash", 0.4, 0.6, 9)
        assert screen.editor.text == "a red circle"


async def test_writing_a_tag_completes_it_from_the_library(
    open_app: OpenApp, home: Path, loras: list[str], tmp_path: Path
) -> None:
    with Registry(home) as registry:
        other = {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": ("F16", [4, 2048])}
        index_file(registry, write_model(tmp_path / "loras" / "large.safetensors", other))
    app = open_app()
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "slash")
        await pilot.press("a", "less_than_sign", "l", "o", "r", "a", "colon")
        await settle(pilot)
        screen = screen_of(app)
        assert screen.completions.row_count == 3
        assert "another base" in text_of(app)
        await pilot.press("w", "a")
        await settle(pilot)
        assert [row.name for row in screen.completions._items] == ["wash"]
        await press(pilot, "escape")
        assert not screen.editor.completes
        await press(pilot, "s", "tab")
        assert (item_of(app).alias, screen.editor.text) == ("wash", "a")
        await press(pilot, "slash", "escape")
        assert app.focused is screen.stack


async def test_trigger_words_are_added_and_the_prompt_is_copied_with_tags(
    open_app: OpenApp, home: Path, loras: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    monkeypatch.setattr(HubmanApp, "copy_to_clipboard", lambda _, text: copied.append(text))
    with Registry(home) as registry:
        edits.edit(registry, loras[0], library.show(registry, loras[0]).versions[0].id, {"trigger_words": "inkwash"})
    app = open_app()
    async with app.run_test(size=(140, 40)) as pilot:
        screen = await set_up(pilot, loras[:1])
        assert "no trigger word of ink" in flat_text(app)
        await press(pilot, "w")
        assert screen.setup.words == "a red circle, inkwash"
        assert "no trigger word" not in flat_text(app)
        await press(pilot, "y")
        assert copied == ["a red circle, inkwash <lora:ink:0.8>"]


# remarks --------------------------------------------------------------------------------------------------------------


async def test_remarks_come_with_a_fix_that_one_key_applies(open_app: OpenApp, loras: list[str]) -> None:
    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await set_up(pilot, loras[:1], "a (red circle")
        await press(pilot, "escape", "s")
        await answer(pilot, "1.4")
        assert "(F: " in text_of(app)
        assert len(screen.remarks) == 2
        await press(pilot, "i")
        assert "is above 0.9" in text_of(app)
        row = next(n for n, remark in enumerate(screen.remarks) if remark.code == "strength-high")
        await press(pilot, *["j"] * row, "enter")
        assert item_of(app).strength == 0.8
        await press(pilot, "F")
        assert not screen_of(app).remarks
        await press(pilot, "F")
        assert "no remark offers a fix" in notes_of(app)[-1]


async def test_slots_of_the_prompt_are_filled_by_a_setting(
    open_app: OpenApp, loras: list[str], started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await set_up(pilot, [], "a {subject}, ink")
        assert "{subject} has no value" in flat_text(app)
        await press(pilot, "escape", "D")
        assert not started
        screen.become(
            replace(screen.setup, settings=generate_settings.assign(screen.setup.settings, "slots", "subject=a cat"))
        )
        await settle(pilot)
        assert not screen.remarks
        await press(pilot, "D")
        assert (started[0].request["prompt"], started[0].request["slots"]) == ("a {subject}, ink", {"subject": "a cat"})


async def test_what_no_engine_could_draw_is_not_started(
    open_app: OpenApp, home: Path, tmp_path: Path, started: list[Job]
) -> None:
    with Registry(home) as registry:
        path = write_model(tmp_path / "wrong.safetensors", {key: (dtype, [4, 4]) for key, (dtype, _) in FITS.items()})
        model = library.version(registry, index_file(registry, path)).model_id
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await set_up(pilot, [model])
        assert "wrong base" in text_of(app)
        await press(pilot, "D")
        assert not started
        await press(pilot, "F")
        assert screen.setup.stack == ()


# drawing --------------------------------------------------------------------------------------------------------------


async def test_what_is_set_up_is_drawn_swept_and_paired(
    open_app: OpenApp, loras: list[str], started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await set_up(pilot, loras)
        await press(pilot, "D", "W", "C")
        draw, sweep, pair = started
        assert (draw.kind, draw.request["prompt"]) == ("generate", "a red circle <lora:ink:0.8> <lora:wash:0.8>")
        assert sweep.request["strengths"] == [0, 0.25, 0.5, 0.75, 1]
        assert (sweep.request["prompt"], len(sweep.request["version_ids"])) == ("a red circle <lora:wash:0.8>", 1)
        assert (pair.request["prompt"], len(pair.request["version_ids"])) == ("a red circle", 2)


async def test_axes_make_a_grid_and_a_large_one_is_asked_for(
    open_app: OpenApp, loras: list[str], started: list[Job]
) -> None:
    app = open_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await set_up(pilot, loras)
        await press(pilot, "M")
        assert "add an axis first (x)" in notes_of(app)[-1]
        await press(pilot, "x", "enter")
        await answer(pilot, "strength:nobody=0-1")
        assert "nobody is not in the prompt" in flat_text(app)
        await answer(pilot, "strength:ink=0-1 (+0.05)")
        await press(pilot, "x", "enter")
        await answer(pilot, "seed=1-20")
        assert "across strength:ink=0-1 (+0.05)" in flat_text(app)
        assert "Grid 420 cells" in flat_text(app)
        assert "420 cells" in flat_text(app)
        await press(pilot, "M")
        assert not started
        await press(pilot, "enter")
        assert 1 < len(screen.setup.axes[0].values.split(",")) < 21
        await press(pilot, "M")
        (job,) = started
        assert job.kind == "sweep"
        assert job.request["axes"] == list(map(str, screen.setup.axes))
        screen.query_one(AxisList).focus()
        await press(pilot, "d")
        assert len(screen.setup.axes) == 1


async def test_settings_are_chosen_or_written(open_app: OpenApp, loras: list[str], started: list[Job]) -> None:
    app = open_app()
    async with app.run_test(size=(120, 24)) as pilot:
        screen = await set_up(pilot, loras[:1])
        await press(pilot, "e")
        names = [name for name, _ in screen.setup.settings.lines]
        rows = screen.query_one(SettingsList)
        rows.cursor = names.index("mode")
        await press(pilot, "enter", "j", "enter")
        assert screen.setup.settings.mode == "fused"
        rows.cursor = names.index("hires")
        await press(pilot, "enter")
        await answer(pilot, "2 denoise=0.5")
        rows.cursor = names.index("size")
        await press(pilot, "enter")
        await answer(pilot, "big")
        assert "is not WIDTHxHEIGHT" in flat_text(app)
        await answer(pilot, "64x128")
        await press(pilot, "D")
        told = started[0].request
        assert (told["mode"], told["width"], told["height"]) == ("fused", 64, 128)
        assert (told["hires"]["denoise"], "cfg" in told) == (0.5, False)


def test_settings_are_checked_one_by_one(tmp_path: Path) -> None:
    settings = generate_settings.Settings()
    wrong = {
        "size": "big", "steps": "0", "sampler": "Magic", "strengths": "a-b", "seeds": "", "base": "/nowhere",
        "init": "/nowhere.png", "denoise": "2", "hires": "huge", "vae": "/nowhere", "cfg": "x", "clip_skip": "1.5",
        "mode": "fast", "slots": "a cat",
    }  # fmt: skip
    for name, text in wrong.items():
        with pytest.raises(HubError):
            generate_settings.assign(settings, name, text)
    assert generate_settings.assign(settings, "size", "512x768").size == "512x768"
    changed = generate_settings.assign(settings, "hires", "1024x1536 denoise=0.4 steps=9 lanczos")
    request = generate_settings.as_request(changed)
    assert generate_settings.as_request(generate_settings.of_request(request, settings)) == request


# actions ------------------------------------------------------------------------------------------------------------


async def test_every_action_of_the_pane_has_its_method_and_says_what_it_lacks(open_app: OpenApp) -> None:
    from tui.generate_actions import GENERATE_ACTIONS

    app = open_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        screen = screen_of(app)
        for action in GENERATE_ACTIONS:
            assert callable(getattr(screen, f"do_{action.name}"))
            if action.needs:
                assert screen.why_not(action.id)
