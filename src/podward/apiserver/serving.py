"""The HTTPS port: uvicorn with our certificates, inside a loop that is already running.

uvicorn does not hand the client's certificate to the application (a proposal to do so is open), so two small
subclasses of its protocols do. They also are the boundary that keeps a network request from claiming an
in-process identity: the scope's extensions are made here, from what TLS verified and nothing else.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import Any, Final

from podward.apiserver.authentication import PEER
from podward.apiserver.certificates import Credentials

_CLOSING_SECONDS: Final = 1.0
"""How long a client may take to answer that a connection at rest is closed."""


class HttpsServer:
    """`credentials`: what to serve with, or a context that is made already."""

    def __init__(
        self,
        app: Any,
        *,
        host: str,
        port: int,
        credentials: Credentials | ssl.SSLContext,
        grace_seconds: int = 1,
        keep_alive_seconds: int = 75,
    ) -> None:
        """`grace_seconds`: how long `stop` waits for requests that are under way. `keep_alive_seconds`: how
        long a connection may rest; who rests longer than its client never hangs up on a request."""
        self._app = app
        self._host = host
        self._port = port
        self._context = (
            credentials if isinstance(credentials, ssl.SSLContext) else _context(credentials)
        )
        self._grace_seconds = grace_seconds
        self._keep_alive_seconds = keep_alive_seconds
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """The port that it listens on; `OSError` if it cannot."""
        import uvicorn

        listener = self._bind()
        config = uvicorn.Config(
            self._app,
            http=_http_protocol(),
            ws=_websocket_protocol(),
            loop="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=self._grace_seconds,
            timeout_keep_alive=self._keep_alive_seconds,
        )
        config.load()
        config.ssl = self._context
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        self._server.capture_signals = contextlib.nullcontext
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError("the server ended before it had begun")
            await asyncio.sleep(0.001)
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """Within about `grace_seconds`; sooner, if no request is under way. Who does not hang up is left."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait((self._task,), timeout=_CLOSING_SECONDS)
        while not self._task.done() and self._server.server_state.tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # nobody tells of it; uvicorn has the timeout
        self._server.force_exit = True
        await asyncio.gather(self._task, return_exceptions=True)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            listener.listen(512)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener


def _context(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(credentials.server_certificate, credentials.server_key)
    context.load_verify_locations(credentials.ca_certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def _extensions(transport: Any) -> dict[str, Any]:
    """What the application learns of the connection."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return {}
    pairs = [pair for names in certificate.get("subject", ()) for pair in names]
    names = [value for key, value in pairs if key == "commonName"]
    organizations = tuple(value for key, value in pairs if key == "organizationName")
    return {PEER: (names[0], organizations)} if names else {}


def _http_protocol() -> type[asyncio.Protocol]:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Protocol(HttpToolsProtocol):
        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["extensions"] = _extensions(self.transport)

    return Protocol


def _websocket_protocol() -> type[asyncio.Protocol]:
    from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

    class Protocol(WSProtocol):
        async def run_asgi(self) -> None:
            self.scope["extensions"] = {
                "websocket.http.response": {},
                **_extensions(self.transport),
            }
            await super().run_asgi()

    return Protocol
