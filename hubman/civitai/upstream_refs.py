"""What a person types to mean a model or creator on Civitai, by what the library and the archive know."""

from __future__ import annotations

from collections.abc import Callable

from hubman.civitai import auth, follow
from hubman.civitai.client import Civitai
from hubman.civitai.records import RemoteModel, model_from
from hubman.civitai.refs import Ref, parse_ref
from registry import archive, library
from registry.database import Registry
from registry.errors import NotFoundError, UsageError


def model_and_version(registry: Registry, ref: str) -> tuple[int, int | None]:
    """Civitai's numbers that ``REF`` or ``REF@VERSION`` means: REF as in the library, or a page's address or AIR.

    VERSION is a number or a name on the model's page. Raises :class:`UsageError` and :class:`NotFoundError`.
    """
    name, at, wanted = ref.rpartition("@")
    if "://" in ref or ref.lower().startswith(("urn:", "air:", "civitai:", "model:")):
        parsed = parse_ref(ref, site=auth.site_url())
        if parsed.model_id:
            return parsed.model_id, parsed.version_id or None
        raise UsageError(f"{ref!r} names no model's page", "give the address of the model's page")
    if not at or not name or _is_here(registry, ref):
        return _number(registry, ref), None
    model = _number(registry, name)
    return model, _version(registry, model, wanted)


def _is_here(registry: Registry, ref: str) -> bool:
    """A name may hold an ``@`` itself."""
    try:
        library.resolve(registry, ref)
    except (NotFoundError, UsageError):
        return False
    return True


def _number(registry: Registry, ref: str) -> int:
    if _is_number_of_a_model(registry, ref) and not _is_here(registry, ref):
        return int(ref)
    model = library.show(registry, library.resolve(registry, ref)[0])
    if model.civitai_id is None:
        raise NotFoundError(f"{model.name} has no page on Civitai that is known", "hubman enrich asks for it")
    return model.civitai_id


def _is_number_of_a_model(registry: Registry, ref: str) -> bool:
    """Whether it is the number of a model that was heard of: such as lists of what is followed or ignored tell it."""
    if not (ref.isascii() and ref.isdigit() and len(ref) < 11):
        return False
    numbers = {one.number for one in follow.following(registry)} | {one.number for one in follow.ignored(registry)}
    return int(ref) in numbers or archive.page(registry, int(ref)) is not None


def _version(registry: Registry, model: int, wanted: str) -> int:
    versions = page(registry, model).versions
    for version in versions:
        if wanted in {str(version.id), version.name} or wanted.casefold() == version.name.casefold():
            return version.id
    names = ", ".join(f"{version.name} ({version.id})" for version in versions[:5]) or "none that is known"
    raise UsageError(f"there is no version {wanted!r}", f"its versions are {names}")


def page(registry: Registry, model: int) -> RemoteModel:
    """A model's page as it was last seen; an empty one if never."""
    return model_from(archive.model(registry, model) or {})


def name_of(registry: Registry, model: int) -> str:
    """What the library, or the page that was seen, calls a model; its number if neither does."""
    row = registry.db.execute("SELECT name FROM models WHERE civitai_id = ? ORDER BY id LIMIT 1", (model,)).fetchone()
    return str(row[0]) if row else page(registry, model).name or str(model)


def creator(registry: Registry, client: Callable[[], Civitai], ref: str) -> str:
    """The creator that ``ref`` means: the address of his page, his name, or a model of his, here or on the site.

    ``client`` opens a session with the site, which is asked only for what nobody here knows. Raises
    :class:`NotFoundError` for a name that the site has not.
    """
    parsed = _parsed(ref)
    if parsed is not None and parsed.creator:
        return parsed.creator
    known = "SELECT creator FROM models WHERE creator = ? COLLATE NOCASE UNION SELECT creator FROM archived_models "
    row = registry.db.execute(f"{known} WHERE creator = ? LIMIT 1", (ref, ref)).fetchone()
    here = str(row[0]) if row else _creator_of_a_model_here(registry, ref)
    if here:
        return here
    with client() as session:
        return _creator_there(session, parsed, ref)


def _creator_of_a_model_here(registry: Registry, ref: str) -> str:
    try:
        return library.show(registry, library.resolve(registry, ref)[0]).creator or ""
    except (NotFoundError, UsageError):
        return ""


def _creator_there(client: Civitai, parsed: Ref | None, ref: str) -> str:
    if parsed is not None:
        model = parsed.model_id or client.model_version(parsed.version_id).model_id
        return client.model(model).creator
    found = [one.username for one in client.creators(ref, limit=20).items]
    for name in found:
        if name.casefold() == ref.casefold():
            return name
    near = f"there are {', '.join(found[:5])}" if found else "look his name up on the site"
    raise NotFoundError(f"Civitai has no creator called {ref}", near)


def _parsed(ref: str) -> Ref | None:
    """``ref`` if it has the form of an address, an AIR or a number; a plain name may look like a hash."""
    is_formal = "://" in ref or ":" in ref or (ref.isascii() and ref.isdigit())
    parsed = parse_ref(ref, site=auth.site_url()) if is_formal else None
    return parsed if parsed and (parsed.creator or parsed.model_id or parsed.version_id) else None
