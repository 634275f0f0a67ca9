"""What the site has lost, told apart from an answer that only says so.

To begin anew what is still there makes a second one, so one refusal is not believed: a second witness has to agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from hubman.civitai import owned
from hubman.civitai.client import Civitai
from hubman.civitai.errors import MissingError, UnavailableError

_AGAIN = "nothing was changed: run the same command again in a few minutes"


def model(client: Civitai, number: int, versions: Sequence[int], name: str) -> owned.OwnedModel | None:
    """The model, or None where it was deleted: its ``versions`` are gone from the primary database too.

    Of one that has no version yet the list of drafts called ``name`` is the witness. Raises :class:`UnavailableError`
    where the two contradict each other.
    """
    try:
        found = client.owned_model(number)
    except MissingError as error:
        if versions:
            is_there = not all(is_version_gone(client, version) for version in versions)
        else:
            is_there = number in {draft.id for draft in client.draft_models(name)}
        if is_there:
            raise UnavailableError(f"Civitai hides model {number}, but has it still", _AGAIN) from error
        return None
    return None if found.status == "Deleted" else found


def is_version_gone(client: Civitai, number: int) -> bool:
    """Whether the primary database has the version no longer, or calls it or its model deleted."""
    try:
        found = client.edit_version(number)
    except MissingError:
        return True
    of_model = found.raw.get("model")
    return "Deleted" in {found.status, of_model.get("status") if isinstance(of_model, dict) else ""}


def post(client: Civitai, number: int, model_id: int, version_id: int) -> owned.Post | None:
    """The post, or None where it was deleted: its version lists it no longer.

    Raises :class:`UnavailableError` where the version still lists it, or can't be seen.
    """
    try:
        return client.post(number)
    except MissingError as error:
        version = client.owned_model(model_id).version(version_id)
        if version is None or number in {one.id for one in version.posts}:
            raise UnavailableError(f"Civitai hides post {number}, but has it still", _AGAIN) from error
        return None
