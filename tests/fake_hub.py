"""A small Hugging Face Hub on loopback: repositories, commits, files in git and in LFS, private ones, tokens.

It speaks what huggingface_hub's client needs to create a repository, to upload in one commit and to download. It does
not speak Xet, the protocol of large files that the real Hub prefers.
"""

import base64
import hashlib
import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOKENS = {"hf_write": "write", "hf_read": "read"}
LICENSES = ("mit", "apache-2.0", "cc-by-4.0")


class FakeHub:
    "The state of the Hub, and its server."

    def __init__(self, lfs=False):
        self.lfs = lfs  # whether models are stored by LFS
        self.repos = {}  # name: dict(private, gated, commits: [dict(oid, message, files: name to bytes)])
        self.blobs = {}  # sha256: bytes
        self.asked = []  # method and path of every request

    def add(self, repo, files, private=False, gated=False):
        self.repos[repo] = dict(private=private, gated=gated, commits=[])
        self.commit(repo, files, "first")

    def commit(self, repo, files, message):
        commits = self.repos[repo]["commits"]
        files = (commits[-1]["files"] if commits else {}) | files
        oid = hashlib.sha1(f"{repo}{len(commits)}{sorted(files)}".encode()).hexdigest()
        commits.append(dict(oid=oid, message=message, files=files))
        return oid

    def files(self, repo, revision="main"):
        "The commit of a revision, or None."
        commits = self.repos[repo]["commits"]
        if revision in ("main", "refs/pr/1"):
            return commits[-1]
        return next((commit for commit in commits if commit["oid"] == revision), None)

    @contextmanager
    def running(self):
        hub = self

        class Handler(_Handler):
            state = hub

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        "No output."

    def answer(self):
        self.path, _, self.query = self.path.partition("?")
        self.state.asked.append(f"{self.command} {self.path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for pattern, method in _routes:
            if found := re.fullmatch(pattern, f"{self.command} {self.path}"):
                return method(self, *found.groups())
        self.send(404, dict(error=f"the fake does not know {self.command} {self.path}"))

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def send(self, status, data=b"", **headers):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def role(self):
        return TOKENS.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    # uploads

    def whoami(self):
        self.send(200, dict(name="me")) if self.role() else self.send(401, dict(error="Invalid credentials"))

    def create(self):
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if self.role() != "write":
            return self.send(403 if self.role() else 401, dict(error="You don't have the rights"))
        if repo in self.state.repos:
            return self.send(409, dict(error="exists", url=f"{self.state.url}/{repo}"))
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.state.repos[repo] = dict(private=private, gated=False, commits=[])
        self.state.commit(repo, {".gitattributes": b""}, "initial commit")
        self.send(200, dict(url=f"{self.state.url}/{repo}"))

    def validate_yaml(self):
        license = re.search("^license: (.*)$", json.loads(self.body)["content"], re.M)
        if license and license[1] not in LICENSES:
            return self.send(400, dict(errors=[dict(message='"license" must be one of the list')], warnings=[]))
        self.send(200, dict(errors=[], warnings=[]))

    def preupload(self, repo, revision):
        def mode(path):
            return "lfs" if self.state.lfs and path.endswith(".safetensors") else "regular"

        files = json.loads(self.body)["files"]
        answers = [dict(path=o["path"], uploadMode=mode(o["path"]), shouldIgnore=False) for o in files]
        self.send(200, dict(files=answers))

    def lfs_batch(self, repo):
        objects = json.loads(self.body)["objects"]
        url = f"{self.state.url}/lfs/"
        answers = [dict(o, actions=dict(upload=dict(href=url + o["oid"]))) for o in objects]
        self.send(200, dict(transfer="basic", objects=answers))

    def lfs_put(self, oid):
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.state.blobs[oid] = self.body
        self.send(200)

    def commit(self, repo, revision):
        header, *operations = [json.loads(line) for line in self.body.splitlines()]
        files = {}
        for operation in operations:
            value = operation["value"]
            is_lfs = operation["key"] == "lfsFile"
            files[value["path"]] = self.state.blobs[value["oid"]] if is_lfs else base64.b64decode(value["content"])
        oid = self.state.commit(repo, files, header["value"]["summary"])
        url = f"{self.state.url}/{repo}"
        pr_url = f"{url}/discussions/1" if "create_pr" in self.query else None
        self.send(200, dict(commitUrl=f"{url}/commit/{oid}", commitOid=oid, pullRequestUrl=pr_url))

    # downloads

    def resolve(self, repo, revision, name):
        found = self.state.repos.get(repo)
        if found is None or found["private"] and not self.role():
            return self.send(401, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        if found["gated"]:
            return self.send(403, X_Error_Code="GatedRepo", X_Error_Message="Access to it is restricted")
        commit = self.state.files(repo, revision)
        if commit is None:
            return self.send(404, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        headers = dict(X_Repo_Commit=commit["oid"])
        if name not in commit["files"]:
            return self.send(404, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found", **headers)
        data = commit["files"][name]
        sha = hashlib.sha256(data).hexdigest()
        if sha not in self.state.blobs:
            return self.send(200, data, ETag=f'"{sha}"', **headers)
        linked = dict(X_Linked_Size=str(len(data)), X_Linked_ETag=f'"{sha}"')
        # another host, as the real Hub has it
        other = self.state.url.replace("127.0.0.1", "localhost")
        self.send(302, Location=f"{other}/lfs/{sha}", **linked, **headers)

    def lfs_get(self, oid):
        assert self.headers.get("Authorization") is None
        self.send(200, self.state.blobs[oid], ETag=f'"{oid}"')


_repo = r"([\w.-]+/[\w.-]+)"
_routes = [
    (r"GET /api/whoami-v2", _Handler.whoami),
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/validate-yaml", _Handler.validate_yaml),
    (rf"POST /api/models/{_repo}/preupload/(.+)", _Handler.preupload),
    (rf"POST /{_repo}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    (r"PUT /lfs/(\w+)", _Handler.lfs_put),
    (rf"POST /api/models/{_repo}/commit/(.+)", _Handler.commit),
    (rf"(?:GET|HEAD) /{_repo}/resolve/([^/]+)/(.+)", _Handler.resolve),
    (r"(?:GET|HEAD) /lfs/(\w+)", _Handler.lfs_get),
]
