"""One HTTPS connection to the server, its errors in kubectl's words. Standard library only: it is quick."""

import http.client
import json
import re
import ssl
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from podward.cli.errors import CliError
from podward.cli.kubeconfig import Server, find_server

Json = dict[str, Any]
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class StatusError(CliError):
    """The server's own refusal; `status` is its `Status`."""

    def __init__(self, status: Json) -> None:
        super().__init__(_as_kubectl(status))
        self.status = status

    @property
    def http_code(self) -> int:
        return int(self.status.get("code") or 500)


def _as_kubectl(status: Json) -> str:
    reason, message = status.get("reason") or "", status.get("message") or "unknown error"
    details = status.get("details") or {}
    causes = details.get("causes") or []
    if reason == "Invalid" and causes:
        kind, name = details.get("kind", ""), details.get("name", "")
        if details.get("group"):
            kind = f"{kind}.{details['group']}"
        texts = list(dict.fromkeys(f"{c['field']}: {c['message']}" for c in causes))
        if len(texts) == 1:
            return f'The {kind} "{name}" is invalid: {texts[0]}'
        return f'The {kind} "{name}" is invalid: \n' + "\n".join(f"* {text}" for text in texts)
    return f"Error from server ({reason}): {message}" if reason else f"Error from server: {message}"


class HttpClient:
    def __init__(self, kubeconfig: str | None = None) -> None:
        self.server: Server = find_server(kubeconfig)
        self.context = ssl.create_default_context(cadata=self.server.ca_pem)
        # Python 3.13 insists on an extension that a small CA may leave out.
        self.context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        self._connection: http.client.HTTPSConnection | None = None
        self._warned: set[str] = set()

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.server.token}", "Accept": "application/json"}

    def close(self) -> None:
        """The connection that is kept; a new one is made when one is needed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        """The parsed JSON answer; `StatusError` for a refusal."""
        headers = {**self.headers(), "Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        response = self._send(method, path, query, body, headers)
        data = response.read()
        self._warn(response.getheader("Warning") or "")
        if response.status >= 300:
            raise _refusal(response.status, data)
        return json.loads(data) if data else {}

    def _warn(self, header: str) -> None:
        """What the server has to say beside its answer (RFC 7234), as kubectl prints it: each once."""
        for quoted in _WARNING.findall(header):
            text = re.sub(r"\\(.)", r"\1", quoted)
            if text not in self._warned:
                self._warned.add(text)
                print(f"Warning: {text}", file=sys.stderr, flush=True)

    def stream(
        self, path: str, *, query: dict[str, str] | None = None, accept: str = "application/json"
    ) -> Iterator[bytes]:
        """Lines as they come, each with its newline, on a connection of its own."""
        connection = self._connect()
        response = self._send_on(
            connection, "GET", path, query, None, {**self.headers(), "Accept": accept}
        )
        if response.status >= 300:
            raise _refusal(response.status, response.read())
        try:
            while line := response.readline():
                yield line
        except (http.client.HTTPException, ConnectionError):
            return  # the server went away: what came is what there is
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        host, port = self.server.host, self.server.port
        return http.client.HTTPSConnection(host, port, context=self.context)

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        body: bytes | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        return self._send_on(self._connection, method, path, query, body, headers)

    def _send_on(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        query: dict[str, str] | None,
        body: bytes | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        url = f"{path}?{urlencode(query)}" if query else path
        try:
            connection.request(method, url, body=body, headers=headers)
            return connection.getresponse()
        except ConnectionRefusedError:
            raise CliError(
                f"The connection to the server {self.server.host}:{self.server.port} was refused - "
                "did you specify the right host or port?"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise CliError(f"Unable to connect to the server: {error}") from None


def _refusal(code: int, data: bytes) -> StatusError:
    try:
        status = json.loads(data)
        if isinstance(status, dict) and status.get("kind") == "Status":
            return StatusError(status)
    except ValueError:
        pass
    text = data[:200].decode(errors="replace")
    return StatusError({"code": code, "message": f"unexpected answer {code}: {text}"})
