"""How each field of the publish form is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui import publish_rows
from tui.publishing import Draft, Target

if TYPE_CHECKING:
    from registry.database import Registry
    from tui.screens.publish import PublishScreen
    from tui.widgets.picking import PickWords

Assign = Callable[[str, str], None]


def ask(screen: PublishScreen, draft: Draft, name: str, assign: Assign, levelled: Callable[[str, int], None]) -> None:
    """Ask for a field over ``screen``; ``assign`` hears what was answered, as text."""
    from hubman.civitai import form_edit
    from hubman.civitai.form_fields import FIELDS
    from tui.screens.publish_pictures import open_pictures
    from tui.screens.publish_text import PublishTextScreen
    from tui.widgets.dialogs import Ask
    from tui.widgets.picking import PickOne

    plain = name.rpartition(".")[2]
    title, text, hint = publish_rows.label_of(plain), form_edit.text_of(draft.form, name), FIELDS[plain].help

    def answered(value: str | None) -> None:
        if value is not None and value != text:
            assign(name, value)

    if plain == "pictures":
        number = int(name.partition(".")[0]) if "." in name else 1
        part = draft.form.parts[number - 1]
        open_pictures(screen, part, lambda chosen: assign(name, ", ".join(chosen)), levelled)
    elif options := publish_rows.choices(draft, name):
        screen.app.push_screen(PickOne(title, options, at=text, hint=hint), answered)
    elif FIELDS[plain].kind == "long":
        screen.app.push_screen(PublishTextScreen(title, text), answered)
    elif FIELDS[plain].kind == "words":
        _ask_words(screen, draft, name, title, text, hint, answered)
    else:
        screen.app.push_screen(Ask(title, text, hint=hint, check=lambda typed: draft.changed({name: typed})), answered)


def _ask_words(
    screen: PublishScreen,
    draft: Draft,
    name: str,
    title: str,
    text: str,
    hint: str,
    answered: Callable[[str | None], None],
) -> None:
    from hubman.civitai.form_fields import FIELDS
    from tui.widgets.picking import PickWords

    plain = name.rpartition(".")[2]
    known = FIELDS[plain].choices()
    dialog = PickWords(title, text, known, hint=hint, check=lambda typed: draft.changed({name: typed}))
    screen.app.push_screen(dialog, answered)
    if plain == "tags":
        _suggest_tags(screen, draft, dialog)


def _suggest_tags(screen: PublishScreen, draft: Draft, dialog: PickWords) -> None:
    """The library's own tags, then those of Civitai that go with the model's words; late is as good as never."""
    form, target = draft.form, draft.target

    def own(registry: Registry) -> list[str]:
        from registry import facets

        return [value for value, _ in facets.facets(registry)["tag"]]

    def of_site(registry: Registry) -> tuple[str, ...]:
        from hubman.civitai import categories
        from hubman.civitai.session import connect

        words = [*form.tags, form.category, *form.name.split(), *form.parts[0].trained_words]
        with connect(registry.home, target.site) as client:
            return categories.suggested(client, words, form.tags)

    screen.in_thread(own, dialog.suggest, group="own tags", failed=lambda _: None)
    if target.where != "hf":
        screen.in_thread(of_site, dialog.suggest, group="site tags", failed=lambda _: None)


def ask_repo(screen: PublishScreen, target: Target, done: Callable[[str], None]) -> None:
    from tui.widgets.dialogs import Ask

    def check(text: str) -> None:
        from hubman.huggingface import names

        if text.strip():
            names.chosen(text)

    def answered(text: str | None) -> None:
        if text is not None:
            done(text.strip())

    hint = "NAME or OWNER/NAME. Empty makes one from the model's name."
    screen.app.push_screen(Ask("repository", target.repo, hint=hint, check=check), answered)


def draw_examples(screen: PublishScreen, draft: Draft, version_id: str, begun: Callable[[str], None]) -> None:
    """Start drawing pictures of a version; ``begun`` hears of the job. Where that can't be, Generate is the place."""
    part = next((part for part in draft.form.parts if part.version_id == version_id), draft.form.parts[-1])

    def work(registry: Registry) -> str:
        from hubman.civitai import showcase

        return showcase.start(registry, part).id

    screen.change(work, begun)
