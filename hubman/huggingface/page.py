"""A page on the Hub, whole: what lies in its repository, decided before the first byte goes out."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePath

import msgspec

from hubman.civitai import checks_pictures, image_clean, image_meta
from hubman.civitai.form import FormPicture, PublishForm, VersionPart
from hubman.huggingface import card, names
from hubman.huggingface.client import Upload

README = "README.md"
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """``uploads`` are the weights, then the pictures, then README.md; ``files`` the weights' names by version."""

    repo: str
    uploads: tuple[Upload, ...]
    files: dict[str, str]
    readme: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all names and contents: equal pages have equal ones."""
        told = "\n".join(f"{upload.sha256} {upload.name}" for upload in self.uploads)
        return hashlib.sha256(told.encode()).hexdigest()


def compose(form: PublishForm, repo: str) -> Page:
    """What ``repo`` (OWNER/NAME) is to hold of a form."""
    files = _file_names(form)
    weights = [
        Upload(name=files[part.version_id], path=part.file.path, sha256=part.file.sha256, size=part.file.size)
        for part in form.parts
    ]
    # The newest version's pictures come first in the gallery.
    shown = [(part, picture) for part in reversed(form.parts) for picture in checks_pictures.usable(part)]
    pictures = [_picture(part, picture, number) for number, (part, picture) in enumerate(shown, 1)]
    gallery = [card.Shown(name=sent.name, picture=known) for sent, (_, known) in zip(pictures, shown, strict=True)]
    text = card.compose(form, files, gallery, repo=repo)
    readme = _of_bytes(README, text.encode())
    return Page(repo=repo, uploads=(*weights, *pictures, readme), files=files, readme=text)


def repository(form: PublishForm, owner: str, chosen: str) -> str:
    """OWNER/NAME: what a person chose, else made from the model's name. Raises :class:`UsageError`."""
    if chosen.strip():
        of, name = names.chosen(chosen)
        return f"{of or owner}/{name}"
    return f"{owner}/{names.repository(form.name, f'lora-{form.parts[0].file.sha256[:8]}')}"


def _file_names(form: PublishForm) -> dict[str, str]:
    """A name for each version's file; where two are called the same, with the version's name in front."""
    plain = {part.version_id: names.file(part.file.name) for part in form.parts}
    taken = [name.lower() for name in plain.values()]
    found = {}
    for number, part in enumerate(form.parts, 1):
        name = plain[part.version_id]
        if taken.count(name.lower()) > 1:
            name = f"{names.repository(part.name, 'version')}-{number}-{name}"
        found[part.version_id] = name
    return found


def _picture(part: VersionPart, picture: FormPicture, number: int) -> Upload:
    """With nothing in it but how it was drawn."""
    path = Path(picture.path)
    meta = image_meta.compose(picture.generation, image_meta.own(part), path=path).meta
    content = image_clean.cleaned(path.read_bytes(), image_meta.infotext(meta) if meta else "")
    suffix = _SUFFIXES.get(image_clean.mime_type(content) or "", PurePath(picture.name).suffix)
    return _of_bytes(f"images/{number:02}-{picture.sha256[:8]}{suffix}", content)


def _of_bytes(name: str, content: bytes) -> Upload:
    return Upload(name=name, content=content, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
