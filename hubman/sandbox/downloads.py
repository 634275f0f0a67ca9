"""``/api/download/models/{id}``: choosing the file, and every way in which a download is refused."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from hubman.sandbox import scan, shapes
from hubman.sandbox.accounts import Caller, caller_of
from hubman.sandbox.public import WEIGHTS, fit, is_public, primary, public_files
from hubman.sandbox.store import Doc
from hubman.sandbox.trpc import key_of
from hubman.sandbox.uploads import MODEL_BUCKET
from hubman.sandbox.validation import FractionError, InvalidInputError, check
from hubman.sandbox.world import World

_BROWSER = re.compile("mozilla|chrome|safari|firefox|opera|edge", re.IGNORECASE)
_LOGIN = "The creator of this asset requires you to be logged in to download it"
_DISABLED = "The creator of this asset has disabled downloads on this file"
_TOO_MANY = "We've noticed an unusual amount of downloading from your account. Please try again later."


class _RefusedError(Exception):
    def __init__(self, status: int, **body: str) -> None:
        super().__init__(body.get("error", ""))
        self.status = status
        self.body = body


async def _download(request: Request) -> Response:
    return await _answer(request, dict(request.query_params))


async def _training_data(request: Request) -> Response:
    return await _answer(request, {**request.query_params, "type": "Training Data"})


async def _answer(request: Request, given: dict[str, Any]) -> Response:
    try:
        target = await run_in_threadpool(_choose, request, given)
    except _RefusedError as error:
        if _BROWSER.search(request.headers.get("User-Agent", "")):
            if error.body.get("message") == _LOGIN:
                back = urlencode({"returnUrl": request.url.path, "reason": "download-auth"})
                return RedirectResponse(f"/login?{back}", 307, headers={"Cache-Control": "no-store"})
            return PlainTextResponse(error.body.get("message") or error.body["error"], error.status)
        return JSONResponse(error.body, error.status, headers={"Cache-Control": "no-store"})
    return RedirectResponse(target, 307, headers={"Cache-Control": "no-store"})


def _choose(request: Request, given: dict[str, Any]) -> str:
    world: World = request.app.state.world
    numbers = {
        "modelVersionId": request.path_params["id"],
        **({"fileId": given["fileId"]} if "fileId" in given else {}),
    }
    if any(not value.isdigit() for value in numbers.values()):
        raise _RefusedError(400, error="Invalid modelVersionId")
    try:
        wanted = check("download", {**given, **{key: int(value) for key, value in numbers.items()}})
    except (InvalidInputError, FractionError) as error:
        raise _RefusedError(400, error=str(error)) from error
    with world.store.transaction():
        scan.settle(world)
        version = world.store.get("version", wanted["modelVersionId"])
        model = world.store.get("model", version["modelId"]) if version else None
        if version is None or model is None:
            raise _RefusedError(404, error="File not found")
        caller = caller_of(key_of(request))
        _check_access(world, version, model, caller)
        _check_amount(world, caller)
        file = _pick(public_files(world.files(version["id"])), wanted)
        world.store.put("version", {**version, "downloads": version.get("downloads", 0) + 1})
    return world.signed(f"/{MODEL_BUCKET}/{file['key']}", name=file["name"])


def _check_access(world: World, version: Doc, model: Doc, caller: Caller | None) -> None:
    mine = caller is not None and caller.user.id == model["userId"]
    if model["mode"] == "Archived":
        raise _RefusedError(410, error="Model archived, not available for download")
    hidden = version["status"] != "Published" or not is_public(model) or model["mode"] == "TakenDown" or model["poi"]
    if not mine and hidden:
        raise _RefusedError(404, error="File not found")
    if version.get("refused") and not mine:
        raise _RefusedError(403, error=version["refused"])
    if (version.get("downloadsDisabled") or version["usageControl"] != "Download") and not mine:
        raise _RefusedError(401, error="Unauthorized", message=_DISABLED)
    if version["requireAuth"] and caller is None:
        raise _RefusedError(401, error="Unauthorized", message=_LOGIN)
    deadline = shapes.gated_until(world, version)
    if (deadline or version.get("paidForever")) and not mine:
        message = "This asset is in Early Access. You can purchase access to it on the model page."
        known = {"deadline": deadline} if deadline else {}
        raise _RefusedError(403, error="Early Access", **known, message=message)


def _check_amount(world: World, caller: Caller | None) -> None:
    """A counter for each user, without a time after which to come back."""
    most = world.settings.downloads_per_user
    if most is not None and world.count("downloads", str(caller.user.id if caller else 0)) > most:
        raise _RefusedError(429, error=_TOO_MANY)


def _pick(files: list[Doc], wanted: dict[str, Any]) -> Doc:
    """The file with this id, else the best match by weight; one that contradicts an explicit wish is no match."""
    if "fileId" in wanted:
        files = [file for file in files if file["id"] == wanted["fileId"]]
    elif "type" in wanted:
        files = [file for file in files if file["type"] == wanted["type"]]
    if not files:
        raise _RefusedError(404, error="File not found")
    if "fileId" in wanted:
        return files[0]

    best = max([primary(files), *files], key=lambda file: fit(file, wanted))
    if any(key in wanted and best["metadata"].get(key) != wanted[key] for key in WEIGHTS):
        raise _RefusedError(404, error="File not found")
    return best


ROUTES = [
    Route("/api/download/models/{id}", _download, methods=["GET"]),
    Route("/api/download/training-data/{id}", _training_data, methods=["GET"]),
]
