"""From a reference to a verified, indexed file with its facts and pictures."""

from __future__ import annotations

from pathlib import Path

import msgspec

from hubman.civitai import archives, archiving, destination, facts, showing
from hubman.civitai.choosing import Choice, Preference, choose, with_ref
from hubman.civitai.client import Civitai
from hubman.civitai.downloads import Wish
from hubman.civitai.errors import UnavailableError
from hubman.civitai.part import settle_earlier
from hubman.civitai.reading import download_url
from hubman.civitai.records import RemoteFile, RemoteModel, RemoteVersion, model_from, version_from
from hubman.civitai.refs import parse_ref
from hubman.civitai.resolving import Found, resolve
from hubman.civitai.transfer import Tuning
from hubman.progress import Progress, Report
from hubman.rate import Limit
from registry import library, pull_queue, timestamps, unpacked
from registry.database import Registry
from registry.errors import UsageError
from registry.hashing import hash_file
from registry.scan import index_file


class PulledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is in the library now. ``verified`` is false when Civitai had no hash of it yet.

    ``remote_version`` and ``remote_file`` are its numbers on the site.
    """

    version_id: str
    path: Path
    sha256: str
    verified: bool
    remote_version: int = 0
    remote_file: int = 0


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How to pull: what is chosen and preferred, how the line is used, and whose ``site`` the queue says it is."""

    choice: Choice = Choice()
    prefer: Preference = Preference()
    tuning: Tuning = Tuning()
    limit: Limit = Limit()
    site: str | None = None


Target = tuple[RemoteModel | None, RemoteVersion, RemoteFile]
"""A file of a version of a model; the model where it is known already."""


def pull(
    registry: Registry, client: Civitai, ref: str, *, into: Path, report: Report, terms: Terms | None = None
) -> PulledModel:
    """Download what ``ref`` names into the folder ``into`` and index it; of several files all, the first is returned.

    A file that is on this machine already is not downloaded again; its facts and pictures are refreshed all the same.
    Raises :class:`registry.errors.UsageError` for a reference that names nothing, and :class:`HubError` otherwise.
    """
    terms = terms or Terms()
    found = targets(client, ref, terms, report)
    pulled = [pull_file(registry, client, one, into=into, report=report, terms=terms) for one in found]
    return pulled[0]


def targets(client: Civitai, ref: str, terms: Terms, report: Report) -> list[Target]:
    """The files that ``ref`` stands for, at least one. Raises what :func:`resolve` and :func:`choose` raise."""
    report(Progress(stage="look up", message=ref))
    wanted = parse_ref(ref, site=client.site)
    if wanted.is_many:
        raise UsageError(f"{ref} may name many models", "hubman pull shows the plan for them first")
    choice = with_ref(terms.choice, wanted)
    return [
        (model, version, file)
        for model, version in (_whole(client, found) for found in resolve(client, wanted))
        for file in choose(version, choice, terms.prefer)
    ]


def _whole(client: Civitai, found: Found) -> Found:
    """With what only the version's own endpoint tells: the generation data of its pictures."""
    model, version = found
    return found if model is None else (model, client.model_version(version.id))


def pull_file(
    registry: Registry, client: Civitai, target: Target, *, into: Path, report: Report, terms: Terms
) -> PulledModel:
    """Download one file, index it, and write down all that the site says of it."""
    version, file = target[1:]
    raw = client.model_raw(version.model_id)
    model = model_from(raw)
    if model.id != version.model_id:
        raise UnavailableError("Civitai's answer about the model is incomplete", "try again in a few minutes")
    file = _with_hash(file, model)
    if here := _held(registry, file, version, terms.site):
        path, sha256, verified = here, file.sha256 or hash_file(here).sha256, bool(file.sha256)
        made = [index_file(registry, path)]
    elif terms.choice.unpack and (models := _opened_before(registry, file)):
        path, sha256, verified = models[0], file.sha256, True
        made = [index_file(registry, one) for one in models]
    else:
        path, sha256, verified, made = _fetch(registry, client, (model, version, file), into, report, terms)
    for version_id in made:
        facts.record(registry, version_id, model, version, is_rehearsal=client.is_rehearsal)
        if not client.is_rehearsal:
            archiving.keep(registry, raw, model, timestamps.now())
        showing.fetch(registry, client, version_id, version, report)
    report(Progress(stage="done", done=1, total=1, message=path.name, data={"version_id": made[0]}))
    return PulledModel(
        version_id=made[0], path=path, sha256=sha256, verified=verified, remote_version=version.id, remote_file=file.id
    )


def _with_hash(file: RemoteFile, model: RemoteModel) -> RemoteFile:
    """``file`` with what its model's own page says of its hashes, where the version's says nothing."""
    if file.sha256:
        return file
    same = (other for version in model.versions for other in version.files if other.id == file.id and other.sha256)
    found = next(same, None)
    return msgspec.structs.replace(file, hashes=found.hashes) if found and file.id else file


def _held(registry: Registry, file: RemoteFile, version: RemoteVersion, site: str | None) -> Path | None:
    """Where the file lies on this machine; looked at again, for the index may be older than an edit."""
    known = library.file_by_hash(registry, file.sha256) if file.sha256 else None
    places = [(place.path, file.sha256) for place in (known.places if known else ()) if place.state == "present"]
    if not file.sha256:
        places = pull_queue.pulled_before(registry, version.id, file.id, site)
    for name, sha256 in places:
        path = Path(name)
        if path.is_file() and hash_file(path).sha256 == sha256:
            return path
    return None


def _fetch(
    registry: Registry, client: Civitai, target: tuple[RemoteModel, RemoteVersion, RemoteFile], into: Path,
    report: Report, terms: Terms,
) -> tuple[Path, str, bool, list[str]]:  # fmt: skip
    """Path, SHA-256, whether Civitai vouches for it, and the versions that it became in the library."""
    model, version, file = target
    wanted = destination.place(into, terms.choice.path, model, version, file)
    settle_earlier(wanted, file.sha256)
    dest = destination.free(wanted, file, version.id)
    zipped = dest.with_suffix(".zip")
    if file.sha256 and not dest.exists() and zipped.is_file() and hash_file(zipped).sha256 == file.sha256:
        # An earlier try came as far as giving it its true name.
        dest = zipped
    if dest.exists():
        path, made = _opened(registry, dest, file.sha256, terms)
        return path, file.sha256, True, made
    wish = Wish(
        url=download_url(version.id, file.id), dest=dest, sha256=file.sha256, size=file.size if file.sha256 else 0,
        tuning=terms.tuning, limit=terms.limit, ask_again=lambda: _told_now(client, version.id, file.id),
    )  # fmt: skip
    with client.downloading(wish, report) as got:
        made = [] if archives.is_archive(dest) else [index_file(registry, dest)]
    path = dest
    if not made:
        path, made = _opened(registry, dest, got.sha256, terms)
    return path, got.sha256, got.verified, made


def _opened(registry: Registry, dest: Path, sha256: str, terms: Terms) -> tuple[Path, list[str]]:
    """The first file that ``dest`` stands for, and all versions: its models where it is an archive to be unpacked."""
    if not archives.is_archive(dest):
        return dest, [index_file(registry, dest)]
    path = archives.name_truly(dest)

    def note(models: list[Path]) -> None:
        unpacked.note(registry, sha256, [(str(one.absolute()), hash_file(one).sha256) for one in models])

    models = archives.unpack(path, note) if terms.choice.unpack else []
    return (models or [path])[0], [index_file(registry, one) for one in models or [path]]


def _opened_before(registry: Registry, file: RemoteFile) -> list[Path]:
    """The models that came out of this archive earlier, if all are where they were put and as they were."""
    noted = unpacked.models_of(registry, file.sha256) if file.sha256 else []
    is_whole = all(Path(name).is_file() and hash_file(Path(name)).sha256 == sha256 for name, sha256 in noted)
    return [Path(name) for name, _sha256 in noted] if is_whole else []


def _told_now(client: Civitai, version_id: int, file_id: int) -> str:
    files = version_from(client.version_raw(version_id)).files
    return next((file.sha256 for file in files if file.id == file_id), "")
