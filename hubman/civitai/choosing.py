"""The right file of a version: by what was asked for, else by preference; a question only where nothing tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from hubman.civitai.errors import GoneError, MissingError
from hubman.civitai.records import RemoteFile, RemoteVersion
from hubman.civitai.refs import Ref
from registry.errors import HubError, UsageError

_MAIN = (
    frozenset({"Model", "Pruned Model"}),
    frozenset({"Diffusion Model", "UNet"}),
)
"""Types that are the model itself; the first of these sets of which a version has any counts."""
_BESIDE = frozenset({"Training Data", "Config", "Workflow", "Archive"})
_FORMATS = ("PickleTensor", "Other", "ONNX", "Core ML", "Diffusers", "GGUF", "SafeTensor")
"""From the least to the most welcome."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which file a person wants, and what becomes of it. Empty texts ask for nothing.

    ``file`` is a file's number, its name, or a pattern such as ``*high*``. ``all_files`` takes every file that is a
    model. ``path`` is a template of its path, ``unpack`` opens archives of models, ``rate`` limits bytes a second.
    """

    format: str = ""
    size: str = ""
    fp: str = ""
    quant: str = ""
    type: str = ""
    file: str = ""
    all_files: bool = False
    path: str = ""
    unpack: bool = False
    rate: int = 0


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken where several files serve. The defaults are those of the site for an account without its own."""

    format: str = "SafeTensor"
    size: str = "pruned"
    fp: str = "fp16"
    quant: str = "Q4_K_M"


class AmbiguousError(UsageError):
    """Several files serve and nothing tells them apart; a person has to say which of ``files``."""

    def __init__(self, version: RemoteVersion, files: Sequence[RemoteFile]) -> None:
        listed = ", ".join(f"{file.id} {file.name}" for file in files)
        super().__init__(
            f"version {version.id} ({version.name}) has {len(files)} files that serve: {listed}",
            f"--file {files[0].id}, or +{files[0].id} behind its AIR, takes one of them, --all-files takes all",
        )
        self.files = tuple(files)


def with_ref(choice: Choice, ref: Ref) -> Choice:
    """``choice`` where it says something, else what the reference itself says: a file's number, or what it is like."""
    if ref.file_id and not choice.file:
        # As on the site, the number wins over the rest.
        return msgspec.structs.replace(choice, file=str(ref.file_id))
    return msgspec.structs.replace(
        choice, format=choice.format or ref.format, size=choice.size or ref.size, fp=choice.fp or ref.fp,
        quant=choice.quant or ref.quant, type=choice.type or ref.type,
    )  # fmt: skip


def choose(version: RemoteVersion, choice: Choice, prefer: Preference) -> tuple[RemoteFile, ...]:
    """The files to pull, the best first; those that the version marks as required come along, of any type.

    Where ``choice`` names a file nothing else comes along, and where it names a type only files of that type.

    Raises :class:`AmbiguousError`, :class:`GoneError` or :class:`MissingError` for a version without files, and
    :class:`HubError` where none fits or Civitai's scan calls it dangerous.
    """
    if not version.files:
        raise _without_files(version)
    candidates = _candidates(version, choice)
    found = [file for file in candidates if _fits(file, choice)]
    if not found:
        listed = ", ".join(f"{file.id} {file.name} ({_described(file)})" for file in version.files)
        raise UsageError(f"version {version.id} has no such file", f"it has {listed}")
    sound = [file for file in found if not is_dangerous(file)]
    if not sound:
        raise HubError(f"Civitai's scan calls {found[0].name} dangerous", "choose another file or version")
    chosen = sound if choice.all_files or len(sound) == 1 else [_best(version, sound, prefer)]
    if choice.file:
        return tuple(chosen)
    # A variant that was not asked for does not become so by being required; a text encoder or a VAE does.
    kinds = {file.type for file in candidates}
    others = (
        [] if choice.type else [file for file in version.files if file.type not in kinds and not is_dangerous(file)]
    )
    required = [file for file in (*sound, *others) if file.metadata.is_required and file not in chosen]
    return (*chosen, *required)


def is_dangerous(file: RemoteFile) -> bool:
    return "Danger" in {file.virus_scan_result, file.pickle_scan_result}


def _without_files(version: RemoteVersion) -> HubError:
    name = version.model.name or version.name
    if version.model.mode == "Archived":
        return GoneError(f"{name} was archived by its creator", "what is archived can't be downloaded")
    if version.model.mode == "TakenDown":
        return GoneError(f"{name} was taken down by Civitai", "its page tells why")
    return MissingError(f"{name} has no file to download", "its creator may have removed it")


def _candidates(version: RemoteVersion, choice: Choice) -> Sequence[RemoteFile]:
    if choice.file:
        return _named(version.files, choice.file)
    if choice.type:
        return [file for file in version.files if file.type.lower() == choice.type.lower()]
    for types in _MAIN:
        if found := [file for file in version.files if file.type in types]:
            return found
    others = [file for file in version.files if file.type not in _BESIDE]
    # What is a VAE or an upscaler has no file of the type Model: its primary one is meant.
    return [file for file in others if file.primary] or others or version.files


def _named(files: Sequence[RemoteFile], wanted: str) -> Sequence[RemoteFile]:
    exact = [file for file in files if wanted in {str(file.id), file.name}]
    return exact or [file for file in files if fnmatchcase(file.name.lower(), wanted.lower())]


def _facts(file: RemoteFile) -> tuple[str, str, str, str]:
    told = file.metadata
    return told.format.lower(), told.size.lower(), told.fp.lower(), told.quant_type.lower()


def _fits(file: RemoteFile, choice: Choice) -> bool:
    asked = (choice.format, choice.size, choice.fp, choice.quant)
    return all(not want or want.lower() == has for want, has in zip(asked, _facts(file), strict=True))


def _best(version: RemoteVersion, files: Sequence[RemoteFile], prefer: Preference) -> RemoteFile:
    wanted = (prefer.format, prefer.size, prefer.fp, prefer.quant)

    def score(file: RemoteFile) -> tuple[float, ...]:
        rank = _FORMATS.index(file.metadata.format) if file.metadata.format in _FORMATS else 0
        hits = [want.lower() == has for want, has in zip(wanted, _facts(file), strict=True)]
        return (hits[0], rank, *hits[1:])

    top = max(score(file) for file in files)
    tied = [file for file in files if score(file) == top]
    primary = next((file for file in tied if file.primary), tied[0])
    twins = [file for file in tied if _facts(file) == _facts(primary) and file.type == primary.type]
    # Those that are told apart by something that nobody has a preference for: the site's own choice is as good as any.
    alike = [file for file in twins if not file.metadata.is_required]
    if len(alike) > 1:
        raise AmbiguousError(version, alike)
    return primary


def _described(file: RemoteFile) -> str:
    told = file.metadata
    facts = (file.type, told.format, told.size, told.fp, told.quant_type)
    return " ".join(filter(None, facts)) or "unknown"
