"""The beginning of mode 3: a folder, a base, what to teach; one key starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import on

from hubman import bases
from tui import formats
from tui.folders import expand
from tui.screens.train_recipe import TrainRecipe
from tui.widgets.rows import RowList
from tui.widgets.start_list import StartLine, StartList

if TYPE_CHECKING:
    from hubman.known_bases import KnownBase
    from hubman.train.recent import Recent
    from hubman.train.recipe import Kind
    from registry.database import Registry

BASES = (".safetensors", ".sft")
_SHOWN = 5
"""Suggestions of each part that stand in the list; the others are offered where a path is asked."""
WELCOME = "Choose the images, a base and what to teach; s starts."


class TrainStart(TrainRecipe):
    """The three choices are lines with what is known to choose from; what is chosen is remembered for the next time."""

    _recent: Recent | None = None
    _bases: Sequence[KnownBase] = ()

    def read_choices(self) -> None:
        """Read what was used before and which bases are known."""
        self.in_thread(_known, self._take_known, group="known")

    def _take_known(self, found: tuple[Recent, Sequence[KnownBase]]) -> None:
        first = self._recent is None
        self._recent, self._bases = found
        if first and self.draft is None:
            self.kind = cast("Kind", self._recent.kind or self.kind)
            self.base = self.base or (self._bases[0].ref if self._recent.bases else bases.EMBEDDED)
        self.show_choices()

    def show_choices(self) -> None:
        rows = self.query_one(StartList)
        lines = [*self._folders(), *self._known_bases(), *self._kinds()]
        first = next((number for number, line in enumerate(lines) if line.part), 0)
        rows.set_items(lines, cursor=rows.cursor if rows.cursor else first)
        self._tell_plan()
        self.refresh_actions()

    def _folders(self) -> list[StartLine]:
        chosen = str(self.sheet.dataset.folder) if self.sheet else ""
        known = self._recent.datasets if self._recent else ()
        shown = list(dict.fromkeys((*([chosen] if chosen and chosen not in known[:_SHOWN] else []), *known)))[:_SHOWN]
        lines = [StartLine("1  Images")]
        for folder in shown:
            is_chosen = folder == chosen
            remark = self.sheet.headline if is_chosen and self.sheet else str(Path(folder).parent)
            lines.append(StartLine(Path(folder).name, remark, "dataset", folder, is_chosen))
        return [
            *lines,
            StartLine("another folder …" if shown else "choose a folder …", "o asks for its path", "dataset"),
            StartLine(""),
        ]

    def _known_bases(self) -> list[StartLine]:
        lines = [StartLine("2  Base")]
        refs = [base.ref for base in self._bases]
        shown = list(self._bases[:_SHOWN])
        if self.base in refs[_SHOWN:]:
            shown[-1] = self._bases[refs.index(self.base)]
        lines += [StartLine(base.name, base.what, "base", base.ref, base.ref == self.base) for base in shown]
        if self.base and self.base not in refs:
            lines.append(StartLine(Path(self.base).name, str(Path(self.base).parent), "base", self.base, True))
        return [*lines, StartLine("another base …", "b asks for its path", "base"), StartLine("")]

    def _kinds(self) -> list[StartLine]:
        from tui.recipes import KINDS

        return [
            StartLine("3  Teach a"),
            *(StartLine(kind, what, "kind", kind, kind == self.kind) for kind, what in KINDS.items()),
        ]

    def _tell_plan(self) -> None:
        """What a start would do, and what speaks against it."""
        text = self.said or WELCOME
        if self.sheet is not None and self.draft is not None:
            recipe = self.draft.recipe
            text = (
                f"{formats.count(len(self.sheet.dataset.usable), 'image')}, {recipe.length.steps:,} steps in "
                f"{recipe.length.epochs} epochs, rank {recipe.network.rank}, "
                f"learning rate {recipe.optimizer.unet_lr:g}\n{self._ready()}"
            )
        self.put("#start-said", text, grows=True)

    def _ready(self) -> str:
        errors = [each for each in self.sheet.findings if each.severity == "error"] if self.sheet else []
        if errors:
            return f"{errors[0].image or 'the set'}: {errors[0].sentence}; i shows the images"
        return f"{self.forecast or 'F tells memory and time'}; s starts; i shows images and recipe"

    # choosing -----------------------------------------------------------------------------------------------------

    @on(RowList.Chosen, "#choices")
    def choose_line(self) -> None:
        """Take the choice under the cursor."""
        line = self.query_one(StartList).current
        if line is None or line.part is None:
            return
        if line.part == "dataset":
            self.open_dataset(Path(line.value)) if line.value else self.do_dataset()
        elif line.part == "base":
            self.take_base(line.value) if line.value else self._ask_base()
        else:
            self.take_kind(cast("Kind", line.value))

    def take_base(self, ref: str) -> None:
        """Train on a base; a recipe that is there is made anew for it, what was edited stays."""
        if self.draft is not None:
            self.assign("base", ref)
        else:
            self.in_thread(lambda _: _checked(ref), self._take_base, group="base")

    def _take_base(self, ref: str) -> None:
        self.base = ref
        self.show_choices()
        # A folder whose recipe failed for its base gets one now.
        self.read_again()

    def take_kind(self, kind: Kind) -> None:
        """Teach something else; what was edited of the recipe stays."""
        self.kind = kind
        if self.draft is not None:
            self.assign("kind", kind)
        else:
            self.show_choices()

    def do_base(self) -> None:
        self._ask_base()

    def _ask_base(self) -> None:
        from tui.screens.pick_path import PickPath

        known = [(base.ref, base.name, base.what) for base in self._bases]

        def done(ref: str | None) -> None:
            if ref:
                self.take_base(ref if ref == bases.EMBEDDED else str(expand(ref)))

        hint = "A checkpoint (.safetensors) or a diffusers folder; what it is, is found in its file."
        self.app.push_screen(PickPath("base", "", known, hint=hint, suffixes=BASES), done)

    def do_kind(self) -> None:
        from tui.recipes import KINDS
        from tui.widgets.dialogs import Choose

        options = [(kind, kind, what) for kind, what in KINDS.items()]
        self.app.push_screen(
            Choose("teach a", options, at=self.kind),
            lambda kind: self.take_kind(cast("Kind", kind)) if kind is not None else None,
        )


def _known(registry: Registry) -> tuple[Recent, Sequence[KnownBase]]:
    from hubman import known_bases
    from hubman.train.recent import recent

    found = recent(registry.home)
    return found, known_bases.known(registry, found.bases)


def _checked(ref: str) -> str:
    bases.find(ref)
    return ref
