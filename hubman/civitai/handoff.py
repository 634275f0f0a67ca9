"""Where a person goes on in a browser: every stage of a publication leaves a draft that the site's own forms can finish.

Addresses are those of Civitai's wizard (contract, section 1.7).
"""

from __future__ import annotations

from collections.abc import Collection


def page(site: str, model_id: int, version_id: int = 0) -> str:
    """The page itself; its owner sees drafts too."""
    return f"{site}/models/{model_id}" + (f"?modelVersionId={version_id}" if version_id else "")


def wizard(site: str, model_id: int, done: Collection[str], *, version_id: int = 0, joined: bool = False) -> str:
    """The form of the step that comes next after those ``done``, of ``model``, ``version`` and ``file``.

    A version that ``joined`` a model has a wizard of its own, once it exists.
    """
    if not model_id:
        return f"{site}/models/create"
    if joined and version_id:
        step = 3 if "file" in done else 2
        return f"{site}/models/{model_id}/model-versions/{version_id}/wizard?step={step}"
    step = 4 if "file" in done else 3 if "version" in done else 2
    return f"{site}/models/{model_id}/wizard?step={step}"


def post_editor(site: str, post_id: int) -> str:
    return f"{site}/posts/{post_id}/edit"
