"""A Hub on loopback that speaks the routes of a publication, as huggingface_hub 2.4 asks for them."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN = "hf_" + "a1B2" * 8


@dataclass
class Refusal:
    """Answers ``status`` to a request whose path holds ``path``, ``times`` times; ``after``: but does what was asked."""

    path: str
    status: int
    text: str = ""
    code: str = ""
    method: str = ""
    times: int = 1
    after: bool = False


@dataclass
class Repo:
    """A repository: its files by name, the commits' messages, whether only its owner sees it."""

    is_private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    commits: list[str] = field(default_factory=list)


@dataclass
class HubServer:
    """What it holds, what was asked, and what it will refuse."""

    url: str = ""
    token: str = TOKEN
    role: str = "write"
    repos: dict[str, Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    large_from: int = 4000
    """Files of so many bytes are stored as large ones."""
    part_size: int = 0
    """Large files are sent in parts of so many bytes; 0: whole."""
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def count(self, method: str, path: str) -> int:
        return sum(1 for had, where in self.asked if had == method and path in where)

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        self.asked.append((request.method, path))
        body = await request.body()
        refusal = next(
            (r for r in self.refusals if r.times and r.path in path and r.method in {"", request.method}), None
        )
        if refusal is not None:
            refusal.times -= 1
            if refusal.after:
                self._do(request, path, body)
            headers = {"X-Error-Code": refusal.code} if refusal.code else {}
            return JSONResponse({"error": refusal.text}, refusal.status, headers)
        assert "torch" not in request.headers["user-agent"], "nothing is told of this machine"
        if not path.startswith("/lfs/") and request.headers.get("authorization") != f"Bearer {self.token}":
            return JSONResponse({"error": "Invalid username or password."}, 401)
        return self._do(request, path, body)

    def _do(self, request: Request, path: str, body: bytes) -> Response:
        parts = path.strip("/").split("/")
        if parts[0] == "lfs":
            return self._object(request, parts[1:], body)
        if parts[:2] == ["api", "models"]:
            return self._model(request.method, "/".join(parts[2:4]), parts[4:], body)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        account = {"name": "mara", "orgs": [{"name": "studio"}], "auth": {"accessToken": {"role": self.role}}}
        plain = {"/api/whoami-v2": account, "/api/validate-yaml": {"warnings": [], "errors": []}}
        return JSONResponse(plain[path]) if path in plain else JSONResponse({"error": "Not Found"}, 404)

    def _create(self, asked: dict[str, Any]) -> Response:
        repo = f"{asked.get('organization') or 'mara'}/{asked['name']}"
        if repo in self.repos:
            return JSONResponse({"error": "You already created this model repo", "url": f"{self.url}/{repo}"}, 409)
        self.repos[repo] = Repo(is_private=asked.get("visibility") == "private")
        return JSONResponse({"url": f"{self.url}/{repo}"})

    def _object(self, request: Request, path: list[str], body: bytes) -> Response:
        assert "authorization" not in request.headers, "a signed address must not get the token"
        oid = path[0]
        if path[1:] and path[1] != "complete":
            self.parts.setdefault(oid, {})[int(path[1])] = body
            return Response(headers={"etag": f'"{path[1]}"'})
        if path[1:]:
            told = [part["partNumber"] for part in json.loads(body)["parts"]]
            body = b"".join(self.parts[oid][number] for number in told)
        assert hashlib.sha256(body).hexdigest() == oid
        self.objects[oid] = body
        return Response()

    def _batch(self, asked: dict[str, Any]) -> Response:
        answers = []
        for wanted in asked["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.objects:
                answer["actions"] = {"upload": self._address(wanted["oid"], wanted["size"])}
            answers.append(answer)
        return JSONResponse({"transfer": "basic", "objects": answers})

    def _address(self, oid: str, size: int) -> dict[str, Any]:
        signed = "?X-Amz-Signature=s3cret"
        if not self.part_size:
            return {"href": f"{self.url}/lfs/{oid}{signed}"}
        numbers = range(1, -(-size // self.part_size) + 1)
        header = {f"{number:05}": f"{self.url}/lfs/{oid}/{number}{signed}" for number in numbers}
        return {"href": f"{self.url}/lfs/{oid}/complete", "header": {"chunk_size": str(self.part_size), **header}}

    def _model(self, method: str, name: str, rest: list[str], body: bytes) -> Response:
        repo = self.repos.get(name)
        if repo is None:
            return JSONResponse({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        if not rest:
            return JSONResponse({"id": name, "sha": "c" * 40, "private": repo.is_private, "siblings": _siblings(repo)})
        if rest[0] == "preupload":
            return JSONResponse({"files": [self._mode(repo, file) for file in json.loads(body)["files"]]})
        if rest[0] == "settings" and method == "PUT":
            repo.is_private = json.loads(body)["visibility"] == "private"
            return JSONResponse({})
        assert rest[0] == "commit"
        return self._commit(repo, name, [json.loads(line) for line in body.splitlines()])

    def _mode(self, repo: Repo, file: dict[str, Any]) -> dict[str, Any]:
        known = next((one for one in _siblings(repo) if one["rfilename"] == file["path"]), None)
        oid = (known["lfs"]["sha256"] if "lfs" in known else known["blobId"]) if known else None
        mode = "lfs" if file["size"] >= self.large_from else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _commit(self, repo: Repo, name: str, lines: list[dict[str, Any]]) -> Response:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                repo.commits.append(value["summary"])
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = self.objects[value["oid"]]
                repo.large.add(value["path"])
            else:
                repo.files[value["path"]] = base64.b64decode(value["content"])
        oid = f"{len(repo.commits):040x}"
        return JSONResponse({"commitUrl": f"{self.url}/{name}/commit/{oid}", "commitOid": oid, "success": True})


def _siblings(repo: Repo) -> list[dict[str, Any]]:
    found = []
    for name, content in repo.files.items():
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        one: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
        if name in repo.large:
            one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        found.append(one)
    return found


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """One that serves while the context lasts."""
    hub = HubServer()
    app = Starlette(routes=[Route("/{path:path}", hub.answer, methods=["GET", "POST", "PUT"])])
    # Named as TCP, asyncio sends at once; else each answer waits 40 ms for its second half.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    hub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_keep_alive=60))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.005)
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
