"""The file that is sent: whole, unchanged, fit for use, and telling nothing of its owner."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from hubman.civitai import reveal
from hubman.civitai.finding import Finding, error, warning
from hubman.civitai.form import PublishForm, VersionPart
from hubman.civitai.journal import fingerprint
from registry.errors import DamagedFileError
from registry.headers import read_header
from registry.soundness import Soundness, examine

_STRIP = "send a copy without it: --strip; its weights and AutoV3 stay the same, and your file stays as it is"


def of_part(form: PublishForm, part: VersionPart) -> Iterator[Finding]:
    """Read the whole file and its header; what was read of a file that has not changed since is not read again."""
    path = Path(part.file.path)
    if path.suffix.lower() not in {".safetensors", ".sft"}:
        yield error(
            "file-format", f"{path.name} is not a safetensors file", "convert it to safetensors first", part=part
        )
        return
    try:
        state = path.stat()
        found = _examined(str(path), state.st_size, state.st_mtime_ns)
    except OSError as problem:
        yield error("file-missing", f"{path.name} can't be read ({problem.strerror})", "sync it here, or plug in its drive",
                    part=part)  # fmt: skip
        return
    if found.damage:
        yield error(
            "file-damaged", f"{path.name} is damaged: it {found.damage}", "download or export it again", part=part
        )
        return
    if found.weights:
        yield error("file-weights", f"{path.name} {found.weights}", "train or export it again", part=part)
    if found.sha256 != part.file.sha256:
        yield error("file-changed", f"{path.name} has changed since it was indexed", "run hubman scan first", part=part)
        return
    yield from _header(form, part, path)


@functools.lru_cache(maxsize=64)
def _examined(path: str, size: int, mtime_ns: int) -> Soundness:
    found = examine(Path(path), is_safetensors=True)
    now = Path(path).stat()
    if (now.st_size, now.st_mtime_ns) != (size, mtime_ns):
        raise OSError(0, "it is being written to")
    return found


def _header(form: PublishForm, part: VersionPart, path: Path) -> Iterator[Finding]:
    try:
        metadata = read_header(path).metadata
    except (OSError, DamagedFileError) as problem:
        yield error("file-damaged", str(problem), "download or export it again", part=part)
        return
    stated = metadata.get("sshs_model_hash", "")
    if stated and part.file.autov3 and stated.lower() != part.file.autov3 and not form.strip:
        yield warning(
            "header-hash",
            f"{path.name} names a hash that is not its own",
            _STRIP,
            field="strip",
            part=part,
            fact=stated,
        )
    if form.strip:
        return
    found = reveal.of(metadata, public=prompts(part))
    for kinds, code, is_harmless in (
        ({"secret"}, "header-secret", False),
        ({"path", "user", "e-mail"}, "header-private", False),
        ({"prompt"}, "header-prompt", True),
    ):
        some = [one for one in found if one.kind in kinds]
        if some:
            told = ", ".join(dict.fromkeys(f"{reveal.KINDS[one.kind]} ({one.name}: {one.shown})" for one in some[:3]))
            more = f" and {len(some) - 3} more" if len(some) > 3 else ""
            yield warning(code, f"the header of {path.name} tells {told}{more}", _STRIP, field="strip", part=part,
                          is_harmless=is_harmless, fact=fingerprint([[one.name, one.shown] for one in some]))  # fmt: skip


def prompts(part: VersionPart) -> frozenset[str]:
    """The prompts that the pictures show anyway."""
    told = (picture.generation.get("prompt") for picture in part.offered)
    return frozenset(prompt.strip() for prompt in told if isinstance(prompt, str))
