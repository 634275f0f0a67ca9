"""What the library screen sets in motion: copying, testing, publishing, moving, asking Civitai."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tui import formats, publish_subject
from tui.screens import handing, queueing
from tui.screens.library_trash import LibraryTrash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hubman.jobs.records import Job
    from registry.database import Registry
    from registry.journal import Entry
    from registry.moving import Watch
    from registry.organise import Line
    from tui.services.watch import Snapshot


class LibraryUse(LibraryTrash):
    """The screens and jobs that ``y Y T x M p o i m r D + u U R A`` begin."""

    moving: str = ""
    """How far the files are that are being moved; empty when none are."""
    _enriching: str = ""
    """The job that asks what Civitai knows, until its answer was told."""

    def lacks(self, need: str) -> str:
        if need == "opening":
            from tui.services import opening

            if self.detail is None:
                return "there is no model under the cursor"
            if not opening.targets(self.detail, self.version):
                return "no page of it is known, and no file of it lies here"
        return super().lacks(need)

    # into prompts -------------------------------------------------------------------------------------------------

    async def do_copy(self) -> None:
        await self._copy(with_words=False)

    async def do_copy_words(self) -> None:
        await self._copy(with_words=True)

    async def _copy(self, *, with_words: bool) -> None:
        if self.detail is None or self.version is None:
            return
        from registry import prompt_name, triggers

        version = self.version
        words = triggers.copied(version.trigger_words, version.trigger_groups) if with_words else []
        tag = formats.lora_tag(prompt_name.of(self.detail, version), version.strength)
        await self.copy_text(", ".join([*words, tag]))

    async def copy_text(self, text: str) -> None:
        await handing.copy_text(self, text)

    async def do_test(self) -> None:
        from tui.screens.generate import GenerateScreen

        chosen: list[tuple[str, str | None]]
        if self.order.marks:
            chosen = [(model, None) for model in self.targets()]
        elif self.detail is not None and self.version is not None:
            chosen = [(self.detail.id, self.version.id)]
        else:
            return
        await self.app.switch_mode("generate")
        if isinstance(self.app.screen, GenerateScreen):
            self.app.screen.take_versions(chosen, to_sweep=True)

    def do_combo(self) -> None:
        from tui import combo

        if self.detail is None or self.version is None:
            return
        reason = self.hub.combo.toggle(combo.part_of(self.detail, self.version))
        if reason:
            self.notify(reason, severity="warning", timeout=6, markup=False)
        else:
            words = self.hub.combo.words
            self.say(f"combo: {words}  (4 draws it)" if words else "the combo is empty")
        self.show_status()

    def do_merge(self) -> None:
        from tui.screens import library_merge

        library_merge.offer(self, self.targets() if self.order.marks else [])

    # looking ------------------------------------------------------------------------------------------------------

    def do_metadata(self) -> None:
        from tui.screens.metadata import MetadataScreen

        if self.detail is not None and self.version is not None and self.version.files:
            self.app.push_screen(MetadataScreen(self.version.files[0], self.detail.id))

    def do_open(self) -> None:
        from tui.services import opening
        from tui.widgets.dialogs import Choose

        targets = opening.targets(self.detail, self.version) if self.detail else []
        if len(targets) == 1:
            handing.open_target(self, targets[0][1])
            return

        def chosen(target: str | None) -> None:
            if target is not None:
                handing.open_target(self, target)

        self.app.push_screen(Choose("Open", [(target, label, target) for label, target in targets]), chosen)

    def do_duplicates(self) -> None:
        from tui.screens.duplicates import DuplicatesScreen

        self.app.push_screen(DuplicatesScreen(), lambda _: self.reload(facets=True))

    # moving and publishing ----------------------------------------------------------------------------------------

    def do_organise(self) -> None:
        from tui.screens.organise import OrganiseScreen

        self.app.push_screen(OrganiseScreen(self.targets(), self._move_files))

    def _move_files(self, lines: Sequence[Line]) -> None:
        """Files that go to another drive take their time: the line of status tells how far they are."""
        self.moving = "moving files …"
        timer = self.set_interval(0.5, self.show_status) if self.hub.polls else None

        def watch(done: int, total: int) -> None:
            self.moving = f"moving file {done + 1:,} of {total:,}"

        def ended() -> None:
            self.moving = ""
            if timer is not None:
                timer.stop()
            self.show_status()

        def moved(entry: Entry | None) -> None:
            ended()
            self.reload(facets=True)
            self.say(f"{entry.label}  (z undoes)" if entry else "nothing was moved")

        def failed(reason: str) -> None:
            ended()
            self.complain(reason)

        self.show_status()
        self.change(lambda registry: _carry_out(registry, lines, watch), moved, failed=failed)

    def do_rename(self) -> None:
        from tui.screens import library_rename

        if self.detail is not None and self.version is not None:
            library_rename.offer(self, self.detail, self.version, self._changed)

    def do_publish(self) -> None:
        """The model's version; of marked models, or of the collection under the facets' cursor, one model in versions."""
        collection = self.collection_at_cursor()
        models = self.targets() if self.order.marks else []
        if collection or models:
            self.in_thread(
                lambda registry: publish_subject.newest(registry, models, collection),
                lambda found: self._publish(found, collection.rpartition("/")[2]),
                group="subject",
            )
        elif self.version is not None:
            self._publish([self.version.id])

    def _publish(self, versions: Sequence[str], name: str = "") -> None:
        from tui.screens.publish import PublishScreen

        if versions:
            self.app.push_screen(PublishScreen(versions, name), lambda _: self.reload())
        else:
            self.complain("there is nothing in it to publish")

    # jobs ---------------------------------------------------------------------------------------------------------

    def collection_at_cursor(self) -> str:
        """The collection that the cursor of the facets is on, if the facets have the focus."""
        return ""

    def folder_at_cursor(self) -> str:
        """The folder that the cursor of the facets is on, if it is there."""
        return ""

    def do_rescan(self) -> None:
        folder = self.folder_at_cursor()
        if folder and not Path(folder).is_dir():
            self.complain(f"{folder} is not there now")
            return
        where = f" in {folder}" if folder else ""
        self.start_job("scan", f"look for new and changed files{where}", {"folders": [folder] if folder else []})

    def do_add_folder(self) -> None:
        from tui.screens import library_folders

        library_folders.offer(self)

    def do_pull(self) -> None:
        from tui.widgets.dialogs import Ask

        def done(text: str | None) -> None:
            if text:
                queueing.queue_pull(self, text.strip(), text.strip())

        hint = "A page's address, an AIR (urn:air:…), a version's number, or a hash."
        self.app.push_screen(Ask("pull from Civitai", hint=hint, check=_check_ref), done)

    def do_updates(self) -> None:
        models = self.targets()
        self._show_updates(models, f"ask for updates of {formats.count(len(models), 'model')}")

    def do_updates_all(self) -> None:
        self._show_updates([], "ask for updates of all models")

    def _show_updates(self, models: list[str], title: str) -> None:
        from tui.screens.updates import UpdatesScreen

        self.app.push_screen(UpdatesScreen(models, title), lambda _: self.reload(facets=True))

    def do_enrich(self) -> None:
        models = self.targets()

        def begun(job: Job) -> None:
            self._enriching = job.id

        title = f"ask what Civitai knows of {formats.count(len(models), 'model')}"
        self.start_job("enrich", title, {"models": models}, begun)

    def tell_enriched(self, snapshot: Snapshot) -> None:
        """Say what came of the question what Civitai knows, once."""
        view = snapshot.of(self._enriching) if self._enriching else None
        if view is None or not view.job.ended:
            return
        from tui import news

        self._enriching = ""
        if view.job.state == "done":
            self.say(news.enriched(view.job.result or {}))
        elif view.job.error:
            self.complain(view.job.error)


def _carry_out(registry: Registry, lines: Sequence[Line], watch: Watch) -> Entry | None:
    from registry import organise

    return organise.carry_out(registry, lines, watch)


def _check_ref(text: str) -> None:
    from hubman.civitai.refs import parse_ref

    parse_ref(text)
