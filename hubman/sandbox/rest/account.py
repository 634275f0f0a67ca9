"""What depends on whose key it is: ``/me``, the vault and permissions."""

from __future__ import annotations

from starlette.requests import Request

from hubman.civitai import contract
from hubman.sandbox import shapes
from hubman.sandbox.public import is_public
from hubman.sandbox.rest.answers import RestError, caller, need_caller, route
from hubman.sandbox.rest.params import bad, numbers
from hubman.sandbox.world import World


def _me(_world: World, request: Request) -> object:
    found = need_caller(request)
    user = found.user
    answer = {
        "id": user.id, "username": user.username, "tier": "free", "status": user.status, "isMember": False,
        "subscriptions": [], "tokenScope": found.scope, "buzzLimit": None,
        "subject": {"type": "apiKey", "id": found.token_id},
    }  # fmt: skip
    if found.scope & contract.scope_bits()["UserRead"]:
        answer.update(email=f"{user.username}@sandbox.invalid", emailVerified=True)
    return answer


def _vault(_world: World, request: Request) -> object:
    need_caller(request)
    return {"vault": None}


def _vault_items(_world: World, request: Request) -> object:
    need_caller(request)
    return {"items": [], "metadata": {"totalItems": 0, "currentPage": 1, "pageSize": 60, "totalPages": 0}}


def _in_vault(_world: World, request: Request) -> object:
    need_caller(request)
    return [
        {"modelVersionId": key, "vaultItem": None} for key in numbers(request.query_params, "modelVersionIds") or ()
    ]


def _permissions(world: World, request: Request) -> object:
    query = request.query_params
    ids = numbers(query, "entityIds")
    if ids is None:
        raise RestError(400, {"error": "entityIds is required"})
    if query.get("permission") != "Generate":
        raise bad("permission", "Invalid option")
    user = caller(request)
    versions = world.store.get_many("version", ids)
    models = world.store.get_many("model", list({version["modelId"] for version in versions.values()}))

    def allowed(key: int) -> bool:
        version = versions.get(key)
        model = models.get(version["modelId"]) if version else None
        if version is None or model is None or version["status"] != "Published" or not is_public(model):
            return False
        mine = user is not None and user.user.id == model["userId"]
        return bool(model.get("supportsGeneration")) and (mine or not shapes.gated_until(world, version))

    return {str(key): allowed(key) for key in ids}


ROUTES = [
    route("/api/v1/me", _me),
    route("/api/v1/vault/get", _vault),
    route("/api/v1/vault/all", _vault_items),
    route("/api/v1/vault/check-vault", _in_vault),
    route("/api/v1/permissions/check", _permissions),
]
