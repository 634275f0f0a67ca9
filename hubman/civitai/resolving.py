"""From a reference to versions of the site: one for most, many for a creator or a collection."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hubman.civitai.client import Civitai
from hubman.civitai.collection_members import collection_members
from hubman.civitai.errors import GoneError, MissingError, UnavailableError
from hubman.civitai.image_search import ImageSearch
from hubman.civitai.records import RemoteModel, RemoteVersion
from hubman.civitai.refs import Ref, parse_ref
from hubman.civitai.search import ModelSearch
from registry.errors import HubError, UsageError

_log = logging.getLogger(__name__)
_MOST_MODELS = 20_000
_MOST_NAMED = 50
"""Versions and hashes of one picture that are asked for, a request each; its generation data may hold any number."""
_AUTOV3_SHOWN = 12
"""Civitai shows and finds AutoV3 by its first digits; files and tools tell all 64."""

Found = tuple[RemoteModel | None, RemoteVersion]
"""A version, with its model where the answer held it."""


def resolve(client: Civitai, ref: Ref) -> Iterator[Found]:
    """What ``ref`` names, each version once. Raises a :class:`hubman.civitai.errors.CivitaiError`, also for nothing."""
    if ref.version_id:
        yield None, _version(client, ref.version_id)
    elif ref.model_id:
        yield _newest(client.model(ref.model_id))
    elif ref.hash:
        yield None, _by_hash(client, ref.hash)
    elif ref.image_id:
        yield from _of_image(client, ref.image_id)
    elif ref.creator:
        yield from _of_creator(client, ref.creator)
    else:
        yield from _of_collection(client, ref.collection_id)


def _version(client: Civitai, number: int) -> RemoteVersion:
    try:
        return _checked(client.model_version(number))
    except MissingError as error:
        raise MissingError(
            f"Civitai has no version {number} that is public", f"for a model's number write model:{number}", status=404
        ) from error


def _newest(model: RemoteModel) -> Found:
    if not model.versions:
        name = model.name or f"model {model.id}"
        if model.mode == "TakenDown":
            raise GoneError(f"{name} was taken down by Civitai", "its page tells why")
        raise MissingError(f"{name} has no published version", "its creator may have archived it")
    return model, model.versions[0]


def _by_hash(client: Civitai, digits: str) -> RemoteVersion:
    try:
        return _checked(client.by_hash(digits))
    except MissingError:
        if len(digits) != 64:
            raise
    # Neither a SHA-256 nor a BLAKE3 that it knows: perhaps a whole AutoV3.
    return _checked(client.by_hash(digits[:_AUTOV3_SHOWN]))


def _checked(version: RemoteVersion) -> RemoteVersion:
    """Raises :class:`UnavailableError` for an answer without what a version always has: the next may be whole.

    Without a file a version has no page, unless its model was archived or taken down.
    """
    if version.id and version.model_id and (version.files or version.model.mode):
        return version
    raise UnavailableError("Civitai's answer about the version is incomplete", "try again in a few minutes")


def _of_image(client: Civitai, number: int) -> Iterator[Found]:
    page = client.images(ImageSearch(image_id=number, limit=1))
    if not page.items:
        raise MissingError(f"Civitai shows no picture {number}", "it may be hidden or deleted")
    image = page.items[0]
    versions = list(dict.fromkeys([*image.model_version_ids, *_linked(image.settings)]))
    hashes = _hashes(image.settings)
    if len(versions) + len(hashes) > _MOST_NAMED:
        _log.warning("picture %s names more than %d models: the rest is left out", number, _MOST_NAMED)
        versions = versions[:_MOST_NAMED]
        hashes = hashes[: _MOST_NAMED - len(versions)]
    seen: set[int] = set()
    for version_id in versions:
        try:
            version = client.model_version(version_id)
        except MissingError:
            _log.warning("picture %s names version %s, which is not to be had", number, version_id)
            continue
        seen.add(version.id)
        yield None, version
    for digits in hashes:
        try:
            version = client.by_hash(digits)
        except MissingError:
            continue
        if version.id not in seen:
            seen.add(version.id)
            yield None, version
    if not seen:
        raise MissingError(f"picture {number} names no model that Civitai has", "its page may tell more")


def _linked(meta: Mapping[str, Any]) -> Iterator[int]:
    """The versions that generation data name by number or by AIR."""
    listed = meta.get("civitaiResources")
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, Mapping):
            continue
        number = entry.get("modelVersionId")
        if isinstance(number, int) and number > 0:
            yield number
        elif isinstance(entry.get("air"), str):
            try:
                ref = parse_ref(entry["air"])
            except UsageError:
                continue
            if ref.version_id:
                yield ref.version_id


def _hashes(meta: Mapping[str, Any]) -> list[str]:
    """Hashes that generation data tell, each once, of what is not the picture's own."""
    named = meta.get("hashes")
    found = list(named.values()) if isinstance(named, Mapping) else []
    listed = meta.get("resources")
    found += [entry.get("hash") for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    texts = [text.lower().removeprefix("0x") for text in found if isinstance(text, str)]
    return list(dict.fromkeys(text for text in texts if re.fullmatch(r"[0-9a-f]{8,64}", text)))


def _of_creator(client: Civitai, name: str) -> Iterator[Found]:
    asked = ModelSearch(username=name, nsfw=True, sort="Newest")
    is_any = False
    for model in client.search_all(asked, limit=_MOST_MODELS):
        # The site compares names by their letters alone: another's models are not meant.
        if model.versions and model.creator.lower() in {"", name.lower()}:
            is_any = True
            yield _newest(model)
    if not is_any:
        raise MissingError(f"Civitai shows no model of a creator called {name}", "check the name on the creator's page")


def _of_collection(client: Civitai, number: int) -> Iterator[Found]:
    raw = client.collection(number)
    models, versions = collection_members(raw)
    if not models and not versions:
        raise HubError(
            f"what Civitai tells of collection {number} names no models",
            "open its page and pull its models by their addresses (hubman pull -f reads a list of them)",
        )
    for model in client.models(models):
        if model.versions:
            yield _newest(model)
    for version_id in versions:
        try:
            yield None, client.model_version(version_id)
        except MissingError:
            _log.warning("collection %s names version %s, which is not to be had", number, version_id)
