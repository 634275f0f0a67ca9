"""Every rule that can be checked before the first byte goes out, and the material that passed."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hubman.civitai import contract, image_meta, journal
from hubman.civitai.client import Civitai
from hubman.civitai.errors import AccountError, ScopeError
from hubman.civitai.finding import Finding, PreflightError
from hubman.civitai.records import Me
from registry import library, pictures, previews
from registry.database import Registry
from registry.errors import DamagedFileError, NotFoundError
from registry.hashing import hash_file
from registry.headers import read_header
from registry.records import FileRow, ModelDetail, Preview, RunRow, VersionRow

if TYPE_CHECKING:
    from hubman.civitai.plan import PublishOptions

__all__ = ["Finding", "Material", "PreflightError", "check_account", "gather", "mime_type"]

_LARGEST_IMAGE = 50 << 20
_MAX_IMAGES = 20
"""Civitai's form takes so many pictures in a post."""


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What a publication is made from, as far as it was found."""

    model: ModelDetail
    version: VersionRow
    file: FileRow
    path: Path
    base_model: str
    category: str
    categories: tuple[str, ...]
    pictures: tuple[Preview, ...]
    picture_paths: dict[str, Path]
    run: RunRow | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "error"]


class _Notes:
    def __init__(self) -> None:
        self.found: list[Finding] = []

    def error(self, message: str, hint: str = "") -> None:
        self.found.append(Finding(level="error", message=message, hint=hint))

    def warn(self, message: str, hint: str = "") -> None:
        self.found.append(Finding(level="warning", message=message, hint=hint))


def check_account(client: Civitai) -> Me:
    """Whose key this is. Raises the error that explains why it can't publish, if it can't."""
    me = client.me()
    if me.status != "active":
        raise AccountError(f"the account {me.username} is {me.status}", "ask Civitai's support", status=403)
    if not me.may_publish:
        raise ScopeError("the API key may not publish", "make one with the Creator preset", status=403)
    return me


def gather(registry: Registry, client: Civitai, version_id: str, options: PublishOptions, *, account: str) -> Material:
    """Find and check everything for the user ``account``; what is wrong stands in ``findings``.

    Raises :class:`HubError` only when there is nothing to check: an unknown version, or no file on this machine.
    """
    notes = _Notes()
    version = library.version(registry, version_id)
    model = library.show(registry, version.model_id)
    file, path = _file(version)
    _check_file(file, path, notes)
    _check_model(model, file, options, notes)
    is_own = model.creator == account or journal.begun(registry, version_id, client.site)
    if model.origin == "civitai" and not is_own:
        whose = f"it is {model.creator or 'someone else'}'s, not yours to publish"
        notes.error(f"{model.name} was pulled from Civitai", whose)
    _check_version(version, options, notes)
    names = tuple(tag.name.lower() for tag in client.categories())
    shown, paths = _pictures(registry, version, options, notes)
    material = Material(
        model=model,
        version=version,
        file=file,
        path=path,
        base_model=_base_model(version, client, options, notes),
        category=_category(model, names, options, notes),
        categories=names,
        pictures=shown,
        picture_paths=paths,
        run=library.run_of(registry, version_id),
        findings=(),
    )
    _check_meta(material, notes)
    return msgspec.structs.replace(material, findings=tuple(notes.found))


def _file(version: VersionRow) -> tuple[FileRow, Path]:
    for file in version.files:
        for place in file.places:
            if place.state == "present" and Path(place.path).is_file():
                return file, Path(place.path)
    name = version.files[0].name if version.files else version.id
    raise NotFoundError(f"{name} is not on this machine", "sync it here, or plug in the drive that it is on")


def _check_file(file: FileRow, path: Path, notes: _Notes) -> None:
    if path.suffix.lower() not in {".safetensors", ".sft"}:
        notes.error(f"{path.name} is not a safetensors file", "convert it first: hubman convert")
        return
    try:
        read_header(path)
    except DamagedFileError as error:
        notes.error(error.message, error.hint)
    if hash_file(path).sha256 != file.sha256:
        notes.error(f"{path.name} has changed since it was indexed", "run hubman scan first")


def _check_model(model: ModelDetail, file: FileRow, options: PublishOptions, notes: _Notes) -> None:
    if model.kind != "lora":
        notes.error(f"{model.name} is a {model.kind}; only LoRAs can be published", "publish it in a browser")
    if not (options.name or model.name).strip():
        notes.error("the model has no name", "give one with --name")
    if file.damage:
        notes.error(f"{file.name} is damaged ({file.damage})", "export it again")
    rules = (
        (options.nsfw and options.poi, "mature content must not depict a real person"),
        (options.nsfw and options.minor, "mature content must not depict a minor"),
        (options.nsfw and options.sfw_only, "a model can't be both mature and safe for work only"),
    )
    for broken, message in rules:
        if broken:
            notes.error(message, "Civitai refuses it")


def _check_version(version: VersionRow, options: PublishOptions, notes: _Notes) -> None:
    if not version.trigger_words and not options.no_trigger_words:
        notes.error("no trigger words are set", "set trigger_words with hubman edit, or say that it needs none")
    low, high, best = version.strength_min, version.strength_max, version.strength
    if low is not None and high is not None and low >= high:
        notes.error(
            f"the smallest strength {low:g} is not below the largest {high:g}", "correct strength_min or strength_max"
        )
    elif best is not None and ((low is not None and best < low) or (high is not None and best > high)):
        notes.error(
            f"the strength {best:g} lies outside of its own range", "correct strength, strength_min or strength_max"
        )
    if best is None:
        notes.warn("no strength is recommended", "a sweep finds one")


def _base_model(version: VersionRow, client: Civitai, options: PublishOptions, notes: _Notes) -> str:
    name = options.base_model or version.base_model or ""
    active = client.enums().active_base_models
    if not name:
        notes.error("the base model is unknown", "name it with --base-model")
    elif name in contract.enum_values("DeprecatedBaseModel"):
        notes.error(f"Civitai takes no new models for {name}", "its licence forbids it")
    elif name not in active:
        near = difflib.get_close_matches(name, active, n=3, cutoff=0.4)
        notes.error(
            f"Civitai knows no base model {name!r}",
            f"did you mean {' or '.join(near)}?" if near else "see --base-model",
        )
    elif options.nsfw and name in contract.enum_values("NsfwRestrictedBaseModel"):
        notes.error(f"the licence of {name} forbids mature models", "publish it without --nsfw, if that is true")
    return name


def _category(model: ModelDetail, names: tuple[str, ...], options: PublishOptions, notes: _Notes) -> str:
    wanted = [options.category.strip().lower()] if options.category.strip() else [t for t in model.tags if t in names]
    if len(wanted) == 1 and wanted[0] in names:
        return wanted[0]
    offered = f"choose one with --category: {', '.join(names)}"
    if not wanted:
        notes.error("no category is set", offered)
    elif len(wanted) > 1:
        notes.error(f"the tags {', '.join(wanted)} are all categories, and a model has one", offered)
    else:
        notes.error(f"Civitai has no category {wanted[0]}", offered)
    return ""


def _pictures(
    registry: Registry, version: VersionRow, options: PublishOptions, notes: _Notes
) -> tuple[tuple[Preview, ...], dict[str, Path]]:
    """The previews to show, and where each lies. Other people's pictures from Civitai are never shown as one's own."""
    own = {preview.sha256: preview for preview in version.previews if preview.source != "civitai"}
    wanted = [own[sha256] for sha256 in options.pictures if sha256 in own] if options.pictures else list(own.values())
    shown, paths = [], {}
    for preview in wanted:
        try:
            path = previews.blob_path(registry, preview.sha256)
        except NotFoundError:
            notes.warn(f"{preview.name} is not on this machine and is left out", "hubman sync brings it here")
            continue
        if pictures.is_video(Path(preview.name)) or mime_type(path) is None:
            notes.warn(f"{preview.name} is no picture that Civitai takes and is left out", "use PNG, JPEG or WebP")
        elif path.stat().st_size > _LARGEST_IMAGE:
            notes.warn(f"{preview.name} is larger than 50 MiB and is left out", "shrink it")
        else:
            shown.append(preview)
            paths[preview.sha256] = path
    if len(shown) > _MAX_IMAGES:
        notes.warn(f"only the first {_MAX_IMAGES} of {len(shown)} pictures are shown", "choose which with pictures")
    if not shown:
        notes.error(
            "there is no picture to show", "Civitai takes models without one down: generate some, or add a preview"
        )
    return tuple(shown[:_MAX_IMAGES]), paths


def _check_meta(material: Material, notes: _Notes) -> None:
    composed = [
        image_meta.compose(preview.generation, image_meta.own_of(material), path=material.picture_paths[preview.sha256])
        for preview in material.pictures
    ]
    if material.pictures and not any(item.meta for item in composed):
        notes.error("no picture says how it was made", "show at least one that was generated with the model")


def mime_type(path: Path) -> str | None:
    """The media type of a blob by its first bytes, if it is one that Civitai takes: blobs have no suffix."""
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None
