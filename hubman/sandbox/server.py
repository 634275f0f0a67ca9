"""The sandbox as a thing to start and stop: two listeners on loopback, state in a folder."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hubman.sandbox import (
    accounts,
    control,
    downloads,
    files,
    models,
    pages,
    posts,
    releases,
    rest,
    storage,
    tags,
    trpc,
    uploads,
)
from hubman.sandbox import versions as versions_module
from hubman.sandbox.catalogue.seeding import Catalogue, seed_catalogue, seed_hashes
from hubman.sandbox.faults.middleware import Faults
from hubman.sandbox.sending import Connection
from hubman.sandbox.settings import Settings
from hubman.sandbox.store import Doc
from hubman.sandbox.world import World
from registry.errors import HubError

# Importing them registers their procedures.
PROCEDURE_MODULES = (files, models, posts, tags, versions_module)
_TRPC = Route("/api/trpc/{name}", trpc.endpoint, methods=["GET", "POST"])
_HOST = "127.0.0.1"
_GRACE = 1.0


class Sandbox:
    """A local Civitai, serving from a thread while the context lasts.

    ``port=0`` takes any free port; the storage host always takes another. The state in ``data_dir`` outlives it.
    """

    def __init__(self, data_dir: Path, port: int = 0, *, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.world = World(data_dir, self.settings)
        self._port = port
        self._servers: list[_Server] = []
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The site's address, for ``HUBMAN_CIVITAI_URL``."""
        return self.world.site

    @property
    def requests(self) -> list[tuple[str, str, int]]:
        """Method, path and status of what was asked so far, on both hosts; status 0 where the connection was reset."""
        return list(self.world.requests)

    def busiest(self, seconds: float = 1.0) -> int:
        """The most requests that came within any ``seconds``: what a client's limiter is held against."""
        return self.world.busiest(seconds)

    @property
    def struck(self) -> list[tuple[str, str, str]]:
        """Kind, method and path of every fault that happened so far, on both hosts; those set one by one are ``fault``."""
        return list(self.world.struck)

    def token(self, name: str = "creator") -> str:
        """A key: one of :data:`hubman.sandbox.accounts.TOKEN_NAMES`."""
        return accounts.token(name)

    def holds(self) -> dict[str, int]:
        """How many models, versions, files and images there are, drafts included."""
        return self.world.holds()

    def models_named(self, name: str) -> list[Doc]:
        """Every model of this name in any state but deleted, with its ``versions``: shows whether one came twice."""
        found = [doc for doc in self.world.store.every("model") if doc["name"] == name and doc["status"] != "Deleted"]
        return [
            {**doc, "versions": [self._whole(version) for version in self.world.versions(doc["id"])]} for doc in found
        ]

    def _whole(self, version: Doc) -> Doc:
        drafts = [{**post, "images": self.world.images(post["id"])} for post in self.world.posts(version["id"])]
        return {**version, "files": self.world.files(version["id"]), "posts": drafts}

    def seed_catalogue(self, n: int = 5000, seed: int = 1) -> Catalogue:
        """Fill it with ``n`` generated models; see :func:`hubman.sandbox.catalogue.seeding.seed_catalogue`."""
        return seed_catalogue(self.world, n, seed)

    def seed_hashes(self, sha256s: Sequence[str]) -> None:
        """A model for each hash; see :func:`hubman.sandbox.catalogue.seeding.seed_hashes`."""
        seed_hashes(self.world, sha256s)

    def expire_drafts(self) -> list[int]:
        """Run the nightly job that deletes drafts of 30 days; returns the ids of their models."""
        return releases.expire_drafts(self.world)

    @property
    def unknown_keys(self) -> list[str]:
        """``call: key`` for every key that a client sent and the site's schemas don't have."""
        return list(self.world.unknown_keys)

    def sweep(self) -> list[int]:
        """Run the nightly job that takes down versions without a file or a post; returns their ids."""
        return releases.sweep(self.world)

    def start(self) -> None:
        """Listen and serve; raises :class:`HubError` when the port is taken."""
        site, store = _listen(self._port), _listen(0)
        self.world.site = f"http://{_HOST}:{site.getsockname()[1]}"
        self.world.storage = f"http://{_HOST}:{store.getsockname()[1]}"
        routes: list[BaseRoute] = [
            _TRPC, *rest.ROUTES, *uploads.ROUTES, *downloads.ROUTES, *pages.ROUTES, *control.ROUTES,
        ]  # fmt: skip
        self._servers = [_server(self.world, routes), _server(self.world, list(storage.ROUTES))]
        self._thread = threading.Thread(target=self._serve, args=((site, store),), name="sandbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        for server in self._servers:
            server.end()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.world.close()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self, sockets: tuple[socket.socket, socket.socket]) -> None:
        async def both() -> None:
            pairs = zip(self._servers, sockets, strict=True)
            await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in pairs))

        asyncio.run(both())


class _Server(uvicorn.Server):
    """Stops at once when told to, instead of looking every tenth of a second whether it should."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told: concurrent.futures.Future[None] = concurrent.futures.Future()

    async def main_loop(self) -> None:
        await asyncio.wrap_future(self._told)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's signature
        """At once, too: only what is being answered has a second more."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=_GRACE)
        for task in list(self.server_state.tasks):
            task.cancel()

    def end(self) -> None:
        """From any thread."""
        self.should_exit = True
        self._told.set_result(None)


def _listen(port: int) -> socket.socket:
    # With the protocol named, asyncio turns Nagle's delay off; without, an answer in two writes waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as error:
        listener.close()
        raise HubError(f"port {port} is taken ({error.strerror})", "choose another with --port") from error
    # Before the thread runs: whoever connects now waits in the queue instead of being refused.
    listener.listen(128)
    return listener


def _no_method(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "Method not allowed"}, 405)


def _server(world: World, routes: list[BaseRoute]) -> _Server:
    app = Starlette(routes=routes, exception_handlers={405: _no_method})
    app.state.world = world
    config = uvicorn.Config(
        Faults(app, world), http=Connection, loop="asyncio", lifespan="off", log_config=None, access_log=False,
        date_header=False,
    )  # fmt: skip
    # Cut connections are the sandbox's business, not news.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return _Server(config)
