"""What the site has lost, told apart from an answer that only says so.

To begin anew what is still there makes a second one, so one refusal is not believed: a second witness has to agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from hubman.civitai import owned
from hubman.civitai.client import Civitai
from hubman.civitai.errors import MissingError, UnavailableError

_AGAIN = "nothing was changed: run the same command again in a few minutes"


def model(client: Civitai, number: int, versions: Sequence[int]) -> owned.OwnedModel | None:
    """The model, or None where it was deleted: its ``versions`` are gone from the primary database too.

    Of one that has no version yet the list of drafts is the witness, whatever they are called by now. Raises
    :class:`UnavailableError` where the two contradict each other.
    """
    try:
        found = client.owned_model(number)
    except MissingError as error:
        if versions:
            is_there = any(version(client, one) is not None for one in versions)
        else:
            is_there = number in {draft.id for draft in client.draft_models()}
        if is_there:
            raise UnavailableError(f"Civitai hides model {number}, but has it still", _AGAIN) from error
        return None
    return None if found.status == "Deleted" else found


def version(client: Civitai, number: int) -> owned.EditVersion | None:
    """The version, or None where the primary database has it no longer, or calls it or its model deleted."""
    try:
        found = client.edit_version(number)
    except MissingError:
        return None
    of_model = found.raw.get("model")
    is_gone = "Deleted" in {found.status, of_model.get("status") if isinstance(of_model, dict) else ""}
    return None if is_gone else found


def files(client: Civitai, there: owned.EditVersion, known: Sequence[int], model_id: int) -> set[int]:
    """Those of the ``known`` files that the version has no longer: the owner's view of the page doesn't list them either.

    Raises :class:`UnavailableError` where it does.
    """
    gone = set(known) - {file.id for file in there.files}
    shown = client.owned_model(model_id).version(there.id) if gone else None
    if shown is not None and gone & {file.id for file in shown.files}:
        raise UnavailableError(f"Civitai hides a file of version {there.id}, but has it still", _AGAIN)
    return gone


def post(client: Civitai, number: int, model_id: int, version_id: int) -> owned.Post | None:
    """The post, or None where it was deleted: its version lists it no longer.

    Raises :class:`UnavailableError` where the version still lists it, or can't be seen.
    """
    try:
        return client.post(number)
    except MissingError as error:
        shown = client.owned_model(model_id).version(version_id)
        if shown is None or number in {one.id for one in shown.posts}:
            raise UnavailableError(f"Civitai hides post {number}, but has it still", _AGAIN) from error
        return None
