"""Asking and telling a running sandbox: which faults are to happen, and what has happened so far."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import fields
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hubman.sandbox.accounts import CREATOR_USER, caller_of
from hubman.sandbox.faults import rules
from hubman.sandbox.settings import Settings
from hubman.sandbox.trpc import key_of
from hubman.sandbox.world import World
from registry.errors import UsageError

_NUMBERS = re.compile(r"/[^/]*\d{3}[^/]*")


def _refusal(request: Request) -> Response | None:
    """Only a key of the sandbox's own user may: a page in a browser can't send one to another port unasked."""
    caller = caller_of(key_of(request))
    if caller is None or caller.user.id != CREATOR_USER.id:
        return JSONResponse({"error": "Unauthorized"}, 401)
    return None


async def _set_faults(request: Request) -> Response:
    """Take ``{"rules": […], "seed": 1, "settings": {…}}`` in place of the present rules; what isn't named stays."""
    if refusal := _refusal(request):
        return refusal
    world: World = request.app.state.world
    try:
        body = json.loads(await request.body() or b"{}")
        if not isinstance(body, dict):
            raise UsageError("the body is no object", "give rules, seed or settings")
        changes = _changes(world.settings, body.get("settings") or {})
        new_rules = rules.from_json(body["rules"]) if "rules" in body else world.settings.rules
    except (ValueError, UsageError) as error:
        return JSONResponse({"error": str(error)}, 400)
    world.settings.rules = new_rules
    world.settings.seed = int(body.get("seed", world.settings.seed))
    for name, value in changes.items():
        setattr(world.settings, name, value)
    return JSONResponse(_state(world))


def _changes(settings: Settings, given: dict[str, Any]) -> dict[str, Any]:
    """The plain settings among ``given``; raises :class:`UsageError` for others."""
    plain = {
        item.name
        for item in fields(settings)
        if isinstance(getattr(settings, item.name), (bool, int, float, type(None)))
    }
    for name, value in given.items():
        if name not in plain or not isinstance(value, (bool, int, float, type(None))):
            raise UsageError(f"{name!r} can't be set to {value!r}", f"set one of {', '.join(sorted(plain))}")
    return given


def _get_state(request: Request) -> Response:
    return _refusal(request) or JSONResponse(_state(request.app.state.world))


def _state(world: World) -> dict[str, Any]:
    """What happened so far; ``faults`` counts by kind what went wrong, ``asked`` by address with numbers left out."""
    asked = (f"{method} {_NUMBERS.sub('/…', path)}" for method, path, _status in world.requests)
    return {
        "requests": len(world.requests),
        "busiestSecond": world.busiest(1.0),
        "asked": Counter(asked),
        "faults": Counter(kind for kind, _method, _path in world.struck),
        "rules": [
            {"kind": rule.kind, "rate": rule.rate, "path": rule.path, "times": rule.times, "struck": rule.struck}
            for rule in world.settings.rules
        ],
        "seed": world.settings.seed,
        "holds": world.holds(),
    }


ROUTES = [
    Route("/sandbox/faults", _set_faults, methods=["POST"]),
    Route("/sandbox/state", _get_state, methods=["GET"]),
]
