"""What is about to be published, where it goes, and what stands in its way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from hubman.civitai.finding import Finding
    from hubman.civitai.form import FormPicture, PublishForm
    from registry.database import Registry

Where = Literal["civitai", "sandbox", "hf"]
PLACES: Mapping[Where, str] = {
    "civitai": "Civitai",
    "sandbox": "the local sandbox, a rehearsal",
    "hf": "the Hugging Face Hub",
}


@dataclass(frozen=True)
class Target:
    """Where it goes. A ``draft`` is seen by its owner only; ``repo`` is the Hub's, empty for one made from the name."""

    where: Where = "civitai"
    draft: bool = False
    repo: str = ""

    @property
    def site(self) -> str | None:
        """As :func:`hubman.civitai.session.connect` takes it."""
        return "sandbox" if self.where == "sandbox" else None


@dataclass(frozen=True)
class Draft:
    """What is about to be published, as far as it is known: the form, the checks of it, and what was accepted."""

    form: PublishForm
    target: Target = Target()
    accepted: frozenset[str] = frozenset()
    """The marks of warnings: of any other with the same code a person is asked again."""
    findings: tuple[Finding, ...] = ()
    is_checked: bool = False
    """Whether the findings are of the form as it is now; until then those of the fields that did not change are shown."""
    problem: str = ""
    """Why the checks could not be made."""

    @property
    def told(self) -> tuple[Finding, ...]:
        """The findings with what was accepted, those that stand in the way first."""
        from hubman.civitai import finding

        told = finding.accepted(self.findings, self.accepted)
        return tuple(sorted(told, key=lambda one: (not one.is_blocking, one.level != "error")))

    @property
    def blocking(self) -> int:
        return sum(1 for one in self.told if one.is_blocking)

    @property
    def is_ready(self) -> bool:
        return self.is_checked and not self.problem and not self.blocking

    def changed(self, assignments: Mapping[str, str]) -> Draft:
        """With fields as they were typed. Raises ``UsageError``."""
        from hubman.civitai import form_edit

        fields = {name.rpartition(".")[2] for name in assignments}
        left = tuple(one for one in self.findings if one.field not in fields)
        form = form_edit.changed(self.form, assignments)
        return replace(self, form=form, findings=left, is_checked=False, problem="")

    def going_to(self, target: Target) -> Draft:
        return replace(self, target=target, is_checked=False, problem="")

    def accepting(self, found: Sequence[Finding]) -> Draft:
        return replace(self, accepted=self.accepted | {one.mark for one in found})

    def taking_back(self, found: Sequence[Finding]) -> Draft:
        """With warnings that were accepted, now or before, to be accepted again."""
        import msgspec

        marks = {one.mark for one in found}
        left = [msgspec.structs.replace(one, accepted=False) if one.mark in marks else one for one in self.findings]
        return replace(self, accepted=self.accepted - marks, findings=tuple(left))

    def with_level(self, sha256: str, level: int) -> Draft:
        """With a picture's level as a person has just said it to the library."""
        return replace(
            self, form=_with_pictures(self.form, lambda one: _levelled(one, sha256, level)), is_checked=False
        )

    def with_new_pictures(self, fresh: PublishForm) -> Draft:
        """With what the library has got since: new pictures are offered, and shown where nobody chose any."""
        import msgspec

        parts = []
        for part, now in zip(self.form.parts, fresh.parts, strict=True):
            chosen = part.pictures if part.sources.get("pictures") == "you" else now.pictures
            parts.append(msgspec.structs.replace(part, offered=now.offered, pictures=chosen))
        return replace(self, form=msgspec.structs.replace(self.form, parts=tuple(parts)), is_checked=False)


def _with_pictures(form: PublishForm, change: Callable[[FormPicture], FormPicture]) -> PublishForm:
    import msgspec

    parts = [
        msgspec.structs.replace(
            part, pictures=tuple(map(change, part.pictures)), offered=tuple(map(change, part.offered))
        )
        for part in form.parts
    ]
    return msgspec.structs.replace(form, parts=tuple(parts))


def _levelled(picture: FormPicture, sha256: str, level: int) -> FormPicture:
    import msgspec

    return msgspec.structs.replace(picture, nsfw_level=level) if picture.sha256 == sha256 else picture


def place(target: Target) -> str:
    """Where it goes, as a person reads it: a site of another address than Civitai's own by that."""
    if target.where != "civitai":
        return PLACES[target.where]
    from tui.civitai_search import site_name

    return site_name(None)


def read(registry: Registry, version_ids: Sequence[str], name: str) -> PublishForm:
    """The form as far as it can be filled in; for a thread. Raises ``HubError``."""
    import importlib

    from hubman.civitai import contract, form_fill

    # Some megabytes of JSON, and what asks for fields: loaded here, so that no key press waits for them.
    contract.base_models()
    for module in ("widgets.picking", "screens.publish_edit", "screens.publish_pictures", "screens.publish_text"):
        importlib.import_module(f"tui.{module}")
    return form_fill.filled(registry, version_ids, name=name)


def site_of(registry: Registry, target: Target) -> str:
    """The address of the site: what the journal knows publications by. Raises ``HubError``."""
    if target.where == "hf":
        from hubman.huggingface import auth

        return auth.endpoint()
    from hubman.civitai import auth as civitai_auth
    from hubman.civitai import session
    from registry.errors import HubError

    if target.where == "civitai":
        return civitai_auth.site_url()
    running = session.read_running(session.sandbox_folder(registry.home))
    if running is None:
        raise HubError("no sandbox is running", "start one in another terminal with: hubman sandbox")
    return running.url


def accept(registry: Registry, draft: Draft, found: Sequence[Finding], *, taken_back: bool) -> None:
    """Keep for the next time that warnings were accepted, or are not any more; for a thread. Raises ``HubError``."""
    from hubman.civitai import acceptances

    keep = acceptances.take_back if taken_back else acceptances.remember
    keep(registry, site_of(registry, draft.target), draft.form.version_ids, found)


def request(draft: Draft, *, edit: bool = False) -> dict[str, Any]:
    """The ``publish`` job's request: everything that a person has seen and agreed to. ``edit`` changes a page that is out."""
    import msgspec

    return {
        "form": msgspec.to_builtins(draft.form),
        "accept": sorted(draft.accepted),
        "to": "hf" if draft.target.where == "hf" else "civitai",
        "site": draft.target.site,
        "repo": draft.target.repo,
        "draft": draft.target.draft,
        "edit": edit,
    }
