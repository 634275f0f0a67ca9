"""The gates that every tRPC call passes, in the site's order, and the procedures behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from hubman.civitai import contract
from hubman.civitai.wire import Json
from hubman.sandbox import encoding, validation
from hubman.sandbox.accounts import FULL, Caller, User, caller_of
from hubman.sandbox.world import World

PUBLIC_API = "Please use the public API instead: https://developer.civitai.com/"
NOT_AUTHORIZED = "You are not authorized to perform this action"
_NO_STORE = {"Cache-Control": "max-age=0, private, no-cache"}


class TrpcError(Exception):
    """A refusal with one of tRPC's codes, such as ``BAD_REQUEST``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Call:
    """A call that passed the gates. ``caller`` is ``None`` for public procedures without a key."""

    world: World
    caller: Caller | None

    @property
    def user(self) -> User:
        if self.caller is None:
            raise TrpcError("UNAUTHORIZED", "UNAUTHORIZED")
        return self.caller.user


Procedure = Callable[[Call, dict[str, Any]], Json]
_PROCEDURES: Final[dict[str, Procedure]] = {}


def procedure(name: str) -> Callable[[Procedure], Procedure]:
    """Register the handler of ``name``, which must be in the contract."""
    if contract.endpoint(name) is None:
        raise KeyError(name)

    def register(handler: Procedure) -> Procedure:
        _PROCEDURES[name] = handler
        return handler

    return register


def key_of(request: Request) -> str:
    """The key that a request carries: the header's second word, else the query."""
    words = request.headers.get("Authorization", "").split()
    return words[1] if len(words) > 1 else request.query_params.get("token", "")


async def endpoint(request: Request) -> Response:
    """``/api/trpc/{name}``."""
    name = request.path_params["name"]
    world: World = request.app.state.world
    devalue = world.settings.devalue
    try:
        data = await _answer(request, world, name)
    except TrpcError as error:
        return _failure(error, name, devalue=devalue)
    body = {"result": {"data": encoding.encode(data, devalue=devalue)}}
    return _respond(200, body)


def _failure(error: TrpcError, name: str, *, devalue: bool) -> Response:
    codes = contract.enum_map("TrpcErrorCode")[error.code]
    shape = {
        "message": error.message,
        "code": codes["json_rpc"],
        "data": {"code": error.code, "httpStatus": codes["http"], "path": name},
    }
    return _respond(codes["http"], {"error": encoding.encode(shape, devalue=devalue)})


def _respond(status: int, body: Json) -> Response:
    return Response(json.dumps(body), status, headers=_NO_STORE, media_type="application/json")


async def _answer(request: Request, world: World, name: str) -> Json:
    found = contract.endpoint(name)
    caller = caller_of(key_of(request))
    if caller is None and not _same_site(request):
        raise TrpcError("UNAUTHORIZED", PUBLIC_API)
    handler = _PROCEDURES.get(name)
    if found is None or handler is None:
        raise TrpcError("NOT_FOUND", f'No procedure found on path "{name}"')
    raw = await _raw_input(request, mutation=found.kind == "trpc.mutation", name=name)
    _check_gates(found, caller)
    given = encoding.read_superjson(raw)
    value = _checked(name, given)
    world.unknown_keys.extend(f"{name}: {key}" for key in validation.unknown_keys(name, given))
    return await run_in_threadpool(_run, handler, Call(world, caller), value)


def _run(handler: Procedure, call: Call, value: dict[str, Any]) -> Json:
    from hubman.sandbox import scan

    with call.world.store.transaction():
        scan.settle(call.world)
        return handler(call, value)


def _same_site(request: Request) -> bool:
    """A browser on the site itself may read without a key."""
    world: World = request.app.state.world
    named = request.headers.get("Origin") or request.headers.get("Referer") or ""
    return bool(named) and urlsplit(named).netloc == urlsplit(world.site).netloc


async def _raw_input(request: Request, *, mutation: bool, name: str) -> Json:
    if request.method == "GET":
        if mutation:
            raise TrpcError("METHOD_NOT_SUPPORTED", f'Unsupported GET-request to mutation procedure at path "{name}"')
        text: str | bytes = request.query_params.get("input", "")
    else:
        kind = request.headers.get("Content-Type", "")
        if not kind.startswith("application/json"):
            raise TrpcError("UNSUPPORTED_MEDIA_TYPE", f'Unsupported content-type "{kind}')
        text = await request.body()
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        raise TrpcError("PARSE_ERROR", str(error)) from error


def _check_gates(found: contract.Endpoint, caller: Caller | None) -> None:
    """Gates 4 to 9: scope, logged in, banned (whose keys are nobody's), onboarded, muted."""
    level = found.guard.split("+")[0]
    if caller is not None:
        needed = contract.scope_bits().get(found.scope or "Full", FULL)
        if caller.scope & needed != needed:
            raise TrpcError("FORBIDDEN", "Your API key does not have the required scope for this action")
    if level == "public":
        return
    if caller is None:
        raise TrpcError("UNAUTHORIZED", "UNAUTHORIZED")
    if level in {"verified", "guarded"} and not caller.user.onboarded:
        raise TrpcError("FORBIDDEN", "You must complete the onboarding process before performing this action")
    if level == "guarded" and caller.user.status == "muted":
        raise TrpcError("FORBIDDEN", "You cannot perform this action because your account has been restricted")


def _checked(name: str, value: Json) -> dict[str, Any]:
    try:
        return validation.check(name, value)
    except validation.InvalidInputError as error:
        raise TrpcError("BAD_REQUEST", str(error)) from error
    except validation.FractionError:
        raise TrpcError("INTERNAL_SERVER_ERROR", "Database validation error") from None
