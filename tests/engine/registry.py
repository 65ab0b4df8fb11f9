"""A registry of images on loopback: as much of the distribution protocol as an engine needs to pull.

Engines speak plain HTTP with a registry of this machine. With accounts it asks for a name and a password; every
request is remembered, with who asked.
"""

import base64
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.engine.images import Image, digest_of

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs)/(?P<name>[^/?]+)")


class Registry:
    def __init__(self, accounts: Mapping[str, str] | None = None) -> None:
        """`accounts`: name -> password; without any, everybody may pull."""
        self.accounts = dict(accounts or {})
        self.requests: list[tuple[str, str, str]] = []
        """(method, path, user) of each; the user is empty for nobody, `?` for a wrong password."""
        self._blobs: dict[str, bytes] = {}
        self._manifests: dict[str, bytes] = {}
        self._tags: dict[tuple[str, str], str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def push(self, image: Image, repository: str, tag: str) -> str:
        """The digest of its manifest. A tag that is there already moves."""
        config, layer = image.parts()
        for blob in (config, layer):
            self._blobs[digest_of(blob)] = blob
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
                "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
            }
        ).encode()
        digest = digest_of(manifest)
        self._manifests[digest] = manifest
        self._tags[repository, tag] = digest
        return digest

    def pulls(self, repository: str) -> list[str]:
        """Who asked for its manifest, in order."""
        path = f"/v2/{repository}/manifests/"
        return [user for _, asked, user in self.requests if asked.startswith(path)]

    def _answer(self, path: str, user: str) -> tuple[int, str, bytes]:
        """(status, content type, body)."""
        if self.accounts and user in ("", "?"):
            return 401, "application/json", b'{"errors": [{"code": "UNAUTHORIZED"}]}'
        if path in ("/v2/", "/v2"):
            return 200, "application/json", b"{}"
        match = _PATH.match(path)
        if match is not None and match["kind"] == "blobs" and match["name"] in self._blobs:
            return 200, "application/octet-stream", self._blobs[match["name"]]
        if match is not None and match["kind"] == "manifests":
            digest = self._tags.get((match["repository"], match["name"]), match["name"])
            if digest in self._manifests:
                return 200, _MANIFEST, self._manifests[digest]
        return 404, "application/json", b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'

    def _user(self, authorization: str) -> str:
        if not authorization:
            return ""
        name, _, password = (
            base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        )
        return name if self.accounts.get(name) == password else "?"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                user = registry._user(self.headers.get("Authorization", ""))
                registry.requests.append((self.command, path, user))
                status, content_type, body = registry._answer(path, user)
                self.send_response(status)
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="registry"')
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Content-Digest", digest_of(body))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
