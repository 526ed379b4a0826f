"""A server on this machine that speaks as much of the Hugging Face hub's API as losses need."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Repository:
    """Files of each commit, the last being the branch ``main``."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        newest = self.commits[self.resolve("main")] if self.commits else {}
        name = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits[name] = newest | files
        return name

    def resolve(self, revision: str) -> str:
        return list(self.commits)[-1] if revision == "main" else revision


@dataclass
class Hub:
    """What the server holds, and what it was asked."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Serve a hub without repositories inside a `with` block."""
    hub = Hub()

    class Handler(_Handler):
        state = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keep the output of tests to themselves."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self._note()
        if path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular"} for f in files]
            self._answer({"files": [{**m, "shouldIgnore": False} for m in modes]})
        elif "/commit/" in path:
            self._commit(path.split("/api/models/")[1].split("/commit/")[0], body)
        else:
            self._refuse(404, "EntryNotFound")

    def do_GET(self) -> None:
        path = self._note()
        if path.startswith("/api/models/"):
            self._info(path.removeprefix("/api/models/").split("/revision/")[0])
        elif "/resolve/" in path:
            self._file(path)
        else:
            self._refuse(404, "EntryNotFound")

    do_HEAD = do_GET  # noqa: N815  # the server's own way of naming

    def _note(self) -> str:
        path = urlsplit(self.path).path
        self.state.requests.append(f"{self.command} {path}")
        return path

    def _create(self, asked: dict[str, object]) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if self.state.tokens and token not in self.state.tokens:
            self._refuse(401, "Unauthorized")
            return
        owner = asked.get("organization")
        name = f"{owner}/{asked['name']}" if owner else str(asked["name"])
        is_new = name not in self.state.repositories
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.state.repositories.setdefault(name, Repository(private))
        self._answer({"url": f"{self.state.endpoint}/{name}"}, 200 if is_new else 409)

    def _commit(self, name: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines() if line]
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        commit = self.state.repositories[name].commit(files)
        url = f"{self.state.endpoint}/{name}/commit/{commit}"
        self._answer({"commitUrl": url, "commitOid": commit, "success": True})

    def _info(self, name: str) -> None:
        repository = self.state.repositories.get(name)
        if repository is None or not repository.commits:
            self._refuse(404, "RepoNotFound")
            return
        commit = repository.resolve("main")
        siblings = [{"rfilename": path} for path in repository.commits[commit]]
        about = {"id": name, "modelId": name, "sha": commit, "private": repository.private}
        self._answer({**about, "siblings": siblings, "tags": []})

    def _file(self, path: str) -> None:
        name, _, rest = path.lstrip("/").partition("/resolve/")
        revision, _, wanted = rest.partition("/")
        repository = self.state.repositories.get(name)
        if repository is None:
            self._refuse(404, "RepoNotFound")
            return
        commit = repository.resolve(revision)
        if commit not in repository.commits:
            self._refuse(404, "RevisionNotFound")
        elif wanted not in repository.commits[commit]:
            self._refuse(404, "EntryNotFound")
        else:
            content = repository.commits[commit][wanted]
            etag = hashlib.sha1(content).hexdigest()
            self._send(200, content, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'})

    def _answer(self, document: object, status: int = 200) -> None:
        content = json.dumps(document).encode()
        self._send(status, content, {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
