"""Plain pages, so that an address that hubman prints can be opened and looked at."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from hubman.sandbox import shapes
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}}
img{{max-width:14rem;margin:.3rem;image-rendering:pixelated}}code{{background:#8883;padding:.1em .3em}}</style>
<h1>{title}</h1>{body}<p><small>hubman's sandbox: nothing here is on the internet.</small></html>"""
_SHOWN = 500


def _page(title: str, body: str, status: int = 200) -> Response:
    # Descriptions come from publishers; the policy keeps any script in them from running.
    policy = {"Content-Security-Policy": "default-src 'none'; img-src *; style-src 'unsafe-inline'"}
    return HTMLResponse(_PAGE.format(title=escape(title), body=body), status, headers=policy)


def _index(request: Request) -> Response:
    world: World = request.app.state.world
    rows = [
        f'<li><a href="/models/{model["id"]}">{escape(model["name"])}</a> ({escape(model["status"])})'
        for model in world.store.newest("model", _SHOWN)
    ]
    return _page("Sandbox", f"<ul>{''.join(rows)}</ul>" if rows else "<p>Nothing is published yet.")


def _model(request: Request) -> Response:
    world: World = request.app.state.world
    model = world.store.get("model", request.path_params["id"])
    if model is None or model["status"] == "Deleted":
        return _page("Not found", "<p>There is no such model.", 404)
    parts = [f"<p>{escape(model['type'])}, {escape(model['status'])}</p>", model["description"] or ""]
    parts += [_version(world, version) for version in world.versions(model["id"])]
    return _page(model["name"], "".join(parts))


def _version(world: World, version: Doc) -> str:
    words = " ".join(f"<code>{escape(word)}</code>" for word in version["trainedWords"])
    files = "".join(f"<li>{escape(file['name'])}, {file['sizeKB']:,.0f} KB" for file in world.files(version["id"]))
    images = "".join(
        f'<img src="{escape(shapes.image(world, image, with_id=True)["url"])}" alt="">'
        for post in world.posts(version["id"])
        for image in world.images(post["id"])
    )
    heading = (
        f"<h2>{escape(version['name'])}</h2><p>{escape(version['baseModel'])}, {escape(version['status'])} {words}</p>"
    )
    return f"{heading}<ul>{files}</ul>{images}"


def _to_model(request: Request) -> Response:
    return RedirectResponse(f"/models/{request.path_params['id']}")


ROUTES = [
    Route("/", _index),
    Route("/models/{id:int}", _model),
    Route("/models/{id:int}/wizard", _to_model),
    Route("/models/{id:int}/model-versions/{version:int}/wizard", _to_model),
]
