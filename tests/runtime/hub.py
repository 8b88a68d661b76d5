"""A Hub on this machine: the few endpoints asked when models and data sets are downloaded and models are pushed."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "hf_of_the_tests"  # noqa: S105 - opens nothing

DATASETS = "datasets/"
"""What stands before the names of data sets."""


@dataclass
class Hub:
    """What the Hub holds, and what it was asked.

    Attributes:
        address: To be put in HF_ENDPOINT.
        repositories: The files of each branch and commit of each repository.
        asked: Method and path of every request, as they came.
        commits: What was pushed: repository, branch, summary and names of files of each commit.
        private: The repositories that were made private.
    """

    address: str = ""
    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    commits: list[tuple[str, str, str, list[str]]] = field(default_factory=list)
    private: set[str] = field(default_factory=set)

    def add(self, name: str, folder: Path, revision: str = "main") -> None:
        """Put the files of a folder in a repository; the name of a data set begins with `DATASETS`."""
        paths = [path for path in folder.rglob("*") if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        self.repositories.setdefault(name, {})[revision] = files
        self.repositories[name][commit_of(files)] = files

    def downloads(self) -> list[str]:
        """Give the names of the files that were sent, in the order in which they were."""
        sent = [
            line.partition("/resolve/")[2] for line in self.asked if line.startswith("GET ") and "/resolve/" in line
        ]
        return [path.partition("/")[2] for path in sent]  # behind the revision


def commit_of(files: dict[str, bytes]) -> str:
    """Name a commit for what it holds."""
    return hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a Hub until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self._give()

    def do_GET(self) -> None:
        self._give()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.asked.append(f"POST {self.path}")
        if self.path == "/api/validate-yaml":
            self._send({"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "Invalid username or password.")
        elif self.path == "/api/repos/create":
            self._create(json.loads(body))
        else:
            _, _, _, organization, name, action, revision = self.path.split("/")
            repository = self.hub.repositories[f"{organization}/{name}"]
            if action == "preupload":
                files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
                self._send({"files": [{**file, "shouldIgnore": False} for file in files]})
            elif action == "branch":
                repository.setdefault(revision, {})
                self._send({})
            else:
                self._commit(f"{organization}/{name}", revision, [json.loads(line) for line in body.splitlines()])

    def _give(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        if self.path.startswith("/api/"):
            self._describe()
            return
        kind = DATASETS if self.path.startswith(f"/{DATASETS}") else ""
        parts = self.path.strip("/").removeprefix(kind).split("/", 4)  # a file may stand in a folder
        revisions = self.hub.repositories.get(kind + "/".join(parts[:2]), {})
        if len(parts) != 5 or not revisions:
            self._refuse(404, "Repository not found", "RepoNotFound")
        elif parts[3] not in revisions:
            self._refuse(404, f"Invalid rev id: {parts[3]}", "RevisionNotFound")
        elif parts[4] not in revisions[parts[3]]:
            self._refuse(404, "Entry not found", "EntryNotFound")
        else:
            data = revisions[parts[3]][parts[4]]
            self.send_response(200)
            self.send_header("X-Repo-Commit", commit_of(revisions[parts[3]]))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self._end(data)

    def _describe(self) -> None:
        """Tell of a repository: which commit a revision is, or which files are in it."""
        _, kind, organization, name, *more = self.path.strip("/").partition("?")[0].split("/")
        what, revision = [*more, "revision", "main"][:2]
        revisions = self.hub.repositories.get(f"{DATASETS if kind == 'datasets' else ''}{organization}/{name}", {})
        if revision not in revisions:
            self._refuse(404, "Repository not found", "RepoNotFound")
        elif what == "revision":
            self._send({"id": f"{organization}/{name}", "sha": commit_of(revisions[revision])})
        else:
            files = revisions[revision].items()
            self._send([{"type": "file", "path": path, "size": len(data), "oid": "0"} for path, data in files])

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] == "others":
            self._refuse(403, "You don't have the rights to create a model under the namespace others")
            return
        if wanted.get("private") or wanted.get("visibility") == "private":
            self.hub.private.add(name)
        status = 409 if name in self.hub.repositories else 200
        self.hub.repositories.setdefault(name, {"main": {}})
        self._send({"url": f"{self.hub.address}/{name}"}, status)

    def _commit(self, name: str, revision: str, lines: list[dict[str, Any]]) -> None:
        summary = next(line["value"]["summary"] for line in lines if line["key"] == "header")
        sent = [line["value"] for line in lines if line["key"] == "file"]
        files = self.hub.repositories[name][revision]
        files.update({file["path"]: base64.b64decode(file["content"]) for file in sent})
        self.hub.repositories[name][commit_of(files)] = files
        self.hub.commits.append((name, revision, summary, [file["path"] for file in sent]))
        commit = commit_of(files)
        self._send({"commitUrl": f"{self.hub.address}/{name}/commit/{commit}", "commitOid": commit})

    def _send(self, value: object, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self._end(json.dumps(value).encode())

    def _refuse(self, status: int, message: str, code: str = "") -> None:
        self.send_response(status)
        self.send_header("X-Error-Message", message)
        if code:
            self.send_header("X-Error-Code", code)
        self._end(json.dumps({"error": message}).encode())

    def _end(self, data: bytes) -> None:
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
