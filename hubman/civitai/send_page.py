"""A model and its versions: made once, and changed where a person changed them since."""

from __future__ import annotations

from typing import Any

from hubman.civitai import lenient
from hubman.civitai.errors import MissingError
from hubman.civitai.owned import OwnedModel
from hubman.civitai.planned import Plan, PlannedVersion
from hubman.civitai.steps import LOOKS, Steps

MODEL, VERSION = "model", "version"


def send_model(steps: Steps, plan: Plan, *, may_change: bool) -> int:
    """The id of the plan's model. ``may_change``: what is there already is brought up to the plan."""
    made = steps.made(MODEL)
    if plan.civitai_model_id and made != plan.civitai_model_id:
        return plan.civitai_model_id
    model_id = steps.make(
        MODEL,
        inputs=plan.model,
        call=lambda: steps.client.upsert_model(plan.model),
        listed=lambda named: [draft.id for draft in steps.client.draft_models(named)],
        named=plan.model["name"],
        among_others=True,
    )
    if may_change:
        steps.update(
            MODEL,
            plan.model,
            lambda changed: _change_model(steps, model_id, changed),
            lambda: owned(steps, model_id).fields(),
        )
    return model_id


def _change_model(steps: Steps, model_id: int, changed: dict[str, Any]) -> None:
    """Send what changed, with what the site demands or would fall back to a default if it were left out."""
    there = owned(steps, model_id)
    kept = {key: value for key, value in there.fields().items() if key in _DEMANDED_OF_MODEL}
    steps.client.upsert_model({**kept, **changed, "id": model_id, "status": there.status or "Draft"})


_DEMANDED_OF_MODEL = frozenset({"name", "type", "uploadType", "minor", "sfwOnly"})


def send_version(steps: Steps, version: PlannedVersion, model_id: int, *, among_others: bool, fresh: bool) -> int:
    """The id of a planned version of the model. ``among_others``: there may be others of its name that are not it."""
    fields = {**version.fields, "modelId": model_id}
    version_id = steps.make(
        VERSION,
        inputs=fields,
        call=lambda: steps.client.upsert_version(fields, fresh=fresh),
        listed=lambda named: _called(steps.client.owned_model(model_id), named),
        named=version.name,
        among_others=among_others,
        fresh=fresh,
    )
    steps.update(
        VERSION,
        fields,
        lambda changed: _change_version(steps, model_id, version_id, changed),
        lambda: steps.client.edit_version(version_id).fields(),
    )
    return version_id


def _change_version(steps: Steps, model_id: int, version_id: int, changed: dict[str, Any]) -> None:
    """Send what changed. The status is left out: sent as ``Draft`` it would pull a public version down."""
    there = steps.client.edit_version(version_id)
    kept = {
        "name": there.name,
        "baseModel": there.base_model,
        "usageControl": there.raw.get("usageControl", "Download"),
    }
    fields: dict[str, Any] = {**there.guarded(), **kept, **changed}
    fields.pop("status", None)
    steps.client.upsert_version({**fields, "id": version_id, "modelId": model_id}, fresh=steps.is_fresh(VERSION))


def _called(model: OwnedModel, name: str) -> list[int]:
    wanted = lenient.clean_text(name).strip()
    return [version.id for version in model.versions if version.name.strip() == wanted]


def owned(steps: Steps, model_id: int) -> OwnedModel:
    """The model as its owner sees it; a replica that has not heard of it yet is given time."""
    for wait in LOOKS if steps.is_fresh(MODEL) else ():
        try:
            return steps.client.owned_model(model_id)
        except MissingError:
            steps.client.wait(wait)
    return steps.client.owned_model(model_id)
